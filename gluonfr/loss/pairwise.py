"""Distances and masks between all samples of a batch, without knowing its size, so that hybridized graphs serve any."""

# Stands for infinity where a masked entry must never win: infinity itself gives NaN in gradients.
from __future__ import annotations

_FAR = 1e30


def squared_distances(F, x):
    """Between all rows of x (N, D): (N, N), at least 0, exactly 0 on the diagonal's gradient."""
    square = F.sum(F.square(x), axis=1, keepdims=True)
    sums = F.broadcast_add(square, F.transpose(square))
    return F.relu(sums - 2 * F.dot(x, x, transpose_b=True))


def safe_sqrt(F, square):
    """Square root with gradient 0 at 0, where the true one is infinite."""
    positive = square > 0
    ones = F.ones_like(square)
    return F.where(positive, F.sqrt(F.where(positive, square, ones)), F.zeros_like(square))


def unit_rows(F, x):
    """X (N, D) with rows of length 1; a row of zeros stays zero and gets a finite gradient."""
    return F.broadcast_div(x, F.sqrt(F.maximum(F.sum(F.square(x), axis=1, keepdims=True), 1e-12)))


def masks(F, label, like):
    """Positives (same label, not the sample itself) and negatives, two (N, N) of zeros and ones in the type of `like`."""
    column, row = F.reshape(label, shape=(-1, 1)), F.reshape(label, shape=(1, -1))
    place = F.contrib.arange_like(F.reshape(label, shape=(-1,)), axis=0)
    other = F.broadcast_not_equal(F.reshape(place, shape=(-1, 1)), F.reshape(place, shape=(1, -1)))
    same = F.broadcast_equal(column, row)
    return as_mask(F, same * other, like), as_mask(F, 1 - same, like)


def as_mask(F, condition, like):
    """A condition of any type as zeros and ones of the type of `like`."""
    return F.where(condition, F.ones_like(like), F.zeros_like(like))


def any_in_row(F, mask):
    """(N, M) -> (N,): 1 where the row has an entry."""
    return F.max(mask, axis=1)


def trainable(F, positives, negatives):
    """(1,): 1 when the batch holds two images of somebody and two people, else 0."""
    return F.reshape(F.max(positives) * F.max(negatives), shape=(1,))


def row_max(F, values, mask):
    """Largest of each row (N, M) under the mask: (N,), `-_FAR` where it is empty. Of equals only one gets the gradient."""
    kept = F.where(mask, values, F.ones_like(values) * -_FAR)
    return F.pick(kept, F.argmax(kept, axis=1), axis=1)


def row_min(F, values, mask):
    """As `row_max`, the smallest; `_FAR` where the mask is empty."""
    return -row_max(F, -values, mask)


def row_log_sum_exp(F, values, mask):
    """Log of the sum of exp over each row under the mask: (N,); rows without an entry give a large negative number."""
    kept = F.where(mask, values, F.ones_like(values) * -_FAR)
    largest = F.BlockGrad(F.max(kept, axis=1, keepdims=True))
    inside = F.sum(F.exp(F.broadcast_sub(kept, largest)) * mask, axis=1)
    empty = 1 - any_in_row(F, mask)
    return F.log(inside + empty) + F.reshape(largest, shape=(-1,))


def only_where(F, mask, values):
    """Values where the mask is 1, else 0 with gradient 0 even where a value is beyond all bounds."""
    return F.where(mask, values, F.zeros_like(values))

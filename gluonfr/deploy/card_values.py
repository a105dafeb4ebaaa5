"""Values of a card that a foreign network needs, within the ranges that can be computed with."""

from __future__ import annotations

import numpy as np

from gluonfr.core import Card, WeightsError

# Height and width of crops, and numbers in one batch of them: 1 GiB in float32.
MAX_SIDE, MAX_NUMBERS = 4096, 1 << 28


def mean_and_std(card: Card, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the three channels, (3,) float64, or raise `WeightsError`.

    Examples
    --------
    >>> mean_and_std(Card(mean=127.5, std=[1, 2, 4]), "the card")
    (array([127.5, 127.5, 127.5]), array([1., 2., 4.]))
    """
    try:
        mean, std = (np.broadcast_to(np.asarray(level, dtype=np.float64), 3) for level in (card.mean, card.std))
    except (OverflowError, TypeError, ValueError) as error:
        raise WeightsError(f"{where}: mean and std of the card must be a number or three numbers; correct the card.") from error
    if not (np.abs(mean) < 1e6).all() or not ((std > 1e-6) & (std < 1e6)).all():
        raise WeightsError(
            f"{where}: mean of the card must be below 1e6 and std between 1e-6 and 1e6, got {mean.tolist()} and "
            f"{std.tolist()}; correct the card."
        )
    return mean, std


def check_image_size(card: Card, where: str, batch: int = 2) -> tuple[int, int]:
    """Return the size of the images, or raise `WeightsError` when one batch of them is too large.

    Examples
    --------
    >>> check_image_size(Card(image_size=(112, 96)), "the card")
    (112, 96)
    """
    height, width = card.image_size
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise WeightsError(f"{where}: image_size of the card is {height}x{width}; it must be at most {MAX_SIDE}x{MAX_SIDE}.")
    if batch * 3 * height * width > MAX_NUMBERS:
        raise WeightsError(f"{where}: a batch of {batch} images of {height}x{width} is too large; export a smaller batch.")
    return height, width

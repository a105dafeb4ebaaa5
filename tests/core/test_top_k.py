import tracemalloc

import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.core.top_k import _spans, search, top_k


def full_search(queries, rows, k):
    """Every score in float64, sorted by score and then by index."""
    scores = np.array([[float(np.sum(q.astype(np.float64) * r)) for r in rows] for q in queries]).reshape(
        len(queries), len(rows)
    )
    order = np.array([np.lexsort((np.arange(len(rows)), -row)) for row in scores]).reshape(len(queries), len(rows))
    return np.take_along_axis(scores, order, 1)[:, :k], order[:, :k], -np.sort(-scores.ravel())


def vectors(kind, seed):
    random = np.random.default_rng(seed)
    q, n, d = random.integers(1, 12), random.integers(1, 900), random.integers(1, 24)
    queries, rows = random.normal(size=(q, d)), random.normal(size=(n, d))
    if kind == "copies":
        rows = rows[random.integers(0, max(1, n // 10), n)]
    if kind == "one row":
        rows[:] = rows[0]
    if kind == "small integers":
        queries, rows = random.integers(-1, 2, (q, d)), random.integers(-1, 2, (n, d))
    if kind == "nearly alike":
        # Apart by less than float32 products tell.
        rows = rows[0] + 1e-7 * rows
    return np.float32(queries), np.float32(rows), int(random.integers(1, 40))


@pytest.mark.parametrize("kind", ["random", "copies", "one row", "small integers", "nearly alike"])
def test_results_equal_a_full_search_in_float64(kind):
    for seed in range(25):
        queries, rows, k = vectors(kind, seed)
        (scores, indices), largest = search(queries, rows, k, 7, memory=1 << 20)
        wanted_scores, wanted, every = full_search(queries, rows, k)
        np.testing.assert_array_equal(indices[:, : wanted.shape[1]], wanted)
        np.testing.assert_array_equal(scores[:, : wanted.shape[1]], wanted_scores)
        assert (indices[:, len(rows) :] == -1).all()
        assert (scores[:, len(rows) :] == -np.inf).all()
        np.testing.assert_array_equal(largest, every[:7])


@pytest.mark.parametrize("kind", ["random", "copies", "one row", "small integers", "nearly alike"])
def test_results_do_not_depend_on_the_number_of_threads(kind, monkeypatch):
    monkeypatch.setattr("gluonfr.core.top_k.cores", lambda: 3)
    monkeypatch.setattr("gluonfr.core.top_k._MANY", 100)
    used = 0
    for seed in range(25):
        queries, rows, k = vectors(kind, seed)
        skip = np.random.default_rng(seed).random(len(rows)) < 0.2
        for some in (queries[:1], queries[:4]):
            used += len(_spans(len(some), rows)) == 3
            scores, indices = top_k(some, rows, k, memory=1 << 20)
            wanted_scores, wanted, _ = full_search(some, rows, k)
            np.testing.assert_array_equal(indices[:, : wanted.shape[1]], wanted)
            np.testing.assert_array_equal(scores[:, : wanted.shape[1]], wanted_scores)
            (_, indices), _ = search(some, rows, k, skip=skip)
            _, wanted, _ = full_search(some, rows[~skip], k)
            np.testing.assert_array_equal(indices[:, : wanted.shape[1]], np.flatnonzero(~skip)[wanted])
    assert used > 30


def test_ties_go_to_the_lower_index_across_blocks():
    random = np.random.default_rng(0)
    rows = random.normal(size=(5000, 64)).astype(np.float32)
    query = random.normal(size=(1, 64)).astype(np.float32)
    best = 2 * query[0]
    for place in (4999, 70, 2500, 71, 4000):
        rows[place] = best
    scores, indices = top_k(query, rows, 3, memory=1 << 20)
    assert indices.tolist() == [[70, 71, 2500]]
    assert len(set(scores[0].tolist())) == 1
    # A product of matrices may round equal columns differently; here they are equal wherever they stand.
    assert top_k(query, rows[::-1], 3)[0].tolist() == scores.tolist()


def test_results_do_not_depend_on_the_block_size():
    random = np.random.default_rng(1)
    queries, rows = random.normal(size=(300, 32)).astype(np.float32), random.normal(size=(7000, 32)).astype(np.float32)
    wanted = search(queries, rows, 9, 500)
    for memory in (1 << 20, 3 << 20, 1 << 30):
        (scores, indices), largest = search(queries, rows, 9, 500, memory)
        np.testing.assert_array_equal(indices, wanted[0][1])
        np.testing.assert_array_equal(scores, wanted[0][0])
        np.testing.assert_array_equal(largest, wanted[1])


def test_many_queries_share_the_largest_scores():
    random = np.random.default_rng(2)
    queries, rows = random.normal(size=(9000, 4)).astype(np.float32), random.normal(size=(50, 4)).astype(np.float32)
    _, largest = search(queries, rows, 1, 1000)
    exact = (queries.astype(np.float64)[:, None] * rows).sum(2).ravel()
    np.testing.assert_array_equal(largest, -np.sort(-exact)[:1000])


def test_memory_is_bounded_also_when_all_scores_are_equal():
    for rows in (np.ones((200_000, 16), np.float32), np.random.default_rng(3).normal(size=(200_000, 16)).astype(np.float32)):
        queries = np.ones((50, 16), np.float32)
        tracemalloc.start()
        scores, indices = top_k(queries, rows, 10, memory=16 << 20)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # 50 x 200,000 scores alone would be 40 MB, and what is known of as many candidates 320.
        assert peak < 24 << 20
        if rows[0, 0] == rows[1, 1] == 1:
            assert (indices == np.arange(10)).all()


def test_rows_may_be_memory_mapped(tmp_path):
    rows = np.random.default_rng(4).normal(size=(1000, 8)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    np.testing.assert_array_equal(top_k(rows[:5], mapped, 1)[1], top_k(rows[:5], rows, 1)[1])


def test_empty_rows_and_empty_queries_give_empty_results():
    scores, indices = top_k(np.ones((2, 3)), np.empty((0, 3)), 4)
    assert (scores == -np.inf).all()
    assert (indices == -1).all()
    assert scores.shape == (2, 4)
    assert top_k(np.empty((0, 3)), np.ones((2, 3)), 4)[1].shape == (0, 4)


@pytest.mark.parametrize("scale", [1e-25, 1e-15, 1e15])
def test_tiny_and_large_vectors_are_ranked_exactly(scale):
    random = np.random.default_rng(6)
    queries, rows = (random.normal(size=(n, 6)).astype(np.float32) * np.float32(scale) for n in (5, 400))
    scores, indices = top_k(queries, rows, 4)
    wanted_scores, wanted, _ = full_search(queries, rows, 4)
    np.testing.assert_array_equal(indices, wanted)
    np.testing.assert_array_equal(scores, wanted_scores)
    with pytest.raises(GluonFRError, match="overflow"):
        top_k(random.normal(size=(2, 6)) * 1e20, random.normal(size=(3, 6)) * 1e20, 1)


def test_skipped_rows_are_not_found():
    random = np.random.default_rng(7)
    queries, rows, skip = random.normal(size=(7, 4)), random.normal(size=(900, 4)), random.random(900) < 0.6
    (scores, indices), largest = search(queries, rows, 5, 20, skip=skip)
    kept = np.flatnonzero(~skip)
    (wanted, places), every = search(queries, rows[kept], 5, 20)
    np.testing.assert_array_equal(indices, kept[places])
    np.testing.assert_array_equal(scores, wanted)
    np.testing.assert_array_equal(largest, every)
    assert (search(queries, rows, 2, skip=np.ones(900, bool))[0][1] == -1).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.ones((2, 3)), np.ones((2, 4)), 1), "3 dimensions and rows 4"),
        ((np.ones(3), np.ones((2, 3)), 1), "queries"),
        ((np.full((1, 2), np.nan), np.ones((2, 2)), 1), "queries contain NaN"),
        ((np.ones((1, 2)), np.array([[1, np.inf]]), 1), "rows contain NaN"),
        ((np.ones((1, 2)), np.ones((2, 2)), -1), "k must not be negative"),
        ((np.array([["a", "b"]]), np.ones((2, 2)), 1), "real numbers"),
    ],
)
def test_invalid_input_is_reported_in_one_sentence(arguments, words):
    with pytest.raises(GluonFRError, match=words):
        top_k(*arguments)
    with pytest.raises(GluonFRError, match="memory"):
        top_k(np.ones((1, 2)), np.ones((2, 2)), 1, memory=10)

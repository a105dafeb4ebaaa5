"""B-cubed scores are compared with their definition, face by face."""

import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.metrics import bcubed


def by_definition(labels, clusters):
    """Mean precision and recall over faces, each from all other faces."""
    precision, recall = [], []
    for face in range(len(labels)):
        together = [other for other in range(len(labels)) if clusters[other] == clusters[face]]
        person = [other for other in range(len(labels)) if labels[other] == labels[face]]
        right = len(set(together) & set(person))
        precision.append(right / len(together))
        recall.append(right / len(person))
    return np.mean(precision), np.mean(recall)


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_the_definition(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 9, 120) ** 2
    clusters = np.array(list("abcdefghijkl"))[random.integers(0, 12, 120)]
    # Part of it is right, so that neither score is near zero.
    clusters = np.where(random.random(120) < 0.6, labels.astype(str), clusters)
    result, (precision, recall) = bcubed(labels, clusters), by_definition(labels, clusters)
    assert result.precision == pytest.approx(precision)
    assert result.recall == pytest.approx(recall)
    assert result.f == pytest.approx(2 / (1 / precision + 1 / recall))
    assert (result.faces, result.people, result.clusters) == (120, len(set(labels)), len(set(clusters)))
    order = random.permutation(120)
    assert bcubed(labels[order], clusters[order]).f == pytest.approx(result.f)


def test_scores_of_a_case_computed_by_hand():
    # A cluster of three a and one b, and one of one a.
    result = bcubed(["a", "a", "a", "b", "a"], [0, 0, 0, 0, 1])
    assert result.precision == pytest.approx((3 * 3 / 4 + 1 / 4 + 1) / 5)
    assert result.recall == pytest.approx((3 * 3 / 4 + 1 + 1 / 4) / 5)


def test_scores_of_perfect_and_trivial_clusterings():
    assert bcubed([1, 1, 2], [7, 7, 3]).f == 1
    assert bcubed([1, 1, 2, 2], [0, 0, 0, 0]).precision == 0.5
    assert bcubed([1, 1, 2, 2], [0, 0, 0, 0]).recall == 1
    assert bcubed([1, 1, 2, 2], [0, 1, 2, 3]).precision == 1
    assert bcubed([1, 1, 2, 2], [0, 1, 2, 3]).recall == 0.5


def test_invalid_labels_and_clusters_are_refused():
    for labels, clusters in (([], []), ([1, 2], [1]), ([[1, 2]], [[1, 2]]), ([1, np.nan], [1, 2]), ([1.5, 1], [1, 2])):
        with pytest.raises(GluonFRError, match="one name or integer per face"):
            bcubed(labels, clusters)

"""Average linkage without a matrix of pairs, against SciPy's with one."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from gluonfr.apps.curation.clustering.cluster import cluster_faces, known_people
from gluonfr.apps.curation.clustering.linkage import AverageLinkage
from gluonfr.core import Card, GluonFRError

POINTS = [{"far": 0.1, "similarity": 0.2}, {"far": 0.01, "similarity": 0.3}, {"far": 0.001, "similarity": 0.4}]


def faces(seed, people=12, noise=0.9, size=24):
    random = np.random.default_rng(seed)
    counts = random.integers(1, 15, people)
    labels = random.permutation(np.repeat(np.arange(people), counts))
    rows = random.normal(size=(people, size))[labels] + noise * random.normal(size=(len(labels), size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def same(a, b):
    """Whether two groupings are one."""
    return ((a[:, None] == a) == (b[:, None] == b)).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.1, 0.35, 0.6])
def test_it_is_average_linkage(seed, threshold):
    rows, _ = faces(seed)
    wanted = fcluster(linkage(pdist(rows.astype(np.float64), "cosine"), "average"), 1 - threshold, "distance")
    found = AverageLinkage(rows.copy())
    # Lowered in steps is lowered at once.
    for each in (0.8, threshold + 0.05, threshold):
        found.join(each)
    groups = found.groups()
    assert 1 < len(set(groups)) < len(rows)
    assert same(groups, wanted)
    assert sorted(np.bincount(groups)) == sorted(found.sizes)
    # Numbered by their first rows.
    assert (np.diff(np.unique(groups, return_index=True)[1]) > 0).all()


def test_one_row_and_equal_rows():
    alone = AverageLinkage(np.eye(1, 4, dtype=np.float32))
    alone.join(-1)
    assert alone.groups().tolist() == [0]
    rows = np.eye(4, dtype=np.float32)[[0, 1, 0, 0, 1, 2]]
    equal = AverageLinkage(rows.copy())
    equal.join(0.5)
    assert equal.groups().tolist() == [0, 1, 0, 0, 1, 2]


def test_a_chain_of_faces_does_not_join_two_people():
    # Each next face is near to the one before, the ends are strangers: single links would make one person of all.
    angles = np.linspace(0, np.pi / 2, 12)
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = AverageLinkage(rows.copy())
    found.join(0.85)
    groups = found.groups()
    assert groups[0] != groups[-1]
    assert (rows[:-1] * rows[1:]).sum(1).min() > 0.98


def test_the_threshold_follows_from_the_card_and_the_number_of_groups():
    card = Card(thresholds=POINTS)
    few, many = (cluster_faces(faces(1, people, 0.5)[0], card) for people in (12, 60))
    assert few.threshold < many.threshold
    assert few.compared < many.compared
    for found in (few, many):
        far = 10 ** (-1 - (found.threshold - 0.2) * 10)
        # A search among as many groups meets a stranger in one of two cases.
        assert 1 - (1 - far) ** found.compared == pytest.approx(0.5, abs=1e-6)
        assert f"{found.compared} groups" in found.explain()
    assert cluster_faces(faces(1)[0], card, 0.5).explain().endswith("given by you")
    with pytest.raises(GluonFRError, match="states no thresholds"):
        cluster_faces(faces(1)[0], Card())
    with pytest.raises(GluonFRError, match="must be a cosine"):
        cluster_faces(faces(1)[0], card, 2.0)


def test_people_come_by_size_with_the_mean_similarity_to_the_others():
    rows, labels = faces(3, noise=0.3)
    found = cluster_faces(rows, threshold=0.4)
    assert same(found.people, labels)
    sizes = np.bincount(found.people)
    assert (np.diff(sizes) <= 0).all()
    for number in range(len(rows)):
        others = np.flatnonzero((found.people == found.people[number]) & (np.arange(len(rows)) != number))
        if len(others):
            assert found.similarity[number] == pytest.approx(float((rows[others] @ rows[number]).mean()), abs=1e-5)
        else:
            assert np.isnan(found.similarity[number])


def test_a_group_is_called_as_most_of_its_faces_are():
    class Told:
        def __init__(self, name):
            self.name = name

    class Gallery:
        def threshold(self, fpir):
            return fpir

        def identify(self, rows, k, threshold):
            return [Told(["Ann", "Bo", None][int(row[0])]) for row in rows]

    # 2 of 3 are Ann, 1 of 2 is Bo (no more than half), nobody.
    rows = np.array([0, 0, 1, 1, 2, 2])[:, None]
    assert known_people(Gallery(), rows, np.array([0, 0, 0, 1, 1, 2]), 0.01) == ({0: "Ann"}, 0.01)


def test_two_faces_of_one_photo_are_two_people():
    rows, labels = faces(5, people=4, noise=0.2)
    assert same(cluster_faces(rows, threshold=0.5).people, labels)
    # Faces 3 and 7 of a person share a photo, and so do two people.
    mine, photo = np.flatnonzero(labels == np.bincount(labels).argmax()), np.arange(len(rows))
    photo[mine[3]] = photo[mine[7]]
    photo[np.flatnonzero(labels != labels[mine[0]])[0]] = photo[mine[0]]
    found = cluster_faces(rows, threshold=0.5, photo=photo).people
    apart = {place: (found == found[place]).sum() for place in (mine[3], mine[7])}
    assert sorted(apart.values()) == [1, len(mine) - 1]
    # The one that is less like the others goes.
    near = {place: rows[np.setdiff1d(mine, place)].mean(0) @ rows[place] for place in apart}
    assert min(near, key=near.get) == min(apart, key=apart.get)
    rest = np.setdiff1d(np.arange(len(rows)), [mine[3], mine[7]])
    assert same(found[rest], labels[rest])

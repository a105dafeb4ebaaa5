"""Average linkage against SciPy, and the grouping of faces."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from gluonfr.apps.curation.clustering.grouping import cluster_faces, name_groups
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
    """Return whether two groupings are equal."""
    return ((a[:, None] == a) == (b[:, None] == b)).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.1, 0.35, 0.6])
def test_groups_equal_those_of_scipy(seed, threshold):
    rows, _ = faces(seed)
    wanted = fcluster(linkage(pdist(rows.astype(np.float64), "cosine"), "average"), 1 - threshold, "distance")
    found = AverageLinkage(rows.copy())
    # Lowering the threshold in steps gives the same groups.
    for limit in (0.8, threshold + 0.05, threshold):
        found.join(limit)
    groups = found.groups()
    assert 1 < len(set(groups)) < len(rows)
    assert same(groups, wanted)
    assert sorted(np.bincount(groups)) == sorted(found.sizes)
    # Groups are numbered by their first rows.
    assert (np.diff(np.unique(groups, return_index=True)[1]) > 0).all()


def test_single_rows_stay_alone_and_equal_rows_are_joined():
    alone = AverageLinkage(np.eye(1, 4, dtype=np.float32))
    alone.join(-1)
    assert alone.groups().tolist() == [0]
    rows = np.eye(4, dtype=np.float32)[[0, 1, 0, 0, 1, 2]]
    equal = AverageLinkage(rows.copy())
    equal.join(0.5)
    assert equal.groups().tolist() == [0, 1, 0, 0, 1, 2]


def test_chain_of_similar_faces_does_not_join_two_people():
    # Neighbors are similar and the ends are strangers: single linkage would join all of them.
    angles = np.linspace(0, np.pi / 2, 12)
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = AverageLinkage(rows.copy())
    found.join(0.85)
    groups = found.groups()
    assert groups[0] != groups[-1]
    assert (rows[:-1] * rows[1:]).sum(1).min() > 0.98


def test_threshold_follows_from_card_and_number_of_groups():
    card = Card(thresholds=POINTS)
    few, many = (cluster_faces(faces(1, people, 0.5)[0], card) for people in (12, 60))
    assert few.threshold < many.threshold
    assert few.compared < many.compared
    for found in (few, many):
        far = 10 ** (-1 - (found.threshold - 0.2) * 10)
        # A search among this number of groups finds a stranger with probability 1/2.
        assert 1 - (1 - far) ** found.compared == pytest.approx(0.5, abs=1e-6)
        assert f"{found.compared} groups" in found.explain()
    assert cluster_faces(faces(1)[0], card, 0.5).explain().endswith("given by the user")
    with pytest.raises(GluonFRError, match="has no thresholds"):
        cluster_faces(faces(1)[0], Card())
    with pytest.raises(GluonFRError, match="must be a cosine"):
        cluster_faces(faces(1)[0], card, 2.0)


def test_groups_are_sorted_by_size_and_have_mean_similarities():
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


def test_majority_of_faces_names_a_group():
    class Answer:
        def __init__(self, name):
            self.name = name

    class Gallery:
        def threshold(self, fpir):
            return fpir

        def identify(self, rows, k, threshold):
            return [Answer(["Ann", "Bo", None][int(row[0])]) for row in rows]

    # 2 of 3 faces are Ann; 1 of 2 is Bo, which is not more than half; the last is unknown.
    rows = np.array([0, 0, 1, 1, 2, 2])[:, None]
    assert name_groups(Gallery(), rows, np.array([0, 0, 0, 1, 1, 2]), 0.01) == ({0: "Ann"}, 0.01)


def test_two_similar_faces_of_one_photo_stay_together_and_are_reported():
    rows, labels = faces(5, people=4, noise=0.2)
    mine, photo = np.flatnonzero(labels == np.bincount(labels).argmax()), np.arange(len(rows))
    # Two faces of a person, and two people, share a photo.
    photo[mine[3]] = photo[mine[7]]
    photo[np.flatnonzero(labels != labels[mine[0]])[0]] = photo[mine[0]]
    found = cluster_faces(rows, threshold=0.5, photo=photo)
    assert same(found.people, labels)
    # The face that is less similar to the others of its person is the repetition.
    near = {place: rows[np.setdiff1d(mine, place)].mean(0) @ rows[place] for place in (mine[3], mine[7])}
    assert found.repeated.tolist() == [min(near, key=near.get)]


def test_less_similar_face_of_one_photo_becomes_another_person():
    # Face 3 is joined to the group, but its similarity to the faces on other photos is below the threshold.
    angles = np.radians([0, 5, 10, 62])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    threshold = float((rows[:3] @ rows[3]).mean()) - 0.01
    assert len(set(cluster_faces(rows, threshold=threshold).people)) == 1
    found = cluster_faces(rows, threshold=threshold, photo=np.array([0, 1, 2, 2]))
    assert found.people.tolist() == [0, 0, 0, 1]
    assert not len(found.repeated)

"""Cleaning and clustering of real faces by two networks, with simulated errors."""

import os

import numpy as np
import pytest

from gluonfr.apps.curation.cleaning.embedded_set import embed_set
from gluonfr.apps.curation.cleaning.face_sets import open_set
from gluonfr.apps.curation.cleaning.identities import Identities
from gluonfr.apps.curation.cleaning.label_errors import find_duplicate_labels, find_wrong_labels
from gluonfr.apps.curation.cleaning.overlap import find_overlap
from gluonfr.apps.curation.clustering.sorted_folder import cluster_photos
from gluonfr.core import GluonFRError
from gluonfr.deploy import Embedder

pytestmark = pytest.mark.system

# People of celeb with two labels each: the same photos are under both.
TWICE = {frozenset((186, 187)), frozenset((109, 111))}
PEOPLE = 293


@pytest.fixture(scope="module", params=["dlib_resnet29", "mobilefacenet-y1"])
def embedder(request, faces):
    if request.param == "mobilefacenet-y1":
        return Embedder(os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json"))
    try:
        return Embedder(request.param)
    except GluonFRError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def celeb(embedder, faces, tmp_path_factory):
    found = embed_set(embedder, open_set(os.path.join(faces, "celeb")), str(tmp_path_factory.mktemp("celeb")))
    return np.array(found.embeddings), found.labels


@pytest.mark.full
def test_shuffled_labels_are_found(celeb):
    embeddings, labels = celeb
    figures = []
    for seed in range(3):
        random = np.random.default_rng(seed)
        wrong, changed = random.choice(len(labels), round(0.05 * len(labels)), replace=False), labels.copy()
        changed[wrong] = (labels[wrong] + random.integers(1, PEOPLE, len(wrong))) % PEOPLE
        found = find_wrong_labels(Identities(embeddings, changed))
        hits = np.isin(found.images, wrong).sum()
        figures.append((hits / len(found.images), hits / len(wrong)))
        assert found.threshold.share == pytest.approx(0.05, abs=0.015)
    precision, recall = np.mean(figures, axis=0)
    assert precision >= 0.93, figures
    assert recall >= 0.93, figures


@pytest.mark.full
def test_people_under_two_labels_are_found(celeb):
    found = find_duplicate_labels(Identities(*celeb))
    pairs = {frozenset(pair[:2]) for pair in found.pairs}
    assert frozenset((186, 187)) in pairs
    assert pairs <= TWICE


@pytest.mark.full
def test_people_of_a_test_set_are_found(embedder, celeb, faces, tmp_path):
    embeddings, labels = celeb
    lfw = embed_set(embedder, open_set(os.path.join(faces, "lfw.bin")), str(tmp_path))
    strangers, of, random = np.array(lfw.embeddings), lfw.labels, np.random.default_rng(0)
    once = np.setdiff1d(np.arange(PEOPLE), [label for pair in TWICE for label in pair])
    assert not find_overlap(Identities(embeddings, labels), Identities(strangers, of)).found
    train, shared = np.ones(len(labels), bool), random.choice(once, 20, replace=False)
    for person in shared:
        rows = random.permutation(np.flatnonzero(labels == person))
        train[rows[: min(random.integers(1, 4), len(rows) - 2)]] = False
    people = Identities(embeddings[train], labels[train])
    test = Identities(np.concatenate([strangers, embeddings[~train]]), np.concatenate([of, labels[~train] + 100_000]))
    found = find_overlap(people, test).found
    right = [test.labels[theirs] - 100_000 == people.labels[ours] for theirs, ours, _ in found]
    assert sum(right) >= 14
    assert right.count(False) <= 2


@pytest.mark.full
def test_photos_of_24_people_are_sorted(embedder, faces, tmp_path):
    done = cluster_photos(embedder, os.path.join(faces, "photos", "people"), tmp_path / "out", evaluate=True)
    assert done.evaluation.people == 24
    assert done.evaluation.precision > 0.97
    assert done.evaluation.f > 0.93
    assert len(os.listdir(tmp_path / "out" / "people")) == len(done.people) in range(22, 28)

"""Real photos: half of each person's enrolled, the rest identified."""

import os

import numpy as np
import pytest

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.deploy import Embedder
from gluonfr.evaluation.labeled_embeddings import labeled_embeddings

pytestmark = pytest.mark.system

PEOPLE = 24


@pytest.fixture(scope="module")
def photos(faces):
    """(card, embeddings, people) of 168 photos of 24 people, by y1."""
    embedder = Embedder(os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json"))
    found = labeled_embeddings(os.path.join(faces, "photos", "people"), embedder)
    assert not found.left_out
    assert len(set(found.labels)) == PEOPLE
    return embedder.card, found.embeddings, found.labels


def over_splits(card, embeddings, people, folder, splits=20, fpir=0.1):
    """Means over random splits: rank-1, known people named rightly, strangers named. A third of the people is left out."""
    names, figures = np.unique(people), []
    for split in range(splits):
        random = np.random.default_rng(split)
        order = random.permutation(names)
        known, strangers = order[len(names) // 3 :], order[: len(names) // 3]
        enrolled, probes = [], []
        for name in known:
            rows = random.permutation(np.flatnonzero(people == name))
            enrolled.append(rows[: len(rows) // 2])
            probes.append(rows[len(rows) // 2 :])
        with Gallery(os.path.join(folder, f"{split}.db"), card) as gallery:
            gallery.enroll_people({name: (embeddings[rows], None, None) for name, rows in zip(known, enrolled)})
            threshold = gallery.threshold(fpir)
            answers = gallery.identify(embeddings[np.concatenate(probes)], 1, threshold)
            owners = np.repeat(known, list(map(len, probes)))
            rank_1 = np.mean([answer.matches[0].name == owner for answer, owner in zip(answers, owners)])
            right = np.mean([answer.name == owner for answer, owner in zip(answers, owners)])
            of_strangers = gallery.identify(embeddings[np.isin(people, strangers)], 1, threshold)
            figures.append((rank_1, right, np.mean([answer.name is not None for answer in of_strangers])))
    return np.mean(figures, axis=0)


def test_photos_are_identified_after_half_of_the_people_are_enrolled(photos, tmp_path):
    rank_1, right, alarms = over_splits(*photos, str(tmp_path))
    assert rank_1 > 0.99
    assert right > 0.98
    # 16 people and 56 photos of strangers a split tell no more.
    assert 0.02 < alarms < 0.25

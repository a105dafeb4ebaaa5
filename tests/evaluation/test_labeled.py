import os

import cv2
import numpy as np
import pytest
from mxnet.gluon import HybridBlock

from gluonfr.core import Card, GluonFRError
from gluonfr.data import RecordWriter
from gluonfr.data.identities import write_identities
from gluonfr.deploy import Embedder
from gluonfr.evaluation.labeled_embeddings import labeled_embeddings, write_labeled

SIZE = 16


class Means(HybridBlock):
    """The mean of each channel: an embedding that a test can compute."""

    def hybrid_forward(self, F, x):
        return F.mean(x, axis=(2, 3))


@pytest.fixture
def embedder():
    net = Means()
    net.hybridize()
    return Embedder(net, card=Card(image_size=(SIZE, SIZE)))


def picture(red, green=50):
    return np.full((SIZE, SIZE, 3), (red, green, 10), dtype=np.uint8)


def unit(*colors):
    rows = np.array(colors, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def save(path, image):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    cv2.imwrite(str(path), image[:, :, ::-1])


def test_photos_are_labeled_by_the_folder_of_the_person(tmp_path, embedder):
    save(tmp_path / "photos" / "ben" / "1.png", picture(200))
    save(tmp_path / "photos" / "anna" / "2019" / "1.png", picture(20))
    (tmp_path / "photos" / "anna" / "bad.png").write_bytes(b"nothing")
    found = labeled_embeddings(str(tmp_path / "photos"), embedder, aligned=True)
    assert found.labels.tolist() == ["anna", "ben"]
    np.testing.assert_allclose(found.embeddings, unit((20, 50, 10), (200, 50, 10)), atol=1e-6)
    assert list(found.left_out) == [str(tmp_path / "photos" / "anna" / "bad.png")]
    np.testing.assert_array_equal(found.images(1), picture(200))
    save(tmp_path / "photos" / "loose.png", picture(1))
    with pytest.raises(GluonFRError, match="loose.png is in no person's folder"):
        labeled_embeddings(str(tmp_path / "photos"), embedder)


def test_a_training_set_is_found_by_name_and_by_folder(tmp_path, embedder):
    with RecordWriter(str(tmp_path / "set"), image_size=(SIZE, SIZE)) as writer:
        for label, red in ((0, 10), (0, 30), (1, 250)):
            writer.add(cv2.imencode(".png", picture(red)[:, :, ::-1])[1].tobytes(), label)
    for source, root in (("set", tmp_path), (str(tmp_path / "set"), tmp_path / "elsewhere")):
        found = labeled_embeddings(source, embedder, str(root))
        assert found.labels.tolist() == ["0", "0", "1"]
        np.testing.assert_allclose(found.embeddings, unit((10, 50, 10), (30, 50, 10), (250, 50, 10)), atol=1e-6)
        np.testing.assert_array_equal(found.images(2), picture(250))
    write_identities(str(tmp_path / "set"), [(0, "anna", 2), (1, "ben", 1)])
    assert labeled_embeddings("set", embedder, str(tmp_path)).labels.tolist() == ["anna", "anna", "ben"]


def test_stored_embeddings_need_no_network(tmp_path, embedder):
    rows = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.savez(tmp_path / "a.npz", embeddings=rows, labels=[3, 4, 3])
    found = labeled_embeddings(str(tmp_path / "a.npz"))
    assert found.labels.tolist() == ["3", "4", "3"]
    assert found.images is None
    np.testing.assert_array_equal(found.embeddings, rows)
    write_labeled(str(tmp_path / "b.npz"), found)
    assert labeled_embeddings(str(tmp_path / "b.npz")).labels.tolist() == ["3", "4", "3"]
    # What `gluonfr embed` writes: the folder is the person.
    np.savez(tmp_path / "c.npz", embeddings=rows, files=["x/anna/1.jpg", "x/ben/1.jpg", "x/anna/2.jpg"])
    assert labeled_embeddings(str(tmp_path / "c.npz")).labels.tolist() == ["anna", "ben", "anna"]


def test_invalid_sources_are_reported(tmp_path, embedder):
    np.savez(tmp_path / "a.npz", embeddings=np.ones((3, 4)), labels=[1, 2])
    with pytest.raises(GluonFRError, match="do not match"):
        labeled_embeddings(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", rows=np.ones((3, 4)))
    with pytest.raises(GluonFRError, match="b.npz needs the arrays"):
        labeled_embeddings(str(tmp_path / "b.npz"))
    np.savez(tmp_path / "c.npz", embeddings=np.ones((2, 4)), files=["1.jpg", "2.jpg"])
    with pytest.raises(GluonFRError, match="1.jpg is in no person's folder"):
        labeled_embeddings(str(tmp_path / "c.npz"))
    np.savez(tmp_path / "d.npz", embeddings=np.ones((2, 4)), labels=[1.0, 2.0])
    with pytest.raises(GluonFRError, match="name people by text or whole numbers"):
        labeled_embeddings(str(tmp_path / "d.npz"))
    np.savez(tmp_path / "e.npz", embeddings=np.ones((2, 4)), labels=np.array(["é".encode(), b"b"]))
    assert labeled_embeddings(str(tmp_path / "e.npz")).labels.tolist() == ["é", "b"]
    with pytest.raises(GluonFRError, match="is not a folder, an .npz file"):
        labeled_embeddings("nothing", embedder, str(tmp_path))
    with pytest.raises(GluonFRError, match="Pass an embedder"):
        labeled_embeddings(str(tmp_path))
    save(tmp_path / "photos" / "anna" / "1.png", picture(1))
    (tmp_path / "photos" / "anna" / "1.png").write_bytes(b"nothing")
    with pytest.raises(GluonFRError, match="no photo can be used"):
        labeled_embeddings(str(tmp_path / "photos"), embedder)

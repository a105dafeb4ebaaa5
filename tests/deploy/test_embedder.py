import json
import os

import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import Block

from gluonfr.core import Card, GluonFRError
from gluonfr.data.images import encode
from gluonfr.deploy import Embedder, embed
from gluonfr.evaluation.embedding_files import read_embeddings, write_embeddings
from gluonfr.evaluation.face_comparison import compare_faces
from gluonfr.model_zoo import get_model
from gluonfr.photos.find import find_photos

SIZE = (32, 32)


@pytest.fixture(scope="module")
def net():
    mx.random.seed(5)
    made = get_model("lresnet10e_ir", channels=(8, 8, 8, 8, 8), embedding_size=6)
    made.initialize(mx.init.Xavier())
    made(nd.zeros((1, 3, *SIZE)))
    return made


@pytest.fixture
def embedder(net):
    return Embedder(net, Card(image_size=SIZE), detector=Center())


def content(path):
    with open(path, "rb") as file:
        return file.read()


class Center:
    """A detector that finds one upright face in the middle of any image with a bright pixel."""

    def detect(self, image):
        if image.max() < 128:
            return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2))
        height, width = image.shape[:2]
        landmarks = np.array([[-1, -1], [1, -1], [0, 0], [-0.8, 1], [0.8, 1]]) * min(height, width) / 6
        box = [width / 4, height / 4, width * 3 / 4, height * 3 / 4]
        return np.array([box]), np.array([0.9]), (landmarks + [width / 2, height / 2])[None]


def crops(count, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (count, *SIZE, 3)).astype(np.uint8)


def test_files_bytes_and_arrays_have_equal_embeddings(embedder, net, tmp_path):
    images = crops(3)
    wanted = embed(net, list(images))
    paths = []
    for i, image in enumerate(images):
        paths.append(str(tmp_path / f"a b {i}.png"))
        cv2.imwrite(paths[-1], image[:, :, ::-1])
    many = [
        images,
        list(images),
        [nd.array(image, dtype="uint8") for image in images],
        paths,
        tuple(map(content, paths)),
    ]
    for several in many:
        got = embedder(several, aligned=True)
        assert got.shape == (3, 6)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    for one in (images[1], paths[1], content(paths[1]), nd.array(images[1], dtype="uint8")):
        got = embedder(one, aligned=True)
        assert got.shape == (6,)
        np.testing.assert_allclose(got, wanted[1], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embedder(images, aligned=True), axis=1), 1, rtol=1e-5)
    assert embedder([]).shape == (0, 6)


def test_the_flip_sum_is_invariant_to_mirroring(net):
    image = crops(1, seed=3)[0]
    mirrored = np.ascontiguousarray(image[:, ::-1])
    card = Card(image_size=SIZE)
    assert Embedder(net, card).similarity(image, mirrored, aligned=True) == pytest.approx(1, abs=1e-5)
    assert Embedder(net, card, flip=False).similarity(image, mirrored, aligned=True) < 0.9999


def test_photos_are_aligned_and_crops_are_used_unchanged(embedder):
    photo = np.zeros((100, 140, 3), dtype=np.uint8)
    photo[30:70, 40:100] = crops(1)[0].repeat(2, 0).repeat(2, 1)[:40, :60]
    crop = embedder.crop(photo)
    assert crop.shape == (112, 112, 3)  # the size of the template; the card of this small network has another
    with pytest.raises(GluonFRError, match="distort"):
        embedder.crop(photo, aligned=True)
    same_size = crops(1)[0]
    np.testing.assert_array_equal(embedder.crop(same_size, aligned=True), same_size)
    # A photo of exactly the size of a crop is still a photo.
    assert embedder.crop(same_size).shape == embedder.crop(same_size, aligned=False).shape == (112, 112, 3)
    np.testing.assert_array_equal(embedder.crop(same_size.repeat(2, 0).repeat(2, 1), aligned=True), same_size)


def test_a_photo_without_a_face_is_refused_by_name(embedder, tmp_path):
    path = str(tmp_path / "dark.png")
    cv2.imwrite(path, np.zeros((90, 90, 3), np.uint8))
    with pytest.raises(GluonFRError, match="dark.png shows no face"):
        embedder(path)
    with pytest.raises(GluonFRError, match="image 1 shows no face"):
        embedder([crops(1)[0], np.zeros((90, 90, 3), np.uint8)])


def test_unusable_files_are_skipped_with_a_reason(embedder, net, tmp_path):
    images = crops(5)
    names = []
    for i, image in enumerate(images):
        names.append(str(tmp_path / f"{i}.png"))
        cv2.imwrite(names[-1], image[:, :, ::-1])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    half = encode(images[0])
    (tmp_path / "half.jpg").write_bytes(half[: len(half) // 2])
    found = find_photos([str(tmp_path)])
    assert len(found) == 8
    small = Embedder(net, Card(image_size=SIZE), batch_size=2)
    embeddings, used, left_out = small.files(found, aligned=True)
    assert used == names
    np.testing.assert_allclose(embeddings, embed(net, list(images)), atol=1e-5)
    assert {os.path.basename(path) for path in left_out} == {"text.jpg", "empty.jpg", "half.jpg"}
    assert all(path in reason for path, reason in left_out.items())
    nothing, used, left_out = small.files([str(tmp_path / "text.jpg")])
    assert nothing.shape == (0, 6)
    assert not used
    assert left_out


def test_similarity_accepts_images_and_embeddings(embedder):
    images = crops(4)
    e = embedder(images, aligned=True)
    assert embedder.similarity(images[0], images[1], aligned=True) == pytest.approx(float(e[0] @ e[1]), abs=1e-5)
    np.testing.assert_allclose(embedder.similarity(images[:3], images[2:], aligned=True), e[:3] @ e[2:].T, atol=1e-5)
    np.testing.assert_allclose(embedder.similarity(7 * e[0], e), e[0] @ e.T, atol=1e-5)
    assert embedder.similarity(e[0], images[0], aligned=True) == pytest.approx(1, abs=1e-5)
    with pytest.raises(GluonFRError, match="D = 6"):
        embedder.similarity(e[0], np.zeros(5, np.float32))
    with pytest.raises(GluonFRError, match="zero or not finite"):
        embedder.similarity(e[0], np.zeros(6, np.float32))


@pytest.mark.parametrize("nothing", [None, 3])
def test_other_objects_than_images_are_refused(embedder, nothing):
    with pytest.raises(GluonFRError, match="paths, bytes or arrays"):
        embedder(nothing)


def test_invalid_arguments_are_refused():
    with pytest.raises(GluonFRError, match="backend must be one of gluon, onnxruntime"):
        Embedder("x", backend="torch")
    with pytest.raises(GluonFRError, match="card"):
        Embedder(Block())
    with pytest.raises(GluonFRError, match="nowhere.jpg cannot be used: unreadable"):
        Embedder(Block(), Card()).crop("nowhere.jpg")


def test_onnx_runtime_gives_equal_embeddings(net, embedder):
    pytest.importorskip("onnxruntime")
    images = crops(5)
    other = Embedder(net, Card(image_size=SIZE), backend="onnxruntime")
    assert type(other.net).__name__ == "OnnxNetwork"
    np.testing.assert_allclose(other(images, aligned=True), embedder(images, aligned=True), atol=1e-4)
    np.testing.assert_allclose(other(images[0], aligned=True), embedder(images[0], aligned=True), atol=1e-4)


def test_files_of_embeddings_are_read_back_or_refused(tmp_path):
    path = str(tmp_path / "e.npz")
    rows = np.random.RandomState(0).rand(2, 3).astype(np.float32)
    write_embeddings(path, rows, ["a'b.jpg", "人.jpg"], Card(network="x", trained_on="y"))
    embeddings, files, card = read_embeddings(path)
    np.testing.assert_array_equal(embeddings, rows)
    assert files == ["a'b.jpg", "人.jpg"]
    assert card.trained_on == "y"
    (tmp_path / "cut.npz").write_bytes(content(path)[:200])
    np.savez(str(tmp_path / "other.npz"), embeddings=rows)
    np.savez(str(tmp_path / "pickle.npz"), embeddings=rows, files=np.array([object()]), card=np.array("{}"))
    for name in ("cut", "other", "pickle", "missing"):
        with pytest.raises(GluonFRError, match=f"{name}.npz"):
            read_embeddings(str(tmp_path / f"{name}.npz"))
    with pytest.raises(GluonFRError, match="nothing is missing"):
        find_photos([str(tmp_path / "nothing")])
    os.mkdir(tmp_path / "empty")
    with pytest.raises(GluonFRError, match="no image file in"):
        find_photos([str(tmp_path / "empty")])


def test_a_comparison_explains_each_threshold(net):
    images = crops(2)
    plain = Embedder(net, Card(image_size=SIZE))
    similarity = plain.similarity(images[0], images[1], aligned=True)
    assert "no thresholds" in str(compare_faces(plain, images[0], images[1], aligned=True))
    levels = [
        {"far": 0.001, "similarity": similarity + 0.01, "measured_on": "lfw"},
        {"far": 0.1, "similarity": similarity - 0.01},
    ]
    verdict = compare_faces(
        Embedder(net, Card(image_size=SIZE, thresholds=levels, network="mine")), images[0], images[1], aligned=True
    )
    assert [threshold["accepted"] for threshold in verdict.thresholds] == [True, False]
    lines = str(verdict).splitlines()
    assert lines[0].startswith(f"similarity {similarity:.4f} (mine)")
    assert lines[1].startswith("same person")
    assert "1 of 10 pairs" in lines[1]
    assert lines[2].startswith("not the same person")
    assert "1 of 1,000 pairs" in lines[2]
    assert "lfw" in lines[2]
    json.dumps(verdict.to_dict())

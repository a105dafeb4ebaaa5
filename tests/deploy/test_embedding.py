import json
import os

import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn

from gluonfr.align import realign
from gluonfr.core import GluonFRError
from gluonfr.data import FRValDataset, write_pairs
from gluonfr.data.crops import crop_for_network
from gluonfr.data.images import encode
from gluonfr.deploy import RawPixels, embed, embed_pairs
from gluonfr.model_zoo import get_model
from gluonfr.weights.saved import load_network, save_network


def pictures(count, size=16, seed=0):
    rng = np.random.RandomState(seed)
    return [rng.randint(0, 256, (size, size, 3)).astype(np.uint8) for _ in range(count)]


def network(contexts=None):
    """Create a network that is not symmetric under mirroring, so that a missing or repeated flip is noticed."""
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, in_channels=3), nn.Flatten(), nn.Dense(5, in_units=4 * 14 * 14))
    net.initialize(mx.init.Normal(0.1), ctx=contexts or mx.cpu())
    return net


def by_hand(net, image, flip):
    x = image.transpose(2, 0, 1)[None].astype("float32") / 255
    e = net(nd.array(x)).asnumpy()[0]
    if flip:
        e = e + net(nd.array(np.ascontiguousarray(x[..., ::-1]))).asnumpy()[0]
    return e / np.linalg.norm(e)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(("devices", "batch_size"), [(1, 4), (2, 4), (2, 3), (1, 64), (3, 5)])
def test_embeddings_in_batches_equal_those_of_single_images(devices, batch_size, flip):
    contexts = [mx.cpu(i) for i in range(devices)]
    net = network(contexts)
    images = pictures(11)
    wanted = np.stack([by_hand(net, image, flip) for image in images])
    for hybrid in (False, True):
        if hybrid:
            net.hybridize(static_alloc=True, static_shape=True)
        got = embed(net, images, contexts, batch_size, flip)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_encoded_images_and_arrays_have_equal_embeddings():
    net, images = network(), pictures(3)
    encoded = [encode(image) for image in images]
    from gluonfr.data.images import decode

    np.testing.assert_array_equal(embed(net, encoded), embed(net, [decode(image, "") for image in encoded]))


def test_images_shared_by_pairs_are_embedded_once(tmp_path):
    a, b, c = (encode(image) for image in pictures(3))
    write_pairs(str(tmp_path / "v.bin"), [a, b, a, a, c, a, b, c], [True, True, False, False])
    pairs = FRValDataset("v", root=str(tmp_path))
    seen = []

    class Counting(nn.HybridBlock):
        def hybrid_forward(self, F, x):
            seen.append(x.shape[0])
            return F.flatten(x)

    first, second = embed_pairs(Counting(), pairs, batch_size=3, flip=False)
    assert seen == [3]
    every = embed(RawPixels(), [pairs.image(k) for k in range(8)], flip=False)
    np.testing.assert_allclose(first, every[0::2], rtol=1e-6)
    np.testing.assert_allclose(second, every[1::2], rtol=1e-6)


def test_the_embedding_of_a_network_with_a_classifier_is_used():
    net = get_model("lresnet10e_ir", units=(1,), channels=(8, 8), embedding_size=6, classes=3)
    net.initialize()
    assert embed(net, pictures(2)).shape == (2, 6)


def test_invalid_images_and_outputs_are_refused():
    net = network()
    good = pictures(3)
    with pytest.raises(GluonFRError, match="image 2 does not decode"):
        embed(net, good[:2] + [b"no image"])
    with pytest.raises(GluonFRError, match="differ in size"):
        embed(net, good + pictures(1, size=20))
    with pytest.raises(GluonFRError, match="image 1 must be uint8"):
        embed(net, [good[0], good[1].astype("float32")])
    net[2].weight.set_data(nd.zeros((5, 784)))
    net[2].bias.set_data(nd.zeros((5,)))
    with pytest.raises(GluonFRError, match="zero as the embedding of image 0 .3 images"):
        embed(net, good)
    net[2].bias.set_data(nd.array([np.nan] * 5))
    with pytest.raises(GluonFRError, match="NaN or infinity"):
        embed(net, good)
    assert embed(net, []).shape[0] == 0


def test_a_saved_network_is_loaded_from_its_folder(tmp_path):
    arguments = {"units": [1, 1], "channels": [8, 8, 16], "embedding_size": 6}
    net = get_model("lresnet10e_ir", **arguments)
    net.initialize(mx.init.Xavier())
    images = pictures(4, size=32)
    wanted = embed(net, images)
    save_network(net, str(tmp_path), {"network": "lresnet10e_ir", "arguments": arguments})
    again, card = load_network(str(tmp_path))
    np.testing.assert_allclose(embed(again, images), wanted, rtol=1e-5, atol=1e-6)
    assert card.arguments == arguments
    assert card.embedding_size == 6


def test_folders_without_a_network_are_refused(tmp_path):
    with pytest.raises(GluonFRError, match="card.json is missing"):
        load_network(str(tmp_path))
    net = get_model("lresnet10e_ir", units=(1,), channels=(8, 8), embedding_size=6)
    net.initialize()
    net(nd.zeros((1, 3, 16, 16)))
    save_network(net, str(tmp_path), {"network": "lresnet10e_ir", "arguments": {"embedding_size": 6}})
    with pytest.raises(GluonFRError, match="does not fit lresnet10e_ir"):
        load_network(str(tmp_path))
    (tmp_path / "card.json").write_text(json.dumps({"arguments": {}}))
    with pytest.raises(GluonFRError, match="card.json: "):
        load_network(str(tmp_path))
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(GluonFRError, match="card.json "):
        load_network(str(tmp_path))
    os.unlink(tmp_path / "network.params")
    with pytest.raises(GluonFRError, match="network.params is missing"):
        load_network(str(tmp_path))


def test_fewer_images_than_devices_are_embedded():
    class AnyBatch:
        """A network that accepts a shorter last batch, like networks for inference."""

        any_batch = True

        def __init__(self, net):
            self._net = net

        def __call__(self, x):
            return self._net(x)

    contexts = [mx.cpu(i) for i in range(3)]
    net, images = network(contexts), pictures(7)
    wanted = np.stack([by_hand(net, image, True) for image in images])
    for count, batch_size in ((1, 64), (2, 3), (4, 3), (7, 3)):
        got = embed(AnyBatch(net), images[:count], contexts, batch_size)
        np.testing.assert_allclose(got, wanted[:count], rtol=1e-4, atol=1e-6)


def test_crops_are_realigned_for_a_network_of_another_template():
    crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    for size, template, wanted in (
        ((112, 112), "arcface", crop),
        ((150, 150), "dlib", realign(crop, "dlib")),
        ((75, 75), "dlib", cv2.resize(realign(crop, "dlib"), (75, 75), interpolation=cv2.INTER_AREA)),
        ((56, 56), "arcface", cv2.resize(crop, (56, 56), interpolation=cv2.INTER_AREA)),
        ((112, 96), "arcface_96x112", realign(crop, "arcface_96x112")),
    ):
        large = cv2.resize(crop, (224, 224), interpolation=cv2.INTER_NEAREST)
        if template != "arcface":
            # Larger crops show the same part of the face.
            np.testing.assert_array_equal(crop_for_network(large, size, template, "it"), wanted)
        np.testing.assert_array_equal(crop_for_network(crop, size, template, "it"), wanted)
    chip = np.zeros((150, 150, 3), np.uint8)
    assert crop_for_network(chip, (150, 150), "dlib", "it") is chip
    with pytest.raises(GluonFRError, match="it has 112x112"):
        crop_for_network(crop, (112, 96), "arcface", "it")

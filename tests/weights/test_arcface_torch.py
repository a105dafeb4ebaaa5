"""PyTorch state dicts: embeddings against independent networks, and untrusted files."""

import pickle
import zipfile

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from gluonfr.core import GluonFRError, WeightsError, generator
from gluonfr.weights.arcface_torch import _find_state_dict, load_torch
from gluonfr.weights.torch_file import read_torch


def torch_unit(torch, before, wide, stride):
    """A unit of iresnet, with arcface_torch's names of its layers."""
    nn = torch.nn

    class Unit(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn1 = nn.BatchNorm2d(before)
            self.conv1 = nn.Conv2d(before, wide, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(wide)
            self.prelu = nn.PReLU(wide)
            self.conv2 = nn.Conv2d(wide, wide, 3, stride, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(wide)
            self.downsample = None
            if stride != 1 or before != wide:
                self.downsample = nn.Sequential(nn.Conv2d(before, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

        def forward(self, x):
            out = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
            return out + (x if self.downsample is None else self.downsample(x))

    return Unit()


def torch_iresnet(torch, units=(2, 2, 2, 2), size=512):
    nn = torch.nn

    class IResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1, self.prelu = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
            before = 64
            for i, (wide, count) in enumerate(zip((64, 128, 256, 512), units), 1):
                stage = [torch_unit(torch, before if j == 0 else wide, wide, 2 if j == 0 else 1) for j in range(count)]
                setattr(self, f"layer{i}", nn.Sequential(*stage))
                before = wide
            self.bn2, self.fc, self.features = nn.BatchNorm2d(512), nn.Linear(512 * 49, size), nn.BatchNorm1d(size)

        def forward(self, x):
            x = self.prelu(self.bn1(self.conv1(x)))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.features(self.fc(torch.flatten(self.bn2(x), 1)))

    return IResNet()


def torch_mbf(torch, size=512, scale=2, blocks=(1, 4, 6, 2)):
    nn = torch.nn

    class Sequence(nn.Module):
        def __init__(self, *layers, residual=False):
            super().__init__()
            self.layers, self.residual = nn.Sequential(*layers), residual

        def forward(self, x):
            return x + self.layers(x) if self.residual else self.layers(x)

    def block(before, wide, kernel=1, stride=1, padding=0, groups=1, slope=True):
        convolution = nn.Conv2d(before, wide, kernel, stride, padding, groups=groups, bias=False)
        return Sequence(convolution, nn.BatchNorm2d(wide), *([nn.PReLU(wide)] if slope else []))

    def unit(before, wide, middle, stride=2, residual=False):
        return Sequence(
            block(before, middle),
            block(middle, middle, 3, stride, 1, middle),
            block(middle, wide, slope=False),
            residual=residual,
        )

    def stage(wide, count, middle):
        return Sequence(*[unit(wide, wide, middle, 1, True) for _ in range(count)])

    class MBF(nn.Module):
        def __init__(self):
            super().__init__()
            a, b = 64 * scale, 128 * scale
            first = block(a, a, 3, 1, 1, 64) if blocks[0] == 1 else stage(a, blocks[0], 128)
            self.layers = nn.ModuleList(
                [block(3, a, 3, 2, 1), first, unit(a, a, 128), stage(a, blocks[1], 128), unit(a, b, 256)]
                + [stage(b, blocks[2], 256), unit(b, b, 512), stage(b, blocks[3], 256)]
            )
            self.conv_sep = block(b, 512)
            head = [block(512, 512, 7, groups=512, slope=False), nn.Flatten(), nn.Linear(512, size, bias=False)]
            self.features = Sequence(*head, nn.BatchNorm1d(size))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return self.features(self.conv_sep(x))

    return MBF()


def filled(torch, net, seed, keep=()):
    """Values with which every layer matters: statistics, scales and slopes away from what they start as."""
    random = generator(seed)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("num_batches_tracked") or name in keep:
                continue
            shape = tuple(value.shape)
            if len(shape) > 1:
                fan = np.prod(shape[1:])
                array = random.standard_normal(shape) * np.sqrt(1.5 / fan)
            elif name.endswith("running_var"):
                # Small ones too, where another epsilon shows.
                array = np.where(random.random(shape) < 0.1, 2e-5, random.uniform(0.5, 2, shape))
            elif name.endswith(("running_mean", "bias")):
                array = random.uniform(-0.1, 0.1, shape)
            else:
                array = random.uniform(0.5, 1.2, shape)
            value.copy_(torch.from_numpy(np.asarray(array, np.float32)))
        for name, layer in net.named_modules():
            if hasattr(layer, "running_var") and name + ".weight" not in keep:
                # Else a small variance would magnify, layer after layer.
                layer.weight *= torch.sqrt(layer.running_var + 1e-5)
    return net.eval()


def compare(torch, module, net, tolerance=1e-4):
    x = np.kron(generator(5).random((3, 3, 8, 8)), np.ones((14, 14))).astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x * 2 - 1)).numpy()
    np.testing.assert_allclose(net(nd.array(x)).asnumpy(), wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())
    assert wanted.std(axis=0).mean() > 0.02 * np.abs(wanted).max() > 0


def test_iresnet18_equals_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    module = filled(torch, torch_iresnet(torch), 1, keep=("features.weight",))
    path = tmp_path / "backbone.pth"
    torch.save(module.state_dict(), path)
    net, card = load_torch(path)
    assert (card.network, card.embedding_size, card.image_size) == ("lresnet18e_ir", 512, (112, 112))
    compare(torch, module, net)


def test_a_training_checkpoint_with_a_learned_scale_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    module = filled(torch, torch_iresnet(torch, size=64), 2)
    state = {"module." + name: tensor for name, tensor in module.state_dict().items()}
    torch.save({"epoch": 3, "lr": 0.1, "state_dict_backbone": state, "state_dict_softmax_fc": {"w": torch.ones(9, 64)}},
               tmp_path / "checkpoint.pt")  # fmt: skip
    net, card = load_torch(tmp_path / "checkpoint.pt", "lresnet18e_ir")
    assert card.arguments == {"embedding_size": 64}
    compare(torch, module, net)


def test_mbf_equals_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    module = filled(torch, torch_mbf(torch, size=128), 3)
    torch.save(module.state_dict(), tmp_path / "mbf.pt")
    net, card = load_torch(tmp_path / "mbf.pt")
    assert card.network == "mbf"
    compare(torch, module, net)


def test_first_different_layer_of_another_depth_is_named(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch_iresnet(torch, (2, 3, 2, 2)).state_dict(), tmp_path / "x.pt")
    with pytest.raises(
        GluonFRError, match=r"lresnet18e_ir: layer 33 of the file is layer2\.2\.conv1, .*128x128x3x3, where .*256x128"
    ):
        load_torch(tmp_path / "x.pt")


def test_tensors_of_all_kinds_are_read_as_pytorch_reads_them(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = {
        "view": base[1:3, ::2],
        "transposed": base.t(),
        "half": base.half(),
        "bfloat16": (base / 7).bfloat16(),
        "double": base.double(),
        "long": base.long(),
        "bool": base > 3,
        "number": torch.tensor(2.5),
        "empty": torch.zeros(0, 3)[:, :0],
        "parameter": torch.nn.Parameter(base),
    }
    torch.save({"a": tensors, "b": [1, 2.5, None, True, "text", (1, 2)]}, tmp_path / "x.pt")
    found = read_torch(tmp_path / "x.pt")
    assert found["b"] == [1, 2.5, None, True, "text", (1, 2)]
    for name, tensor in tensors.items():
        wanted = tensor.detach()
        wanted = wanted.float().numpy() if name == "bfloat16" else wanted.numpy()
        np.testing.assert_array_equal(found["a"][name].reshape(-1), wanted.reshape(-1))
        assert wanted.size == 0 or found["a"][name].shape == wanted.shape


def test_files_from_before_1_6_are_refused_with_the_solution(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.ones(3)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(GluonFRError, match=r"before PyTorch 1\.6.*torch\.save\(torch\.load"):
        read_torch(tmp_path / "old.pt")


def text(value):
    return pickle.BINUNICODE + len(value).to_bytes(4, "little") + value.encode()


def number(value):
    return pickle.BININT + int(value).to_bytes(4, "little", signed=True)


def numbers(values):
    return pickle.MARK + b"".join(map(number, values)) + pickle.TUPLE


def tensor(key="0", count=6, offset=0, size=(2, 3), stride=(3, 1), storage=b"torch\nFloatStorage\n"):
    """Opcodes of one tensor, as PyTorch writes them."""
    where = text("storage") + pickle.GLOBAL + storage + text(key) + text("cpu") + number(count)
    persistent = pickle.MARK + where + pickle.TUPLE + pickle.BINPERSID
    hooks = pickle.GLOBAL + b"collections\nOrderedDict\n" + pickle.EMPTY_TUPLE + pickle.REDUCE
    arguments = persistent + number(offset) + numbers(size) + numbers(stride) + pickle.NEWFALSE + hooks
    rebuild = pickle.GLOBAL + b"torch._utils\n_rebuild_tensor_v2\n"
    return rebuild + pickle.MARK + arguments + pickle.TUPLE + pickle.REDUCE


def program(*entries):
    items = b"".join(text(name) + value for name, value in entries)
    return pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS + pickle.STOP


def archive(path, data, storages=None, compress=zipfile.ZIP_STORED, extra=()):
    with zipfile.ZipFile(path, "w", compress) as file:
        file.writestr("net/data.pkl", data)
        for key, array in (storages or {"0": np.arange(6, dtype="<f4")}).items():
            file.writestr(f"net/data/{key}", array.tobytes())
        for name, content in extra:
            file.writestr(name, content)
    return path


def state_dict(arrays):
    """The pickle of a state dict, and the storages of its arrays."""
    entries, storages = [], {}
    for i, (name, array) in enumerate(arrays.items()):
        stride = tuple(int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim))
        entries.append((name, tensor(str(i), array.size, 0, array.shape, stride)))
        storages[str(i)] = np.ascontiguousarray(array, "<f4")
    return entries, storages


def symbol_iresnet(units=(1, 1, 1, 1), size=16):
    """An iresnet with PyTorch's names and order of layers as an MXNet symbol, and random arrays for it by name."""
    random, arrays = generator(3), {}

    def norm(x, name, channels, **kwargs):
        arrays[name + ".weight"] = random.uniform(0.5, 1.2, channels)
        arrays[name + ".bias"] = random.uniform(-0.1, 0.1, channels)
        arrays[name + ".running_mean"] = random.uniform(-0.1, 0.1, channels)
        # Small ones too, where another epsilon has an effect.
        arrays[name + ".running_var"] = np.where(random.random(channels) < 0.1, 1e-3, random.uniform(0.5, 2, channels))
        names = [name + "." + role for role in ("weight", "bias", "running_mean", "running_var")]
        return mx.sym.BatchNorm(x, *map(mx.sym.var, names), eps=1e-5, fix_gamma=False, use_global_stats=True, **kwargs)

    def convolution(x, name, channels, before, kernel=3, stride=1):
        arrays[name + ".weight"] = random.standard_normal((channels, before, kernel, kernel)) / (before * kernel**2) ** 0.5
        settings = {"kernel": (kernel, kernel), "stride": (stride, stride), "pad": (kernel // 2, kernel // 2)}
        return mx.sym.Convolution(x, mx.sym.var(name + ".weight"), num_filter=channels, no_bias=True, **settings)

    def prelu(x, name, channels):
        arrays[name + ".weight"] = random.uniform(0.1, 0.5, channels)
        return mx.sym.LeakyReLU(x, mx.sym.var(name + ".weight"), act_type="prelu")

    x = convolution(mx.sym.var("data") * 2 - 1, "conv1", 64, 3)
    x, before = prelu(norm(x, "bn1", 64), "prelu", 64), 64
    for stage, (channels, count) in enumerate(zip((64, 128, 256, 512), units), 1):
        for i in range(count):
            name, stride = f"layer{stage}.{i}.", 1 if i else 2
            out = convolution(norm(x, name + "bn1", before), name + "conv1", channels, before)
            out = prelu(norm(out, name + "bn2", channels), name + "prelu", channels)
            out = norm(convolution(out, name + "conv2", channels, channels, stride=stride), name + "bn3", channels)
            if not i:
                shortcut = convolution(x, name + "downsample.0", channels, before, 1, 2)
                x = norm(shortcut, name + "downsample.1", channels)
            x, before = out + x, channels
    x = mx.sym.Flatten(norm(x, "bn2", 512))
    arrays["fc.weight"] = random.standard_normal((size, 512 * 49)) / (512 * 49) ** 0.5
    arrays["fc.bias"] = random.uniform(-0.1, 0.1, size)
    x = mx.sym.FullyConnected(x, mx.sym.var("fc.weight"), mx.sym.var("fc.bias"), num_hidden=size)
    return norm(x, "features", size), {name: np.float32(array) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def iresnet():
    """Arrays of an iresnet, two images, and the embeddings that its symbol computes."""
    symbol, arrays = symbol_iresnet()
    block = mx.gluon.SymbolBlock(symbol, mx.sym.var("data"))
    for name, parameter in block.collect_params().items():
        parameter.shape = arrays[name].shape
        parameter.initialize()
        parameter.set_data(nd.array(arrays[name]))
    x = nd.array(np.kron(generator(5).random((2, 3, 8, 8)), np.ones((14, 14))))
    return arrays, x, block(x).asnumpy()


def test_iresnet_equals_its_symbol(tmp_path, iresnet):
    arrays, x, expected = iresnet
    assert np.abs(expected[0] - expected[1]).max() > 0.1
    entries, storages = state_dict(arrays)
    net, card = load_torch(archive(tmp_path / "backbone.pth", program(*entries), storages))
    assert (card.network, card.embedding_size, card.arguments) == ("lresnet10e_ir", 16, {"embedding_size": 16})
    np.testing.assert_allclose(net(x).asnumpy(), expected, rtol=0, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("names", "nest"),
    [
        ("module.{}", ()),
        ("backbone.{}", ()),
        ("model.{}", ("state_dict",)),
        ("_orig_mod.{}", ("model",)),
        ("module._orig_mod.{}", ("ema", "module")),
        ("net.model.{}", ("checkpoint", "weights", "ema")),
        ("_fsdp_wrapped_module.{}", ("network",)),
    ],
)
def test_state_dicts_of_wrappers_are_unwrapped(iresnet, names, nest):
    arrays, _, _ = iresnet
    contents = {names.format(name): array for name, array in arrays.items()}
    # The classifier and a counter of the wrapper.
    contents.update({"criterion.weight": np.ones((9, 16), np.float32), "epoch": 3})
    for key in reversed(nest):
        contents = {"epoch": 3, "optimizer": {"state": {}, "lr": np.ones(1)}, key: contents}
    found = _find_state_dict(contents, "example.pth")
    assert list(found) == list(arrays)
    assert all(found[name] is array for name, array in arrays.items())


def test_two_networks_in_one_state_dict_are_refused(iresnet):
    arrays, _, _ = iresnet
    contents = {f"{role}.{name}": array for role in ("student", "teacher") for name, array in arrays.items()}
    with pytest.raises(WeightsError, match="several networks, with the prefixes 'student.', 'teacher.'"):
        _find_state_dict(contents, "example.pth")


def test_layers_of_other_networks_are_not_ignored(tmp_path, iresnet):
    arrays, _, _ = iresnet
    se = {**arrays, "layer1.0.se.fc1.weight": np.ones((4, 64), np.float32)}
    entries, storages = state_dict({"model." + name: array for name, array in se.items()})
    with pytest.raises(WeightsError, match=r"not a state dict of arcface_torch's iresnet or mbf .*layer1\.0\.se\.fc1"):
        load_torch(archive(tmp_path / "se.pth", program(*entries), storages))


def test_strides_and_offsets_are_honored(tmp_path):
    entries = [
        ("whole", tensor()),
        ("turned", tensor(size=(3, 2), stride=(1, 3))),
        ("later", tensor(offset=4, size=(2,), stride=(1,))),
        ("repeated", tensor(offset=2, size=(4,), stride=(0,))),
    ]
    found = read_torch(archive(tmp_path / "x.pt", program(*entries)))
    np.testing.assert_array_equal(found["whole"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["turned"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["later"], [4, 5])
    np.testing.assert_array_equal(found["repeated"], [2, 2, 2, 2])


@pytest.mark.parametrize(
    "wrong",
    [
        tensor(offset=1),
        tensor(size=(2, 4)),
        tensor(stride=(4, 1)),
        tensor(stride=(-3, 1)),
        tensor(offset=-1),
        tensor(size=(-2, -3)),
        tensor(size=(1 << 30, 1 << 30), stride=(0, 0)),
        tensor(size=(2, 3, 1)),
        tensor(count=7),
        tensor(key="1"),
        tensor(key="../data.pkl"),
    ],
)
def test_tensors_beyond_their_bytes_are_refused(tmp_path, wrong):
    with pytest.raises(GluonFRError, match="damaged"):
        read_torch(archive(tmp_path / "x.pt", program(("a", wrong))))


class Hostile:
    """Unpickled by pickle itself, it writes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_hostile_pickle_is_refused_and_does_not_run(tmp_path):
    mark = tmp_path / "ran"
    for protocol in (0, 2, 4):
        data = pickle.dumps({"a": Hostile(mark)}, protocol)
        with pytest.raises(GluonFRError, match=r"io\.open|pickle opcode"):
            read_torch(archive(tmp_path / f"{protocol}.pt", data))
    assert not mark.exists()
    pickle.loads(pickle.dumps(Hostile(mark))).close()
    assert mark.exists()  # It would have run.


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (pickle.GLOBAL + b"os\nsystem\n" + text("true") + pickle.TUPLE1 + pickle.REDUCE, r"os\.system"),
        (pickle.GLOBAL + b"torch\nload\n", r"torch\.load"),
        (pickle.GLOBAL + b"torch._utils\n_rebuild_tensor\n", "_rebuild_tensor,"),
        (text("builtins") + text("eval") + pickle.STACK_GLOBAL, r"builtins\.eval"),
        (pickle.MARK + text("true") + pickle.INST + b"os\nsystem\n", "INST"),
        (pickle.EXT1 + b"\x01", "EXT1"),
        (pickle.GLOBAL + b"collections\nOrderedDict\n" + text("a") + pickle.TUPLE1 + pickle.REDUCE, "OrderedDict"),
        # A place in the memo, and a length, that would take gigabytes.
        (number(1) + pickle.LONG_BINPUT + b"\xff\xff\xff\xff", None),
        (pickle.BYTEARRAY8 + b"\xff\xff\xff\xff\xff\0\0\0", "damaged"),
        (pickle.BINUNICODE + b"\xff\xff\xff\xff" + b"a", "damaged"),
    ],
)
def test_unsafe_pickles_are_refused(tmp_path, code, words):
    path = archive(tmp_path / "x.pt", program(("a", code)))
    if words is None:
        assert read_torch(path) == {"a": 1}
    else:
        with pytest.raises(GluonFRError, match=words):
            read_torch(path)


def test_other_archives_are_refused(tmp_path):
    good = program(("a", tensor()))
    path = tmp_path / "x.pt"
    for words, build in (
        ("compressed", lambda: archive(path, good, compress=zipfile.ZIP_DEFLATED)),
        ("big-endian", lambda: archive(path, good, extra=[("net/byteorder", "big")])),
        ("TorchScript", lambda: archive(path, good, extra=[("net/constants.pkl", "x")])),
        ("no data.pkl", lambda: zipfile.ZipFile(path, "w").close()),
        ("not a PyTorch checkpoint", lambda: path.write_bytes(b"not a zip file, but long enough")),
        ("git-LFS", lambda: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
        ("damaged", lambda: archive(path, good, {"1": np.zeros(6, "<f4")})),
    ):
        build()
        with pytest.raises(GluonFRError, match=words):
            read_torch(path)
    archive(path, good)
    with pytest.raises(GluonFRError, match="not a state dict of arcface_torch.*'a'|with"):
        load_torch(path)


def test_damaged_files_are_read_or_reported_in_one_sentence(tmp_path):
    """Truncated at random places and with random flipped bits: refused or read, never another exception."""
    entries = [(f"layer{i}.weight", tensor()) for i in range(6)]
    good = archive(tmp_path / "good.pt", program(*entries)).read_bytes()
    assert len(read_torch(tmp_path / "good.pt")) == 6
    random, messages, path = generator(7), [], tmp_path / "bad.pt"
    for trial in range(300):
        bad = bytearray(good)
        if trial % 3 == 0:
            bad = bad[: random.integers(1, len(good))]
        else:
            for place in random.integers(0, len(good), 1 + trial % 4):
                bad[place] ^= 1 << random.integers(8)
        path.write_bytes(bytes(bad))
        try:
            read_torch(path)
        except GluonFRError as error:
            messages.append(str(error))
    assert len(messages) > 150
    # The pickle alone, in an intact archive: the checksums of the archive would hide it.
    pickled = program(*entries)
    for trial in range(600):
        bad = bytearray(pickled)
        for place in random.integers(0, len(pickled), 1 + trial % 3):
            bad[place] = random.integers(256)
        archive(path, bytes(bad))
        try:
            read_torch(path)
        except GluonFRError as error:
            messages.append(str(error))
    assert all(str(path) in message and "\n" not in message for message in messages)

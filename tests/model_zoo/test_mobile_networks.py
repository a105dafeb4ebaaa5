"""Blocks of the mobile networks against NumPy, topologies against PyTorch, and the keys of saved parameters."""

import numpy as np
import pytest
from mxnet import nd

from gluonfr.model_zoo import get_model
from gluonfr.model_zoo.ghostfacenet import GhostModule, GhostUnit, HardGate, LongRangeAttention
from gluonfr.model_zoo.vargfacenet import VariableGroupUnit


def randomize(block, seed=0):
    """Set parameters and running statistics that all differ."""
    rng = np.random.RandomState(seed)
    for parameter in block.collect_params().values():
        name, shape = parameter.name, parameter.shape
        if name.endswith(("gamma", "running_var", "alpha")):
            value = rng.uniform(0.3, 1.5, shape)
        elif name.endswith("weight"):
            value = rng.randn(*shape) / np.sqrt(max(1, np.prod(shape[1:])))
        else:
            value = rng.randn(*shape) * 0.3
        parameter.set_data(nd.array(value))


def ready(block, *shape):
    x = np.random.RandomState(7).randn(*shape).astype("float32")
    block.initialize()
    block(nd.array(x)).wait_to_read()
    randomize(block)
    return x


def conv(x, layer):
    """Convolution written out: one output channel and one tap at a time."""
    weight, settings = layer.weight.data().asnumpy(), layer._kwargs
    (up, left), (down, right), groups = settings["pad"], settings["stride"], settings["num_group"]
    x = np.pad(x, ((0, 0), (0, 0), (up, up), (left, left)))
    count, inputs, tall, wide = weight.shape
    height, width = (x.shape[2] - tall) // down + 1, (x.shape[3] - wide) // right + 1
    out = np.zeros((len(x), count, height, width))
    for c in range(count):
        first = c // (count // groups) * inputs
        for i in range(tall):
            for j in range(wide):
                patch = x[:, first : first + inputs, i : i + down * height : down, j : j + right * width : right]
                out[:, c] += np.tensordot(patch, weight[c, :, i, j], axes=(1, 0))
    return out if layer.bias is None else out + layer.bias.data().asnumpy().reshape(1, -1, 1, 1)


def norm(x, layer, epsilon):
    values = [parameter.data().asnumpy() for parameter in (layer.gamma, layer.beta, layer.running_mean, layer.running_var)]
    gamma, beta, mean, var = (value.reshape(1, -1, 1, 1) for value in values)
    return (x - mean) / np.sqrt(var + epsilon) * gamma + beta


def prelu(x, layer):
    return np.where(x > 0, x, layer.alpha.data().asnumpy().reshape(1, -1, 1, 1) * x)


def same(block, x, wanted):
    np.testing.assert_allclose(block(nd.array(x)).asnumpy(), wanted, rtol=1e-4, atol=1e-4)
    block.hybridize(static_alloc=True, static_shape=True)
    for count in (len(x), 1):
        np.testing.assert_allclose(block(nd.array(x[:count])).asnumpy(), wanted[:count], rtol=1e-4, atol=1e-4)


def ghost(x, block, activate):
    def half(x, layers):
        out = norm(conv(x, layers[0]), layers[1], 1e-5)
        return prelu(out, layers[2]) if activate else out

    primary = half(x, block.primary)
    return np.concatenate([primary, half(primary, block.cheap)], axis=1)


@pytest.mark.parametrize("activate", [True, False])
def test_ghost_module_equals_numpy(activate):
    block = GhostModule(10, 4, activate)
    x = ready(block, 3, 4, 6, 5)
    assert [part[0].weight.shape for part in (block.primary, block.cheap)] == [(5, 4, 1, 1), (5, 1, 3, 3)]
    same(block, x, ghost(x, block, activate))


def bilinear(length, size):
    """(size, length): pixel centers at halves, nothing beyond the outermost ones."""
    at = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(length)))


def attention(x, block):
    body = block.body
    height, width = x.shape[2] // 2, x.shape[3] // 2
    out = x[:, :, : 2 * height, : 2 * width].reshape(*x.shape[:2], height, 2, width, 2).mean(axis=(3, 5))
    for i in (1, 3, 5):
        out = norm(conv(out, body[i]), body[i + 1], 1e-5)
    out = 1 / (1 + np.exp(-out))
    return np.einsum("yh,xw,nchw->ncyx", bilinear(height, x.shape[2]), bilinear(width, x.shape[3]), out)


def test_long_range_attention_equals_numpy():
    block = LongRangeAttention(5, 3)
    x = ready(block, 2, 3, 7, 10)
    assert [block.body[i].weight.shape for i in (1, 3, 5)] == [(5, 3, 1, 1), (5, 1, 1, 5), (5, 1, 5, 1)]
    same(block, x, attention(x, block))


def gated(x, block, slope):
    out = conv(prelu(conv(x.mean(axis=(2, 3), keepdims=True), block.body[1]), block.body[2]), block.body[3])
    return x * np.clip(slope * out + 0.5, 0, 1)


def test_hard_gate_is_clipped():
    block = HardGate(24, 0.2)
    x = ready(block, 4, 24, 3, 5)
    assert block.body[1].weight.shape[0] == 8  # A quarter is 6, which rounds to 8.
    bias = block.body[3].bias
    bias.set_data(bias.data() * 10)
    wanted = gated(x, block, 0.2)
    ratio = wanted / x
    assert (ratio == 0).any()
    assert np.isclose(ratio, 1).any()
    assert ((ratio > 0.1) & (ratio < 0.9)).any()
    same(block, x, wanted)


@pytest.mark.parametrize(("stride", "channels", "gate", "far"), [(2, 6, 0.2, False), (1, 4, None, True), (1, 6, 1 / 6, True)])
def test_ghost_unit_equals_numpy(stride, channels, gate, far):
    block = GhostUnit(channels, 16, 4, 5, stride, gate, far)
    x = ready(block, 2, 4, 7, 9)
    out = ghost(x, block.first, True)
    if far:
        out = out * attention(x, block.attention)
    rest = list(block.second)
    if stride == 2:
        out = norm(conv(out, rest.pop(0)), rest.pop(0), 1e-5)
    if gate is not None:
        out = gated(out, rest.pop(0), gate)
    (last,) = rest
    out = ghost(out, last, False)
    if block.shortcut is None:
        assert stride == 1
        assert channels == 4
        same(block, x, out + x)
        return
    wide, first, narrow, second = block.shortcut
    assert wide.weight.shape == (4, 1, 5, 5)
    assert wide._kwargs["stride"] == (stride, stride)
    same(block, x, out + norm(conv(norm(conv(x, wide), first, 1e-5), narrow), second, 1e-5))


@pytest.mark.parametrize(("name", "slope"), [("ghostfacenetv1", 0.2), ("ghostfacenetv2", 1 / 6)])
def test_gates_are_in_the_published_units(name, slope):
    units = [layer for layer in get_model(name).features if isinstance(layer, GhostUnit)]
    gates = [[layer._slope for layer in unit.second if isinstance(layer, HardGate)] for unit in units]
    assert [i for i, found in enumerate(gates) if found] == [3, 4, 9, 10, 11, 13, 15]
    assert all(found in ([], [slope]) for found in gates)


def separable(x, layers):
    first, norm0, slopes, second, norm1 = layers
    return norm(conv(prelu(norm(conv(x, first), norm0, 2e-5), slopes), second), norm1, 2e-5)


@pytest.mark.parametrize(
    ("channels", "stride", "factor", "branches", "se"), [(24, 2, 2, 2, False), (16, 1, 2, 1, True), (16, 2, 1, 1, True)]
)
def test_variable_group_unit_equals_numpy(channels, stride, factor, branches, se):
    block = VariableGroupUnit(channels, 16, stride, factor, branches, se)
    x = ready(block, 2, 16, 7, 5)
    first = block.first[0][0]
    assert first.weight.shape == (16 * factor, 8, 3, 3)
    assert len(block.first) == branches
    slopes, *second = list(block.second)
    out = separable(prelu(sum(separable(x, branch) for branch in block.first), slopes), second[:5])
    if se:
        gate = second[5].gate
        assert gate[1].weight.shape == (channels // 4, channels, 1, 1)
        hidden = conv(prelu(conv(out.mean(axis=(2, 3), keepdims=True), gate[1]), gate[2]), gate[3])
        out = out / (1 + np.exp(-hidden))
    assert len(second) == 5 + se
    assert (block.shortcut is None) == (stride == 1 and channels == 16)
    shortcut = x if block.shortcut is None else separable(x, block.shortcut)
    same(block, x, prelu(out + shortcut, block.last))


def torch_mbf(torch, blocks, scale):
    """arcface_torch's mbf as a list of layers, residual units nested; 16-d."""
    nn = torch.nn

    class Plus(nn.Module):
        def __init__(self, body):
            super().__init__()
            self.body = body

        def forward(self, x):
            return x + self.body(x)

    def layer(before, after, kernel=1, stride=1, groups=1, active=True, padding=None):
        padding = kernel // 2 if padding is None else padding
        parts = [nn.Conv2d(before, after, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(after)]
        return nn.Sequential(*parts, *([nn.PReLU(after)] if active else []))

    def unit(before, after, middle, stride):
        return nn.Sequential(
            layer(before, middle), layer(middle, middle, 3, stride, middle), layer(middle, after, active=False)
        )

    near, far = 64 * scale, 128 * scale
    body = [layer(3, near, 3, 2)]
    body += [layer(near, near, 3, groups=64)] if blocks[0] == 1 else [Plus(unit(near, near, 128, 1)) for _ in range(blocks[0])]
    for before, after, first, middle, count in (
        (near, near, 128, 128, blocks[1]),
        (near, far, 256, 256, blocks[2]),
        (far, far, 512, 256, blocks[3]),
    ):
        body += [unit(before, after, first, 2)] + [Plus(unit(after, after, middle, 1)) for _ in range(count)]
    body += [layer(far, 512), layer(512, 512, 7, groups=512, active=False, padding=0), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(512, 16, bias=False), nn.BatchNorm1d(16)).eval()


@pytest.mark.parametrize(("name", "blocks", "scale"), [("mbf", (1, 1, 2, 1), 2), ("mbf_large", (2, 1, 1, 1), 4)])
def test_mbf_equals_the_network_of_arcface_torch(name, blocks, scale):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    reference = torch_mbf(torch, blocks, scale)
    net = get_model(name, blocks=blocks, embedding_size=16)
    net.initialize()
    x = np.random.RandomState(0).rand(2, 3, 112, 112).astype("float32")
    net(nd.array(x)).wait_to_read()
    values = {key: value for key, value in reference.state_dict().items() if not key.endswith("num_batches_tracked")}
    ours = net._collect_params_with_prefix()
    assert len(ours) == len(values)
    for (key, value), parameter in zip(values.items(), ours.values()):
        if value.ndim == 1:
            # Small variances, so that a wrong epsilon would show.
            value.uniform_(*((1e-4, 1e-2) if key.endswith("running_var") else (0.01, 0.1)))
        assert tuple(value.shape) == parameter.shape
        parameter.set_data(nd.array(value.numpy()))
    with torch.no_grad():
        wanted = reference(torch.tensor(x * 2 - 1)).numpy()
    assert wanted.std() > 0.01
    np.testing.assert_allclose(net(nd.array(x)).asnumpy(), wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_keys_of_saved_parameters_do_not_change():
    keys = list(get_model("mobilefacenet", dropout=0.1, classes=3)._collect_params_with_prefix())
    assert keys[:2] == ["features.0.weight", "features.1.gamma"]
    assert "features.6.body.0.weight" in keys
    # Units 6 to 20, three layers to 512, then depthwise, BatchNorm, flatten, dropout, dense, BatchNorm.
    weights = [key for key in keys if key.endswith("weight")]
    assert weights[-3:] == ["features.24.weight", "features.28.weight", "output.weight"]
    assert keys[-6:-1] == [
        "features.28.bias",
        *(f"features.29.{name}" for name in ("gamma", "beta", "running_mean", "running_var")),
    ]
    keys = list(get_model("lresnet18e_ir")._collect_params_with_prefix())
    tail = ["11.gamma", "11.beta", "11.running_mean", "11.running_var", "14.weight", "14.bias", "15.gamma", "15.beta"]
    assert keys[-10:-2] == [f"features.{key}" for key in tail]

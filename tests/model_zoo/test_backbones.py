"""Image networks as backbones: their layers against those of their own zoo, and refused networks."""

import re
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon.model_zoo import vision

from gluonfr.core import GluonFRError
from gluonfr.model_zoo import complexity, get_model
from gluonfr.model_zoo.graph import NetworkGraph

# Channels, height and width of the last map of a 112x112 image.
GLUON = {
    "mobilenet0.25": (256, 7, 7),
    "mobilenetv2_0.25": (1280, 7, 7),
    "resnet18_v1": (512, 7, 7),
    "resnet50_v2": (2048, 7, 7),
    "densenet121": (1024, 7, 7),
    "squeezenet1.1": (512, 13, 13),
    "vgg11_bn": (512, 7, 7),
    "alexnet": (256, 12, 12),
    "inceptionv3": (2048, 12, 12),
}


def map_of(net, image_size=(112, 112)):
    return NetworkGraph(net.features[0], (1, 3, *image_size)).outputs[0][1:]


@pytest.mark.parametrize("name", GLUON)
def test_the_last_map_of_every_family_has_the_known_shape(name):
    net = get_model(f"gluon:{name}", embedding_size=96, classes=5)
    assert map_of(net) == GLUON[name]
    assert NetworkGraph(net, (2, 3, 112, 112)).outputs == [(2, 96), (2, 5)]


def fill(net, numbers=None):
    """Random parameters, or those of another network whose parameters end in the same names."""
    rng = np.random.RandomState(0)
    filled = {}
    for name, parameter in net.collect_params().items():
        key = re.sub(r"^(backbonenetwork\d+_)?[a-z0-9]*?\d+_", "", name, count=1)
        if numbers is None:
            low = 0.5 if key.endswith(("gamma", "var")) else -0.1
            filled[key] = rng.uniform(low, 1.5 if low > 0 else 0.1, parameter.shape).astype("float32")
        if numbers is None or key in numbers:
            parameter.set_data(nd.array((filled if numbers is None else numbers)[key]))
    return filled


def compare(name, size, layers):
    """The adapted backbone against `layers`, a function of MXNet's own network that gives its layers to be run."""
    theirs = getattr(vision, re.sub(r"\.", "_", name))()
    theirs.initialize()
    natural = theirs(nd.zeros((1, 3, 224, 224)))
    assert natural.shape == (1, 1000)
    numbers = fill(theirs)
    net = get_model(f"gluon:{name}", embedding_size=8, image_size=(size, size))
    net.initialize()
    backbone = net.features[0]
    fill(backbone, numbers)
    x = nd.random.uniform(-1, 1, shape=(2, 3, size, size))
    got, out = backbone(x), x
    for layer in layers(theirs):
        out = layer(out)
    assert got.shape == out.shape
    assert got.abs().max().asscalar() > 0
    np.testing.assert_allclose(got.asnumpy(), out.asnumpy(), rtol=1e-4, atol=1e-4 * np.abs(out.asnumpy()).max())


def test_large_images_use_all_layers():
    compare("resnet18_v1", 224, lambda net: net.features[:-1])


def test_smaller_images_remove_the_stride_of_the_first_convolution():
    def layers(net):
        net.features[0]._kwargs["stride"] = (1, 1)
        return net.features[:-1]

    compare("resnet18_v1", 112, layers)


def test_small_images_remove_stride_and_pooling():
    def layers(net):
        net.features[0]._kwargs["stride"] = (1, 1)
        return [feature for place, feature in enumerate(net.features) if place != 3][:-1]

    compare("resnet18_v1", 56, layers)


def test_without_a_strided_convolution_the_first_pooling_is_removed():
    net = get_model("gluon:vgg11")
    pools = [node for node in NetworkGraph(net.features[0], (1, 3, 112, 112)).nodes if node["op"] == "Pooling"]
    assert len(pools) == 4
    assert map_of(get_model("gluon:vgg11", image_size=(224, 224)), (224, 224)) == (512, 7, 7)
    # The dense layers of 4096 do not belong to the map.
    assert complexity(net).parameters < 20e6


def test_a_convolution_as_classifier_is_removed():
    assert (
        max(shape[0] for shape in NetworkGraph(get_model("gluon:squeezenet1.1"), (1, 3, 112, 112)).parameters.values()) == 512
    )


@pytest.mark.parametrize("head", ["E", "GDC", "GAP", "FC"])
def test_backbones_accept_any_head_and_image_size(head):
    net = get_model("gluon:mobilenet0.25", head=head, embedding_size=24, image_size=(128, 112), dropout=0.1)
    net.initialize(mx.init.Xavier())
    assert map_of(net, (128, 112)) == (256, 8, 7)
    assert net(nd.random.uniform(shape=(3, 3, 128, 112))).shape == (3, 24)


def test_arguments_are_passed_to_the_zoo():
    # A thumbnail's first convolution is 3x3 without stride, padding and pooling: 110, 55, 28, 14.
    assert map_of(get_model("gluon:resnet18_v1", thumbnail=True)) == (512, 14, 14)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("gluon:resnet18v1", {}, "gluon has no network 'resnet18v1'; similar names are resnet18_v1"),
        ("timm:resnet18", {}, "timm:resnet18 names an unknown model zoo; write one of gluon, gluoncv before the colon"),
        ("gluon:mobilenet1.0", {"image_size": (64, 64)}, "reduces images of 64x64 .* to less than 7x7"),
        ("gluon:mobilenet1.0", {"image_size": 112}, "image_size must be .height, width."),
        ("gluon:mobilenet1.0", {"with": 3}, "gluon:mobilenet1.0 cannot be built: .*with"),
        ("gluon:mobilenet1.0", {"head": "X"}, "head must be one of"),
    ],
)
def test_unknown_names_and_invalid_arguments_are_refused(name, arguments, message):
    with pytest.raises(GluonFRError, match=message) as caught:
        get_model(name, **arguments)
    assert "\n" not in str(caught.value)


def test_missing_gluoncv_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "gluoncv", None)
    monkeypatch.setitem(sys.modules, "gluoncv.model_zoo", None)
    with pytest.raises(GluonFRError, match=r"gluonfr\[gluoncv\]"):
        get_model("gluoncv:resnet18_v1b")


GLUONCV = {
    "mobilenetv3_small": (576, 7, 7),
    "resnet18_v1b": (512, 7, 7),
    "resnet50_v1d": (2048, 7, 7),
    "resnest14": (2048, 7, 7),
    "se_resnet18_v1": (512, 7, 7),
    "shufflenet_v2": (1024, 7, 7),
    "googlenet": (1024, 7, 7),
    "hrnet_w18_small_v1_c": (2048, 7, 7),
    "xception": (2048, 7, 7),
}


@pytest.mark.parametrize("name", GLUONCV)
def test_networks_of_gluoncv_become_trainable_backbones(name):
    pytest.importorskip("gluoncv")
    net = get_model(f"gluoncv:{name}", embedding_size=32, classes=3)
    assert map_of(net) == GLUONCV[name]
    net.initialize(mx.init.Xavier())
    x = nd.random.uniform(shape=(2, 3, 112, 112))
    with autograd.record():
        embedding, output = net(x)
    output.backward()
    nd.waitall()
    assert embedding.shape == (2, 32)
    assert output.shape == (2, 3)
    assert np.isfinite(embedding.asnumpy()).all()


def test_an_auxiliary_classifier_is_ignored():
    pytest.importorskip("gluoncv")
    # Not run: MXNet's own backward pass of this network fails on CPU.
    assert map_of(get_model("gluoncv:nasnet_4_1056")) == (1056, 7, 7)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ssd_300_vgg16_atrous_voc", "does not classify images"),
        ("faster_rcnn_resnet50_v1b_voc", "does not classify images"),
        ("fcn_resnet50_voc", "does not classify images"),
        ("simple_pose_resnet18_v1b", "does not classify images"),
        ("dla34", "no single feature map that its whole output depends on"),
        ("c3d_kinetics400", "cannot be adapted as an image network"),
        ("resnet18_v3", "similar names are resnet18_v"),
    ],
)
def test_networks_of_gluoncv_that_do_not_classify_are_refused(name, message):
    pytest.importorskip("gluoncv")
    with pytest.raises(GluonFRError, match=message):
        get_model(f"gluoncv:{name}")

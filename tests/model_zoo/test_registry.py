"""Networks by name: lists, aliases, arguments, messages and representations."""

import pytest

from gluonfr.core import UsageError
from gluonfr.model_zoo import (
    AttentionFaceNet,
    LResNet,
    SEResNetV2,
    attentionfacenet92,
    complexity,
    get_attention_face,
    get_mobile_facenet,
    get_model,
    get_model_list,
    get_se_resnet,
    list_models,
    se_resnet18_v2,
)
from gluonfr.model_zoo.registry import build_stored_network, check_arguments, registered_name


def test_gluon_faces_names_are_known():
    for name in ("mobilefacenet", "attentionfacenet56", "l_se_resnet18v2", "l_se_resnet50v2", "l_se_resnet101v2"):
        assert name in list_models()
    assert get_model_list() == list_models() == sorted(list_models())
    assert registered_name("MobileFaceNet-y1") == "mobilefacenet"
    assert type(get_mobile_facenet()) is type(get_model("MobileFaceNet"))
    assert type(se_resnet18_v2()) is type(get_model("SE-ResNet18-v2")) is SEResNetV2
    assert attentionfacenet92().embedding_size == 512
    assert get_model("attention_facenet56", classes=3, embedding_size=128).output is not None


def test_number_of_layers_is_an_argument_as_in_gluon_face():
    assert complexity(get_attention_face(num_layers=56)) == complexity(get_model("attentionfacenet56"))
    assert complexity(get_model("attention_facenet", num_layers=92)) == complexity(attentionfacenet92())


def test_repr_has_architecture_sizes_and_parameters():
    # 1,003,264 as published, and 10 classes of 128 numbers.
    net = get_model("mobilefacenet", classes=10)
    assert repr(net) == "mobilefacenet(MobileFaceNet, input 3x112x112, embedding 128, classes 10, 1,004,544 parameters)"
    assert repr(get_model("dlib_resnet29")) == (
        "dlib_resnet29(DlibResNet, input 3x150x150, embedding 128, 5,614,592 parameters)"
    )
    assert repr(get_model("gluon:mobilenet0.25", image_size=(128, 112))).startswith(
        "gluon:mobilenet0.25(BackboneNetwork, input 3x128x112, embedding 512, "
    )


def test_unknown_names_are_refused_with_similar_ones():
    with pytest.raises(ValueError, match="mobilefacenett.*did you mean 'mobilefacenet'.*lresnet100e_ir"):
        get_model("mobilefacenett")
    with pytest.raises(UsageError, match="num_layers must be one of 18, 34, 50, 101, 152, got 20"):
        get_se_resnet(20)
    with pytest.raises(UsageError, match="num_layers must be one of 56, 92, 128, 164, 236, 452, got 50"):
        get_attention_face(10, 50, 128)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("mobilefacenet", {"clases": 3}, "has no argument 'clases'; it accepts blocks, classes, dropout, embedding_size"),
        ("mobilefacenet", {"head": "GNAP"}, "head must be one of E, GDC, GAP, FC, got 'GNAP'"),
        ("mobilefacenet", {"blocks": (1, 4, 6)}, "blocks must be a sequence of 4 positive whole numbers"),
        ("mobilefacenet", {"blocks": (1, 4, 6, 0)}, "blocks must be a sequence of 4"),
        ("mobilefacenet", {"blocks": 4}, "blocks must be a sequence of 4"),
        ("mobilefacenet", {"embedding_size": 0}, "embedding_size must be a positive whole number"),
        ("mbf", {"scale": 1.5}, "scale must be a positive whole number"),
        ("mbf", {"flavor": "keras"}, "flavor must be one of mxnet, torch"),
        ("mbf", {"width": 0}, "width must be a positive number"),
        ("mbf", {"width": float("nan")}, "width must be a positive number"),
        ("mbf", {"width": "wide"}, "width must be a positive number"),
        ("mbf", {"width": 10**400}, "width must be a positive number"),
        ("vargfacenet", {"width": -1}, "width must be a positive number"),
        ("vargfacenet", {"head": "GDC"}, "has no argument 'head'"),
        ("ghostfacenetv1", {"stride": 3}, "stride must be one of 1, 2"),
        ("ghostfacenetv2", {"head": None}, "head must be one of"),
        ("lresnet18e_ir", {"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ("lresnet18e_ir", {"units": [10**9] * 4}, "units must be a sequence of positive whole numbers of at most 512"),
        ("lresnet18e_ir", {"channels": (8, 8)}, "channels must be 5 numbers"),
        ("l_se_resnet18v2", {"channels": (8, 8)}, "channels must be 5 numbers"),
        ("attentionfacenet56", {"image_size": 112}, "image_size must be .height, width."),
        ("attentionfacenet56", {"modules": (1, 1)}, "modules must be a sequence of 3"),
    ],
)
def test_wrong_arguments_are_refused_by_name(name, arguments, message):
    with pytest.raises(UsageError, match=message):
        get_model(name, **arguments)


def test_constructors_check_their_arguments_too():
    with pytest.raises(UsageError, match="channels must be 3 numbers"):
        LResNet((1, 1), (8, 8))
    with pytest.raises(UsageError, match="modules must be"):
        AttentionFaceNet((1, 1))


def test_every_default_passes_the_checks():
    for name in list_models():
        check_arguments(name, {"embedding_size": 64, "classes": 5, "need_cls_layer": False})


@pytest.mark.parametrize("name", ["mobilefacenet", "lresnet18e_ir", "attentionfacenet56", "dlib_resnet29", "gluon:resnet18_v1"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"pretrained": True},
        {"root": "/tmp"},
        {"ctx": "cpu"},
        {"params": {}},
        {"prefix": "x_"},
        {"classes": 5},
        {"norm_layer": "x"},
        {"self": 1},
        {"name": "x"},
        {"embedding_size": 10**12},
        {"embedding_size": "64"},
        {"embedding_size": True},
        {"embedding_size": [64]},
        {"weight_norm": 1},
    ],
)
def test_arguments_from_files_must_describe_the_architecture(name, arguments):
    with pytest.raises(UsageError, match=f"{next(iter(arguments))}"):
        build_stored_network(name, arguments)


def test_networks_from_files_have_the_stored_architecture():
    net = build_stored_network("lresnet10e_ir", {"units": [1, 1], "channels": [8, 8, 16], "embedding_size": 4, "se": True})
    assert net.embedding_size == 4
    assert build_stored_network("gluon:resnet18_v1", {"thumbnail": True, "embedding_size": 8}).embedding_size == 8

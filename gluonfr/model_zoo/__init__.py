"""Network architectures: `get_model(name, classes=..., embedding_size=...)` builds one, `list_models()` lists the names."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.model_zoo.attention import (
    AttentionFaceNet,
    attentionfacenet56,
    attentionfacenet92,
    attentionfacenet128,
    attentionfacenet164,
    attentionfacenet236,
    attentionfacenet452,
    get_attention_face,
)
from gluonfr.model_zoo.backbones import BackboneNetwork
from gluonfr.model_zoo.complexity import Complexity, complexity
from gluonfr.model_zoo.dlib_resnet import DlibResNet, dlib_resnet29
from gluonfr.model_zoo.ghostfacenet import GhostFaceNet, ghostfacenetv1, ghostfacenetv2
from gluonfr.model_zoo.lresnet import (
    LResNet,
    lresnet10e_ir,
    lresnet18e_ir,
    lresnet34e_ir,
    lresnet50e_ir,
    lresnet100e_ir,
    lresnet152e_ir,
    lseresnet10e_ir,
    lseresnet18e_ir,
    lseresnet34e_ir,
    lseresnet50e_ir,
    lseresnet100e_ir,
    lseresnet152e_ir,
)
from gluonfr.model_zoo.mobilefacenet import MobileFaceNet, get_mobile_facenet, mbf, mbf_large, mobilefacenet, mobilefacenet_y2
from gluonfr.model_zoo.mobilefacenet_re import MobileFaceNetRe, get_mobile_facenet_re, mobilefacenet_re
from gluonfr.model_zoo.registry import get_model, get_model_list, list_models, register_network
from gluonfr.model_zoo.seresnet import (
    SEResNetV2,
    get_se_resnet,
    se_resnet18_v2,
    se_resnet34_v2,
    se_resnet50_v2,
    se_resnet101_v2,
    se_resnet152_v2,
)
from gluonfr.model_zoo.vargfacenet import VarGFaceNet, vargfacenet

__all__ = [
    "AttentionFaceNet",
    "BackboneNetwork",
    "Complexity",
    "DlibResNet",
    "GhostFaceNet",
    "LResNet",
    "MobileFaceNet",
    "MobileFaceNetRe",
    "SEResNetV2",
    "VarGFaceNet",
    "attentionfacenet128",
    "attentionfacenet164",
    "attentionfacenet236",
    "attentionfacenet452",
    "attentionfacenet56",
    "attentionfacenet92",
    "complexity",
    "dlib_resnet29",
    "get_attention_face",
    "get_mobile_facenet",
    "get_mobile_facenet_re",
    "get_model",
    "get_model_list",
    "get_se_resnet",
    "ghostfacenetv1",
    "ghostfacenetv2",
    "list_models",
    "lresnet100e_ir",
    "lresnet10e_ir",
    "lresnet152e_ir",
    "lresnet18e_ir",
    "lresnet34e_ir",
    "lresnet50e_ir",
    "lseresnet100e_ir",
    "lseresnet10e_ir",
    "lseresnet152e_ir",
    "lseresnet18e_ir",
    "lseresnet34e_ir",
    "lseresnet50e_ir",
    "mbf",
    "mbf_large",
    "mobilefacenet",
    "mobilefacenet_re",
    "mobilefacenet_y2",
    "register_network",
    "se_resnet101_v2",
    "se_resnet152_v2",
    "se_resnet18_v2",
    "se_resnet34_v2",
    "se_resnet50_v2",
    "vargfacenet",
]

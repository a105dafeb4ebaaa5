"""Networks. `get_model(name, classes=..., embedding_size=...)` builds one, `get_model_list()` names them."""

from gluonfr.model_zoo.complexity import complexity
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
from gluonfr.model_zoo.mobilefacenet import MobileFaceNet, get_mobile_facenet, mobilefacenet
from gluonfr.model_zoo.registry import get_model, get_model_list
from gluonfr.model_zoo.saved import load_network, save_network

__all__ = [
    "LResNet",
    "MobileFaceNet",
    "complexity",
    "get_mobile_facenet",
    "get_model",
    "get_model_list",
    "load_network",
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
    "mobilefacenet",
    "save_network",
]

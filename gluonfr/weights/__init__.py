"""Weights in and out: InsightFace, arcface_torch, dlib and saved networks; the model store."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.weights.insightface import load_insightface
from gluonfr.weights.load import load_weights
from gluonfr.weights.saved import load_network, save_network
from gluonfr.weights.store import add_model, fetch, find_model, list_models, remove_model
from gluonfr.weights.torch_state import load_torch

__all__ = [
    "add_model",
    "fetch",
    "find_model",
    "list_models",
    "load_insightface",
    "load_network",
    "load_torch",
    "load_weights",
    "remove_model",
    "save_network",
]

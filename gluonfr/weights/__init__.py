"""Weights in and out: InsightFace, arcface_torch, dlib and saved networks; the model store."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.weights.arcface_torch import load_torch
from gluonfr.weights.insightface import load_insightface
from gluonfr.weights.load import load_pretrained, load_weights
from gluonfr.weights.saved import load_network, save_network
from gluonfr.weights.store import add_model, find_stored_model, list_stored_models, remove_model

__all__ = [
    "add_model",
    "find_stored_model",
    "list_stored_models",
    "load_insightface",
    "load_network",
    "load_pretrained",
    "load_torch",
    "load_weights",
    "remove_model",
    "save_network",
]

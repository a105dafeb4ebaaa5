"""Trained networks in use: loading, embeddings of images and of pairs, export, ONNX."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.deploy.embedder import Embedder
from gluonfr.deploy.embedding import embed, embed_pairs, to_unit
from gluonfr.deploy.inference import InferenceNetwork
from gluonfr.deploy.model import load_model
from gluonfr.deploy.pixels import RawPixels

__all__ = [
    "Embedder",
    "InferenceNetwork",
    "RawPixels",
    "embed",
    "embed_pairs",
    "load_model",
    "to_unit",
]

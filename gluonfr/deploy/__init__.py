"""A network at work: embeddings of images and of pairs."""

from gluonfr.deploy.embedder import Embedder
from gluonfr.deploy.embedding import embed, embed_pairs, to_unit
from gluonfr.deploy.inference import InferenceNetwork
from gluonfr.deploy.model import load_model
from gluonfr.deploy.pixels import RawPixels
from gluonfr.model_zoo import load_network, save_network

__all__ = [
    "Embedder",
    "InferenceNetwork",
    "RawPixels",
    "embed",
    "embed_pairs",
    "load_model",
    "load_network",
    "save_network",
    "to_unit",
]

"""A network at work: embeddings of images and of pairs."""

from gluonfr.deploy.embedding import embed, embed_pairs, to_unit
from gluonfr.deploy.pixels import RawPixels
from gluonfr.model_zoo import load_network, save_network

__all__ = ["RawPixels", "embed", "embed_pairs", "load_network", "save_network", "to_unit"]

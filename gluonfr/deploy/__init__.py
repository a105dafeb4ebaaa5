"""A network at work: embeddings of images and of pairs."""

from gluonfr.deploy.embedding import embed, embed_pairs, to_unit
from gluonfr.deploy.network import load_network, save_network
from gluonfr.deploy.pixels import RawPixels

__all__ = ["RawPixels", "embed", "embed_pairs", "load_network", "save_network", "to_unit"]

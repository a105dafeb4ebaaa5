"""Losses with a center, a Gaussian or a radius for the embeddings of each class."""

"""Losses that compare embeddings with each other, in pairs or triplets."""

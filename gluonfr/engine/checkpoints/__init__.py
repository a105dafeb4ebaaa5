"""Checkpoints: the state of a run as arrays, and their files."""

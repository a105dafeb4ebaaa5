"""Checkpoints: the state of a run as arrays (snapshot), their files, and how they become visible (publish)."""

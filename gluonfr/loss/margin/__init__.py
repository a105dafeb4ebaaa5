"""Losses that make the target's cosine harder to reach."""

"""Training that starts from a trained network."""

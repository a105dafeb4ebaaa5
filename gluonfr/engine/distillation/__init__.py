"""Training a network to reproduce the embeddings of another one."""

"""What is recorded of a run besides its log: status, provenance, and trackers such as TensorBoard and MLflow."""

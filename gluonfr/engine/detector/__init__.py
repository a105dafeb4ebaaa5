"""Training of face detectors with the loop that all kinds of training share."""

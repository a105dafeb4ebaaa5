"""gluon-face's import paths; the code lives elsewhere."""

"""Errors that people cause: one sentence each, which commands print."""

from __future__ import annotations


class GluonFRError(ValueError):
    """A bad file, name or argument: one sentence that names it, says what is wrong and what to do.

    Commands print the sentence and exit with 2. Raise one of its subclasses.
    """


class UsageError(GluonFRError):
    """An argument or an option that cannot be used, or a combination of them."""


class DataError(GluonFRError):
    """A file of images, records, pairs, embeddings or a gallery that is missing, damaged or of another kind."""


class WeightsError(GluonFRError):
    """A file of weights or a model folder that is missing, damaged, or not the network's."""


class TrainingStopped(GluonFRError):  # noqa: N818
    """A training run that cannot continue: a diverged loss, a lost process, a request to stop."""


def describe_os_error(error: OSError) -> str:
    """Return the sentence that a command prints of an OSError: a full disk, a file that vanished."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; no partial files were left."

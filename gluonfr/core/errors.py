"""Errors with a message for the user: one sentence that names the file or argument, what is wrong, and what to do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator


class GluonFRError(ValueError):
    """Base of all errors that an input of the user causes.

    The message is one sentence that names the file or argument, what is wrong and what to do. Commands print it and exit with
    status 2. Raise one of the subclasses; catch this class.

    Examples
    --------
    >>> issubclass(UsageError, GluonFRError) and issubclass(GluonFRError, ValueError)
    True
    """


class UsageError(GluonFRError):
    """An argument, an option or a combination of them is invalid.

    Examples
    --------
    >>> raise UsageError("batch_size must be an integer of at least 1, got 0.")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.UsageError: batch_size must be an integer of at least 1, got 0.
    """


class DataError(GluonFRError):
    """A file of images, records, pairs, embeddings or a gallery is missing, damaged or of another kind.

    Examples
    --------
    >>> raise DataError("train.rec: record 1207 is truncated; copy the file again.")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.DataError: train.rec: record 1207 is truncated; copy the file again.
    """


class WeightsError(GluonFRError):
    """A file of weights or a model folder is missing, damaged or does not fit the network.

    Examples
    --------
    >>> raise WeightsError("net.params: conv0_weight is missing; download the file again.")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.WeightsError: net.params: conv0_weight is missing; download the file again.
    """


class TrainingStopped(GluonFRError):  # noqa: N818
    """A training run cannot continue: the loss diverged, a process was lost, or a stop was requested.

    Examples
    --------
    >>> raise TrainingStopped("the loss is NaN at step 120; lower the learning rate.")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.TrainingStopped: the loss is NaN at step 120; lower the learning rate.
    """


class TrainingInterrupted(TrainingStopped):  # noqa: N818
    """A training run was asked to stop, wrote a checkpoint, and can be resumed.

    Examples
    --------
    >>> raise TrainingInterrupted("stopped after step 120 with a checkpoint; run the same command again to resume.")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.TrainingInterrupted: stopped after step 120 with a checkpoint; run the same command again to resume.
    """


@contextmanager
def naming(argument: str, value: object) -> Iterator[None]:
    """Put the argument and its value in front of the message of a GluonFRError in the block.

    Examples
    --------
    >>> with naming("teacher", "lfw"):
    ...     raise UsageError("'lfw' is not a stored model.")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.UsageError: teacher='lfw': 'lfw' is not a stored model.
    """
    try:
        yield
    except GluonFRError as error:
        raise type(error)(f"{argument}={value!r}: {error}") from error


def describe_os_error(error: OSError) -> str:
    """Return the sentence that a command prints for an OSError, such as a full disk or a file that vanished.

    Examples
    --------
    >>> describe_os_error(OSError(28, "No space left on device", "/data/train.rec"))
    '/data/train.rec: No space left on device; no partial files were left.'
    """
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; no partial files were left."

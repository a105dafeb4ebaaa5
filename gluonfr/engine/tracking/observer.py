from __future__ import annotations

from typing import Any, Mapping, Protocol

import numpy as np

from gluonfr.engine.loop.options import RunOptions


class ValidationResult(Protocol):
    """The result of a validation on one set: a `VerificationResult`, or the `DetectionResult` of a detector.

    Examples
    --------
    >>> from gluonfr.metrics.detection import average_precision, match_detections
    >>> result: ValidationResult = average_precision([match_detections([], [], [[0, 0, 9, 9]])], [[True]])
    >>> result.name_values()[0]
    ('ap', 0.0)
    """

    def name_values(self) -> list[tuple[str, float]]:
        """Return the figures as (name, value) pairs, the most important one first."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything that describes the result as plain Python for JSON."""


class TrainingObserver:
    """What is called while a run trains; a subclass overrides the methods that it needs.

    Pass observers to `train(observers=[...])`. They are called in the process of rank 0, between two steps, so a slow method
    slows the training. An exception ends the run; raise `gluonfr.core.TrainingInterrupted` to stop it without an error.

    Examples
    --------
    >>> class Losses(TrainingObserver):
    ...     def __init__(self):
    ...         self.rows = []
    ...     def logged(self, step, values):
    ...         self.rows.append((step, values["loss"]))
    >>> observer = Losses()
    >>> observer.logged(20, {"loss": 3.5, "lr": 0.1})
    >>> observer.rows
    [(20, 3.5)]
    """

    def started(self, options: RunOptions, first_step: int, total_steps: int) -> None:
        """Handle the start, or that the run resumes.

        Parameters
        ----------
        options : RunOptions
            All options; `options.out` is the run folder, which exists.
        first_step, total_steps : int
            Steps made before this process started, and of the whole run.
        """

    def logged(self, step: int, values: Mapping[str, float]) -> None:
        """Handle a reading of the training: `epoch`, `loss`, `lr` and `images_per_second` since the reading before."""

    def validated(self, step: int, results: Mapping[str, ValidationResult], norms: np.ndarray) -> None:
        """Handle a validation.

        Parameters
        ----------
        step : int
        results : dict of str to VerificationResult, or to DetectionResult
            By name of the verification set, or of the subset of the photos.
        norms : (N,) float32
            Lengths of the embeddings of some images of the first set, before they are normalized.
        """

    def ended(self, state: str, reason: str, pictures: Mapping[str, str]) -> None:
        """Handle the end, also after an error; nothing is called afterwards.

        Parameters
        ----------
        state : {'finished', 'stopped', 'failed'}
            'stopped': the run was asked to stop, and can be resumed.
        reason : str
            Message of the error, empty for a run that finished.
        pictures : dict of str to str
            Paths of the figures by name.
        """

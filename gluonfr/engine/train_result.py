from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from typing import Any

# The best network has the largest area under the ROC up to this false-accept rate.
BEST_FAR = 0.1


@dataclass
class TrainResult:
    """The result of a training run.

    Attributes
    ----------
    folder : str
        The run folder.
    steps, images : int
        Steps and images of this process, without those before it resumed.
    seconds : float
        Time of training, without validation and checkpoints.
    validation : dict of str to VerificationResult or DetectionResult
        Results of the last validation.
    best : dict
        `step` of the network with the largest area under the ROC up to a FAR of 0.1 on the first verification set, that
        `partial_auc` (a mean TAR), its `auc`, its `accuracy` on every set by name, and `start_partial_auc` and `start_auc` of a
        pretrained network before training; empty without a set that has both kinds of pairs. Of a detector: `step` of the
        largest mean average precision over the subsets of the validation photos, that `ap`, and `ap_of` every subset by name.
    peak_memory : float
        Peak memory of this process in GB.
    pictures : list of str
        Paths of the figures.

    Examples
    --------
    >>> TrainResult("runs/a", 10, 640, 2.0, {}, {}, 0.5, []).steps
    10
    """

    folder: str
    steps: int
    images: int
    seconds: float
    validation: dict[str, Any]
    best: dict[str, Any]
    peak_memory: float
    pictures: list[str]


def peak_memory() -> float:
    """Return the peak memory of this process in GB.

    Examples
    --------
    >>> peak_memory() > 0
    True
    """
    # Linux counts in KB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform.startswith("linux") else 1e9)

from __future__ import annotations

import os

# Where gluon-face and InsightFace's users keep their sets, unless a command or a call says otherwise.
DEFAULT_ROOT = "~/.mxnet/datasets/face"
# Where trained and converted networks are kept, a folder each.
DEFAULT_MODELS = "~/.mxnet/models/face"


def cores():
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

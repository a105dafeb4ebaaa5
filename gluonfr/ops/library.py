"""Loading the compiled operators into MXNet, once per process."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import NamedTuple

import mxnet as mx

from gluonfr.core.mxnet_graphs import load_operators
from gluonfr.core.paths import display_path
from gluonfr.ops.build import BuildError, build_library

logger = logging.getLogger(__name__)

_OFF = "GLUONFR_OPS"
_OPERATORS = ("gluonfr_log_sum_exp_of_others", "gluonfr_cross_entropy")


class OpsStatus(NamedTuple):
    """Whether the native operators are used in this process.

    Attributes
    ----------
    used : bool
        Whether they are loaded.
    reason : str
        Why, in a few words.
    path : str or None
        The compiled library, where it is loaded.

    Examples
    --------
    >>> OpsStatus(False, "GLUONFR_OPS=0", None).used
    False
    """

    used: bool
    reason: str
    path: str | None


_status: OpsStatus | None = None
_lock = threading.Lock()


def status() -> OpsStatus:
    """Return whether the native operators are used, and why; compile and load them at the first call.

    Examples
    --------
    >>> isinstance(status().used, bool)
    True
    """
    global _status
    if _status is None:
        with _lock:
            if _status is None:
                _status = _load()
                if not _status.used:
                    logger.info("losses use MXNet's operators, not the native ones for CPUs: %s", _status.reason)
    return _status


def available() -> bool:
    """Return whether the native operators can be used; see `status`.

    Examples
    --------
    >>> available() == status().used
    True
    """
    return os.environ.get(_OFF) != "0" and status().used


def _load() -> OpsStatus:
    if os.environ.get(_OFF) == "0":
        return OpsStatus(False, f"{_OFF}=0", None)
    if sys.platform == "win32":
        return OpsStatus(False, "they are not supported on Windows", None)
    try:
        path = build_library()
        load_operators(path, *_OPERATORS)
    except BuildError as error:
        return OpsStatus(False, str(error), None)
    except (mx.MXNetError, OSError) as error:
        return OpsStatus(False, f"loading failed: {str(error).strip().splitlines()[0][:200]}", None)
    return OpsStatus(True, f"loaded from {display_path(path)}", path)

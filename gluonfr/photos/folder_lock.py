from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from gluonfr.core import UsageError, display_path

logger = logging.getLogger(__name__)


@contextmanager
def lock_folder(folder: str) -> Iterator[None]:
    """Reserve a folder for this process while the block runs.

    Raises
    ------
    UsageError
        Another process uses the folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, lock_folder(folder):
    ...     pass
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{display_path(folder)}: another process works in it. Wait for it, or use another folder."
            ) from error
        except OSError:
            # Some network file systems do not support locks.
            logger.info("%s: cannot be locked", display_path(folder))
        yield
    finally:
        os.close(descriptor)

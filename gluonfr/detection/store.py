"""Detectors in the model store: by name, beside the recognition networks."""

from __future__ import annotations

import logging
import os
from typing import Any

from gluonfr.core import DEFAULT_MODELS, GluonFRError, WeightsError, absolute_path, atomic_folder, display_path
from gluonfr.core.reading import read_json
from gluonfr.core.temporary import remove_leftovers
from gluonfr.detection.saved import CARD, DetectorCard, is_detector_folder, load_detector, save_detector
from gluonfr.weights.store import free_stored_folder, remove_stored_folder, stored_folder

logger = logging.getLogger(__name__)


def add_detector(name: str, source: Any, root: str = DEFAULT_MODELS) -> str:
    """Store a detector under a name, with which `get_detector` and `--detector` find it.

    Parameters
    ----------
    name : str
        Letters, digits and . _ + -
    source : path
        Folder of a saved detector such as RUN/best, or of InsightFace's `mnet.25`.
    root : str, default '~/.mxnet/models/face'
        Folder of the stored models.

    Returns
    -------
    str
        The folder, which is written atomically.

    Raises
    ------
    UsageError
        The name is invalid or exists already.
    WeightsError
        The source is missing or damaged.

    Examples
    --------
    >>> add_detector("mine", "runs/wider-detector/best")  # doctest: +SKIP
    '/home/me/.mxnet/models/face/mine'
    """
    folder = free_stored_folder(name, root)
    if not is_detector_folder(source):
        raise WeightsError(f"{display_path(absolute_path(source))} holds no detector; give a folder such as RUN/best.")
    net, card = load_detector(source)
    with atomic_folder(folder) as written:
        save_detector(net, written, card)
    return folder


def list_stored_detectors(root: str = DEFAULT_MODELS) -> dict[str, DetectorCard]:
    """Return the cards of the stored detectors by name; folders with an unreadable card are logged and left out.

    Examples
    --------
    >>> list_stored_detectors("no_such_folder")
    {}
    """
    root = absolute_path(root)
    cards = {}
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
        path = os.path.join(root, name, CARD)
        if name.startswith(".") or not os.path.isfile(path):
            continue
        try:
            cards[name] = DetectorCard.from_dict(read_json(path, "card of a detector"), path)
        except GluonFRError as error:
            logger.warning("%s", error)
    return cards


def remove_detector(name: str, root: str = DEFAULT_MODELS) -> None:
    """Remove a stored detector.

    Raises
    ------
    WeightsError
        No detector of that name is stored.

    Examples
    --------
    >>> remove_detector("mine")  # doctest: +SKIP
    """
    folder = stored_folder(name, root)
    # A process that was killed while it removed the detector may have left a folder.
    remove_leftovers(folder)
    if not is_detector_folder(folder):
        raise WeightsError(f"no stored detector {name!r} under {root}.")
    remove_stored_folder(folder)

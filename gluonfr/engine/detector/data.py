"""The photos of a detector's training: packed records, annotated photos for validation, or rendered scenes."""

from __future__ import annotations

import os
from typing import NamedTuple

from gluonfr.core import DataError, display_path
from gluonfr.data.detection import DetectionFolder, DetectionRecords, pack_detection, read_detection_folder
from gluonfr.data.detection.records import REC
from gluonfr.data.synthetic.scenes import make_scenes
from gluonfr.engine.detector.options import DetectorOptions
from gluonfr.engine.distributed.group import Group

HELD_OUT_SCENES = 100
# Scenes have this side at least: faces are at most 0.6 of it.
_LEAST_SIDE = 320


class DetectorData(NamedTuple):
    """What the training of a detector reads.

    Attributes
    ----------
    records : DetectionRecords
    val : DetectionFolder or None

    Examples
    --------
    >>> records, val = open_detector_data(DetectorOptions(data="sets/wider"))  # doctest: +SKIP
    """

    records: DetectionRecords
    val: DetectionFolder | None


def prepare_scenes(options: DetectorOptions, progress: bool = True) -> str:
    """Render the scenes of a run into `data/` of its folder, unless they are there, and return their folder.

    Examples
    --------
    >>> prepare_scenes(DetectorOptions(scenes=1500, out="runs/scenes"))  # doctest: +SKIP
    '/home/ann/runs/scenes/data/1500-320-0'
    """
    side = max(options.size or 0, _LEAST_SIDE)
    folder = os.path.join(options.out, "data", f"{options.scenes}-{side}-{options.seed}")
    for name, count, first in (("val", HELD_OUT_SCENES, options.scenes), ("train", options.scenes, 0)):
        if not os.path.exists(os.path.join(folder, name)):
            make_scenes(os.path.join(folder, name), count, first, options.seed, side, progress)
    if not os.path.exists(os.path.join(folder, REC)):
        scenes = read_detection_folder(os.path.join(folder, "train"))
        pack_detection(scenes.faces, scenes.photos, folder)
    return folder


def open_detector_data(options: DetectorOptions, group: Group | None = None) -> DetectorData:
    """Open the photos of a run, which are rendered first if `scenes` asks for them.

    Raises
    ------
    DataError
        A folder is missing, damaged, or holds annotated photos that are not packed.

    Examples
    --------
    >>> open_detector_data(DetectorOptions(data="sets/wider")).records  # doctest: +SKIP
    """
    group = group or Group()
    if options.scenes:
        if group.rank == 0:
            prepare_scenes(options, options.progress)
        group.barrier()
        folder = prepare_scenes(options)
        return DetectorData(DetectionRecords(folder), read_detection_folder(os.path.join(folder, "val")))
    if os.path.isdir(options.data) and not os.path.isfile(os.path.join(options.data, REC)):
        shown = display_path(options.data)
        raise DataError(
            f"data={shown} has no {REC}: pack the annotated photos first, with `gluonfr pack-detection {shown} OUT`, and give "
            "the folder OUT."
        )
    val = read_detection_folder(options.val) if options.val else None
    if val is not None and not val.faces:
        raise DataError(f"val={display_path(options.val)} has no photos; give a folder of annotated photos.")
    return DetectorData(DetectionRecords(options.data), val)

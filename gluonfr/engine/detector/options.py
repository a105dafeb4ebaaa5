"""All options of the training of a detector; the parser of `gluonfr train-detector` is generated from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Mapping

from gluonfr.core import UsageError, absolute_path
from gluonfr.engine.loop.options import RunOptions
from gluonfr.engine.option_fields import auto_names, check_types, option

if TYPE_CHECKING:
    from gluonfr.engine.option_fields import Auto

# Those of `gluonfr.detection.retinaface_network`, which needs MXNet.
BACKBONES = ("mobilenet0.25", "resnet50")
# The largest stride of the network.
_MULTIPLE = 32


@dataclass
class DetectorDataOptions:
    """What the training of a detector reads. The help text of every field is its documentation.

    Examples
    --------
    >>> DetectorDataOptions(data="sets/wider", rotate=0.5).rotate
    0.5
    """

    data: str = option("", "packed set of annotated photos: a folder with faces.rec", metavar="FOLDER")
    val: str = option(
        "",
        "folder of annotated photos for average precision during training; its mean over easy, medium and hard decides which "
        "network is best",
        metavar="FOLDER",
    )
    scenes: int = option(0, "instead of data, render this many scenes to train on, and 100 others to validate on", metavar="N")
    size: Auto[int] = option(None, "side of the squares to train on, in pixels: a multiple of 32")
    rotate: float = option(
        0.0,
        "fraction of the photos turned by 90, 180 or 270 degrees, so that turned faces are found",
        metavar="FRACTION",
    )
    threads: int | None = option(None, "threads of the loader (default: one per core)")


@dataclass
class DetectorNetworkOptions:
    """The network of a detector. The help text of every field is its documentation.

    Examples
    --------
    >>> DetectorNetworkOptions(backbone="resnet50").pretrained is None
    True
    """

    backbone: Auto[str] = option(None, "backbone of RetinaFace: mobilenet0.25 or resnet50", choices=BACKBONES, metavar="NAME")
    pretrained: str | None = option(
        None, "start from a detector: a folder such as RUN/best or that of mnet.25, or a stored name", metavar="DETECTOR"
    )


@dataclass
class DetectorOptions(RunOptions, DetectorNetworkOptions, DetectorDataOptions):
    """All options of the training of a detector: those of the groups, checked together.

    The recipe replaces options without a value, see `gluonfr.engine.detector.recipe`. Relative paths are made absolute.

    Raises
    ------
    UsageError
        A value of the wrong type or out of range, or a combination that cannot work.

    Examples
    --------
    >>> options = DetectorOptions(data="sets/wider", val="wider/val", rotate=0.5)
    >>> os.path.basename(options.out)
    'wider-detector'
    """

    @property
    def has_validation(self) -> bool:
        """Whether there are photos or scenes to validate on."""
        return bool(self.val or self.scenes)

    @classmethod
    def values_for_recipe(cls, before: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
        """Return the options that the recipe chooses again for another kind of data or a first start."""
        replaced = [*(["scenes"] if changes.get("data") else []), *(["data", "val"] if changes.get("scenes") else [])]
        is_first_start = bool(changes.get("pretrained")) and not before["pretrained"]
        if not is_first_start and not any(before[name] for name in replaced):
            return []
        return [*replaced, *auto_names(cls)]

    def __post_init__(self) -> None:
        check_types(self)
        if bool(self.data) == bool(self.scenes):
            raise UsageError("give either data=, a packed set of annotated photos, or scenes=, a number of scenes to render.")
        self._require("scenes", lambda value: value >= 0, "at least 0")
        self._require("val", lambda value: not value or not self.scenes, "left out with scenes=, which have their own")
        self._require("size", lambda value: value >= 64 and not value % _MULTIPLE, "a multiple of 32 from 64 on")
        self._require("rotate", lambda value: 0 <= value <= 1, "a fraction of at most 1")
        self._require("threads", lambda value: value >= 1, "at least 1")
        self._check_shared_ranges()
        name = os.path.basename(os.path.normpath(self.data)) if self.data else "scenes"
        self.out = absolute_path(self.out or f"runs/{name}-detector".lower())
        self.data, self.val = (absolute_path(path) if path else "" for path in (self.data, self.val))

"""LFW as a verification set, from the copy that scikit-learn fetches."""

from __future__ import annotations

import os

import cv2

from gluonfr.align import get_template
from gluonfr.core import DataError, UsageError
from gluonfr.data import images
from gluonfr.detection import Detector
from gluonfr.photos.pair_sets import PairSet, make_pairs
from gluonfr.photos.reading import Photo, read_file

_LISTS = {"lfw": ("10_folds", "pairs.txt"), "lfw_dev": ("test", "pairsDevTest.txt")}
_PHOTOS = "lfw_funneled"
# On a funneled photo of 250 x 250 pixels a face fills about this part of the center.
_CENTER = 0.55


def fetch_lfw(
    out: str | os.PathLike,
    name: str = "lfw",
    data_home: str | os.PathLike | None = None,
    workers: int = 1,
    template: str = "arcface",
    detector: str | Detector | None = None,
) -> PairSet:
    """Make `lfw.bin` or `lfw_dev.bin` from the photos that scikit-learn fetches.

    The pairs keep the official order, which defines the ten folds. Where no face is found on a photo, the center of the photo
    is used, because results on another set of pairs could not be compared.

    Parameters
    ----------
    out : path
        Folder that gets NAME.bin, such as a root of data sets.
    name : {'lfw', 'lfw_dev'}
        The 6,000 pairs of view 2, or the 1,000 pairs of view 1's development test.
    data_home : path, optional
        scikit-learn's folder of data sets, searched before anything is fetched. Default: its own, `~/scikit_learn_data`.
    workers : int, default 1
        Processes.
    template, detector
        See :func:`gluonfr.photos.packing.make_cropper`.

    Returns
    -------
    PairSet
        `replaced` lists the photos of which the center was used.

    Raises
    ------
    UsageError
        Unknown name.
    DataError
        The photos are missing and cannot be fetched, or a photo of a pair is missing or damaged.

    Examples
    --------
    >>> fetch_lfw("~/.mxnet/datasets/face", workers=2).pairs  # doctest: +SKIP
    6000
    """
    if name not in _LISTS:
        raise UsageError(f"{name!r}: unknown name. Use one of {', '.join(_LISTS)}.")
    size = get_template(template).image_size
    home = _find_or_fetch(name, data_home)
    pair_list, photos = os.path.join(home, _LISTS[name][1]), os.path.join(home, _PHOTOS)
    target = os.path.join(os.path.expanduser(os.fspath(out)), f"{name}.bin")
    cropping = {"template": template, "detector": detector, "min_face": 0}
    return make_pairs(pair_list, photos, target, workers, fallback=lambda path: _crop_center(path, size), **cropping)


def _find_or_fetch(name: str, data_home: str | os.PathLike | None) -> str:
    from sklearn.datasets import fetch_lfw_pairs, get_data_home

    if data_home is not None:
        data_home = os.path.expanduser(os.fspath(data_home))
    else:
        data_home = os.environ.get("SCIKIT_LEARN_DATA") or get_data_home()
    home = os.path.join(data_home, "lfw_home")
    subset, list_name = _LISTS[name]
    if not (os.path.isfile(os.path.join(home, list_name)) and os.path.isdir(os.path.join(home, _PHOTOS))):
        try:
            fetch_lfw_pairs(subset=subset, data_home=data_home)
        except Exception as error:  # no network, a refused download, a full disk, a damaged archive
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"{home}: LFW is missing and scikit-learn could not fetch it ({reason}). Copy {list_name} and {_PHOTOS} there, "
                "or try again with a network."
            ) from error
    return home


def _crop_center(path: str, size: tuple[int, int]) -> bytes:
    pixels = Photo(read_file(path)).pixels()
    height, width = pixels.shape[:2]
    side = _CENTER * min(height / size[0], width / size[1])
    half = [max(1, round(side * length / 2)) for length in size]
    top, left = height // 2 - half[0], width // 2 - half[1]
    part = pixels[max(0, top) : top + 2 * half[0], max(0, left) : left + 2 * half[1]]
    return images.encode(cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA))

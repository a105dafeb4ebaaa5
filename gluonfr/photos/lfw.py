"""Public benchmarks as `.bin` files, from where other libraries keep them."""

from __future__ import annotations

import os

import cv2

from gluonfr.align import get_template
from gluonfr.core import GluonFRError
from gluonfr.data import images
from gluonfr.photos.pair_lists import make_pairs
from gluonfr.photos.reading import Photo, read_file

_LISTS = {"lfw": ("10_folds", "pairs.txt"), "lfw_dev": ("test", "pairsDevTest.txt")}
_PHOTOS = "lfw_funneled"
# On a funneled photo, 250 pixels a side, a face fills about this part of the middle.
_MIDDLE = 0.55


def fetch_lfw(out, name="lfw", data_home=None, workers=1, template="arcface", detector=None):
    """Make `lfw.bin` (or `lfw_dev.bin`) of the photos that scikit-learn fetches.

    The pairs come in the official order, which is that of the ten folds. A photo in which no face is found gives its
    middle instead, since a benchmark with other pairs compares with nothing.

    Parameters
    ----------
    out : str
        Folder that gets NAME.bin, such as a root of data sets.
    name : {'lfw', 'lfw_dev'}
        The 6,000 pairs of view 2 or the 1,000 of view 1's development test.
    data_home : str, default None
        scikit-learn's folder of data sets, which is asked before the network; default its own, `~/scikit_learn_data`.
    workers : int, default 1
        Processes.
    template, detector
        Of `packing.make_cropper`.

    Returns
    -------
    Paired
        `replaced` names the photos of which the middle was taken.

    Raises
    ------
    GluonFRError
        The photos are not there and cannot be fetched, or a photo of a pair is missing or damaged.
    """
    if name not in _LISTS:
        raise GluonFRError(f"{name!r}: cannot be fetched; there are {', '.join(_LISTS)}.")
    size = get_template(template).image_size
    home = _find(name, data_home)
    pair_list, photos = os.path.join(home, _LISTS[name][1]), os.path.join(home, _PHOTOS)
    target = os.path.join(os.path.expanduser(os.fspath(out)), f"{name}.bin")
    cropping = {"template": template, "detector": detector, "min_face": 0}
    return make_pairs(pair_list, photos, target, workers, instead=lambda path: _middle(path, size), **cropping)


def _find(name, data_home):
    from sklearn.datasets import fetch_lfw_pairs, get_data_home

    data_home = os.path.expanduser(os.fspath(data_home)) if data_home is not None else None
    if data_home is None:
        data_home = os.environ.get("SCIKIT_LEARN_DATA") or get_data_home()
    home = os.path.join(data_home, "lfw_home")
    subset, list_name = _LISTS[name]
    if not (os.path.isfile(os.path.join(home, list_name)) and os.path.isdir(os.path.join(home, _PHOTOS))):
        try:
            fetch_lfw_pairs(subset=subset, data_home=data_home)
        # No network, a refused download, a full disk, a broken archive.
        except Exception as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise GluonFRError(
                f"{home}: LFW is not there and scikit-learn could not fetch it ({why}); copy its {list_name} and "
                f"{_PHOTOS} there, or try again with a network."
            ) from error
    return home


def _middle(path, size):
    pixels = Photo(read_file(path)).pixels()
    height, width = pixels.shape[:2]
    side = _MIDDLE * min(height / size[0], width / size[1])
    half = [max(1, round(side * length / 2)) for length in size]
    top, left = height // 2 - half[0], width // 2 - half[1]
    part = pixels[max(0, top) : top + 2 * half[0], max(0, left) : left + 2 * half[1]]
    return images.encode(cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA))

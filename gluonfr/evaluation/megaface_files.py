"""MegaFace's files: a feature a file, lists of images, lists of noise."""

from __future__ import annotations

import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from gluonfr.core import GluonFRError, atomic_file, require_file

# A column of 32-bit floats, as OpenCV writes matrices: rows, columns, bytes a row, type.
_COLUMNS, _STRIDE, _TYPE = 1, 4, 5
_HEADER = 16
_LONGEST = 1 << 20
_AT_ONCE = 4096


def write_feature(path, feature) -> None:
    """Write one feature as the MegaFace devkit reads it: 4 int32 (D, 1, 4, 5), then D float32, little-endian.

    Parameters
    ----------
    path : str
        Usually IMAGE_NAME.bin; missing folders are made.
    feature : array-like, (D,) float
    """
    feature = np.asarray(feature)
    if feature.ndim != 1 or not 0 < len(feature) <= _LONGEST or not np.isfinite(feature).all():
        raise GluonFRError(f"{path}: a feature is (D,) finite numbers, got {feature.shape}; write one face a file.")
    with atomic_file(path) as file:
        file.write(np.array([len(feature), _COLUMNS, _STRIDE, _TYPE], dtype="<i4").tobytes())
        file.write(feature.astype("<f4").tobytes())


def read_feature(path):
    """(D,) float32 of a feature file; GluonFRError where it is missing, cut off or something else."""
    path = require_file(path, "MegaFace feature")
    with open(path, "rb") as file:
        content = file.read(_HEADER + 4 * _LONGEST + 1)
    header = np.frombuffer(content[:_HEADER], dtype="<i4") if len(content) >= _HEADER else np.zeros(4, "<i4")
    size = int(header[0])
    if header[1:].tolist() != [_COLUMNS, _STRIDE, _TYPE] or not 0 < size <= _LONGEST:
        raise GluonFRError(f"{path} is no MegaFace feature: it must begin with the int32 D, 1, 4, 5; write it again.")
    if len(content) != _HEADER + 4 * size:
        raise GluonFRError(f"{path} is cut off or too long: {len(content)} bytes for {size} numbers; write it again.")
    feature = np.frombuffer(content, dtype="<f4", offset=_HEADER).astype(np.float32)
    if not np.isfinite(feature).all():
        raise GluonFRError(f"{path} holds NaN or infinity; write it again.")
    return feature


def read_features(paths, progress=None):
    """Read many feature files, all of one size.

    Parameters
    ----------
    paths : sequence of str
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    float32 (len(paths), D)
    """
    if not len(paths):
        raise GluonFRError("there are no feature files to read; check the list and the ending of their names.")
    first = read_feature(paths[0])
    features = np.empty((len(paths), len(first)), dtype=np.float32)

    def read(number) -> None:
        feature = read_feature(paths[number])
        if len(feature) != len(first):
            raise GluonFRError(f"{paths[number]} has {len(feature)} numbers, {paths[0]} {len(first)}; use one network for all.")
        features[number] = feature

    bar = tqdm(total=len(paths), desc=progress, unit="file", disable=None if progress else True, leave=False)
    # Opening files waits for the disk, not for the processor. All at once, a million tasks would take more than the features.
    with bar, ThreadPoolExecutor(8) as pool:
        for start in range(0, len(paths), _AT_ONCE):
            for _ in pool.map(read, range(start, min(start + _AT_ONCE, len(paths)))):
                bar.update()
    return features


def read_image_list(path):
    """Images of a list: the devkit's JSON `{"path": [...], "id": [...]}`, or text with a path a line.

    Returns
    -------
    images : list of str
        Paths with `/`, as they stand in the list.
    ids : list of str or None
        Of the people, where the list has them.
    """
    path = require_file(path, "list of images")
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        text = file.read()
    if not text.lstrip().startswith("{"):
        return [line.strip() for line in text.splitlines() if line.strip()], None
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise GluonFRError(f"{path} is no list of images: its JSON is damaged ({error}); fetch it again.") from error
    images, ids = listed.get("path"), listed.get("id")
    right = isinstance(images, list) and all(isinstance(each, str) for each in images)
    named = ids is None or (isinstance(ids, list) and all(isinstance(each, (str, int)) for each in ids))
    if not right or not named or (ids is not None and len(ids) != len(images)):
        raise GluonFRError(f'{path} is no list of images: it needs "path", and "id" of the same length if any; fetch it again.')
    return images, None if ids is None else [str(each) for each in ids]


def read_noise_list(path):
    """The noisy images of one of InsightFace's lists: text with an image a line, after a tab where there is one.

    Returns
    -------
    set of str
    """
    path = require_file(path, "list of noisy images")
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        lines = [line.strip() for line in file]
    return {line.split("\t")[1] if "\t" in line else line for line in lines if line and not line.startswith("#")}


def _last(path, parts):
    return "/".join(path.replace("\\", "/").split("/")[-parts:])


class FeatureFolder:
    """The features of listed images in a folder: FOLDER/IMAGE + ending, IMAGE being the last parts of the listed path.

    Parameters
    ----------
    folder : str
    ending : str
        Such as "_y1.bin".
    image_list : str, optional
        See :func:`read_image_list`. Without one, all files with the ending, in order of their paths.
    parts : int
        How many parts of a listed path name an image: 2 for FaceScrub (PERSON/FILE), 3 for MegaFace (a/b/FILE).
    noise_list : str, optional
        See :func:`read_noise_list`; names images by their last part or by all of `parts`.

    Attributes
    ----------
    images : list of str
        Their paths below the folder, without the ending, joined by `/`.
    noisy : (N,) bool or None

    Raises
    ------
    GluonFRError
        No such folder, no features, an image that stands in the list twice, or a noise list none of whose images is here.
    """

    def __init__(self, folder, ending, image_list=None, parts=2, noise_list=None) -> None:
        self._folder, self._ending = os.path.abspath(os.path.expanduser(os.fspath(folder))), ending
        if not os.path.isdir(self._folder):
            raise GluonFRError(f"{self._folder} is no folder: give the one that holds the features.")
        if image_list:
            listed, self._ids = read_image_list(image_list)
            self.images = [_last(image, parts) for image in listed]
        else:
            self.images, self._ids = self._found(), None
        if not self.images:
            raise GluonFRError(f"{image_list or self._folder}: no image there (features end in {ending}); check the ending.")
        ((twice, count),) = Counter(self.images).most_common(1)
        if count > 1:
            raise GluonFRError(f"{image_list or self._folder}: {twice} stands there twice; remove one of the two.")
        self.noisy = None if noise_list is None else self._marked(noise_list, parts)

    @property
    def ids(self):
        """List of str: the list's, or else the folders that the images lie in; GluonFRError where one lies in none."""
        if self._ids is not None:
            return self._ids
        loose = next((image for image in self.images if "/" not in image), None)
        if loose is not None:
            raise GluonFRError(
                f"{self._folder}: {loose} lies in no person's folder; put the features into one for each person."
            )
        return [image.rsplit("/", 2)[-2] for image in self.images]

    def read(self, progress=None):
        """float32 (N, D), in the order of `images`."""
        return read_features([os.path.join(self._folder, image + self._ending) for image in self.images], progress)

    def _found(self):
        found = []
        for folder, inside, names in os.walk(self._folder):
            inside.sort()
            below = os.path.relpath(folder, self._folder).replace(os.sep, "/")
            below = "" if below == os.curdir else below + "/"
            chosen = sorted(name for name in names if name.endswith(self._ending))
            found += [below + name[: len(name) - len(self._ending)] for name in chosen]
        return found

    def _marked(self, noise_list, parts):
        noises = read_noise_list(noise_list)
        noisy = np.array([_last(image, parts) in noises or _last(image, 1) in noises for image in self.images])
        if noises and not noisy.any():
            raise GluonFRError(
                f"{noise_list} names none of the images in {self._folder}: it is another set's; give the right one."
            )
        return noisy

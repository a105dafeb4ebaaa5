"""Files of the MegaFace protocol: feature files, lists of images, and lists of noisy images."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Sequence

import numpy as np
from tqdm import tqdm

from gluonfr.core import DataError, UsageError, atomic_file, require_file
from gluonfr.core.reading import parse_json

# A column of float32 as OpenCV writes matrices: number of columns, bytes per row, type.
_COLUMNS, _STRIDE, _TYPE = 1, 4, 5
_HEADER = 16
_LONGEST = 1 << 20
_BLOCK = 4096


def write_feature(path: str, feature: np.ndarray) -> None:
    """Write a feature file of the MegaFace devkit: int32 D, 1, 4, 5, then D float32, little-endian.

    Parameters
    ----------
    path : str
        Usually the image's name + '.bin'; missing folders are created.
    feature : array-like, (D,)
        Finite numbers.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "1.jpg_y1.bin")
    >>> write_feature(path, [0.6, 0.8])
    >>> read_feature(path).tolist(), os.path.getsize(path)
    ([0.6000000238418579, 0.800000011920929], 24)
    """
    feature = np.asarray(feature)
    if feature.ndim != 1 or not 0 < len(feature) <= _LONGEST or not np.isfinite(feature).all():
        raise UsageError(f"{path}: a feature must be (D,) finite numbers, got shape {feature.shape}. Write one face per file.")
    with atomic_file(path) as file:
        file.write(np.array([len(feature), _COLUMNS, _STRIDE, _TYPE], dtype="<i4").tobytes())
        file.write(feature.astype("<f4").tobytes())


def read_feature(path: str) -> np.ndarray:
    """Read a feature file as float32 (D,); raises DataError when it is missing, truncated or of another kind.

    Examples
    --------
    >>> read_feature("facescrub/ann/1.png_y1.bin").shape  # doctest: +SKIP
    (128,)
    """
    path = require_file(path, "MegaFace feature")
    with open(path, "rb") as file:
        content = file.read(_HEADER + 4 * _LONGEST + 1)
    header = np.frombuffer(content[:_HEADER], dtype="<i4") if len(content) >= _HEADER else np.zeros(4, "<i4")
    size = int(header[0])
    if header[1:].tolist() != [_COLUMNS, _STRIDE, _TYPE] or not 0 < size <= _LONGEST:
        raise DataError(f"{path}: not a MegaFace feature, which starts with the int32 D, 1, 4, 5. Write it again.")
    if len(content) != _HEADER + 4 * size:
        raise DataError(f"{path}: expected {_HEADER + 4 * size:,} bytes, found {len(content):,}. Write it again.")
    feature = np.frombuffer(content, dtype="<f4", offset=_HEADER).astype(np.float32)
    if not np.isfinite(feature).all():
        raise DataError(f"{path} contains NaN or infinity. Write it again.")
    return feature


def read_features(paths: Sequence[str], progress: str | None = None) -> np.ndarray:
    """Read feature files of one size.

    Parameters
    ----------
    paths : sequence of str
    progress : str, optional
        Label of a progress bar.

    Returns
    -------
    np.ndarray, float32 (len(paths), D)

    Examples
    --------
    >>> read_features(["features/1.jpg_y1.bin", "features/2.jpg_y1.bin"]).shape  # doctest: +SKIP
    (2, 128)
    """
    if not len(paths):
        raise DataError("there are no feature files to read. Check the list of images and the ending of the file names.")
    first = read_feature(paths[0])
    features = np.empty((len(paths), len(first)), dtype=np.float32)

    def read(number: int) -> None:
        feature = read_feature(paths[number])
        if len(feature) != len(first):
            raise DataError(f"{paths[number]} has {len(feature)} numbers, but {paths[0]} has {len(first)}. Use one network.")
        features[number] = feature

    bar = tqdm(total=len(paths), desc=progress, unit="file", disable=None if progress else True, leave=False)
    # Threads hide the latency of the disk. In blocks, because a million tasks at once need more memory than the features.
    with bar, ThreadPoolExecutor(8) as pool:
        for start in range(0, len(paths), _BLOCK):
            for _ in pool.map(read, range(start, min(start + _BLOCK, len(paths)))):
                bar.update()
    return features


def read_image_list(path: str) -> tuple[list[str], list[str] | None]:
    """Read a list of images: the devkit's JSON `{"path": [...], "id": [...]}`, or text with one path per line.

    Returns
    -------
    images : list of str
        Paths with `/`, as in the list.
    ids : list of str or None
        People of the images, if the list has them.

    Examples
    --------
    >>> read_image_list("facescrub_features_list.json")  # doctest: +SKIP
    (['Ann_Lee/1.png', 'Ann_Lee/2.png'], ['Ann_Lee', 'Ann_Lee'])
    """
    path = require_file(path, "list of images")
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        text = file.read()
    if not text.lstrip().startswith("{"):
        return [line.strip() for line in text.splitlines() if line.strip()], None
    try:
        listed = parse_json(text, path)
    except ValueError as error:
        raise DataError(f"{path}: damaged JSON ({error}). Download the list again.") from error
    images, ids = listed.get("path"), listed.get("id")
    valid = isinstance(images, list) and all(isinstance(image, str) for image in images)
    if valid and ids is not None:
        valid = isinstance(ids, list) and len(ids) == len(images) and all(isinstance(person, (str, int)) for person in ids)
    if not valid:
        raise DataError(f'{path}: not a list of images; it needs "path", and optionally "id" of the same length.')
    return images, None if ids is None else [str(person) for person in ids]


def read_noise_list(path: str) -> set[str]:
    r"""Read one of InsightFace's lists of noisy images: one image per line, after a tab if the line has one.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "noises.txt")
    >>> with open(path, "w") as file:
    ...     _ = file.write("# noisy images\nann_1.png\n7\tbob_2.png\n")
    >>> sorted(read_noise_list(path))
    ['ann_1.png', 'bob_2.png']
    """
    path = require_file(path, "list of noisy images")
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        lines = [line.strip() for line in file]
    return {line.split("\t")[1] if "\t" in line else line for line in lines if line and not line.startswith("#")}


def _last_parts(path: str, parts: int) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-parts:])


class FeatureFolder:
    """Feature files of listed images: FOLDER/IMAGE + ending, where IMAGE is the end of the listed path.

    Parameters
    ----------
    folder : str
    ending : str
        Such as '_y1.bin'.
    image_list : str, optional
        See :func:`read_image_list`; by default all files with the ending, sorted by path.
    parts : int, default 2
        Number of path components that name an image: 2 for FaceScrub (PERSON/FILE), 3 for MegaFace (a/b/FILE).
    noise_list : str, optional
        See :func:`read_noise_list`; it names images by their last component or by all `parts`.

    Attributes
    ----------
    images : list of str
        Paths below the folder, without the ending, joined by `/`.
    noisy : np.ndarray, bool (N,), or None

    Raises
    ------
    DataError
        There is no such folder, it has no features, an image is listed twice, or the noise list names none of the images.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> write_feature(folder + "/ann/1.png_y1.bin", [0.6, 0.8])
    >>> features = FeatureFolder(folder, "_y1.bin")
    >>> features.images, features.ids, features.read().shape
    (['ann/1.png'], ['ann'], (1, 2))
    """

    def __init__(
        self, folder: str, ending: str, image_list: str | None = None, parts: int = 2, noise_list: str | None = None
    ) -> None:
        self._folder, self._ending = os.path.abspath(os.path.expanduser(os.fspath(folder))), ending
        if not os.path.isdir(self._folder):
            raise DataError(f"{self._folder}: no such folder. Give the folder of the features.")
        self._ids: list[str] | None = None
        if image_list:
            listed, self._ids = read_image_list(image_list)
            self.images = [_last_parts(image, parts) for image in listed]
        else:
            self.images = self._find()
        source = image_list or self._folder
        if not self.images:
            raise DataError(f"{source} contains no image whose feature file ends in {ending}. Check the ending.")
        ((image, count),) = Counter(self.images).most_common(1)
        if count > 1:
            raise DataError(f"{source}: {image} is listed {count} times. Remove the duplicates.")
        self.noisy = None if noise_list is None else self._mark_noisy(noise_list, parts)

    def __repr__(self) -> str:
        return f"FeatureFolder({self._folder!r}, {len(self.images):,} images)"

    @property
    def ids(self) -> list[str]:
        """People of the images: those of the list, or else the names of the folders of the images."""
        if self._ids is not None:
            return self._ids
        loose = next((image for image in self.images if "/" not in image), None)
        if loose is not None:
            raise DataError(f"{self._folder}: {loose} is in no person's folder. Use one folder of features per person.")
        return [image.rsplit("/", 2)[-2] for image in self.images]

    def read(self, progress: str | None = None) -> np.ndarray:
        """Read the features as float32 (N, D), in the order of `images`."""
        return read_features([os.path.join(self._folder, image + self._ending) for image in self.images], progress)

    def _find(self) -> list[str]:
        found = []
        for folder, subfolders, names in os.walk(self._folder):
            subfolders.sort()
            below = os.path.relpath(folder, self._folder).replace(os.sep, "/")
            below = "" if below == os.curdir else below + "/"
            matching = sorted(name for name in names if name.endswith(self._ending))
            found += [below + name[: len(name) - len(self._ending)] for name in matching]
        return found

    def _mark_noisy(self, noise_list: str, parts: int) -> np.ndarray:
        noises = read_noise_list(noise_list)
        noisy = np.array([_last_parts(image, parts) in noises or _last_parts(image, 1) in noises for image in self.images])
        if noises and not noisy.any():
            raise DataError(f"{noise_list} names none of the images in {self._folder}. Give the noise list of this set.")
        return noisy

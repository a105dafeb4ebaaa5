"""Random changes of training images."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import partial
from math import cos, exp, log, pi, radians, sin, sqrt
from typing import Any, Callable, Sequence

import cv2
import numpy as np

from gluonfr.core import Registry, UsageError
from gluonfr.data.loading.degradations import blurred, noisy, recompressed

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]

_BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}
_LUMA = np.array([0.299, 0.587, 0.114])
_GRAY = np.tile(_LUMA, (3, 1))
_CHROMA = np.eye(3) - _GRAY
_TO_YIQ = np.array([_LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
# Rotating the colors by an angle at constant luma is _GRAY + cos(angle) * _CHROMA + sin(angle) * _QUARTER_TURN.
_QUARTER_TURN = np.linalg.inv(_TO_YIQ) @ np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ _TO_YIQ

_PROBABILITIES = ("flip", "geometric", "crop", "color", "gray", "blur", "low_resolution", "jpeg", "noise", "cutout")
_STRENGTHS = {"rotation": 180, "scale": 0.9, "translation": 1, "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5}
_RANGES = {
    "crop_area": (0.01, 1),
    "blur_sigma": (0.1, 20),
    "low_resolution_scale": (0.01, 1),
    "jpeg_quality": (1, 100),
    "noise_sigma": (0, 100),
    "cutout_area": (0, 1),
}


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training image, all off by default: ``augmentation(image, rng) -> image``.

    The image is uint8 (H, W, 3) RGB of any size and is not modified. The result has the same shape and dtype; it may be the
    image itself when nothing changed. All random numbers come from `rng`, in a fixed order and number. So the result depends
    on `rng` alone, and switching one change on does not alter the others.

    Probabilities are in [0, 1]. A strength `s` means a value drawn uniformly from [-s, s]; for `scale`, `brightness`,
    `contrast` and `saturation` it means a factor from [1 - s, 1 + s]. Ranges are (low, high), drawn uniformly.

    Parameters
    ----------
    flip : float, default 0
        Probability of a horizontal flip.
    geometric : float, default 1
        Probability of rotation, scale and translation.
    rotation, scale, translation : float, default 0
        Strengths, in degrees, as a factor, and as a fraction of the side.
    crop : float, default 0
        Probability of a crop of `crop_area`, a fraction of the area, with the image's own aspect ratio at a random place, which
        is enlarged to the full size. Rotation, scale, translation and crop are one bilinear resampling.
    border : {'reflect', 'replicate', 'black'}
        How to fill pixels outside the image.
    color : float, default 1
        Probability of brightness, contrast, saturation and hue.
    brightness, contrast, saturation, hue : float, default 0
        Strengths. Contrast preserves the mean luma; hue is a fraction of the full circle. They are one linear map of the
        colors.
    gray : float, default 0
        Probability of removing the color.
    blur, low_resolution, noise, jpeg, cutout : float, default 0
        Probabilities of a Gaussian blur with `blur_sigma` in pixels; of shrinking to `low_resolution_scale` of each side and
        enlarging again; of additive Gaussian noise per channel with `noise_sigma` in gray levels; of JPEG compression at
        `jpeg_quality`; and of a rectangle of one random color over `cutout_area` of the image, sometimes partly outside.

    Examples
    --------
    >>> augmentation = Augmentation(flip=0.5, rotation=8)
    >>> augmentation(np.zeros((112, 112, 3), np.uint8), np.random.default_rng(0)).shape
    (112, 112, 3)
    """

    flip: float = 0.0
    geometric: float = 1.0
    rotation: float = 0.0
    scale: float = 0.0
    translation: float = 0.0
    crop: float = 0.0
    crop_area: tuple[float, float] = (0.6, 1.0)
    border: str = "reflect"
    color: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    gray: float = 0.0
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.4, 1.8)
    low_resolution: float = 0.0
    low_resolution_scale: tuple[float, float] = (0.25, 0.8)
    noise: float = 0.0
    noise_sigma: tuple[float, float] = (2.0, 12.0)
    jpeg: float = 0.0
    jpeg_quality: tuple[int, int] = (25, 90)
    cutout: float = 0.0
    cutout_area: tuple[float, float] = (0.02, 0.2)
    _resamples: bool = field(init=False, repr=False, compare=False, default=False)
    _recolors: bool = field(init=False, repr=False, compare=False, default=False)

    def __post_init__(self) -> None:
        for name in _PROBABILITIES:
            self._check(name, _is_number(getattr(self, name), 0, 1), "a probability from 0 to 1")
        for name, limit in _STRENGTHS.items():
            self._check(name, _is_number(getattr(self, name), 0, limit), f"a strength from 0 to {limit}")
        for name, (low, high) in _RANGES.items():
            pair = getattr(self, name)
            valid = isinstance(pair, (tuple, list)) and len(pair) == 2 and all(_is_number(value, low, high) for value in pair)
            self._check(name, valid and pair[0] <= pair[1], f"a pair (low, high) within {low} to {high}")
            object.__setattr__(self, name, tuple(pair))
        self._check("border", self.border in _BORDERS, "one of " + ", ".join(map(repr, _BORDERS)))
        object.__setattr__(self, "_resamples", any((self.rotation, self.scale, self.translation, self.crop)))
        object.__setattr__(self, "_recolors", any((self.brightness, self.contrast, self.saturation, self.hue, self.gray)))

    def _check(self, name: str, valid: bool, expected: str) -> None:
        if not valid:
            raise UsageError(f"{name}={getattr(self, name)!r} of an augmentation must be {expected}.")

    def __repr__(self) -> str:
        changed = (one.name for one in fields(self) if one.init and getattr(self, one.name) != one.default)
        return "Augmentation(%s)" % ", ".join(f"{name}={getattr(self, name)!r}" for name in changed)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the changed image, or the image itself when nothing changes."""
        if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3):
            raise UsageError(f"an augmentation needs a uint8 image (H, W, 3), got {describe(image)}.")
        draws = rng.random(35).tolist()
        if draws[0] < self.flip:
            image = cv2.flip(image, 1)
        if self._resamples:
            image = self._resample(image, draws[1:10])
        if draws[10] < self.cutout:
            image = self._cut_out(image, draws[11:18])
        if self._recolors:
            image = self._recolor(image, draws[18:24])
        if draws[24] < self.blur:
            image = blurred(image, _between(self.blur_sigma, draws[25]))
        if draws[26] < self.low_resolution:
            image = self._coarsen(image, draws[27:30])
        if draws[30] < self.noise:
            image = noisy(image, _between(self.noise_sigma, draws[31]), draws[32])
        if draws[33] < self.jpeg:
            image = recompressed(image, round(_between(self.jpeg_quality, draws[34])))
        return image

    def _resample(self, image: np.ndarray, draws: list[float]) -> np.ndarray:
        height, width = image.shape[:2]
        angle, factor, right, down, zoom = 0.0, 1.0, 0.0, 0.0, 1.0
        if draws[0] < self.geometric:
            angle = radians(_around(self.rotation, draws[1]))
            factor = 1 + _around(self.scale, draws[2])
            right, down = width * _around(self.translation, draws[3]), height * _around(self.translation, draws[4])
        if draws[5] < self.crop:
            zoom = sqrt(_between(self.crop_area, draws[6]))
            right += (width - 1) * (draws[7] - 0.5) * (1 - zoom)
            down += (height - 1) * (draws[8] - 0.5) * (1 - zoom)
        if angle == 0 and factor == 1 and right == 0 and down == 0 and zoom == 1:
            return image
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        a, b = cos(angle) * zoom / factor, sin(angle) * zoom / factor
        # The source of each pixel of the result: source = middle + shift + zoom / factor * rotation (pixel - middle).
        inverse = np.array(
            [
                [a, b, middle_x + right - a * middle_x - b * middle_y],
                [-b, a, middle_y + down + b * middle_x - a * middle_y],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, inverse, (width, height), flags=flags, borderMode=_BORDERS[self.border])

    def _cut_out(self, image: np.ndarray, draws: list[float]) -> np.ndarray:
        height, width = image.shape[:2]
        area, aspect = _between(self.cutout_area, draws[0]), exp((2 * draws[1] - 1) * log(2.5))
        half_x, half_y = sqrt(area * aspect) * width / 2, sqrt(area / aspect) * height / 2
        x, y = draws[2] * width, draws[3] * height
        corners = (int(x - half_x), int(y - half_y)), (int(x + half_x), int(y + half_y))
        return cv2.rectangle(image.copy(), *corners, [int(256 * draw) for draw in draws[4:7]], -1)

    def _recolor(self, image: np.ndarray, draws: list[float]) -> np.ndarray:
        gain = contrast = saturation = 1.0
        hue = 0.0
        if draws[0] < self.color:
            gain = 1 + _around(self.brightness, draws[1])
            contrast = 1 + _around(self.contrast, draws[2])
            saturation = 1 + _around(self.saturation, draws[3])
            hue = _around(self.hue, draws[4])
        if draws[5] < self.gray:
            saturation = 0.0
        if gain == 1 and contrast == 1 and saturation == 1 and hue == 0:
            return image
        matrix = np.zeros((3, 4))
        matrix[:, :3] = _GRAY + saturation * cos(2 * pi * hue) * _CHROMA
        if hue:
            matrix[:, :3] += saturation * sin(2 * pi * hue) * _QUARTER_TURN
        matrix *= gain * contrast
        if contrast != 1:
            red, green, blue, _ = cv2.mean(image)
            matrix[:, 3] = gain * (1 - contrast) * (0.299 * red + 0.587 * green + 0.114 * blue)
        return cv2.transform(image, matrix)

    def _coarsen(self, image: np.ndarray, draws: list[float]) -> np.ndarray:
        height, width = image.shape[:2]
        fraction = _between(self.low_resolution_scale, draws[0])
        small = max(1, round(width * fraction)), max(1, round(height * fraction))
        shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA if draws[1] < 0.5 else cv2.INTER_LINEAR)
        return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC if draws[2] < 0.5 else cv2.INTER_LINEAR)


def describe(image: Any) -> str:
    """Return the words for a value that was given instead of an image.

    Examples
    --------
    >>> describe(np.zeros((4, 4)))
    '(4, 4) of float64'
    """
    return f"{image.shape} of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _around(strength: float, draw: float) -> float:
    return strength * (2 * draw - 1)


def _between(pair: Sequence[float], draw: float) -> float:
    return pair[0] + (pair[1] - pair[0]) * draw


_presets = Registry("augmentation")
_presets.register("none")(Augmentation)
_presets.register("flip")(partial(Augmentation, flip=0.5))
_presets.register("standard")(
    partial(
        Augmentation,
        flip=0.5,
        rotation=8,
        scale=0.08,
        translation=0.03,
        color=0.8,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
    )
)
_presets.register("strong")(
    partial(
        Augmentation,
        flip=0.5,
        rotation=14,
        scale=0.15,
        translation=0.05,
        crop=0.2,
        color=0.8,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.03,
        gray=0.15,
        blur=0.2,
        low_resolution=0.3,
        noise=0.2,
        jpeg=0.2,
        cutout=0.5,
    )
)


def get_augmentation(name: str | Augment | None, **changes: Any) -> Augment:
    """Return an augmentation by name.

    Parameters
    ----------
    name : str, Augmentation, callable or None
        'none', 'flip', 'standard' (flip, mild geometry and color) or 'strong' (all changes, for small data sets). None means
        'none'. Without `changes`, an :class:`Augmentation` or another callable ``(image, rng) -> image`` is returned as it is.
    **changes
        Parameters of :class:`Augmentation` that replace those of the named one.

    Raises
    ------
    UsageError
        The name or a parameter is unknown, or a value is out of range.

    Examples
    --------
    >>> get_augmentation("flip")
    Augmentation(flip=0.5)
    >>> get_augmentation("flip", low_resolution=1, low_resolution_scale=(0.18, 0.18))
    Augmentation(flip=0.5, low_resolution=1, low_resolution_scale=(0.18, 0.18))
    """
    augmentation = name if callable(name) else _presets.get("none" if name is None else name)()
    if not changes:
        return augmentation
    known = [one.name for one in fields(Augmentation) if one.init]
    unknown = sorted(changes.keys() - set(known))
    if unknown or not isinstance(augmentation, Augmentation):
        names = ", ".join(unknown or changes)
        raise UsageError(f"augmentation {name!r} has no argument {names!r}; it accepts {', '.join(known)}.")
    return replace(augmentation, **changes)


def get_augmentation_list() -> list[str]:
    """List the names that :func:`get_augmentation` knows, sorted.

    Examples
    --------
    >>> get_augmentation_list()
    ['flip', 'none', 'standard', 'strong']
    """
    return _presets.names()

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache, partial
from math import cos, exp, log, pi, radians, sin, sqrt

import cv2
import numpy as np

from gluonfr.core import GluonFRError, Registry, generator

_BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}
_LUMA = np.array([0.299, 0.587, 0.114])
_GREY = np.tile(_LUMA, (3, 1))
_CHROMA = np.eye(3) - _GREY
_TO_YIQ = np.array([_LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
# Turning the colors by an angle, with the luma kept, is _GREY + cos(angle) * _CHROMA + sin(angle) * _QUARTER_TURN.
_QUARTER_TURN = np.linalg.inv(_TO_YIQ) @ np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ _TO_YIQ

_PROBABILITIES = ("flip", "geometric", "crop", "color", "grey", "blur", "low_resolution", "jpeg", "noise", "cutout")
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
    """Random changes of a training image, all off unless asked for: ``augmentation(image, rng) -> image``.

    `image` is HWC uint8 RGB, any size, and is never written to; the result has the same shape and dtype and may be `image`
    itself when nothing happened. Everything is drawn from `rng`, a fixed number of draws in fixed places, so that the
    outcome depends on `rng` alone and switching one change on leaves the others as they were. Instances can be pickled,
    compared and printed.

    Probabilities lie in [0, 1]. A strength `s` stands for a value uniform in [-s, s] (for `scale`, `brightness`,
    `contrast` and `saturation`: a factor in [1 - s, 1 + s]). Ranges are (low, high) and drawn uniformly.

    Parameters
    ----------
    flip : float
        Probability of the mirror image.
    geometric : float, default 1
        Probability that rotation, scale and translation are drawn.
    rotation, scale, translation : float
        Degrees, fraction, and fraction of the side.
    crop : float
        Probability of cutting out `crop_area`, a fraction of the area with the image's own aspect, anywhere inside, enlarged
        to the full size. Rotation, scale, translation and crop are one bilinear resampling together.
    border : 'reflect', 'replicate' or 'black'
        What stands where the resampled image has no pixels.
    color : float, default 1
        Probability that brightness, contrast, saturation and hue are drawn.
    brightness, contrast, saturation, hue : float
        Strengths; contrast keeps the mean luma, hue is a fraction of the full circle. They are one linear map of the colors.
    grey : float
        Probability of taking the color away.
    blur, low_resolution, noise, jpeg, cutout : float
        Probabilities of: Gaussian blur, `blur_sigma` in pixels; shrinking to `low_resolution_scale` of each side and
        enlarging again; additive Gaussian noise a channel, `noise_sigma` in grey levels; JPEG compression at
        `jpeg_quality`; a rectangle of one random color that covers `cutout_area` of the image, partly outside at times.
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
    grey: float = 0.0
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

    def __post_init__(self):
        for name in _PROBABILITIES:
            self._check(name, _is_number(getattr(self, name), 0, 1), "a probability from 0 to 1")
        for name, limit in _STRENGTHS.items():
            self._check(name, _is_number(getattr(self, name), 0, limit), f"a strength from 0 to {limit}")
        for name, (low, high) in _RANGES.items():
            pair = getattr(self, name)
            right = isinstance(pair, (tuple, list)) and len(pair) == 2 and all(_is_number(each, low, high) for each in pair)
            self._check(name, right and pair[0] <= pair[1], f"a pair (low, high) within {low} to {high}")
            object.__setattr__(self, name, tuple(pair))
        self._check("border", self.border in _BORDERS, "one of " + ", ".join(map(repr, _BORDERS)))
        object.__setattr__(self, "_resamples", any((self.rotation, self.scale, self.translation, self.crop)))
        object.__setattr__(self, "_recolors", any((self.brightness, self.contrast, self.saturation, self.hue, self.grey)))

    def _check(self, name, right, wanted) -> None:
        if not right:
            raise GluonFRError(f"{name}={getattr(self, name)!r} of an augmentation must be {wanted}.")

    def __repr__(self) -> str:
        changed = (each.name for each in fields(self) if getattr(self, each.name) != each.default)
        return "Augmentation(%s)" % ", ".join(f"{name}={getattr(self, name)!r}" for name in changed)

    def __call__(self, image, rng):
        if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3):
            raise GluonFRError(f"an augmentation takes an image (H, W, 3) of uint8, got {describe(image)}.")
        draws = rng.random(35).tolist()
        if draws[0] < self.flip:
            image = cv2.flip(image, 1)
        if self._resamples:
            image = self._resample(image, draws[1:10])
        if draws[10] < self.cutout:
            image = self._cut(image, draws[11:18])
        if self._recolors:
            image = self._recolor(image, draws[18:24])
        if draws[24] < self.blur:
            image = _blurred(image, _between(self.blur_sigma, draws[25]))
        if draws[26] < self.low_resolution:
            image = self._coarsen(image, draws[27:30])
        if draws[30] < self.noise:
            image = _noisy(image, _between(self.noise_sigma, draws[31]), draws[32])
        if draws[33] < self.jpeg:
            image = _recompressed(image, round(_between(self.jpeg_quality, draws[34])))
        return image

    def _resample(self, image, draws):
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
        # Where each pixel of the result comes from: source = middle + shift + zoom / factor * rotation (pixel - middle).
        inverse = np.array(
            [
                [a, b, middle_x + right - a * middle_x - b * middle_y],
                [-b, a, middle_y + down + b * middle_x - a * middle_y],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, inverse, (width, height), flags=flags, borderMode=_BORDERS[self.border])

    def _cut(self, image, draws):
        height, width = image.shape[:2]
        area, aspect = _between(self.cutout_area, draws[0]), exp((2 * draws[1] - 1) * log(2.5))
        half_x, half_y = sqrt(area * aspect) * width / 2, sqrt(area / aspect) * height / 2
        x, y = draws[2] * width, draws[3] * height
        corners = (int(x - half_x), int(y - half_y)), (int(x + half_x), int(y + half_y))
        return cv2.rectangle(image.copy(), *corners, [int(256 * each) for each in draws[4:7]], -1)

    def _recolor(self, image, draws):
        gain = contrast = saturation = 1.0
        hue = 0.0
        if draws[0] < self.color:
            gain = 1 + _around(self.brightness, draws[1])
            contrast = 1 + _around(self.contrast, draws[2])
            saturation = 1 + _around(self.saturation, draws[3])
            hue = _around(self.hue, draws[4])
        if draws[5] < self.grey:
            saturation = 0.0
        if gain == 1 and contrast == 1 and saturation == 1 and hue == 0:
            return image
        matrix = np.zeros((3, 4))
        matrix[:, :3] = _GREY + saturation * cos(2 * pi * hue) * _CHROMA
        if hue:
            matrix[:, :3] += saturation * sin(2 * pi * hue) * _QUARTER_TURN
        matrix *= gain * contrast
        if contrast != 1:
            red, green, blue, _ = cv2.mean(image)
            matrix[:, 3] = gain * (1 - contrast) * (0.299 * red + 0.587 * green + 0.114 * blue)
        return cv2.transform(image, matrix)

    def _coarsen(self, image, draws):
        height, width = image.shape[:2]
        fraction = _between(self.low_resolution_scale, draws[0])
        small = max(1, round(width * fraction)), max(1, round(height * fraction))
        shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA if draws[1] < 0.5 else cv2.INTER_LINEAR)
        return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC if draws[2] < 0.5 else cv2.INTER_LINEAR)


def _is_number(value, low, high):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def describe(image):
    """What was given instead of an image, for a message."""
    return f"{image.shape} of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__


def _around(strength, draw):
    return strength * (2 * draw - 1)


def _between(pair, draw):
    return pair[0] + (pair[1] - pair[0]) * draw


def _blurred(image, sigma):
    # Three times as fast as cv2.GaussianBlur, whose 8-bit form is exact in fixed point.
    kernel = cv2.getGaussianKernel(2 * int(2 * sigma + 1) + 1, sigma, cv2.CV_32F)
    return cv2.sepFilter2D(image, -1, kernel, kernel)


_NOISE_STEPS = 32.0


@lru_cache(maxsize=1)
def _noise_table():
    # Drawing 112 x 112 x 3 normal numbers costs more than all other changes together: draw a place in a table instead.
    normal = generator(0).standard_normal(1 << 19, dtype=np.float32)
    return np.clip(np.rint(128 + _NOISE_STEPS * normal), 0, 255).astype(np.uint8)


def _noisy(image, sigma, draw):
    table = _noise_table()
    start = int(draw * (table.size // 2))
    noise = table[start : start + image.size] if image.size <= table.size // 2 else np.resize(table[start:], image.size)
    weight = sigma / _NOISE_STEPS
    return cv2.addWeighted(image, 1.0, noise.reshape(image.shape), weight, -128 * weight)


def _recompressed(image, quality):
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality))
    return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


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
        grey=0.15,
        blur=0.2,
        low_resolution=0.3,
        noise=0.2,
        jpeg=0.2,
        cutout=0.5,
    )
)


def get_augmentation(name):
    """The augmentation called `name`: 'none', 'flip', 'standard' (flip, mild geometry and color) or 'strong' (everything,
    for small data sets); None is 'none', and an :class:`Augmentation` or another callable ``(image, rng) -> image`` is
    returned as it is. An unknown name raises GluonFRError with the known ones.
    """
    if name is None:
        return Augmentation()
    return name if callable(name) else _presets.get(name)()


def get_augmentation_list():
    """The names that :func:`get_augmentation` knows, sorted."""
    return _presets.names()

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from gluonfr.align import align_face, get_template
from gluonfr.core import GluonFRError
from gluonfr.data import images
from gluonfr.detection.registry import get_detector
from gluonfr.detection.selection import choose_face
from gluonfr.photos.reading import Photo, PhotoError, read_file


@dataclass(frozen=True)
class Cut:
    """What became of a photo.

    Attributes
    ----------
    payload : bytes or None
        The crop as an image file; None when the photo is left out.
    reason, detail : str
        Why it is left out.
    ambiguous : bool
        Whether another face could have been meant as well.
    digest : str
        SHA-256 of the photo's bytes in hexadecimal digits; '' when they could not be read.
    """

    payload: bytes | None = None
    reason: str = ""
    detail: str = ""
    ambiguous: bool = False
    digest: str = ""


@dataclass(frozen=True)
class Cropper:
    """How photos become crops. Calling it loads the detector and gives the function that works: path -> Cut.

    Attributes
    ----------
    template : str
        Of `gluonfr.align.TEMPLATES`.
    aligned : bool
        The images are crops already: they are kept byte for byte when they are plain JPEG or PNG files of the right size,
        else brought to it.
    image_size : (H, W)
        Of the crops; with photos, the template's.
    detector : str or object with `detect`, default None
        A name for `get_detector`, or a detector itself, which processes must be able to pickle.
    min_face : int
        Shorter side in pixels of the smallest face that is taken.
    quality : int
        JPEG quality.
    """

    template: str = "arcface"
    aligned: bool = False
    image_size: tuple[int, int] = (112, 112)
    detector: object = None
    min_face: int = 32
    quality: int = 95

    def __call__(self):
        if self.aligned:
            return lambda path: self._guarded(path, self._fit)
        named = self.detector is None or isinstance(self.detector, str)
        detector = get_detector(self.detector) if named else self.detector
        return lambda path: self._guarded(path, lambda content: self._cut(content, detector))

    def to_dict(self):
        """What decides how a crop looks, as JSON takes it."""
        settings = {"aligned": self.aligned, "image_size": list(self.image_size), "quality": self.quality}
        if not self.aligned:
            named = self.detector is None or isinstance(self.detector, str)
            detector = self.detector if named else type(self.detector).__name__
            settings.update(template=self.template, detector=detector, min_face=self.min_face)
        return settings

    def _guarded(self, path, make):
        digest = ""
        try:
            content = read_file(path)
            digest = hashlib.sha256(content).hexdigest()
            payload, ambiguous = make(content)
            return Cut(payload, ambiguous=ambiguous, digest=digest)
        except PhotoError as refused:
            return Cut(reason=refused.reason, detail=refused.detail, digest=digest)
        # One photo that breaks a detector must not end the work on all others; it is told in the report.
        except Exception as error:
            return Cut(reason="failed", detail=" ".join(f"{type(error).__name__}: {error}".split())[:300], digest=digest)

    def _fit(self, content):
        photo = Photo(content)
        if photo.format in ("JPEG", "PNG") and photo.plain and photo.size == self.image_size:
            try:
                if images.decode(content, "it").shape[:2] == self.image_size:
                    # Pillow sees damage that OpenCV paints over.
                    photo.pixels()
                    return content, False
            except GluonFRError as error:
                raise PhotoError("unreadable", "damaged") from error
        try:
            fitted = images.resize(photo.pixels(), self.image_size, "it")
        except GluonFRError as error:
            size, wanted = ("x".join(map(str, each)) for each in (photo.size, self.image_size))
            raise PhotoError("wrong shape", f"{size} pixels, which would distort to {wanted}") from error
        return images.encode(fitted, self.quality), False

    def _cut(self, content, detector):
        pixels = Photo(content).pixels()
        boxes, scores, landmarks = detector.detect(pixels)
        if not len(boxes):
            raise PhotoError("no face")
        index, ambiguous = choose_face(boxes, scores, pixels.shape)
        x0, y0, x1, y1 = boxes[index]
        side = min(x1 - x0, y1 - y0)
        if side < self.min_face:
            raise PhotoError("too small", f"a face of {side:.0f} pixels")
        try:
            crop = align_face(pixels, landmarks[index], self.template)
        except GluonFRError as error:
            raise PhotoError("no face", "its landmarks are no face's") from error
        return images.encode(crop, self.quality), ambiguous


def make_cropper(template="arcface", aligned=False, image_size=None, detector=None, min_face=32, quality=95):
    """A `Cropper`, its arguments checked. `image_size` (H, W) is for aligned images alone, default the template's."""
    size = get_template(template).image_size
    if image_size is not None:
        if not aligned:
            raise GluonFRError("image_size: photos get the template's size; give it for aligned images only.")
        if len(image_size) != 2 or not all(isinstance(length, int) and 16 <= length <= 4096 for length in image_size):
            raise GluonFRError(f"image_size must be height and width, each from 16 to 4096, got {image_size!r}.")
        size = image_size
    if not 1 <= quality <= 100:
        raise GluonFRError(f"quality must be from 1 to 100, got {quality}.")
    if min_face < 0:
        raise GluonFRError(f"min_face must be 0 pixels or more, got {min_face}.")
    return Cropper(template, aligned, tuple(size), detector, min_face, quality)

"""From one photo to one crop of the face that is its subject."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Callable

from gluonfr.align import align_face, get_template
from gluonfr.core import GluonFRError, UsageError
from gluonfr.data import images
from gluonfr.detection import Detector, choose_face, detect_faces, get_detector
from gluonfr.photos.crop_mark import mark_crop
from gluonfr.photos.quality import check_quality
from gluonfr.photos.reading import Photo, PhotoError, read_file


@dataclass(frozen=True)
class CropResult:
    """The crop of a photo, or why there is none.

    Attributes
    ----------
    payload : bytes or None
        The crop as an image file; None when the photo is left out.
    reason, detail : str
        Why it is left out.
    ambiguous : bool
        Whether another face could be the subject as well.
    digest : str
        SHA-256 of the photo's bytes in hexadecimal; '' when the file could not be read.

    Examples
    --------
    >>> CropResult(reason="no face").payload is None
    True
    """

    payload: bytes | None = None
    reason: str = ""
    detail: str = ""
    ambiguous: bool = False
    digest: str = ""


@dataclass(frozen=True)
class Cropper:
    """How photos become crops. Calling it loads the detector and returns a function from a path to a `CropResult`.

    Attributes
    ----------
    template : str
        Of `gluonfr.align.TEMPLATES`.
    aligned : bool
        The images are aligned crops. Plain JPEG and PNG files of the right size keep their bytes; others are resized.
    image_size : (H, W)
        Of the crops; for photos, that of the template.
    detector : str or Detector, default None
        A name for `get_detector`, or a detector, which worker processes must be able to unpickle.
    min_face : int
        Shorter side in pixels of the smallest face to use.
    quality : int
        JPEG quality.
    keep_poor : bool
        Use blurred, enlarged and averted faces as well; see :func:`gluonfr.photos.quality.check_quality`.

    Examples
    --------
    >>> crop = Cropper(aligned=True)()
    >>> crop("/nonexistent.jpg").reason
    'unreadable'
    """

    template: str = "arcface"
    aligned: bool = False
    image_size: tuple[int, int] = (112, 112)
    detector: str | Detector | None = None
    min_face: int = 32
    quality: int = 95
    keep_poor: bool = True

    def __call__(self) -> Callable[[str], CropResult]:
        """Load the detector and return the function that crops one photo."""
        if self.aligned:
            return lambda path: self._crop_file(path, self._fit)
        detector = self.detector
        if detector is None or isinstance(detector, str):
            detector = get_detector(detector)
        return lambda path: self._crop_file(path, lambda content: self._align(content, detector))

    def to_dict(self) -> dict[str, Any]:
        """Return what decides how a crop looks, as JSON can represent it."""
        settings: dict[str, Any] = {"aligned": self.aligned, "image_size": list(self.image_size), "quality": self.quality}
        if not self.aligned:
            named = self.detector is None or isinstance(self.detector, str)
            detector = self.detector if named else type(self.detector).__name__
            settings.update(template=self.template, detector=detector, min_face=self.min_face)
            settings.update(keep_poor=self.keep_poor)
        return settings

    def _crop_file(self, path: str, crop: Callable[[bytes], tuple[bytes, bool]]) -> CropResult:
        digest = ""
        try:
            content = read_file(path)
            digest = hashlib.sha256(content).hexdigest()
            payload, ambiguous = crop(content)
            return CropResult(payload, ambiguous=ambiguous, digest=digest)
        except PhotoError as error:
            return CropResult(reason=error.reason, detail=error.detail, digest=digest)
        except Exception as error:  # one photo that breaks a detector must not end the work on all others
            detail = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return CropResult(reason="failed", detail=detail, digest=digest)

    def _fit(self, content: bytes) -> tuple[bytes, bool]:
        photo = Photo(content)
        if photo.format in ("JPEG", "PNG") and photo.plain and photo.size == self.image_size:
            try:
                if images.decode(content, "the image").shape[:2] == self.image_size:
                    # Pillow reports damage that OpenCV hides.
                    photo.pixels()
                    return content, False
            except GluonFRError as error:
                raise PhotoError("unreadable", "damaged") from error
        try:
            fitted = images.resize(photo.pixels(), self.image_size, "the image")
        except GluonFRError as error:
            size, wanted = ("x".join(map(str, pair)) for pair in (photo.size, self.image_size))
            raise PhotoError("wrong shape", f"{size} pixels, which would distort to {wanted}") from error
        return images.encode(fitted, self.quality), False

    def _align(self, content: bytes, detector: Detector) -> tuple[bytes, bool]:
        photo = Photo(content)
        pixels = photo.pixels()
        if photo.crop_template == self.template and photo.size == self.image_size:
            return content, False
        faces = detect_faces(detector, pixels)
        if not len(faces.boxes):
            # Smaller faces take several times as long to search for.
            faces = detect_faces(detector, pixels, self.min_face)
        if not len(faces.boxes):
            raise PhotoError("no face")
        index, ambiguous = choose_face(faces.boxes, faces.scores, pixels.shape)
        x0, y0, x1, y1 = faces.boxes[index]
        side = min(x1 - x0, y1 - y0)
        if side < self.min_face:
            raise PhotoError("too small", f"a face of {side:.0f} pixels")
        try:
            crop = align_face(pixels, faces.landmarks[index], self.template)
        except GluonFRError as error:
            raise PhotoError("no face", "its landmarks are not arranged like a face") from error
        if not self.keep_poor:
            check_quality(crop, faces.landmarks[index])
        return mark_crop(images.encode(crop, self.quality), self.template), ambiguous


def make_cropper(
    template: str = "arcface",
    aligned: bool = False,
    image_size: tuple[int, int] | None = None,
    detector: str | Detector | None = None,
    min_face: int = 32,
    quality: int = 95,
    keep_poor: bool = True,
) -> Cropper:
    """Create a `Cropper` after checking its arguments.

    Parameters
    ----------
    image_size : (H, W), optional
        For aligned images only; default that of the template.
    template, aligned, detector, min_face, quality, keep_poor
        See :class:`Cropper`.

    Raises
    ------
    UsageError
        An argument is invalid.

    Examples
    --------
    >>> make_cropper("dlib").image_size
    (150, 150)
    """
    size = get_template(template).image_size
    if image_size is not None:
        if not aligned:
            raise UsageError("image_size: crops of photos have the size of the template. Pass it for aligned images only.")
        if len(image_size) != 2 or not all(isinstance(length, int) and 16 <= length <= 4096 for length in image_size):
            raise UsageError(f"image_size must be height and width, both from 16 to 4096, got {image_size!r}.")
        size = image_size
    if not 1 <= quality <= 100:
        raise UsageError(f"quality must be from 1 to 100, got {quality}.")
    if min_face < 0:
        raise UsageError(f"min_face must be 0 pixels or more, got {min_face}.")
    return Cropper(template, aligned, (size[0], size[1]), detector, min_face, quality, keep_poor)

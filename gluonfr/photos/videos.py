"""Reading videos: frames at regular times, turned upright, with a report of what is missing."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from gluonfr.core import UsageError
from gluonfr.photos.reading import PhotoError

# Seconds: a start beyond the first is searched for, and reading begins by the second before it.
_FAR, _MARGIN = 30.0, 10.0
# Consecutive frames that cannot be read, where the file does not declare how many frames it has.
_MOST_FAILURES = 1000


class Frame(NamedTuple):
    """One frame of a video: its time in seconds, and its pixels, uint8 (H, W, 3) RGB.

    Examples
    --------
    >>> Frame(1.5, np.zeros((480, 640, 3), np.uint8)).seconds
    1.5
    """

    seconds: float
    pixels: np.ndarray


class Video:
    """A video file, of which one frame per interval is read.

    Times are those of the frames themselves, so videos with a variable frame rate are sampled correctly. The rotation that
    cameras and phones declare in the file is applied. A damaged frame does not end the video; :attr:`problem` describes what
    could not be read.

    Parameters
    ----------
    path : str
    every : float, default 1.0
        Seconds between two frames.
    start, end : float, optional
        Part of the video to read, in seconds. Default: all of it.

    Attributes
    ----------
    problem : PhotoError or None
        What could not be read, once all frames have been read.
    duration : float
        Declared length in seconds; 0 where the file does not declare it.
    length : float
        Seconds of it between `start` and `end`.

    Raises
    ------
    UsageError
        `every` is not above 0, or the part is empty.
    PhotoError
        The file cannot be opened; the codec is named where it is known.

    Examples
    --------
    >>> for seconds, pixels in Video("clip.mp4", every=0.5):  # doctest: +SKIP
    ...     print(seconds, pixels.shape)
    """

    def __init__(self, path: str, every: float = 1.0, start: float = 0.0, end: float | None = None) -> None:
        check_times(every, start, end)
        self.path = path
        self.problem: PhotoError | None = None
        self._every, self._start, self._end = every, start, math.inf if end is None else end
        self._capture = self._open()
        rate, self._count = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._rate = rate if 0 < rate < 1000 else 25.0
        # A frame takes a byte at least; a damaged number would have the end of the file searched for that many frames.
        self._count = int(self._count) if 0 < self._count <= os.path.getsize(path) else 0
        self.duration = self._count / self._rate
        self.length = max(0.0, min(self._end, self.duration) - start)
        self._quarter_turns = round(self._capture.get(cv2.CAP_PROP_ORIENTATION_META) / 90) % 4

    def __repr__(self) -> str:
        return f"Video({self.path!r}, {self.duration:.1f} s)"

    def __iter__(self) -> Iterator[Frame]:
        wanted, last, read, damaged = self._start, 0.0, self._seek(), 0
        try:
            while self._grab(damaged, read):
                damaged += self._failures
                last, read = self._seconds(read + damaged), read + 1
                if last >= self._end:
                    self.problem = self._describe_damage(read, damaged)
                    return
                if last < wanted:
                    continue  # skipped without being decoded
                frame = self._decode()
                if frame is None:
                    damaged += 1
                    continue
                wanted = max(wanted, (math.floor(last / self._every + 1e-6) + 1) * self._every)
                yield Frame(last, np.ascontiguousarray(np.rot90(frame[:, :, ::-1], -self._quarter_turns)))
            self.problem = self._find_problem(last, read, damaged)
        finally:
            self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self.path)
        if not capture.isOpened():
            raise PhotoError("unreadable", _describe_unopened(self.path))
        # Whether OpenCV applies the rotation depends on how it was built.
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        return capture

    def _seek(self) -> int:
        """Go to a place shortly before the start, if it is far from the beginning, and return the number of that frame."""
        if self._start < _FAR:
            return 0
        self._capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * (self._start - _MARGIN))
        seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self._capture.grab() else 0.0
        if 0 < seconds <= self._start:
            return round(seconds * self._rate) + 1
        # Files without an index cannot be searched; all frames before the start are read.
        self._capture.release()
        self._capture = self._open()
        return 0

    def _grab(self, damaged: int, read: int) -> bool:
        """Advance to the next frame that can be read; False at the end of the video."""
        remaining = self._count - read - damaged if self._count else _MOST_FAILURES
        self._failures = 0
        while not self._advance():
            self._failures += 1
            if self._failures > max(remaining, 0):
                return False
        return True

    def _advance(self) -> bool:
        try:
            return self._capture.grab()
        except cv2.error:
            return False

    def _decode(self) -> np.ndarray | None:
        """Return the pixels of the current frame, uint8 (H, W, 3) BGR; None for a damaged one."""
        try:
            decoded, frame = self._capture.retrieve()
        except cv2.error:
            # An assertion of OpenCV's own reader of AVI files.
            return None
        return frame if decoded else None

    def _seconds(self, number: int) -> float:
        milliseconds = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return milliseconds / 1000 if milliseconds > 0 else number / self._rate

    def _find_problem(self, last: float, read: int, damaged: int) -> PhotoError | None:
        if not read:
            return PhotoError("unreadable", f"no frame can be read{_codec_hint(self._codec())}")
        missing = self.duration - last - 1 / self._rate
        # Some containers only estimate their number of frames, so a few missing ones at the end mean nothing.
        if missing > max(0.5, 2 / self._rate) and read + damaged < 0.98 * self._count:
            return PhotoError(
                "unreadable", f"truncated or damaged: the last {missing:.1f} of {self.duration:.1f} seconds cannot be read"
            )
        return self._describe_damage(read, damaged)

    def _describe_damage(self, read: int, damaged: int) -> PhotoError | None:
        return PhotoError("unreadable", f"{damaged} of {read + damaged} frames are damaged") if damaged else None

    def _codec(self) -> str:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        return code.to_bytes(4, "little", signed=False).decode("latin-1") if 0 < code < 1 << 32 else ""


def check_times(every: float, start: float = 0.0, end: float | None = None) -> None:
    """Raise UsageError unless `every` is above 0 and `start` and `end` describe a part of a video, all in seconds.

    Examples
    --------
    >>> check_times(1.0, start=5.0, end=2.0)
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: start and end must be seconds with 0 <= start < end, got 5.0 and 2.0.
    """
    if not every > 0 or math.isinf(every):
        raise UsageError(f"every must be a number of seconds above 0, got {every}.")
    if not 0 <= start < (math.inf if end is None else end):
        raise UsageError(f"start and end must be seconds with 0 <= start < end, got {start} and {end}.")


def _codec_hint(codec: str) -> str:
    name = codec.strip("\0 ")
    return f" (codec {name}): convert it to H.264" if name.isprintable() and name else ": convert it to MP4 with H.264"


def _describe_unopened(path: str) -> str:
    """Say why a video cannot be opened, as far as its first and last megabyte reveal it."""
    try:
        with open(path, "rb") as file:
            first = file.read(1 << 20)
            file.seek(max(0, os.path.getsize(path) - (1 << 20)))
            last = file.read()
    except OSError as error:
        return error.strerror or str(error)
    if first[4:8] == b"ftyp" and not any(b"moov" in part for part in (first, last)):
        return "the video cannot be opened: its index is missing, because the file is truncated"
    return f"the video cannot be opened{_codec_hint(_stored_codec(first) or _stored_codec(last))}"


def _stored_codec(part: bytes) -> str:
    """Return the codec that a part of an MP4, MOV, AVI or Matroska file declares; '' where it is not found."""
    # The box 'stsd' has a version, a number of entries, and in each entry its size and the codec.
    # In AVI files the codec follows 'vids'.
    for mark, distance in ((b"stsd", 16), (b"vids", 4)):
        place = part.find(mark)
        if place >= 0:
            return part[place + distance : place + distance + 4].decode("latin-1")
    # Matroska and WebM: the element 'CodecID' (0x86), its length and a name such as V_MPEGH/ISO/HEVC.
    found = re.search(rb"\x86[\x83-\xa0](V_[\x20-\x7e]+)", part)
    return found.group(1).decode("ascii").rstrip("\0") if found else ""

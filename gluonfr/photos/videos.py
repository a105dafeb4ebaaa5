"""Reading videos: frames at regular times, turned upright, with a report of what is missing."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from gluonfr.core import UsageError
from gluonfr.photos.reading import PhotoError

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
        self._capture = cv2.VideoCapture(path)
        if not self._capture.isOpened():
            raise PhotoError("unreadable", f"the video cannot be opened{_codec_hint(_stored_codec(path))}")
        # Whether OpenCV applies the rotation depends on how it was built.
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        rate, self._count = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._rate = rate if 0 < rate < 1000 else 25.0
        self._count = int(self._count) if 0 < self._count < 1e9 else 0
        self.duration = self._count / self._rate
        self.length = max(0.0, min(self._end, self.duration) - start)
        self._quarter_turns = round(self._capture.get(cv2.CAP_PROP_ORIENTATION_META) / 90) % 4

    def __repr__(self) -> str:
        return f"Video({self.path!r}, {self.duration:.1f} s)"

    def __iter__(self) -> Iterator[Frame]:
        wanted, last, read, damaged = self._start, 0.0, 0, 0
        try:
            while self._grab(damaged, read):
                damaged += self._failures
                last, read = self._seconds(read + damaged), read + 1
                if last >= self._end:
                    return
                if last < wanted:
                    continue  # skipped without being decoded
                decoded, frame = self._capture.retrieve()
                if not decoded:
                    damaged += 1
                    continue
                wanted = max(wanted, (math.floor(last / self._every + 1e-6) + 1) * self._every)
                yield Frame(last, np.ascontiguousarray(np.rot90(frame[:, :, ::-1], -self._quarter_turns)))
            self.problem = self._find_problem(last, read, damaged)
        finally:
            self._capture.release()

    def _grab(self, damaged: int, read: int) -> bool:
        """Advance to the next frame that can be read; False at the end of the video."""
        remaining = self._count - read - damaged if self._count else _MOST_FAILURES
        self._failures = 0
        while not self._capture.grab():
            self._failures += 1
            if self._failures > max(remaining, 0):
                return False
        return True

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


def _stored_codec(path: str) -> str:
    """Return the codec that an MP4 or MOV file declares; '' where it is not found."""
    try:
        with open(path, "rb") as file:
            parts = [file.read(1 << 20)]
            file.seek(max(0, os.path.getsize(path) - (1 << 20)))
            parts.append(file.read())
    except OSError:
        return ""
    for part in parts:
        # The box 'stsd' has a version, a number of entries, and in each entry its size and the codec.
        place = part.find(b"stsd")
        if place >= 0:
            return part[place + 16 : place + 20].decode("latin-1")
    return ""

"""Decoding of photos in a process of its own, which can be ended and whose time and memory are limited."""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
from typing import IO

import numpy as np

from gluonfr.core.paths import python_command
from gluonfr.photos.reading import Photo, PhotoError

MOST_PIXELS = 50_000_000
# Limits of one photo: CPU time, time, and memory beyond that of the process without a photo.
CPU_SECONDS, SECONDS = 10.0, 30.0
_MEMORY = 2_000_000_000
_PROGRAM = "import sys; from gluonfr.apps.serve.decoding import decode_photos; decode_photos(*map(float, sys.argv[1:]))"
_LENGTH = struct.Struct(">Q")


class PhotoDecoder:
    """Decodes photos in a child process, which is started when it is needed and again after it has ended.

    Parameters
    ----------
    cpu_seconds, seconds : float, default 10 and 30
        CPU time and time that one photo may take.

    Examples
    --------
    >>> with PhotoDecoder() as decoder:  # doctest: +SKIP
    ...     pixels = decoder.decode(content)
    """

    def __init__(self, cpu_seconds: float = CPU_SECONDS, seconds: float = SECONDS) -> None:
        self._limits = cpu_seconds, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> PhotoDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"PhotoDecoder(running={self._process is not None})"

    def start(self) -> None:
        """Start the process, so that the first photo does not wait for it."""
        with self._lock:
            self._running()

    def decode(self, content: bytes) -> np.ndarray:
        """Return the pixels of a photo, uint8 (H, W, 3) RGB.

        Raises
        ------
        PhotoError
            The file is not a photo, damaged, has too many pixels, or exceeds the limits of time or memory.
        """
        with self._lock:
            process = self._running()
            try:
                _write(process.stdin, content)
                result = json.loads(_read(process.stdout))
                pixels = _read(process.stdout) if "shape" in result else b""
            except (OSError, EOFError) as error:
                raise self._ended(process) from error
        if "shape" not in result:
            raise PhotoError(result["reason"], result["detail"])
        return np.frombuffer(pixels, np.uint8).reshape(result["shape"])

    def close(self) -> None:
        """End the process, also while it decodes."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise PhotoError("unreadable", "the server is stopping")
        if self._process is None or self._process.poll() is not None:
            # A session of its own, so that Ctrl-C reaches only the server.
            self._process = subprocess.Popen(
                python_command(_PROGRAM, *map(str, self._limits)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        return self._process

    def _ended(self, process: subprocess.Popen[bytes]) -> PhotoError:
        process.kill()
        status = process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        self._process = None
        if status in (-signal.SIGPROF, -signal.SIGALRM):
            return PhotoError("too slow", f"more than {self._limits[0]:g} s")
        return PhotoError("unreadable", "it cannot be decoded within the limits of the server")


def decode_photos(cpu_seconds: float = CPU_SECONDS, seconds: float = SECONDS) -> None:
    """Decode photos from standard input to standard output until the input ends; run in the child process.

    Parameters
    ----------
    cpu_seconds, seconds : float, default 10 and 30
        CPU time and time after which a signal ends the process while it decodes a photo.

    Examples
    --------
    >>> decode_photos()  # doctest: +SKIP
    """
    photos, results = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not get among the results.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            content = _read(photos)
        except EOFError:
            return
        # The default action of both signals ends the process, also inside of a decoder.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        result, pixels = _decode(content)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write(results, json.dumps(result).encode("ascii"))
        if "shape" in result:
            _write(results, pixels)


def _decode(content: bytes) -> tuple[dict[str, object], bytes]:
    try:
        photo = Photo(content)
        height, width = photo.size
        if height * width > MOST_PIXELS:
            raise PhotoError("too large", f"{width} x {height} pixels")
        pixels = photo.pixels()
    except PhotoError as refused:
        return {"reason": refused.reason, "detail": refused.detail}, b""
    except MemoryError:
        return {"reason": "too large", "detail": "it needs too much memory"}, b""
    return {"shape": pixels.shape}, pixels.tobytes()


def _write(stream: IO[bytes] | None, content: bytes) -> None:
    if stream is None:
        raise OSError("the stream is closed")
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def _read(stream: IO[bytes] | None) -> bytes:
    header = stream.read(_LENGTH.size) if stream is not None else b""
    if len(header) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(header)
    content = stream.read(length) if stream is not None else b""
    if len(content) < length:
        raise EOFError
    return content

"""Small training sets for tests."""

import hashlib
import os
from pathlib import Path

import cv2
import numpy as np

from gluonfr.data import RecordFile, RecordWriter
from gluonfr.data.identities import write_identities
from gluonfr.data.records.framing import split_frames
from gluonfr.data.records.header import HEADER


def encoded(seed, extension=".jpg", size=(32, 32)):
    image = np.random.RandomState(seed).randint(0, 256, (4, 4, 3), dtype=np.uint8)
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(extension, image)[1].tobytes()


def make(folder, labels, first=0, names=None, image_size=(32, 32)):
    with RecordWriter(folder, image_size) as writer:
        for seed, label in enumerate(labels, first):
            writer.add(encoded(seed, ".png" if seed % 3 == 1 else ".jpg", image_size), label)
    if names:
        write_identities(folder, [(label, name, 1) for label, name in names.items()])
    return folder


def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def damage(folder, numbers):
    """Damage the payload of some images in place, but not the records around them."""
    path = os.path.join(str(folder), "train.rec")
    records = RecordFile(path)
    raw = bytearray(Path(path).read_bytes())
    for number in numbers:
        payload = records.read(number)[1]
        place = raw.find(payload)
        raw[place : place + len(payload)] = bytes(len(payload))
    Path(path).write_bytes(raw)


def put_records(folder, records):
    """Write (label, payload) as records without an index, including invalid ones that no writer accepts."""
    folder.mkdir(exist_ok=True)
    frames = [split_frames(HEADER.pack(0, label, i, 0) + payload) for i, (label, payload) in enumerate(records)]
    (folder / "train.rec").write_bytes(b"".join(frames))
    return folder

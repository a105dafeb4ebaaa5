"""Readers of data sets, images, videos, lists of pairs and unfinished packing."""

import contextlib
import io
import os
import pickle

import cv2
import numpy as np
from blobs import SIZE, picture
from mov import write_mov
from target import Target

from gluonfr.core import GluonFRError
from gluonfr.data import RecordFile, RecordWriter, get_recognition_dataset, write_pairs
from gluonfr.data.identities import write_identities
from gluonfr.data.images import decode, encode
from gluonfr.data.inspection import inspect
from gluonfr.data.pairs.table import listed_columns, read_pair_table, write_pair_table
from gluonfr.photos.packing.crops import CropResult
from gluonfr.photos.packing.journal import Journal
from gluonfr.photos.pair_lists import read_pair_list
from gluonfr.photos.reading import Photo, read_file
from gluonfr.photos.videos import Video


def folder_of(parent, name):
    path = os.path.join(parent, name)
    os.makedirs(path)
    return path


def write(*parts, content):
    with open(os.path.join(*parts), "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def record_seeds(folder):
    for variant in ("indexed", "without_index", "header"):
        root = folder_of(folder, variant)
        with RecordWriter(os.path.join(root, "set"), image_size=(SIZE, SIZE)) as writer:
            for identity in range(3):
                for number in range(2):
                    writer.add(picture(identity, number), identity)
        write_identities(os.path.join(root, "set"), [(0, "Ann", 2), (1, "Ben", 2), (2, "Cem", 2)])
        if variant == "without_index":
            os.unlink(os.path.join(root, "set", "train.idx"))


def read_records(root):
    dataset = get_recognition_dataset("set", root)
    for i in range(len(dataset)):
        dataset[i]
    inspect(os.path.join(root, "set"))


def read_record_file(root):
    """Records one by one, where a damaged one does not end the reading."""
    records = RecordFile(os.path.join(root, "set", "train.rec"))
    for i in range(len(records)):
        with contextlib.suppress(GluonFRError):
            records.read(i)
    records.scan()


def pair_seeds(folder):
    images, same = [encode(picture(i % 3, i)) for i in range(8)], [True, False, True, False]
    for protocol in (0, 2, 4):
        root = folder_of(folder, f"protocol{protocol}")
        write(
            root,
            "set.bin",
            content=pickle.dumps((images[: 4 if protocol == 0 else 8], same[: 2 if protocol == 0 else 4]), protocol),
        )
    root = folder_of(folder, "arrays")
    write(root, "set.bin", content=pickle.dumps(([np.frombuffer(image, np.uint8) for image in images], np.array(same)), 2))
    root = folder_of(folder, "table")
    write_pairs(os.path.join(root, "set.bin"), images, same)
    people = {"identity0": ["Ann", "Ben", "Ann", "Cem"], "identity1": ["Ann", "Ann", "Ann", "Ben"], "age": ["1", "2", "3", "4"]}
    write_pair_table(os.path.join(root, "set.pairs.csv"), same, people)


def read_pairs(root):
    dataset = get_recognition_dataset("set", root)
    flags = [bool(dataset[i][1]) for i in range(len(dataset))]
    table = os.path.join(root, "set.pairs.csv")
    if os.path.exists(table):
        read_pair_table(table, flags)
    inspect(os.path.join(root, "set.bin"))


def list_seeds(folder):
    lists = {
        "csv": "first,second,issame,age\nAnn/1.jpg,Ann/2.jpg,1,30\nAnn/1.jpg,Ben/1.jpg,0,40\n",
        "lfw": "2\t1\nAnn\t1\t2\nAnn\t1\tBen\t1\nBen\t1\t2\nAnn\t2\tBen\t2\n",
        "insightface": "Ann/1.jpg Ann/2.jpg 1\nAnn/1.jpg Ben/1.jpg 0\n",
        "utf16": "first;second;issame\nAnn/1.jpg;Ann/2.jpg;1\n".encode("utf-16"),
    }
    for name, content in lists.items():
        write(folder_of(folder, name), "pairs.csv", content=content)


def read_list(folder):
    path = os.path.join(folder, "pairs.csv")
    flags = [pair.issame for pair in read_pair_list(path, folder)]
    listed_columns(path)
    with contextlib.suppress(GluonFRError):
        # Lists of this kind have other columns.
        read_pair_table(path, flags)


def image_seeds(folder):
    from PIL import Image

    image = Image.fromarray(cv2.resize(picture(1, 1), (48, 40)))
    exif = Image.Exif()
    exif[0x0112] = 6
    options = [
        ("JPEG", {"exif": exif}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True}),
        ("BMP", {}), ("GIF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {}), ("PPM", {}), ("JPEG2000", {}),
        ("AVIF", {}), ("MPO", {}),
    ]  # fmt: skip
    for number, (format, more) in enumerate(options):
        file = io.BytesIO()
        try:
            image.save(file, format, **more)
        except (KeyError, OSError, ValueError):
            continue  # Older versions of Pillow write fewer formats.
        write(folder_of(folder, f"{number:02d}{format.lower()}"), "image", content=file.getvalue())
    for mode in ("RGBA", "P", "I;16", "L", "1", "CMYK"):
        file = io.BytesIO()
        kind = "TIFF" if mode == "CMYK" else "PNG"
        (image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)).save(file, kind)
        write(folder_of(folder, f"mode{mode.replace(';', '')}"), "image", content=file.getvalue())


def read_image(folder):
    path = os.path.join(folder, "image")
    content = read_file(path)
    with contextlib.suppress(GluonFRError):
        decode(content, path)
    Photo(content).pixels()


def video_seeds(folder):
    frames = [cv2.imencode(".jpg", cv2.resize(picture(1, i), (64, 48)))[1].tobytes() for i in range(6)]
    write_mov(os.path.join(folder_of(folder, "mov"), "video.mov"), frames, [200] * 6, (64, 48), rotation=90)
    for name, code, ending in (("mp4", "mp4v", ".mp4"), ("avi", "MJPG", ".avi")):
        path = os.path.join(folder_of(folder, name), "video" + ending)
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*code), 5, (64, 48))
        for i in range(6):
            writer.write(cv2.resize(picture(1, i), (64, 48)))
        writer.release()


def read_video(folder):
    (name,) = os.listdir(folder) or ("video.mov",)
    video = Video(os.path.join(folder, name), every=0.4)
    for _, pixels in video:
        assert pixels.dtype == np.uint8
    if video.problem:
        raise video.problem


SETTINGS = {"quality": 95, "template": "arcface"}


def journal_seeds(folder):
    journal = Journal(os.path.join(folder_of(folder, "journal"), "work"), SETTINGS)
    journal.add("Ann/1.jpg", os.stat(__file__), CropResult(b"crop", digest="ab"))
    journal.add("Ann/2.jpg", None, CropResult(reason="no face", detail="", digest="ac"))
    journal.add("Ben/1.jpg", os.stat(__file__), CropResult(b"other crop", digest="ad", ambiguous=True))
    journal.close()


def read_journal(folder):
    journal = Journal(os.path.join(folder, "work"), SETTINGS, restart=False)
    try:
        for name in ("Ann/1.jpg", "Ann/2.jpg", "Ben/1.jpg"):
            if journal.has(name, None):
                journal.result(name)
        journal.add("Cem/1.jpg", None, CropResult(b"new", digest="ae"))
    finally:
        journal.close()


TARGETS = {
    "records": Target(record_seeds, read_records),
    "record_file": Target(record_seeds, read_record_file),
    "pairs": Target(pair_seeds, read_pairs),
    "pair_lists": Target(list_seeds, read_list),
    "images": Target(image_seeds, read_image),
    "videos": Target(video_seeds, read_video),
    "journal": Target(journal_seeds, read_journal),
}

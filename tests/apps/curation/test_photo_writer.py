"""Names of folders, photos and contact sheets in the folder of a clustering."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from gluonfr.apps.curation.clustering.photo_writer import PhotoWriter


def write_sheet(writer, name):
    faces = SimpleNamespace(
        files=["a.jpg"], photo=np.array([0]), crops=lambda numbers: [np.zeros((112, 112, 3), np.uint8) for _ in numbers]
    )
    writer.write_sheet(name, faces, np.array([0]), np.array([np.nan]))


@pytest.mark.parametrize("characters", [83, 84, 85])
def test_long_names_of_people_have_a_folder_and_a_sheet(tmp_path, characters):
    # Three bytes per character: up to 255 are a valid folder, but the sheet has a suffix of four.
    name = "\u4e00" * characters
    writer = PhotoWriter(str(tmp_path), str(tmp_path), False)
    folder = writer.person_folder(name, 6)
    assert folder == (name if characters == 83 else "person 0007")
    write_sheet(writer, folder)
    assert os.listdir(tmp_path / "sheets") == [folder + ".jpg"]


def test_two_photos_with_the_longest_name_are_both_written(tmp_path):
    name = "\u00e4" * 125 + "a.jpg"
    for folder in ("x", "y"):
        os.makedirs(tmp_path / "in" / folder)
        (tmp_path / "in" / folder / name).write_text(folder)
    writer = PhotoWriter(str(tmp_path / "in"), str(tmp_path / "out"), False)
    for folder in ("x", "y"):
        writer.put(os.path.join(folder, name), "once")
    written = sorted((tmp_path / "out" / "once").iterdir())
    assert sorted(path.read_text() for path in written) == ["x", "y"]
    assert all(path.name.endswith(".jpg") for path in written)


def test_reserved_used_and_invalid_names_become_numbers(tmp_path):
    writer = PhotoWriter(str(tmp_path), str(tmp_path), False)
    names = ["Ann", "ANN", "once", "person 0001", "a/b", ".hidden", None]
    folders = [writer.person_folder(name, group) for group, name in enumerate(names)]
    assert folders == ["Ann", *(f"person {number:04d}" for number in range(2, 8))]

import logging
import os
import unicodedata

import pytest

from gluonfr.core import DataError
from gluonfr.photos.find import begins_like_video, find_people, find_photos, is_video, person_name


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def test_files_are_found_whatever_their_names(tmp_path):
    names = ["a.jpg", "b.JPG", "c.jfif", "d.jpe", "e.HEIC", "no_ending", "deep/er/f.png", "notes.txt"]
    for name in names:
        touch(tmp_path / name)
    ignored = [".hidden.jpg", "._a.jpg", ".thumbnails/x.jpg", "@eaDir/x.jpg", "__MACOSX/x.jpg", "Thumbs.db", "desktop.ini"]
    for name in [*ignored, "deep/@eadir/y.jpg", "identities.csv"]:
        touch(tmp_path / name)
    (tmp_path / "loop").symlink_to(tmp_path)
    found = [os.path.relpath(path, tmp_path) for path in find_photos([tmp_path])]
    assert found == sorted([*names, "loop"], key=os.fsencode)


def test_named_files_are_listed_even_if_hidden(tmp_path):
    hidden, other = touch(tmp_path / ".hidden.jpg"), touch(tmp_path / "z" / "a.jpg")
    assert find_photos([hidden, str(tmp_path / "z"), other]) == [hidden, other, other]


def test_missing_paths_and_empty_folders_are_errors(tmp_path):
    with pytest.raises(DataError, match="nowhere is missing"):
        find_photos([str(tmp_path / "nowhere")])
    with pytest.raises(DataError, match="no image file"):
        find_photos([str(tmp_path)])


def test_spellings_of_one_name_are_one_person(tmp_path, caplog):
    composed, decomposed = unicodedata.normalize("NFC", "José"), unicodedata.normalize("NFD", "José")
    assert composed != decomposed
    for folder in (composed, decomposed, "Ann", "Ann ", "ann"):
        touch(tmp_path / folder / "1.jpg", folder.encode())
    with caplog.at_level(logging.WARNING):
        people = find_people(str(tmp_path)).people
    assert set(people) == {composed, "Ann", "ann"}
    assert sorted(people[composed]) == sorted([f"{composed}/1.jpg", f"{decomposed}/1.jpg"])
    assert people["Ann"] == ["Ann/1.jpg", "Ann /1.jpg"]
    assert "differ in case only" in caplog.text
    assert person_name(" ") == " "


@pytest.mark.parametrize(
    ("start", "video"),
    [
        (b"\0\0\0\x18ftypmp42" + bytes(100), True),
        (b"\0\0\0\x14ftypqt  " + bytes(100), True),
        (b"\0\0\0\x18ftypheic" + bytes(100), False),
        (b"\0\0\0\x18ftypavif" + bytes(100), False),
        (b"\0\0\0\x08wide" + bytes(100), True),
        (b"\x1a\x45\xdf\xa3" + bytes(100), True),
        (b"\x47" + bytes(187) + b"\x47", True),
        (b"RIFF\0\0\0\0WEBPVP8 ", False),
        (b"\xff\xd8\xff\xe0" + bytes(100), False),
        (b"", False),
    ],
)
def test_videos_are_known_by_their_first_bytes(tmp_path, start, video):
    assert begins_like_video(start) == video
    assert is_video(touch(tmp_path / "a.jpg", start)) == video


def test_ending_decides_where_the_content_is_unknown(tmp_path):
    assert is_video(touch(tmp_path / "a.mp4", b"damaged"))
    assert not is_video(touch(tmp_path / "b.mp4", b"\xff\xd8\xff\xe0 a JPEG with a wrong name"))
    assert not is_video(str(tmp_path / "missing.mp4"))

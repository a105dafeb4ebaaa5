import os

import cv2
import numpy as np
import pytest
from mov import write_mov

from gluonfr.core import UsageError
from gluonfr.photos.faces import pictures
from gluonfr.photos.reading import PhotoError
from gluonfr.photos.videos import Video

SIZE = (64, 48)


def jpeg(number):
    """A gray frame with its number as brightness, and a red square in the upper left corner."""
    image = np.full((SIZE[1], SIZE[0], 3), 5 * number, np.uint8)
    image[:16, :16] = (0, 0, 255)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def number_of(pixels):
    return round(float(pixels[20:28, 24:40].mean()) / 5)


def red_corner(pixels):
    """Row and column (0 or 1 each) of the corner with the red square."""
    red = pixels[:, :, 0].astype(int) - pixels[:, :, 2]
    corners = {
        (row, column): red[-row * 8 or 0 : (8 if not row else None), :][:, -column * 8 or 0 : (8 if not column else None)]
        for row in (0, 1)
        for column in (0, 1)
    }
    return max(corners, key=lambda place: corners[place].mean())


FRAMES = [jpeg(number) for number in range(40)]


def test_frames_are_read_at_regular_times(tmp_path):
    path = str(tmp_path / "a.mov")
    write_mov(path, FRAMES, [100] * 40, SIZE)
    video = Video(path, every=1.0)
    assert video.duration == 4
    found = list(video)
    assert [round(seconds, 2) for seconds, _ in found] == [0, 1, 2, 3]
    assert [number_of(pixels) for _, pixels in found] == [0, 10, 20, 30]
    assert video.problem is None
    assert [number_of(pixels) for _, pixels in Video(path, 0.5, start=1.2, end=2.6)] == [12, 15, 20, 25]


def test_times_of_frames_decide_in_a_video_with_a_variable_rate(tmp_path):
    path = str(tmp_path / "a.mov")
    write_mov(path, FRAMES, [100] * 20 + [700] * 20, SIZE)
    found = list(Video(path, every=2.0))
    # Frame 20 begins at 2 s, and every frame after it lasts 0.7 s.
    expected = [0, 2.0, 4.1, 6.2, 8.3, 10.4, 12.5, 14.6]
    assert [round(seconds, 1) for seconds, _ in found][:2] == expected[:2]
    for seconds, pixels in found:
        number = number_of(pixels)
        assert abs(seconds - (number * 0.1 if number <= 20 else 2 + (number - 20) * 0.7)) < 0.01
    # No two samples are further apart than the interval and one frame.
    assert np.diff([seconds for seconds, _ in found]).max() <= 2.7 + 1e-6


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (0, 1)), (180, (1, 1)), (270, (1, 0))])
def test_declared_rotation_is_applied(tmp_path, rotation, corner):
    path = str(tmp_path / "a.mov")
    write_mov(path, FRAMES[:10], [100] * 10, SIZE, rotation)
    ((_, pixels),) = Video(path, every=10)
    assert pixels.shape[:2] == (SIZE if rotation in (90, 270) else SIZE[::-1])
    assert red_corner(pixels) == corner


def test_far_start_is_searched_for_and_the_times_of_frames_are_kept(tmp_path):
    path = str(tmp_path / "a.mov")
    # 80 s, of which the second half has fewer frames per second.
    write_mov(path, [FRAMES[i // 8] for i in range(320)], [125] * 160 + [375] * 160, SIZE)
    found = list(Video(path, every=1.0, start=50, end=56))
    assert 6 <= len(found) <= 7
    for seconds, pixels in found:
        assert 50 <= seconds < 56
        assert number_of(pixels) == (160 + int((seconds - 20) / 0.375 + 1e-6)) // 8
    assert not list(Video(path, start=1000))


def test_damage_between_start_and_end_is_reported(tmp_path):
    path, frames = str(tmp_path / "a.mov"), list(FRAMES)
    frames[12] = bytes(len(frames[12]))
    write_mov(path, frames, [100] * 40, SIZE)
    for end, problem in ((2.0, True), (1.0, False)):
        video = Video(path, every=0.5, end=end)
        assert list(video)
        assert (video.problem is not None) == problem


def test_video_without_its_index_is_truncated(tmp_path):
    # OpenCV writes the index at the end, as most cameras do.
    path = str(tmp_path / "a.mp4")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 10, SIZE)
    for number in range(40):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 5 * number, np.uint8))
    writer.release()
    assert [round(seconds) for seconds, _ in Video(path)] == [0, 1, 2, 3]
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(PhotoError, match="its index is missing, because the file is truncated"):
        Video(path)


@pytest.mark.parametrize(
    ("content", "codec"),
    [
        (b"RIFF" + bytes(4) + b"AVI LIST" + bytes(8) + b"strh" + b"8\0\0\0vidsDRAC" + bytes(100), "DRAC"),
        (b"\x1a\x45\xdf\xa3" + bytes(60) + b"\x86\x8fV_MPEGH/ISO/HEVC" + bytes(40), "V_MPEGH/ISO/HEVC"),
    ],
)
def test_codec_of_other_containers_is_named(tmp_path, content, codec):
    (tmp_path / "a.avi").write_bytes(content)
    with pytest.raises(PhotoError, match=f"cannot be opened .codec {codec}"):
        Video(str(tmp_path / "a.avi"))


def test_damaged_frame_is_reported_and_the_rest_is_read(tmp_path):
    path, frames = str(tmp_path / "a.mov"), list(FRAMES)
    frames[12] = bytes(len(frames[12]))
    write_mov(path, frames, [100] * 40, SIZE)
    video = Video(path, every=0.5)
    assert [number_of(pixels) for _, pixels in video] == [0, 5, 10, 15, 20, 25, 30, 35]
    assert str(video.problem) == "unreadable (1 of 40 frames are damaged)"


def test_truncated_video_is_reported_with_the_missing_time(tmp_path):
    path = tmp_path / "a.mov"
    write_mov(str(path), FRAMES, [100] * 40, SIZE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    video = Video(str(path), every=0.5)
    assert list(video)
    assert "of 4.0 seconds cannot be read" in str(video.problem)
    rows = list(pictures([str(path)], every=0.5))
    assert rows[-1][1] is None
    assert "truncated" in rows[-1][2]
    assert rows[0][0].endswith("a.mov at 0.0 s")


def test_unreadable_video_names_its_codec(tmp_path):
    path = tmp_path / "a.mov"
    write_mov(str(path), FRAMES[:5], [100] * 5, SIZE)
    path.write_bytes(path.read_bytes().replace(b"jpeg", b"zzzz"))
    ((name, pixels, problem, _),) = pictures([str(path)])
    assert name == str(path)
    assert pixels is None
    assert "codec zzzz" in problem
    (tmp_path / "b.mp4").write_bytes(b"damaged")
    with pytest.raises(PhotoError, match="cannot be opened"):
        Video(str(tmp_path / "b.mp4"))


@pytest.mark.parametrize("options", [{"every": 0}, {"every": float("nan")}, {"start": -1}, {"start": 2, "end": 1}])
def test_invalid_times_are_rejected(options):
    with pytest.raises(UsageError):
        Video("any.mp4", **options)

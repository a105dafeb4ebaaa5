import glob
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from gluonfr.align import align_face
from gluonfr.detection import detect_faces, get_detector
from gluonfr.photos.packing import pack
from gluonfr.photos.quality import MAX_YAW, MIN_SHARPNESS, check_quality, head_pose, sharpness
from gluonfr.photos.reading import PhotoError


def people(faces, step):
    return sorted(glob.glob(os.path.join(faces, "photos", "people", "*", "*.jpg")))[::step]


def sharp_and_smeared(detector, path, pixels=10):
    """Crops of the photo, and of the photo with a face reduced to 10 pixels and enlarged again, and the landmarks."""
    photo = np.asarray(Image.open(path).convert("RGB"))
    found = detect_faces(detector, photo)
    scale = pixels / (found.boxes[0, 2] - found.boxes[0, 0])
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    smear = cv2.resize(small, photo.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    landmarks = found.landmarks[0]
    return align_face(photo, landmarks), align_face(smear, landmarks), landmarks


def test_enlarged_tiny_faces_have_a_quality_problem(faces):
    detector = get_detector("mtcnn", weights=os.path.join(faces, "weights"))
    for path in people(faces, 20):
        sharp, smear, landmarks = sharp_and_smeared(detector, path)
        check_quality(sharp, landmarks)
        with pytest.raises(PhotoError, match="blurred"):
            check_quality(smear, landmarks)


def test_sharpness_does_not_depend_on_brightness_and_contrast():
    image = np.random.RandomState(0).randint(60, 190, (112, 112, 1)).repeat(3, 2)
    image = cv2.GaussianBlur(image.astype(np.uint8), (0, 0), 1.5)
    reference = sharpness(image)
    assert reference > MIN_SHARPNESS
    for changed in (image // 2, image // 2 + 100):
        assert abs(sharpness(changed) / reference - 1) < 0.05


def turned_head(yaw=0.0, pitch=0.0, roll=0.0):
    """Landmarks of a head of known direction: eyes, nose and mouth of a face 60 pixels wide, rotated and projected."""
    points = np.array([[-30, -30, 0], [30, -30, 0], [0, 5, 27], [-24, 40, 0], [24, 40, 0]], float)
    yaw, pitch, roll = np.radians([yaw, pitch, roll])
    around_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    around_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    around_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return (points @ (around_z @ around_x @ around_y).T)[:, :2] + 500


@pytest.mark.parametrize("roll", [0, 30, -45])
@pytest.mark.parametrize("yaw", [-60, -30, 0, 30, 60])
def test_pose_of_heads_of_known_direction(yaw, roll):
    # The proportions of these heads differ a little from the template's.
    assert abs(head_pose(turned_head(yaw, 0, roll)).yaw - yaw) < 5
    assert abs(head_pose(turned_head(0, yaw, roll)).pitch - yaw) < 8


def test_faces_that_are_turned_away_are_refused():
    noise = np.random.RandomState(0).randint(0, 256, (112, 112, 3), np.uint8)
    for degrees in (0, 35, -35):
        check_quality(noise, turned_head(yaw=degrees))
        check_quality(noise, turned_head(pitch=degrees))
    with pytest.raises(PhotoError, match=f"turned away .* to a side, at most {MAX_YAW:.0f}"):
        check_quality(noise, turned_head(yaw=-70))
    with pytest.raises(PhotoError, match="turned away .* down"):
        check_quality(noise, turned_head(pitch=60))


@pytest.mark.system
def test_good_photos_have_no_quality_problem(faces):
    # At most 3 % of real head-and-shoulder photos may be left out; 0 of 168 were (2026-11-29).
    detector, problems = get_detector("mtcnn", weights=os.path.join(faces, "weights")), []
    files = people(faces, 2)
    for path in files:
        photo = np.asarray(Image.open(path).convert("RGB"))
        found = detect_faces(detector, photo)
        try:
            check_quality(align_face(photo, found.landmarks[0]), found.landmarks[0])
        except PhotoError as problem:
            problems.append(f"{path}: {problem}")
    assert len(problems) <= 0.03 * len(files), problems


@pytest.mark.system
def test_pack_leaves_out_blurred_photos_unless_asked(faces, tmp_path):
    for number, path in enumerate(people(faces, 30)):
        photo = Image.open(path).convert("RGB")
        folder = tmp_path / "photos" / "a"
        folder.mkdir(parents=True, exist_ok=True)
        photo.save(folder / f"{number}.png")
    small = photo.resize((photo.width // 8, photo.height // 8), Image.Resampling.BOX)
    small.resize(photo.size, Image.Resampling.BICUBIC).save(folder / "blurred.png")
    packed = pack(tmp_path / "photos", tmp_path / "out", workers=0)
    assert ("a/blurred.png", "blurred") in [row[:2] for row in packed.left_out]
    assert packed.images == number + 1
    assert pack(tmp_path / "photos", tmp_path / "all", workers=0, keep_poor=True).images == number + 2

import glob
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from gluonfr.align import align_face
from gluonfr.detection import detect_faces, get_detector
from gluonfr.photos.packing import pack
from gluonfr.photos.quality import MIN_SHARPNESS, quality_problem, sharpness


def people(faces, step):
    return sorted(glob.glob(os.path.join(faces, "photos", "people", "*", "*.jpg")))[::step]


def sharp_and_smeared(detector, path, pixels=10):
    """Crops of the photo, and of the photo with a face reduced to 10 pixels and enlarged again."""
    photo = np.asarray(Image.open(path).convert("RGB"))
    found = detect_faces(detector, photo)
    scale = pixels / (found.boxes[0, 2] - found.boxes[0, 0])
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    smear = cv2.resize(small, photo.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return align_face(photo, found.landmarks[0]), align_face(smear, found.landmarks[0])


def test_enlarged_tiny_faces_have_a_quality_problem(faces):
    detector = get_detector("mtcnn", weights=os.path.join(faces, "weights"))
    for path in people(faces, 20):
        sharp, smear = sharp_and_smeared(detector, path)
        assert not quality_problem(sharp)
        assert quality_problem(smear)


def test_sharpness_does_not_depend_on_brightness_and_contrast():
    image = np.random.RandomState(0).randint(60, 190, (112, 112, 1)).repeat(3, 2)
    image = cv2.GaussianBlur(image.astype(np.uint8), (0, 0), 1.5)
    reference = sharpness(image)
    assert reference > MIN_SHARPNESS
    for changed in (image // 2, image // 2 + 100):
        assert abs(sharpness(changed) / reference - 1) < 0.05


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

import glob
import os

import cv2
import numpy as np
import pytest

from gluonfr.align import align_face, get_template
from gluonfr.detection import Detections, detect_faces, get_detector
from gluonfr.detection.turned import is_plausible, landmark_fit

TEMPLATE = np.array(get_template("arcface").points)


@pytest.fixture(scope="module")
def mtcnn(faces):
    return get_detector("mtcnn", weights=os.path.join(faces, "weights"))


def photos_of_people(faces, step):
    paths = sorted(glob.glob(os.path.join(faces, "photos", "people", "*", "*.jpg")))[::step]
    return [cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB) for path in paths]


def best_crop(detector, photo):
    boxes, scores, landmarks = detect_faces(detector, photo)
    return (align_face(photo, landmarks[0]), boxes[0], landmarks[0]) if len(boxes) else (None, None, None)


def check_turned_copies(detector, photos):
    """Share of turned copies with an upright crop like that of the photo itself."""
    right = total = 0
    for photo in photos:
        expected = best_crop(detector, photo)[0]
        for turn in (1, 2, 3):
            crop, box, landmarks = best_crop(detector, np.ascontiguousarray(np.rot90(photo, turn)))
            total += 1
            if crop is not None:
                # The same crop up to a pixel or two: upside down or sideways, the mean difference is several times larger.
                right += np.abs(cv2.blur(crop, (9, 9)).astype(int) - cv2.blur(expected, (9, 9))).mean() < 16
                assert (landmarks.min(0) > box[:2] - 20).all()
                assert (landmarks.max(0) < box[2:] + 20).all()
    return right / total


def test_turned_photos_give_upright_crops(mtcnn, faces):
    assert check_turned_copies(mtcnn, photos_of_people(faces, 28)) == 1


@pytest.mark.system
def test_all_turned_photos_give_upright_crops(mtcnn, faces):
    assert check_turned_copies(mtcnn, photos_of_people(faces, 1)) >= 0.98


def test_coordinates_of_turned_photos_are_pixels_of_the_photo():
    # A detector that sees one face only when the photo is upright, at a known place.
    upright = np.zeros((200, 300, 3), np.uint8)
    upright[0, 0] = 255

    class Marker:
        def detect(self, image):
            if not image[0, 0].all():
                return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2))
            return np.array([[50.0, 20, 150, 140]]), np.array([0.9995]), (TEMPLATE + (40, 20))[None]

    marker = Marker()
    boxes, _, landmarks = detect_faces(marker, upright)
    assert boxes.tolist() == [[50, 20, 150, 140]]
    for turn in (1, 2, 3):
        turned = np.ascontiguousarray(np.rot90(upright, turn))
        boxes, scores, marks = detect_faces(marker, turned)
        assert scores.tolist() == [0.9995]
        # Marking the same pixels in the upright photo and turning it shows where they are.
        canvas = np.zeros((200, 300), np.uint8)
        for number, (x, y) in enumerate(np.round(landmarks[0]).astype(int), 1):
            canvas[y, x] = number
        canvas = np.rot90(canvas, turn)
        for number, (x, y) in enumerate(marks[0], 1):
            row, column = np.argwhere(canvas == number)[0]
            assert abs(row - y) <= 0.51
            assert abs(column - x) <= 0.51
        box = np.zeros((200, 300), np.uint8)
        box[20:140, 50:150] = 1
        rows, columns = np.nonzero(np.rot90(box, turn))
        assert boxes[0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_the_landmark_fit_separates_faces_from_other_arrangements():
    angle = np.radians(30)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    deviation, degrees = landmark_fit(TEMPLATE @ rotation * 3 + 500)
    assert deviation < 1e-9
    assert abs(degrees - 30) < 1e-6
    assert landmark_fit(np.ones((5, 2)))[0] == np.inf
    assert not is_plausible(np.ones((5, 2)))
    assert not is_plausible(np.full((5, 2), np.nan))
    # Eyes and mouth exchanged, as a detector reports them for a face that is upside down.
    assert not is_plausible(TEMPLATE[[3, 4, 2, 0, 1]])


def test_implausible_landmarks_are_left_out():
    class Wrong:
        def detect(self, image):
            return np.array([[0.0, 0, 50, 50]]), np.array([1.0]), np.full((1, 5, 2), 20.0)

    assert len(detect_faces(Wrong(), np.zeros((100, 100, 3), np.uint8)).boxes) == 0


def test_sideways_face_beside_an_upright_one_is_found_too(mtcnn, faces):
    first, second = photos_of_people(faces, 28)[:2]
    size = (300, 300)
    first, second = cv2.resize(first, size), np.rot90(cv2.resize(second, size))
    found = detect_faces(mtcnn, np.ascontiguousarray(np.hstack([first, second])))
    centers = (found.boxes[:, 0] + found.boxes[:, 2]) / 2
    assert (centers < 300).any()
    # The sideways one needs the other turns, which are searched only where no face is certain.
    assert len(found.boxes) <= 2


def test_small_faces_are_found_when_asked_for(mtcnn, faces):
    photo = np.full((1536, 2048, 3), 100, np.uint8)
    heads = [cv2.resize(head, (60, 75))[:60] for head in photos_of_people(faces, 28)]
    for number, head in enumerate(heads):
        photo[200:260, 100 + 200 * number : 160 + 200 * number] = head
    assert len(detect_faces(mtcnn, photo, min_face=20).boxes) >= len(heads) - 1
    assert isinstance(detect_faces(mtcnn, photo), Detections)


def test_turned_group_photo_shows_six_faces(mtcnn, group):
    upright = detect_faces(mtcnn, group)
    assert len(upright.boxes) == 6
    for turn in (1, 2, 3):
        assert len(detect_faces(mtcnn, np.ascontiguousarray(np.rot90(group, turn))).boxes) == 6

import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from gluonfr.core import DataError
from gluonfr.data.detection import DetectionRecords, describe_left_out, make_faces, pack_detection

MARKS = np.array([[12.0, 25], [22, 24], [17, 30], [13, 36], [21, 35]])


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, size in enumerate([(60, 80), (300, 100)]):
        image = np.random.RandomState(number).randint(0, 256, (*size, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    return folder


def test_photos_and_faces_are_read_back(photos, tmp_path):
    annotations = [
        make_faces("0.png", [[10, 20, 30, 40], [50, 5, 79, 60]], [MARKS, MARKS * np.nan], [False, True]),
        make_faces("1.png", []),
    ]
    result = pack_detection(annotations, photos, tmp_path / "out")
    assert result[:4] == (2, 2, 1, 1)
    assert result.left_out == {}
    records = DetectionRecords(tmp_path / "out")
    image, faces = records.read(0)
    assert np.array_equal(image[..., ::-1], cv2.imread(str(photos / "0.png")))
    assert np.allclose(faces.boxes, annotations[0].boxes, atol=1e-4)
    assert np.allclose(faces.landmarks[0], MARKS, atol=1e-4)
    assert np.isnan(faces.landmarks[1]).all()
    assert faces.ignored.tolist() == [False, True]
    assert len(records.read(1)[1].boxes) == 0


def test_records_have_the_layout_of_im2rec(photos, tmp_path):
    pack_detection([make_faces("0.png", [[8, 15, 40, 30]], [MARKS])], photos, tmp_path / "out")
    record = mx.recordio.MXIndexedRecordIO(str(tmp_path / "out/faces.idx"), str(tmp_path / "out/faces.rec"), "r").read_idx(0)
    header, content = mx.recordio.unpack(record)
    assert header.label[:2].tolist() == [2, 16]
    assert np.allclose(header.label[2:7], [0, 8 / 80, 15 / 60, 40 / 80, 30 / 60])
    assert np.allclose(header.label[7:17].reshape(5, 2), MARKS / [80, 60])
    assert mx.image.imdecode(content).shape == (60, 80, 3)


def test_large_photos_are_reduced_with_their_faces(photos, tmp_path):
    pack_detection([make_faces("1.png", [[10, 100, 50, 200]])], photos, tmp_path / "out", max_side=150)
    image, faces = DetectionRecords(tmp_path / "out").read(0)
    assert image.shape == (150, 50, 3)
    assert np.allclose(faces.boxes, [[5, 50, 25, 100]], atol=1e-3)


@pytest.mark.parametrize(("size", "orientation"), [((405, 405), 1), ((401, 603), 1), ((259, 401), 1), ((401, 603), 6)])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_landmarks_stay_at_the_pixels_of_a_reduced_photo(size, orientation, reduction, tmp_path):
    # A disk near the right and the lower edge, where decoders add pixels if the size is not divisible.
    width, height = size[::-1] if orientation == 1 else size
    center = np.array([width - 30.0, height - 34])
    rows, columns = np.mgrid[:height, :width] + 0.5
    photo = np.where(np.hypot(columns - center[0], rows - center[1]) < 16, 255, 0).astype(np.uint8)
    if orientation == 1:
        Image.fromarray(photo).save(tmp_path / "a.jpg", quality=95)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(np.rot90(photo)).save(tmp_path / "a.jpg", quality=95, exif=exif)
    faces = make_faces("a.jpg", [[center[0] - 20, center[1] - 20, center[0] + 20, center[1] + 20]], [center + MARKS - MARKS[0]])
    pack_detection([faces], tmp_path, tmp_path / "set")
    image, found = DetectionRecords(tmp_path / "set").read(0, min(size) / reduction)
    assert min(image.shape[:2]) == (-(-min(size) // reduction) if orientation == 1 else min(size))
    weights = image[..., 0].astype(float)
    place = (
        np.array([(weights.sum(axis) * (np.arange(weights.shape[1 - axis]) + 0.5)).sum() for axis in (0, 1)]) / weights.sum()
    )
    assert np.allclose(found.landmarks[0, 0], place, atol=0.1)
    assert np.allclose((found.boxes[0, :2] + found.boxes[0, 2:]) / 2, place, atol=0.1)


def test_what_is_no_face_is_left_out_by_reason(photos, tmp_path):
    nan = float("nan")
    boxes = [[1, 1, 20, 20], [nan, 0, 5, 5], [5, 5, 5, 9], [9, 9, 4, 4], [90, 5, 99, 20], [-5, -5, 30, 200]]
    marks = np.full((6, 5, 2), nan)
    marks[0] = MARKS
    marks[0, 3, 1] = np.inf
    annotations = [make_faces("0.png", boxes, marks), make_faces("broken.jpg", []), make_faces("missing.jpg", [[1, 2, 3, 4]])]
    result = pack_detection(annotations, photos, tmp_path / "out")
    assert {reason: len(names) for reason, names in result.left_out.items()} == {
        "boxes that are not numbers": 1,
        "boxes without area": 2,
        "boxes outside the photo": 1,
        "landmarks that are incomplete or outside the photo": 1,
        "photos that do not decode": 1,
        "missing photos": 1,
    }
    assert "0.png: face 2, 0.png: face 3" in " ".join(describe_left_out(result))
    _, faces = DetectionRecords(tmp_path / "out").read(0)
    assert faces.boxes.tolist() == [[1, 1, 20, 20], [0, 0, 30, 60]]


def test_a_set_without_faces_writes_nothing(photos, tmp_path):
    with pytest.raises(DataError, match="no photo with a face"):
        pack_detection([make_faces("0.png", []), make_faces("gone.jpg", [[1, 2, 3, 4]])], photos, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_photos_outside_the_folder_are_refused(photos, tmp_path):
    with pytest.raises(DataError, match="outside the folder"):
        pack_detection([make_faces("../secret.png", [[1, 2, 3, 4]])], photos, tmp_path / "out")


def test_records_of_people_are_not_taken_for_faces(tmp_path):
    from gluonfr.data import RecordWriter

    with RecordWriter(str(tmp_path / "people"), image_size=(8, 8)) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0)
    with pytest.raises(DataError, match="no label of faces"):
        DetectionRecords(tmp_path / "people" / "train.rec").read(0)
    with pytest.raises(DataError, match="missing"):
        DetectionRecords(tmp_path)

import cv2
import numpy as np
import pytest

from gluonfr.core import UsageError
from gluonfr.data.detection import DetectionRecords, make_faces, pack_detection
from gluonfr.data.detection.augmentation import DetectionAugmentation, move_faces, warp

# Landmarks of a face whose five points are drawn in five colors, so that they can be found again in a picture.
COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]
MARKS = np.array([[70.0, 60], [110, 60], [90, 85], [75, 105], [105, 105]])


def draw():
    image = np.full((160, 200, 3), 128, np.uint8)
    for (x, y), color in zip(MARKS.astype(int).tolist(), COLORS):
        # A square of pixels x - 4 ... x + 3 is centered on the edge at x.
        image[y - 4 : y + 4, x - 4 : x + 4] = color
    return image, make_faces("a", [[55, 40, 125, 125]], [MARKS])


def find(image, color):
    """Center of the pixels of a color, from the edge of the picture."""
    near = (np.abs(image.astype(int) - color).max(2) < 60).astype(np.uint8)
    rows, columns = np.nonzero(near)
    assert len(rows), color
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5])


@pytest.mark.parametrize("turn", [0.0, 1.0])
@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_landmarks_follow_the_pixels(turn, mosaic):
    read = draw
    augmentation = DetectionAugmentation(size=256, mosaic=mosaic, crop=(0.9, 1.3), turn=turn, color=False)
    seen = 0
    for seed in range(30):
        image, faces = augmentation(0, lambda number, shorter_side: read(), 3, np.random.default_rng(seed))
        assert image.shape == (256, 256, 3)
        if mosaic or not len(faces.boxes) or faces.ignored.any():
            continue
        marks = faces.landmarks[0]
        if (marks < 8).any() or (marks > 248).any():
            continue
        mirrored = np.cross(marks[1] - marks[0], marks[2] - marks[0]) < 0
        # In a mirrored photo the landmark of the left eye shows what was the right one.
        order = [1, 0, 2, 4, 3] if not np.allclose(find(image, COLORS[0]), marks[0], atol=2) else range(5)
        assert not mirrored  # left and right are those of the picture
        for number, color in enumerate(COLORS):
            assert np.allclose(find(image, color), marks[list(order).index(number)], atol=1.5)
        seen += 1
    assert mosaic or seen > 5


def test_mosaics_have_small_faces_within_their_tiles():
    augmentation = DetectionAugmentation(size=240, mosaic=1.0, color=False)
    counts = []
    for seed in range(20):
        _, faces = augmentation(0, lambda number, shorter_side: draw(), 3, np.random.default_rng(seed))
        counts.append(len(faces.boxes))
        assert (faces.boxes >= 0).all()
        assert (faces.boxes <= 240).all()
        sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
        assert (sides <= 121).all()  # of the largest tiles
    assert max(counts) > 4


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_photos_decoded_at_a_fraction_of_their_size_give_the_same_samples(mosaic, tmp_path):
    # Random blobs, so that every shift shows; 1,000 pixels wide, of which samples of 64 need less.
    photo = cv2.resize(
        np.random.RandomState(0).randint(0, 256, (10, 14, 3), np.uint8), (1000, 701), interpolation=cv2.INTER_CUBIC
    )
    cv2.imwrite(str(tmp_path / "a.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 95])
    pack_detection([make_faces("a.jpg", [[300, 200, 620, 600]], [MARKS * 4])], tmp_path, tmp_path / "set")
    records = DetectionRecords(tmp_path / "set")
    sizes = []

    def read_reduced(number, shorter_side):
        image, faces = records.read(number, shorter_side)
        sizes.append((min(image.shape[:2]), shorter_side))
        return image, faces

    augmentation = DetectionAugmentation(size=64, mosaic=mosaic, color=False)
    for seed in range(20):
        whole, expected = augmentation(0, lambda number, shorter_side: records.read(number), 1, np.random.default_rng(seed))
        image, faces = augmentation(0, read_reduced, 1, np.random.default_rng(seed))
        assert np.abs(image.astype(int) - whole).mean() < 4
        assert np.allclose(faces.boxes, expected.boxes, atol=0.5)
        assert np.allclose(faces.landmarks, expected.landmarks, atol=0.5)
    assert all(size >= needed or size == 701 for size, needed in sizes)
    assert min(size for size, _ in sizes) < 200


def test_small_and_hidden_faces_are_ignored():
    augmentation = DetectionAugmentation(size=64, mosaic=1.0, smallest=30, color=False)
    for seed in range(10):
        _, faces = augmentation(0, lambda number, shorter_side: draw(), 3, np.random.default_rng(seed))
        small = (faces.boxes[:, 2:] - faces.boxes[:, :2]).min(1) < 30
        assert faces.ignored[small].all()


def test_samples_depend_on_the_generator_alone():
    augmentation = DetectionAugmentation(size=96)
    first, second = (augmentation(1, lambda number, shorter_side: draw(), 3, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1].boxes, second[1].boxes)
    assert not np.array_equal(first[0], augmentation(1, lambda number, shorter_side: draw(), 3, np.random.default_rng(6))[0])


def test_a_box_contains_the_turned_ellipse():
    angle = np.radians(35)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, [100, 20]])
    around = np.linspace(0, 2 * np.pi, 10_000)
    ellipse = np.column_stack([50 + 20 * np.cos(around), 60 + 35 * np.sin(around)]) @ turn.T + [100, 20]
    box = move_faces(make_faces("a", [[30, 25, 70, 95]]), matrix).boxes[0]
    assert np.allclose(box, [*ellipse.min(0), *ellipse.max(0)], atol=1e-3)


def test_warping_keeps_edges_in_place():
    # A photo of 100 pixels whose right half is white: its edge is at 50, and at 25 at half the size.
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[:, 50:] = 255
    for factor, side in ((0.5, 50), (1.0, 100), (2.0, 200)):
        image = warp(photo, np.array([[factor, 0, 0], [0, factor, 0]]), side)
        assert abs((image[side // 2, :, 0] / 255).sum() - side / 2) < 1.01, factor
        assert cv2.mean(image)[0] == pytest.approx(127.5, abs=3)


@pytest.mark.parametrize("options", [{"size": 8}, {"mosaic": 2}, {"crop": (2, 1)}, {"turn": -1}, {"rotation": 500}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        DetectionAugmentation(**options)

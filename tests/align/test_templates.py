import math

import cv2
import mxnet as mx
import numpy as np
import pytest
from scipy.optimize import minimize

from gluonfr.align import TEMPLATES, Template, align_face, align_faces, get_template, realign, similarity_transform
from gluonfr.core import GluonFRError

ARCFACE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], dtype=np.float64
)


def moved(points, degrees, scale, shift):
    """`points` of a crop in a photo that shows the crop rotated, scaled and shifted."""
    angle = math.radians(degrees)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return points @ turn.T + shift


def apply(transform, points):
    return points @ transform[:, :2].T + transform[:, 2]


def test_published_landmark_positions():
    assert np.array_equal(get_template("arcface").points, ARCFACE)
    assert get_template("ArcFace").image_size == (112, 112)
    narrow = get_template("arcface_96x112")
    assert narrow.image_size == (112, 96)  # height, width
    assert np.allclose(np.array(narrow.points) - ARCFACE, [-8, 0])
    assert get_template("dlib").image_size == (150, 150)
    assert get_template("dlib").uses == (0, 1, 2)
    with pytest.raises(GluonFRError, match="did you mean 'arcface'"):
        get_template("arcfase")


@pytest.mark.parametrize("name", TEMPLATES.names())
@pytest.mark.parametrize(
    ("degrees", "scale", "shift"), [(0, 1, (0, 0)), (30, 2.5, (400, 70)), (-170, 0.4, (-20, 900)), (90, 31, (5, 5))]
)
def test_transform_inverts_a_known_similarity(name, degrees, scale, shift):
    template = get_template(name)
    places = np.array(template.points)
    landmarks = np.full((5, 2), 1e4)  # where the template uses three landmarks only, the others must not matter
    landmarks[list(template.uses)] = moved(places, degrees, scale, shift)
    transform = similarity_transform(landmarks, name)
    assert transform.shape == (2, 3)
    assert np.allclose(apply(transform, landmarks[list(template.uses)]), places, atol=1e-8)
    assert math.isclose(np.linalg.det(transform[:, :2]), scale**-2)


def test_transform_computed_by_hand():
    # Twice as large and shifted by (10, 20): halve, after taking the shift back.
    assert np.allclose(similarity_transform(ARCFACE * 2 + (10, 20)), [[0.5, 0, -5], [0, 0.5, -10]])
    # A quarter turn: the photo's x is the crop's -y.
    assert np.allclose(similarity_transform(ARCFACE @ [[0, 1], [-1, 0]]), [[0, 1, 0], [-1, 0, 0]])


@pytest.mark.parametrize("seed", range(4))
def test_transform_has_the_least_squared_error(seed):
    rng = np.random.RandomState(seed)
    landmarks = moved(ARCFACE, rng.uniform(-60, 60), rng.uniform(0.5, 4), rng.uniform(0, 300, 2)) + rng.normal(0, 8, (5, 2))

    def error(parameters):
        a, b, x, y = parameters
        return np.square(landmarks @ np.array([[a, -b], [b, a]]).T + (x, y) - ARCFACE).sum()

    best = min(
        (minimize(error, start, method="BFGS") for start in ([1, 0, 0, 0], [0.1, 0.3, 50, 50])), key=lambda result: result.fun
    )
    transform = similarity_transform(landmarks)
    mine = error([transform[0, 0], transform[1, 0], *transform[:, 2]])
    assert mine <= best.fun + 1e-4
    assert math.isclose(mine, best.fun, rel_tol=1e-3)
    assert transform[0, 0] == transform[1, 1]
    assert transform[0, 1] == -transform[1, 0]


def umeyama(source, target):
    """The textbook form: singular values, and a sign that excludes mirror images."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    u, d, vt = np.linalg.svd((target - target_mean).T @ (source - source_mean))
    sign = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    turn = (u * sign) @ vt * (d * sign).sum() / np.square(source - source_mean).sum()
    return np.hstack([turn, (target_mean - turn @ source_mean)[:, None]])


def test_transform_never_mirrors():
    # In a mirrored photo the eye on the left is still the left eye; with the names swapped the best map is a mirror.
    for swapped in (ARCFACE * (-1, 1) + (112, 0), ARCFACE[[1, 0, 2, 4, 3]] * 3):
        transform = similarity_transform(swapped)
        assert np.linalg.det(transform[:, :2]) > 0
        assert np.allclose(transform, umeyama(swapped, ARCFACE))


def test_batch_of_faces_equals_single_faces():
    rng = np.random.RandomState(0)
    landmarks = np.stack([moved(ARCFACE, *motion) for motion in ((5, 3, (9, 8)), (80, 0.2, (1, 2)), (-40, 9, (700, 3)))])
    landmarks += rng.normal(0, 1, landmarks.shape)
    together = similarity_transform(landmarks.astype(np.float32))
    assert together.shape == (3, 2, 3)
    for one, landmark in zip(together, landmarks):
        assert np.allclose(one, similarity_transform(landmark), atol=1e-4)
        assert np.allclose(one, umeyama(landmark, ARCFACE), atol=1e-4)
    assert similarity_transform(np.empty((0, 5, 2))).shape == (0, 2, 3)


@pytest.mark.parametrize(
    ("landmarks", "word"),
    [
        (np.full((5, 2), 7.0), "coincide"),
        (np.full((5, 2), np.nan), "finite"),
        (np.where(np.arange(10).reshape(5, 2) == 3, np.inf, ARCFACE), "finite"),
        (ARCFACE[:4], "shape"),
        (ARCFACE.ravel(), "shape"),
        (np.stack([ARCFACE, np.zeros((5, 2))]), "coincide"),
    ],
)
def test_degenerate_landmarks_are_rejected(landmarks, word):
    with pytest.raises(GluonFRError, match=word):
        similarity_transform(landmarks)


def test_mirrored_landmarks_without_a_fit_are_rejected():
    # Mirrored about a line through the centroid, as complex numbers conj(template): the sum of conj(z) * w vanishes when
    # the template's own sum of squares does, which two points turned a quarter against two others give.
    cross = ((10.0, 0.0), (-10.0, 0.0), (0.0, 10.0), (0.0, -10.0), (0.0, 0.0))
    mirrored = np.array(cross) * (1, -1)
    with pytest.raises(GluonFRError, match="not arranged like a face"):
        similarity_transform(mirrored, Template(cross, (20, 20)))


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([127 + 120 * np.sin(x / 9.0), 127 + 120 * np.cos(y / 7.0), 127 + 100 * np.sin((x + y) / 11.0)], -1)


def test_crop_shows_the_photo_at_the_template_positions():
    photo = smooth(300, 400)
    landmarks = moved(ARCFACE, 20, 1.3, (150, 60))
    crop = align_face(photo.astype(np.uint8), landmarks)
    assert crop.shape == (112, 112, 3)
    assert crop.dtype == np.uint8
    y, x = np.mgrid[:112, :112]
    seen = moved(np.stack([x, y], -1).reshape(-1, 2).astype(float), 20, 1.3, (150, 60))
    inside = ((seen > 1) & (seen < (398, 298))).all(1)
    expected = np.stack(
        [127 + 120 * np.sin(seen[:, 0] / 9), 127 + 120 * np.cos(seen[:, 1] / 7), 127 + 100 * np.sin(seen.sum(1) / 11)], -1
    )
    assert inside.mean() > 0.8
    assert np.abs(crop.reshape(-1, 3)[inside] - expected[inside]).max() < 4
    assert not crop.reshape(-1, 3)[(seen < -1.5).any(1)].any()  # outside the photo: black


def test_realigned_crop_equals_the_crop_of_the_photo():
    photo = smooth(300, 300).round().astype(np.uint8)
    landmarks = moved(get_template("arcface").points, 7, 1.3, (90, 80))
    from_photo = align_face(photo, landmarks, "dlib")
    from_crop = realign(align_face(photo, landmarks), "dlib")
    assert from_crop.shape == (150, 150, 3)
    # Where the first crop reaches, both show the same; its edges, and what lies beyond, are black in the second.
    seen = cv2.erode((realign(np.full((112, 112, 3), 255, np.uint8), "dlib") == 255).astype(np.uint8), np.ones((5, 5)))[:, :, 0]
    assert 0.9 < seen.mean() < 1
    assert np.abs(from_photo.astype(int) - from_crop)[seen == 1].mean() < 2
    # 96 columns of the same crop, none shrunk.
    narrow = realign(photo[:112, :112].copy(), "arcface_96x112")
    np.testing.assert_allclose(narrow, photo[:112, 8:104], atol=1)


def test_crop_without_reduction_equals_warp_affine():
    photo = smooth(200, 180).astype(np.uint8)
    landmarks = moved(ARCFACE, -12, 1.1, (30, 20))
    expected = cv2.warpAffine(photo, similarity_transform(landmarks), (112, 112))
    # The last bits differ where a 32nd of a pixel is rounded the other way; at the black border that is 255 / 32.
    difference = np.abs(align_face(photo, landmarks).astype(int) - expected)
    assert difference.max() <= 8
    assert difference.mean() < 0.2
    narrow = align_face(photo, landmarks, "arcface_96x112")
    assert narrow.shape == (112, 96, 3)
    assert np.abs(narrow.astype(int) - expected[:, 8:104]).max() <= 8


@pytest.mark.parametrize(("degrees", "scale"), [(0, 4), (33, 4), (33, 18), (0, 18), (0, 60), (33, 40)])
def test_large_face_is_averaged_without_aliasing(degrees, scale):
    # Fine noise has the mean 127; sampled it stays noise, averaged it becomes gray.
    side = int(112 * scale * (1 if degrees == 0 else 1.45)) + 8
    photo = np.random.RandomState(0).randint(0, 256, (side, side, 1), dtype=np.uint8).repeat(3, 2)
    center = np.array([55.5, 55.5])
    landmarks = moved(ARCFACE - center, degrees, scale, ((side - 1) / 2, (side - 1) / 2))
    crop = align_face(photo, landmarks)[4:-4, 4:-4].astype(float)
    naive = cv2.warpAffine(photo, similarity_transform(landmarks), (112, 112))[4:-4, 4:-4].astype(float)
    assert naive.std() > 30
    assert abs(crop.mean() - 127.5) < 1.5
    assert crop.std() < 1.35 * 73.9 / scale + 0.6  # 73.9 is the noise's own; 0.6 is rounding to whole numbers


def test_large_face_is_not_displaced():
    # A step from black to white between two columns of the photo must lie between the same columns of the crop.
    scale = 50
    photo = np.zeros((112 * scale, 112 * scale, 3), np.uint8)
    photo[:, 56 * scale :] = 255
    crop = align_face(photo, (ARCFACE + 0.5) * scale - 0.5)
    assert (crop[:, :56] < 3).all()
    assert (crop[:, 56:] > 252).all()


def test_photo_wider_than_opencv_can_warp():
    photo = np.zeros((60, 40000, 3), np.uint8)
    photo[:, 39000:] = (10, 20, 30)
    crop = align_face(photo, ARCFACE * 0.5 + (39500, 0))
    assert (crop[2:-2, 2:-2] == (10, 20, 30)).all()
    assert not align_face(photo, ARCFACE + (90000, 0)).any()


def test_align_faces_equals_align_face():
    photo = np.random.RandomState(1).randint(0, 256, (200, 200, 3), dtype=np.uint8)
    landmarks = np.stack([ARCFACE + 10, ARCFACE * 0.5, ARCFACE * 3])
    crops = align_faces(mx.nd.array(photo, dtype="uint8"), landmarks, "dlib")
    assert crops.shape == (3, 150, 150, 3)
    assert crops.dtype == np.uint8
    for crop, landmark in zip(crops, landmarks):
        assert np.array_equal(crop, align_face(photo, landmark, "dlib"))
    assert align_faces(photo, np.empty((0, 5, 2), np.float32)).shape == (0, 112, 112, 3)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3)),
        "face.jpg",
        None,
        np.zeros((0, 5, 3), np.uint8),
    ],
)
def test_invalid_images_are_rejected(image):
    with pytest.raises(GluonFRError, match=r"uint8 \(H, W, 3\)"):
        align_face(image, ARCFACE)

"""Render one image of one person."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from gluonfr.core import check_integer
from gluonfr.data.synthetic import conditions, face, hair
from gluonfr.data.synthetic.canvas import SUPERSAMPLING, Canvas
from gluonfr.data.synthetic.geometry import Pose
from gluonfr.data.synthetic.identity import Identity, make_identity

_LIMIT = 2**64 - 1
_SHOULDERS = np.array(
    [(-70, 74, -16), (-24, 60, -16), (24, 60, -16), (70, 74, -16), (80, 120, -16), (-80, 120, -16)], np.float64
)


def render(identity: int, image: int, seed: int = 0, size: int = 112) -> np.ndarray:
    """Render one image of one synthetic person, roughly aligned to the 5-point template.

    Parameters
    ----------
    identity : int
        Number of the person, 0 <= identity < 2**64.
    image : int
        Number of the image of this person, 0 <= image < 2**64.
    seed : int, default 0
        Seed of all people, 0 <= seed < 2**64.
    size : int, default 112
        Side in pixels, 32 to 1024. Other sizes show the same scene.

    Returns
    -------
    np.ndarray
        uint8 (size, size, 3) RGB, after JPEG compression.

    Examples
    --------
    >>> render(identity=3, image=0).shape
    (112, 112, 3)
    """
    identity = check_integer("identity", identity, 0, _LIMIT)
    image = check_integer("image", image, 0, _LIMIT)
    seed = check_integer("seed", seed, 0, _LIMIT)
    size = check_integer("size", size, 32, 1024)
    content = encode_image(_person(identity, seed), conditions.image_generator(seed, identity, image), size)
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def encode_image(person: Identity, rng: np.random.Generator, size: int = 112) -> bytes:
    """Render one image of a person under conditions drawn from `rng`, as JPEG bytes.

    Examples
    --------
    >>> encode_image(make_identity(3), conditions.image_generator(0, 3, 0))[:3].hex()
    'ffd8ff'
    """
    picture = _draw(rng, person, size)
    picture = cv2.multiply(picture, conditions.light(rng, size), scale=1 / 128)
    conditions.occlude(rng, picture)
    picture = conditions.develop(rng, picture)
    quality = [cv2.IMWRITE_JPEG_QUALITY, conditions.jpeg_quality(rng)]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)[1].tobytes()


def _draw(rng: np.random.Generator, person: Identity, size: int) -> np.ndarray:
    yaw, pitch = conditions.pose(rng)
    expression = conditions.expression(rng)
    pose = Pose(yaw, pitch, face.landmarks(person, expression), conditions.alignment_error(rng))
    canvas = Canvas(conditions.background(rng, size * SUPERSAMPLING), pose)
    draw_person(canvas, person, pose, expression, rng.uniform(0, 255, 3))
    return cv2.resize(canvas.picture, (size, size), interpolation=cv2.INTER_AREA)


def draw_person(canvas: Canvas, person: Identity, pose: Pose, expression: face.Expression, clothes: np.ndarray) -> None:
    """Draw head and shoulders of a person onto a canvas; `clothes` is an RGB color.

    Examples
    --------
    >>> person, expression = make_identity(3), face.Expression()
    >>> pose = Pose(0.0, 0.0, face.landmarks(person, expression), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((64, 64, 3), np.uint8), pose)
    >>> draw_person(canvas, person, pose, expression, np.array([0, 0, 255]))
    >>> int(canvas.picture.max()) > 0
    True
    """
    hair.draw_back_hair(canvas, person)
    canvas.fill(_SHOULDERS, clothes)
    face.draw_head(canvas, person, pose.widen)
    face.draw_eyes(canvas, person, expression)
    face.draw_skin_marks(canvas, person)
    face.draw_nose(canvas, person)
    hair.draw_beard(canvas, person)
    face.draw_mouth(canvas, person, expression)
    face.draw_brows(canvas, person, expression)
    hair.draw_hair(canvas, person, pose.widen)
    hair.draw_glasses(canvas, person)


# Images of one person are mostly requested in a row.
_person = lru_cache(maxsize=64)(make_identity)

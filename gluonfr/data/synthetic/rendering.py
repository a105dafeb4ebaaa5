"""One picture of one person."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from gluonfr.core import check_integer
from gluonfr.data.synthetic import conditions, face, hair
from gluonfr.data.synthetic.canvas import SUPERSAMPLING, Canvas
from gluonfr.data.synthetic.geometry import Pose
from gluonfr.data.synthetic.identity import make_identity


def _draw(rng, person, size):
    yaw, pitch = conditions.pose(rng)
    mood = conditions.expression(rng)
    pose = Pose(yaw, pitch, face.landmarks(person, mood), conditions.alignment_error(rng))
    canvas = Canvas(conditions.background(rng, size * SUPERSAMPLING), pose)
    hair.draw_back_hair(canvas, person)
    _draw_clothes(rng, canvas)
    face.draw_head(canvas, person, pose.widen)
    face.draw_eyes(canvas, person, mood)
    face.draw_skin_marks(canvas, person)
    face.draw_nose(canvas, person)
    hair.draw_beard(canvas, person)
    face.draw_mouth(canvas, person, mood)
    face.draw_brows(canvas, person, mood)
    hair.draw_hair(canvas, person, pose.widen)
    hair.draw_glasses(canvas, person)
    return cv2.resize(canvas.picture, (size, size), interpolation=cv2.INTER_AREA)


def _draw_clothes(rng, canvas) -> None:
    color = rng.uniform(0, 255, 3)
    shoulders = np.array([(-70, 74, -16), (-24, 60, -16), (24, 60, -16), (70, 74, -16), (80, 120, -16), (-80, 120, -16)])
    canvas.fill(shoulders.astype(np.float64), color)


def encode(person, rng, size=112):
    """The JPEG bytes of one picture of `person` under the conditions that `rng` draws."""
    picture = _draw(rng, person, size)
    picture = cv2.multiply(picture, conditions.light(rng, size), scale=1 / 128)
    conditions.occlude(rng, picture)
    picture = conditions.develop(rng, picture)
    quality = [cv2.IMWRITE_JPEG_QUALITY, conditions.jpeg_quality(rng)]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)[1].tobytes()


def render(identity, image, seed=0, size=112):
    """One picture of one synthetic person, roughly aligned to the 5-point template.

    Parameters
    ----------
    identity, image : int
        Which person, and which of their pictures; each 0 <= n < 2**64, there are no more than that.
    seed : int, default 0
        Names the world of people, 0 <= seed < 2**64.
    size : int, default 112
        Side in pixels, 32 to 1024. Another size is the same scene, not the same bytes resized.

    Returns
    -------
    uint8 (size, size, 3) RGB, with the traces of JPEG.
    """
    identity = check_integer("identity", identity, 0, 2**64 - 1)
    image = check_integer("image", image, 0, 2**64 - 1)
    seed = check_integer("seed", seed, 0, 2**64 - 1)
    size = check_integer("size", size, 32, 1024)
    data = encode(_person(identity, seed), conditions.picture_generator(seed, identity, image), size)
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


# Pictures of one person are mostly asked for in a row.
_person = lru_cache(maxsize=64)(make_identity)

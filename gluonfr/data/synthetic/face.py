"""Draw the face: head, ears, eyes, brows, nose, mouth and marks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gluonfr.data.synthetic.canvas import Canvas
from gluonfr.data.synthetic.geometry import at_depth, mirrored, smooth, surface
from gluonfr.data.synthetic.identity import Identity

WHITE = np.array([240.0, 236.0, 232.0])
DARK = np.array([24.0, 14.0, 14.0])


class Expression(NamedTuple):
    """The expression of a face in one image; zeros are a neutral face with open eyes.

    Examples
    --------
    >>> Expression(smile=0.5).closed
    0.0
    """

    smile: float = 0.0
    mouth_open: float = 0.0
    brow_raise: float = 0.0
    closed: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0


def mix(first: Any, second: Any, share: Any) -> np.ndarray:
    """Mix two colors or points; `share` is the weight of the second.

    Examples
    --------
    >>> mix([0, 0], [10, 20], 0.5).tolist()
    [5.0, 10.0]
    """
    return np.asarray(first) * (1 - share) + np.asarray(second) * share


def head_outline(person: Identity, grow: float = 0.0, top: float = 0.0) -> np.ndarray:
    """Return the closed outline of the head as control points (12, 3), `grow` pixels wider and `top` pixels higher.

    Examples
    --------
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> head_outline(make_identity(0)).shape
    (12, 3)
    """
    length = person.chin_length
    half = mirrored(
        [
            (0, -person.skull - top),
            (0.66 * person.temple + 0.7 * grow, -person.skull + 8 - 0.7 * top),
            (person.temple + grow, -20),
            (person.cheek + grow, 6),
            (person.jaw + grow, 0.62 * length),
            (person.chin + 0.5 * grow, length - 5),
            (0, length),
        ]
    )
    # The jaw lies further in front than the temples, so that it follows the nose when the head turns.
    return np.column_stack([half, np.clip((half[:, 1] + 10) / 60, -0.15, 1) * 16])


def landmarks(person: Identity, expression: Expression) -> np.ndarray:
    """Return eyes, nose tip and mouth corners of a person with an expression: (5, 3).

    Examples
    --------
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> landmarks(make_identity(0), Expression()).shape
    (5, 3)
    """
    eyes = surface([(-person.eye_x, 0), (person.eye_x, 0)])
    nose = surface([(0, person.nose_length)], person.nose_tip)
    x, y = _mouth_corner(person, expression)
    return np.concatenate([eyes, nose, surface([(-x, y), (x, y)])])


def _mouth_corner(person: Identity, expression: Expression) -> tuple[float, float]:
    return person.mouth_width * (1 + 0.12 * expression.smile - 0.1 * expression.mouth_open), (
        person.mouth_y - 3.0 * expression.smile
    )


def draw_head(canvas: Canvas, person: Identity, widen: float) -> None:
    """Draw neck, ears and the face without features.

    Examples
    --------
    >>> from gluonfr.data.synthetic.geometry import Pose
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> person = make_identity(3)
    >>> pose = Pose(0.0, 0.0, landmarks(person, Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    >>> draw_head(canvas, person, pose.widen)
    >>> bool(canvas.picture.any())
    True
    """
    skin = person.skin
    canvas.fill(at_depth([(-22, 30), (22, 30), (26, 90), (-26, 90)], -12), skin * 0.62)
    stretch = np.array([widen, 1.0, 1.0])
    for side in (-1, 1):
        x, size = side * (person.temple + person.ear_out - 1), person.ear_size
        ear = [
            (x - side * 5, 2 - size),
            (x + side * 1.5, 0.5 - size),
            (x + side * 3, 4),
            (x + side * 0.5, 8 + size * 0.6),
            (x - side * 4, 10 + size),
        ]
        canvas.fill(at_depth(smooth(ear), -6) * stretch, skin * 0.86)
        canvas.lines([at_depth(smooth(ear[:4], closed=False) * (0.96, 0.9), -6) * stretch], skin * 0.62, 0.8)
        if person.earring is not None:
            canvas.dots(at_depth([(x - side * 1, 12 + size)], -6) * stretch, [2.6], person.earring)
    canvas.fill(smooth(head_outline(person)) * stretch, skin)
    if person.blush:
        for side in (-1, 1):
            circle = np.array([(np.cos(a) * 8 + side * 21, np.sin(a) * 6 + 20) for a in np.linspace(0, 2 * np.pi, 14)[:-1]])
            canvas.fill(surface(circle), mix(skin, (220, 70, 70), 0.5), person.blush)


def draw_skin_marks(canvas: Canvas, person: Identity) -> None:
    """Draw freckles, moles, scar and wrinkles.

    Examples
    --------
    >>> from gluonfr.data.synthetic.geometry import Pose
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> person = make_identity(3)
    >>> pose = Pose(0.0, 0.0, landmarks(person, Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    >>> draw_skin_marks(canvas, person)
    >>> bool(canvas.picture.any())
    True
    """
    skin = person.skin
    if len(person.freckles):
        canvas.dots(surface(person.freckles[:, :2]), person.freckles[:, 2], mix(skin, (120, 62, 30), 0.55))
    if len(person.moles):
        canvas.dots(surface(person.moles[:, :2]), person.moles[:, 2], skin * (0.34, 0.26, 0.24))
    if person.scar is not None:
        canvas.lines([surface(person.scar)], mix(skin, (255, 190, 190), 0.6), 1.8)
        canvas.lines([surface(person.scar + 0.8)], skin * (0.75, 0.5, 0.5), 0.7)
    if person.wrinkles > 0.15:
        tone = mix(skin, skin * 0.55, person.wrinkles)
        forehead = [surface([(-15, y), (-6, y - 1.5), (6, y - 1.5), (15, y)]) for y in (-22.0, -27.0)]
        cheeks = [surface(smooth([(s * 9, 22), (s * 14, 29), (s * 17.5, 37)], closed=False)) for s in (-1, 1)]
        feet = [
            surface([(s * (person.eye_x + 10), y0), (s * (person.eye_x + 14), y1)])
            for s in (-1, 1)
            for y0, y1 in ((-1, -3), (1.5, 2), (3, 6))
        ]
        canvas.lines(forehead + cheeks + feet, tone, 0.8)


def draw_eyes(canvas: Canvas, person: Identity, expression: Expression) -> None:
    """Draw the eyes: sclera, iris, pupil, lids, lashes and crease.

    Examples
    --------
    >>> from gluonfr.data.synthetic.geometry import Pose
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> person = make_identity(3)
    >>> pose = Pose(0.0, 0.0, landmarks(person, Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    >>> draw_eyes(canvas, person, Expression())
    >>> bool(canvas.picture.any())
    True
    """
    skin = person.skin
    width, tilt = person.eye_width, person.eye_tilt
    height = person.eye_height * (1 - expression.closed) * (1 - 0.2 * max(expression.smile, 0))
    lid = skin * 0.84
    upper_shape = np.array([(-1.0, 0.0), (-0.55, -0.78), (0.1, -1.0), (0.65, -0.7), (1.0, 0.0)])
    lower_shape = np.array([(1.0, 0.0), (0.5, 0.68), (-0.1, 0.75), (-0.6, 0.5), (-1.0, 0.0)])
    for side in (-1, 1):
        scale = np.array([side * width, max(height, 0.25)])
        center = np.array([side * person.eye_x, 0.0])
        upper = smooth(upper_shape * scale + center, closed=False)
        lower = smooth(lower_shape * scale + center, closed=False)
        for curve in (upper, lower):
            curve[:, 1] -= tilt * side * (curve[:, 0] - center[0]) / width
        canvas.fill(surface(np.concatenate([upper, lower])), WHITE)
        pupil = surface([center + (expression.gaze_x * 2.2, -0.3 + expression.gaze_y * 1.2)])
        canvas.dots(pupil, [person.iris_size], person.iris * 0.6)
        canvas.dots(pupil, [person.iris_size * 0.82], person.iris)
        canvas.dots(pupil, [person.iris_size * 0.42], DARK)
        canvas.dots(pupil + (-1.0, -1.2, 0), [0.8], (255, 255, 255))
        # The lids are painted over the iris instead of clipping it.
        above = np.column_stack([mix(upper[:, 0], center[0], -0.06), upper[:, 1] - 3.4])
        canvas.fill(surface(np.concatenate([upper, above[::-1]])), lid)
        below = np.column_stack([lower[:, 0], lower[:, 1] + 3.2])
        canvas.fill(surface(np.concatenate([lower, below[::-1]])), skin * 0.93)
        canvas.lines([surface(upper)], DARK, person.lash)
        canvas.lines([surface(lower)], mix(skin, DARK, 0.45), 0.6)
        if person.eye_crease > 0.35:
            canvas.lines([surface(upper - (0, 2.8))], mix(skin, DARK, 0.35 * person.eye_crease), 0.7)


def draw_brows(canvas: Canvas, person: Identity, expression: Expression) -> None:
    """Draw the eyebrows.

    Examples
    --------
    >>> from gluonfr.data.synthetic.geometry import Pose
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> person = make_identity(3)
    >>> pose = Pose(0.0, 0.0, landmarks(person, Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    >>> draw_brows(canvas, person, Expression())
    >>> bool(canvas.picture.any())
    True
    """
    gap = person.brow_gap + 2.5 * expression.brow_raise
    length, thick, tilt, arch = person.brow_length, person.brow_thickness, person.brow_tilt, person.brow_arch
    for side in (-1, 1):
        upper = [(-0.95, tilt * 0.6), (-0.3, -0.3 * arch), (0.35, -arch - 0.2 * tilt), (1.0, -0.2 * arch - tilt)]
        lower = [(0.4, -arch - 0.2 * tilt + thick * 0.75), (-0.3, -0.3 * arch + thick), (-0.95, tilt * 0.6 + thick)]
        shape = np.array(upper + lower) * (side * length, 1.0) + (side * person.eye_x, -gap - 0.5 * thick)
        canvas.fill(surface(smooth(shape), 2), person.brow)
    if person.brow_joined:
        y = -gap + tilt * 0.6
        canvas.fill(surface([(-8, y - 1), (8, y - 1), (8, y + 1), (-8, y + 1)], 2), person.brow, 0.7)


def draw_nose(canvas: Canvas, person: Identity) -> None:
    """Draw the nose.

    Examples
    --------
    >>> from gluonfr.data.synthetic.geometry import Pose
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> person = make_identity(3)
    >>> pose = Pose(0.0, 0.0, landmarks(person, Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    >>> draw_nose(canvas, person)
    >>> bool(canvas.picture.any())
    True
    """
    skin = person.skin
    length, width, bridge, tip = person.nose_length, person.nose_width, person.nose_bridge, person.nose_tip
    side_tone, line = skin * 0.8, skin * 0.52

    def on_nose(points: Any, share: Any) -> np.ndarray:
        return surface(points, tip * np.asarray(share))

    for side in (-1, 1):
        flank = [(bridge, -4), (bridge * 0.9, 6), (width * 0.55, length - 5), (width, length), (width + 1.5, length + 1)]
        flank += [(bridge + 3.5, 6), (bridge + 3, -2)]
        canvas.fill(on_nose(np.array(flank) * (side, 1), (0.3, 0.4, 0.7, 0.6, 0.3, 0.2, 0.2)), side_tone, 0.55)
    ball = [(0, length - 5.5), (width * 0.62, length - 2), (width * 0.45, length + 2.6), (0, length + 3.4)]
    canvas.fill(on_nose(smooth(mirrored(ball)), 1.0), mix(skin, WHITE, 0.1))
    ridge = [(-bridge * 0.45, -3), (bridge * 0.45, -3), (bridge * 0.5, length - 4), (-bridge * 0.5, length - 4)]
    canvas.fill(on_nose(ridge, (0.3, 0.3, 0.9, 0.9)), mix(skin, WHITE, 0.3), 0.5)
    wings, holes = [], []
    for side in (-1, 1):
        wing = [(width * 0.8, length - 3.5), (width, length), (width * 0.85, length + 2.8), (width * 0.5, length + 2.4)]
        wings.append(on_nose(smooth(np.array(wing) * (side, 1), closed=False), 0.6))
        holes.append((side * width * 0.45, length + 2.2))
    canvas.lines(wings, line, 1.0)
    canvas.dots(on_nose(holes, 0.75), [0.16 * width + 0.3] * 2, skin * 0.3)


def draw_mouth(canvas: Canvas, person: Identity, expression: Expression) -> None:
    """Draw lips and teeth.

    Examples
    --------
    >>> from gluonfr.data.synthetic.geometry import Pose
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> person = make_identity(3)
    >>> pose = Pose(0.0, 0.0, landmarks(person, Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    >>> draw_mouth(canvas, person, Expression(smile=0.5))
    >>> bool(canvas.picture.any())
    True
    """
    x, corner = _mouth_corner(person, expression)
    gap = 7.0 * expression.mouth_open
    middle = person.mouth_y + 0.6 * max(expression.smile, 0)
    upper, lower = person.lip_upper * (1 - 0.2 * expression.smile), person.lip_lower * (1 - 0.15 * expression.smile)
    top: Any = [(-x, corner), (-0.55 * x, middle - 0.75 * upper), (-0.16 * x, middle - upper), (0, middle - 0.78 * upper)]
    top += [(-px, py) for px, py in top[-2::-1]]
    bottom: Any = [(x, corner), (0.55 * x, middle + gap + 0.75 * lower), (0, middle + gap + lower)]
    bottom += [(-px, py) for px, py in bottom[-2::-1]]
    inner_top = smooth(
        [(-x, corner), (-0.5 * x, middle - 0.1), (0, middle), (0.5 * x, middle - 0.1), (x, corner)], closed=False
    )
    inner_bottom = smooth(
        [(x, corner), (0.5 * x, middle + 0.8 * gap), (0, middle + gap), (-0.5 * x, middle + 0.8 * gap), (-x, corner)],
        closed=False,
    )
    top, bottom = smooth(top, closed=False), smooth(bottom, closed=False)
    canvas.fill(surface(np.concatenate([inner_top, bottom]), 2), person.lips)
    canvas.fill(surface(np.concatenate([top, inner_top[::-1]]), 2), person.lips * 0.84)
    canvas.lines([surface(bottom[6:-6] + (0, 1.6))], person.skin * 0.74, 0.9)
    if gap > 1:
        canvas.fill(surface(np.concatenate([inner_top, inner_bottom]), 1), (60, 16, 20))
        teeth = inner_top[3:-3]
        canvas.fill(surface(np.concatenate([teeth, (teeth + (0, min(0.45 * gap, 3.0)))[::-1]]), 1), (238, 234, 222))
    canvas.lines([surface(inner_top, 2)], person.lips * 0.38, 0.9)

"""Draw hair, beard and glasses."""

from __future__ import annotations

from typing import Any

import numpy as np

from gluonfr.data.synthetic.canvas import Canvas
from gluonfr.data.synthetic.face import head_outline, mix
from gluonfr.data.synthetic.geometry import at_depth, mirrored, smooth, surface
from gluonfr.data.synthetic.identity import Identity

# Right half of the hairline from the middle to the side, (share of the temple's half width, y), and the volume at the
# side and on top in pixels. Styles with two halves are not symmetric: left half first.
_STYLES: dict[str, Any] = {
    "buzz": (((0, -35), (0.55, -33), (0.84, -20), (0.98, 2)), 0.5, 1),
    "crop": (((0, -31), (0.6, -29), (0.85, -16), (0.98, 4)), 2, 6),
    "fringe": (((0, -14), (0.55, -13), (0.86, -9), (1.0, 12)), 4, 8),
    "middle part": (((0, -43), (0.5, -24), (0.85, -6), (1.0, 24)), 5, 7),
    "receding": (((0, -30), (0.3, -41), (0.68, -38), (0.98, 4)), 2, 4),
    "slick": (((0, -40), (0.5, -37), (0.85, -24), (0.98, 0)), 1, 5),
    "spiky": (((0, -30), (0.6, -27), (0.86, -18), (0.98, 2)), 3, 9),
    "curly": (((0, -27), (0.55, -26), (0.86, -14), (1.02, 12)), 10, 14),
    "mohawk": (((0, -30), (0.12, -31), (0.24, -36), (0.32, -50)), 0, 12),
}
_ASYMMETRIC: dict[str, Any] = {
    "side part": (((-0.98, 4), (-0.9, -14), (-0.62, -38), (0.1, -30), (0.7, -22), (0.95, -6), (0.98, 6)), 3, 9),
    "swept": (((-0.98, 10), (-0.88, -6), (-0.45, -12), (0.15, -22), (0.6, -34), (0.9, -20), (0.98, 6)), 4, 9),
}


def _hairline(person: Identity) -> tuple[np.ndarray, float, float]:
    if person.hair_style in _ASYMMETRIC:
        line, side, top = _ASYMMETRIC[person.hair_style]
        line = np.array(line) * (person.parting, 1)
        line = line if person.parting > 0 else line[::-1]
    else:
        half, side, top = _STYLES[person.hair_style]
        half = np.array(half, dtype=np.float64)
        line = np.concatenate([(half * (-1, 1))[:0:-1], half])
    line = smooth(line * (person.temple, 1.0) + (0, person.hairline), closed=False)
    return line, side * person.hair_volume, top * person.hair_volume


def _crown(person: Identity, side: float, top: float, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the outer edge of the hair from the left end of the hairline over the top to the right end: (17, 2)."""
    angle = np.linspace(np.pi, 0, 17)
    if person.hair_style == "mohawk":
        angle = np.linspace(0.6 * np.pi, 0.4 * np.pi, 17)
    wide, high = person.temple + side, person.skull + top - 8
    crown = np.column_stack([np.cos(angle) * wide, -8 - np.sin(angle) ** 0.8 * high])
    if person.hair_style == "curly":
        crown *= (1 + 0.06 * np.sin(angle * 16))[:, None]
    if person.hair_style == "spiky":
        crown[1::2] *= 1.14
    if person.hair_style != "mohawk":
        crown = np.concatenate([[(-wide + 1, start[1])], crown, [(wide - 1, end[1])]])
    return crown


def draw_back_hair(canvas: Canvas, person: Identity) -> None:
    """Draw the hair behind the head, before the head is drawn.

    Examples
    --------
    >>> from gluonfr.data.synthetic.face import Expression, landmarks
    >>> from gluonfr.data.synthetic.geometry import Pose
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> person = make_identity(0)
    >>> pose = Pose(0.0, 0.0, landmarks(person, Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    >>> draw_back_hair(canvas, person)
    >>> bool(canvas.picture.any())
    True
    """
    if not person.hair_length or person.hair_style in ("bald", "buzz", "mohawk"):
        return
    wide = person.cheek + 5 * person.hair_volume
    length = person.hair_length
    half = [(0, -person.skull - 4), (0.7 * wide, -person.skull + 6), (wide, -14), (wide + 2, 15), (wide, length * 0.8)]
    half += [(0.7 * wide, length), (0, length)]
    shape = smooth(mirrored(half))
    canvas.fill(at_depth(shape, -10), person.hair * 0.72)


def draw_hair(canvas: Canvas, person: Identity, widen: float) -> None:
    """Draw the hair.

    Examples
    --------
    >>> from gluonfr.data.synthetic.face import Expression, landmarks
    >>> from gluonfr.data.synthetic.geometry import Pose
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> person = make_identity(3)
    >>> pose = Pose(0.0, 0.0, landmarks(person, Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    >>> draw_hair(canvas, person, pose.widen)
    >>> bool(canvas.picture.any())
    True
    """
    if person.hair_style == "bald":
        return
    line, side, top = _hairline(person)
    crown = _crown(person, side, top, line[0], line[-1])
    stretch = np.array([widen, 1.0, 1.0])
    on_head = surface(line, 1)
    edge = at_depth(crown, -3) * stretch
    shape = np.concatenate([edge, on_head[::-1]])
    if person.hair_style == "buzz":
        canvas.fill(shape, mix(person.hair, person.skin, 0.15), 0.72)
        return
    canvas.fill(shape, person.hair)
    # Strands from the edge to the hairline, alternately darker and lighter.
    at = np.linspace(0.06, 0.94, 15)
    outer = edge[np.rint(at * (len(edge) - 1)).astype(int)]
    inner = on_head[np.rint(at * (len(on_head) - 1)).astype(int)]
    bow = np.column_stack([inner[:, 0] * 0.06, np.full(len(at), -2.0), np.full(len(at), 6.0)])
    strands = np.stack([outer, mix(outer, inner, 0.5) + bow, inner], axis=1)
    canvas.lines(strands[::2], person.hair * 0.78, 0.5)
    canvas.lines(strands[1::2], mix(person.hair, (255, 240, 220), 0.14), 0.5)


def draw_beard(canvas: Canvas, person: Identity) -> None:
    """Draw beard and moustache, before the mouth is drawn.

    Examples
    --------
    >>> from gluonfr.data.synthetic.face import Expression, landmarks
    >>> from gluonfr.data.synthetic.geometry import Pose
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> person = make_identity(1)
    >>> pose = Pose(0.0, 0.0, landmarks(person, Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    >>> draw_beard(canvas, person)
    >>> bool(canvas.picture.any())
    True
    """
    kind, color = person.beard, person.beard_color
    if kind is None:
        return
    outline = head_outline(person)
    inner: Any
    half: Any
    mouth, length = person.mouth_y, person.chin_length
    alpha = 0.4 if kind == "stubble" else 0.94
    if kind in ("stubble", "full", "chin strap"):
        outer = np.array([(person.cheek - 0.5, 4), (person.jaw, 0.62 * length), (person.chin, length - 5), (0, length)])
        if kind == "chin strap":
            inner = [(0, length - 7), (person.chin * 0.8, length - 10), (person.jaw - 7, 0.58 * length), (person.cheek - 5, 4)]
        else:
            inner = [(0, mouth + 5), (9, mouth + 4), (17, mouth - 7), (0.72 * person.cheek, 20), (person.cheek - 4, 4)]
        inner = surface(np.array(inner, dtype=np.float64)[::-1], 1)
        outer = np.column_stack([outer, outline[3:7, 2]])
        left = np.array([-1, 1, 1])
        # One ring: down the right, up the left, back inside; two halves would leave a seam.
        canvas.fill(np.concatenate([outer, (outer * left)[-2::-1], inner * left, inner[-2::-1]]), color, alpha)
    if kind == "goatee":
        half = [(0, mouth + 4), (8, mouth + 5), (9, length - 7), (5, length - 1), (0, length)]
        canvas.fill(surface(smooth(mirrored(half)), 1), color, alpha)
    if kind in ("moustache", "full", "stubble", "goatee"):
        base, x = person.nose_length + 5, person.mouth_width
        half = [
            (0, base),
            (0.6 * x, base + 1.5),
            (x + 2, mouth + 1),
            (0.9 * x, mouth + 1.5),
            (0.4 * x, mouth - 1.5),
            (0, mouth - 1.5),
        ]
        canvas.fill(surface(smooth(mirrored(half)), 3), color, alpha)


def _lens(shape: str, width: float, height: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    power = {"round": 1.0, "square": 0.45, "cat eye": 0.7, "aviator": 0.75, "half rim": 0.5}[shape]
    x, y = np.sign(c) * np.abs(c) ** power * width, np.sign(s) * np.abs(s) ** power * height
    if shape == "round":
        x *= min(1.0, (height + 2) / width)
    if shape == "cat eye":
        y -= np.maximum(x, 0) / width * height * 0.45 * (y < 0)
    if shape == "aviator":
        y *= np.where(y > 0, 1.35, 0.8)
        x *= np.where(y > 0, 0.9, 1.0)
    return np.column_stack([x, y])


def draw_glasses(canvas: Canvas, person: Identity) -> None:
    """Draw the glasses.

    Examples
    --------
    >>> from gluonfr.data.synthetic.face import Expression, landmarks
    >>> from gluonfr.data.synthetic.geometry import Pose
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> person = make_identity(0)
    >>> pose = Pose(0.0, 0.0, landmarks(person, Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> canvas = Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    >>> draw_glasses(canvas, person)
    >>> bool(canvas.picture.any())
    True
    """
    glasses = person.glasses
    if glasses is None:
        return
    lens = _lens(glasses.shape, glasses.width, glasses.height)
    thick = glasses.thickness
    inner = person.eye_x + 0.5 - np.abs(lens[:, 0]).max()
    hinge = person.eye_x + 0.5 + np.abs(lens[:, 0]).max()
    for side in (-1, 1):
        rim = np.column_stack([(lens * (side, 1) + (side * (person.eye_x + 0.5), 1.0)), np.full(len(lens), 37.0)])
        rim[:, 2] -= 0.012 * (rim[:, 0]) ** 2
        if glasses.tint is not None:
            canvas.fill(rim, glasses.tint, 0.72)
        else:
            canvas.fill(rim, (255, 255, 255), 0.1)
        if glasses.shape == "half rim":
            upper = np.concatenate([rim[lens[:, 1] <= 0.01]])
            order = np.argsort(upper[:, 0])
            canvas.lines([upper[order]], glasses.frame, thick * 1.4)
        else:
            canvas.lines([rim], glasses.frame, thick, closed=True)
        temple = np.array([(side * hinge, -1, 24.0), (side * (person.temple + 1), -1, -4.0)])
        canvas.lines([temple], glasses.frame, thick)
    bridge = np.array([(-inner, -1.0, 37.0), (0, -2.2, 38.5), (inner, -1.0, 37.0)])
    canvas.lines([smooth(bridge, closed=False)], glasses.frame, thick)

"""A synthetic person: everything that is the same in all images of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gluonfr.core import generator

_PURPOSE = 1

SKINS = ((255, 224, 200), (243, 204, 174), (228, 182, 143), (203, 150, 110), (168, 114, 78), (128, 82, 55), (90, 57, 41))
HAIR_COLORS = (
    (26, 22, 24),
    (58, 36, 24),
    (104, 66, 38),
    (150, 96, 48),
    (204, 160, 88),
    (238, 214, 150),
    (168, 62, 26),
    (112, 28, 24),
    (150, 150, 156),
    (232, 232, 234),
)
IRISES = ((64, 38, 22), (96, 62, 30), (120, 112, 50), (72, 122, 78), (70, 120, 176), (120, 140, 156), (38, 30, 28))
LIPS = ((196, 104, 98), (168, 74, 74), (214, 128, 120), (190, 36, 56), (140, 62, 66), (150, 30, 80))
FRAMES = ((22, 22, 26), (96, 48, 22), (150, 24, 34), (30, 60, 130), (196, 164, 70), (236, 236, 238), (30, 96, 66))

HAIR_STYLES = (
    "bald",
    "buzz",
    "crop",
    "side part",
    "swept",
    "fringe",
    "middle part",
    "receding",
    "slick",
    "spiky",
    "curly",
    "mohawk",
)
BEARDS = ("stubble", "moustache", "goatee", "chin strap", "full")
GLASSES = ("round", "square", "cat eye", "aviator", "half rim")


@dataclass(frozen=True)
class Glasses:
    """The glasses of a person; lengths as in `Identity`.

    Examples
    --------
    >>> Glasses("round", (22, 22, 26), 13.0, 9.0, 2.0, None).shape
    'round'
    """

    shape: str
    frame: Any
    width: float
    height: float
    thickness: float
    tint: Any


@dataclass(frozen=True)
class Identity:
    """One person. Lengths are pixels of the 112x112 template; the origin is between the eyes and y points down.

    Examples
    --------
    >>> make_identity(3).hair_style in HAIR_STYLES
    True
    """

    skin: np.ndarray
    # Half widths at the temples, cheeks, jaw and chin; lengths above and below the eye line.
    temple: float
    cheek: float
    jaw: float
    chin: float
    chin_length: float
    skull: float
    ear_size: float
    ear_out: float
    earring: np.ndarray | None
    hair_style: str
    hair: np.ndarray
    hairline: float
    hair_volume: float
    hair_length: float
    parting: int
    eye_x: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    eye_crease: float
    lash: float
    iris: np.ndarray
    iris_size: float
    brow: np.ndarray
    brow_thickness: float
    brow_length: float
    brow_gap: float
    brow_arch: float
    brow_tilt: float
    brow_joined: bool
    nose_length: float
    nose_width: float
    nose_bridge: float
    nose_tip: float
    mouth_y: float
    mouth_width: float
    lip_upper: float
    lip_lower: float
    lips: np.ndarray
    beard: str | None
    beard_color: np.ndarray
    glasses: Glasses | None
    moles: np.ndarray
    freckles: np.ndarray
    scar: np.ndarray | None
    wrinkles: float
    blush: float


def _pick(rng: np.random.Generator, palette: Any, spread: float = 0.0) -> np.ndarray:
    color = np.array(palette[rng.integers(len(palette))], dtype=np.float64)
    return np.clip(color + rng.normal(0, spread, 3), 0, 255)


def _skin(rng: np.random.Generator) -> np.ndarray:
    at = rng.uniform(0, len(SKINS) - 1)
    low = int(at)
    high = min(low + 1, len(SKINS) - 1)
    color = np.array(SKINS[low]) * (1 - at + low) + np.array(SKINS[high]) * (at - low)
    return np.clip(color * np.exp(rng.normal(0, 0.03, 3)), 0, 255)


def _glasses(rng: np.random.Generator) -> Glasses | None:
    if rng.random() > 0.4:
        return None
    tinted = rng.random() < 0.3
    return Glasses(
        shape=GLASSES[rng.integers(len(GLASSES))],
        frame=_pick(rng, FRAMES, 8),
        width=rng.uniform(12.0, 15.5),
        height=rng.uniform(7.5, 12.0),
        thickness=rng.uniform(1.0, 3.0),
        tint=_pick(rng, ((60, 40, 30), (40, 50, 70), (110, 70, 30), (30, 70, 50)), 8) if tinted else None,
    )


def _marks(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    moles = np.stack(
        [rng.uniform(-21, 21, 3), rng.uniform(-26, 46, 3), rng.uniform(1.1, 2.4, 3)],
        axis=1,
    )[: rng.choice([0, 1, 2, 3], p=[0.45, 0.3, 0.15, 0.1])]
    many = int(rng.integers(18, 45)) if rng.random() < 0.2 else 0
    freckles = np.stack(
        [np.clip(rng.normal(0, 14, many), -25, 25), rng.normal(15, 6, many), rng.uniform(0.5, 1.0, many)], axis=1
    )
    scar = None
    if rng.random() < 0.15:
        start = np.array([rng.uniform(-20, 20), rng.uniform(-24, 34)])
        angle = rng.uniform(0, np.pi)
        scar = np.stack([start, start + rng.uniform(9, 16) * np.array([np.cos(angle), np.sin(angle)])])
    return moles, freckles, scar


def make_identity(number: int, seed: int = 0) -> Identity:
    """Return person `number` (0 <= number < 2**64) of `seed`; the result depends on nothing else.

    Examples
    --------
    >>> make_identity(3).hair_style == make_identity(3).hair_style
    True
    """
    rng = generator(seed, _PURPOSE, number)
    # The order of the draws defines the person.
    bearded = rng.random() < 0.33
    lipstick = not bearded and rng.random() < 0.5
    skin = _skin(rng)
    hair = _pick(rng, HAIR_COLORS, 8)
    moles, freckles, scar = _marks(rng)
    return Identity(
        skin=skin,
        **_head(rng),
        **_hair(rng, hair, bearded),
        **_eyes_and_brows(rng, hair),
        **_nose_and_mouth(rng),
        lips=_pick(rng, LIPS, 8) if lipstick else np.clip(skin * [0.82, 0.6, 0.6] + rng.normal(0, 7, 3), 0, 255),
        beard=BEARDS[rng.integers(len(BEARDS))] if bearded else None,
        beard_color=hair * rng.uniform(0.6, 1.0),
        glasses=_glasses(rng),
        moles=moles,
        freckles=freckles,
        scar=scar,
        wrinkles=max(0.0, rng.uniform(-1.0, 1.0)),
        blush=max(0.0, rng.uniform(-0.6, 0.5)),
    )


def _head(rng: np.random.Generator) -> dict[str, Any]:
    cheek = rng.uniform(31, 40)
    return {
        "temple": cheek * rng.uniform(0.9, 1.02),
        "cheek": cheek,
        "jaw": cheek * rng.uniform(0.68, 0.95),
        "chin": rng.uniform(9, 19),
        "chin_length": rng.uniform(53, 66),
        "skull": rng.uniform(45, 54),
        "ear_size": rng.uniform(7, 12),
        "ear_out": rng.uniform(1, 6),
        "earring": _pick(rng, ((230, 190, 60), (225, 225, 235), (40, 170, 190), (200, 30, 60)), 5)
        if rng.random() < 0.25
        else None,
    }


def _hair(rng: np.random.Generator, hair: np.ndarray, bearded: bool) -> dict[str, Any]:
    return {
        "hair_style": HAIR_STYLES[rng.integers(len(HAIR_STYLES))],
        "hair": hair,
        "hairline": rng.uniform(-5, 4),
        "hair_volume": rng.uniform(0.6, 1.5),
        "hair_length": rng.uniform(40, 75) if rng.random() < (0.15 if bearded else 0.6) else 0.0,
        "parting": int(rng.choice([-1, 1])),
    }


def _eyes_and_brows(rng: np.random.Generator, hair: np.ndarray) -> dict[str, Any]:
    return {
        "eye_x": rng.uniform(15.2, 20.0),
        "eye_width": rng.uniform(6.3, 9.3),
        "eye_height": rng.uniform(2.4, 4.6),
        "eye_tilt": rng.uniform(-1.8, 2.2),
        "eye_crease": rng.uniform(0.0, 1.0),
        "lash": rng.uniform(0.8, 2.2),
        "iris": _pick(rng, IRISES, 8),
        "iris_size": rng.uniform(2.9, 4.1),
        "brow": hair * rng.uniform(0.35, 0.8),
        "brow_thickness": rng.uniform(1.0, 5.0),
        "brow_length": rng.uniform(8.5, 13.0),
        "brow_gap": rng.uniform(6.5, 12.5),
        "brow_arch": rng.uniform(-0.5, 3.5),
        "brow_tilt": rng.uniform(-2.5, 2.5),
        "brow_joined": bool(rng.random() < 0.08),
    }


def _nose_and_mouth(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "nose_length": rng.uniform(16.5, 24.0),
        "nose_width": rng.uniform(4.5, 9.5),
        "nose_bridge": rng.uniform(1.6, 4.2),
        "nose_tip": rng.uniform(6, 13),
        "mouth_y": rng.uniform(37.0, 43.5),
        "mouth_width": rng.uniform(10.5, 17.5),
        "lip_upper": rng.uniform(1.0, 4.0),
        "lip_lower": rng.uniform(1.6, 5.5),
    }

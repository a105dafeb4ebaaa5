"""Pictures that a small network learns in a few steps."""

import numpy as np

SIZE = 32


def picture(identity, number):
    """An image that a small network tells apart in a few steps: a colored blob whose place and hue are the identity."""
    rng = np.random.RandomState(100 * identity + number)
    y, x = np.mgrid[:SIZE, :SIZE]
    angle = 2 * np.pi * identity / 12
    blob = np.exp(-((x - 16 - 9 * np.cos(angle)) ** 2 + (y - 16 - 9 * np.sin(angle)) ** 2) / 30)
    color = np.array([np.cos(angle), np.cos(angle + 2), np.cos(angle + 4)]) * 70 + 120
    image = blob[:, :, None] * color + rng.normal(0, 12, (SIZE, SIZE, 3)) + rng.uniform(0, 60)
    return np.clip(image, 0, 255).astype(np.uint8)

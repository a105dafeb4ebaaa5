from __future__ import annotations

import numpy as np

from gluonfr.align import get_template, realign
from gluonfr.data.images import Where, resize

_TEMPLATE_OF_SETS = "arcface"


def crop_for_network(crop: np.ndarray, image_size: tuple[int, int], template: str, where: Where) -> np.ndarray:
    """Bring an aligned crop to the size and template of a network.

    Training and verification sets hold square crops of ArcFace's template. For a network of that template they are resized;
    for a network of another template they are aligned again. A crop of the network's own size is assumed to have its template.

    Parameters
    ----------
    crop : np.ndarray
        uint8 (h, w, 3), RGB.
    image_size : tuple of int
        (H, W) of the network's input.
    template : str
        Name of the network's 5-point template, see `gluonfr.align.get_template`.
    where : str or callable
        What names the image in a message, or a function that returns it.

    Returns
    -------
    np.ndarray
        uint8 (H, W, 3), RGB.

    Raises
    ------
    DataError
        The crop would be distorted.

    Examples
    --------
    >>> crop_for_network(np.zeros((112, 112, 3), np.uint8), (150, 150), "dlib", "a crop").shape
    (150, 150, 3)
    """
    if crop.shape[:2] == image_size or template == _TEMPLATE_OF_SETS:
        return resize(crop, image_size, where)
    crop = resize(crop, get_template(_TEMPLATE_OF_SETS).image_size, where)
    return resize(realign(crop, template), image_size, where)

from __future__ import annotations

from gluonfr.align import get_template, realign
from gluonfr.data.images import fit

_OF_SETS = "arcface"


def as_network_takes(crop, image_size, template, where):
    """A crop in the size and template of a network.

    Training and verification sets hold crops of ArcFace's template, of 112x112 or another square size. For a network of that
    template they are resized where it takes another size, and refused where it takes another shape; for a network of another
    template they are cut again. A crop of the network's own size is taken to be of its template.

    Parameters
    ----------
    crop : uint8 (h, w, 3), RGB
    image_size : (H, W)
    template : str
    where : str or callable
        What names the image in a message, or a function that gives it.

    Returns
    -------
    uint8 (H, W, 3)
    """
    if crop.shape[:2] == image_size or template == _OF_SETS:
        return fit(crop, image_size, where)
    return fit(realign(fit(crop, get_template(_OF_SETS).image_size, where), template), image_size, where)

from __future__ import annotations

from gluonfr.core import GluonFRError, Registry

DETECTORS = Registry("detector")


@DETECTORS.register("mtcnn")
def _mtcnn(**options):
    from gluonfr.detection.mtcnn import MTCNN

    return MTCNN(**options)


@DETECTORS.register("retinaface", "retinaface_mnet025", "mnet.25")
def _retinaface(**options):
    from gluonfr.detection.retinaface import RetinaFace

    return RetinaFace(**options)


def get_detector(name=None, weights=None, ctx=None, **options):
    """A face detector by its name.

    Its `detect(image)` takes a photo, uint8 (H, W, 3) RGB, and gives `boxes (n, 4)` as x0, y0, x1, y1, `scores (n,)` and
    `landmarks (n, 5, 2)`, all float32 in pixels of the photo, largest score first; n may be 0.

    Parameters
    ----------
    name : {'mtcnn', 'retinaface'}, default 'mtcnn'
    weights : path, optional
        Folder of the networks' files. 'mtcnn' without it reads the files of the package `mtcnn`
        (`pip install ".[align]"` in the checkout); 'retinaface' needs one.
    ctx : Context, default CPU
    **options
        Of the detector: see `gluonfr.detection.mtcnn.MTCNN` and `gluonfr.detection.retinaface.RetinaFace`.

    Raises
    ------
    GluonFRError
        For an unknown name or option, and for weights that are missing or damaged.
    """
    name = "mtcnn" if name is None else name
    maker = DETECTORS.get(name)
    try:
        return maker(weights=weights, ctx=ctx, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise GluonFRError(f"detector {name!r}: {str(error).split('() ')[-1]}; see help(get_detector).") from error

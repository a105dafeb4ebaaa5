"""Saved detectors: a folder with the parameters and the card of a network that finds faces."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Mapping

import mxnet as mx
import numpy as np

from gluonfr.core import (
    DEFAULT_MODELS,
    PathLike,
    WeightsError,
    absolute_path,
    atomic_file,
    file_sha256,
    is_integer,
    is_number,
    require_file,
)
from gluonfr.core.mxnet_internals import parameters_by_path
from gluonfr.core.reading import read_json
from gluonfr.detection.anchors import AnchorSpec
from gluonfr.detection.mnet025_weights import PARAMS, SYMBOL, published_names
from gluonfr.detection.retinaface_network import BACKBONES, STRIDES, RetinaFaceNetwork
from gluonfr.weights.conversion import set_parameters
from gluonfr.weights.params_file import read_params

PARAMETERS, CARD = "detector.params", "detector.json"
_SIDE = 64


@dataclass
class DetectorCard:
    """What has to be known to use a detector of `RetinaFaceNetwork`.

    Attributes
    ----------
    backbone : str, default 'mobilenet0.25'
    channels : int, default 64
        Of the feature pyramid.
    sides : list of [float, float]
        Sides of the two anchors in pixels, for strides 32, 16 and 8.
    center : float, default 8
        Position in pixels of the first anchors.
    threshold : float, default 0.5
        Score from which on a detection is reported.
    trained_on : str
    evaluation : dict
        Results by name of the set, such as average precision.
    sha256 : str
        Of the file with the parameters.

    Examples
    --------
    >>> DetectorCard().anchors.strides
    (32, 16, 8)
    """

    backbone: str = "mobilenet0.25"
    channels: int = 64
    sides: list[list[float]] = field(default_factory=lambda: [list(sides) for sides in AnchorSpec().sides])
    center: float = AnchorSpec().center
    threshold: float = 0.5
    trained_on: str = ""
    evaluation: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""

    @property
    def anchors(self) -> AnchorSpec:
        """The anchors of the network."""
        return AnchorSpec(STRIDES, tuple((first, second) for first, second in self.sides), self.center)

    @classmethod
    def from_dict(cls, values: Any, where: str = "the card") -> DetectorCard:
        """Return the card with these values; other entries are ignored.

        Raises
        ------
        WeightsError
            Names the first entry that is invalid.
        """
        if not isinstance(values, dict):
            raise WeightsError(f"{where}: is not the card of a detector; give a folder that train-detector wrote.")
        card = cls(**{entry.name: values[entry.name] for entry in fields(cls) if entry.name in values})
        valid = {
            "backbone": card.backbone in BACKBONES,
            "channels": is_integer(card.channels) and 4 <= card.channels <= 1024 and card.channels % 4 == 0,
            "sides": isinstance(card.sides, list) and len(card.sides) == len(STRIDES) and all(map(_is_pair, card.sides)),
            "center": is_number(card.center) and 0 <= card.center <= max(STRIDES),
            "threshold": is_number(card.threshold) and 0 <= card.threshold <= 1,
            "trained_on": isinstance(card.trained_on, str),
            "evaluation": isinstance(card.evaluation, dict),
            "sha256": isinstance(card.sha256, str),
        }
        for name, is_valid in valid.items():
            if not is_valid:
                value = repr(getattr(card, name))[:100]
                raise WeightsError(f"{where}: {name}={value} is invalid; correct or restore the card.")
        return card


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(is_number(side) and 1 <= side <= 4096 for side in value)


def build_network(card: DetectorCard) -> RetinaFaceNetwork:
    """Return the network of a card, not initialized.

    Examples
    --------
    >>> build_network(DetectorCard())
    RetinaFaceNetwork('mobilenet0.25', channels=64)
    """
    return RetinaFaceNetwork(card.backbone, card.channels)


def save_detector(net: RetinaFaceNetwork, folder: str, card: DetectorCard) -> None:
    """Write the parameters and the card of a detector into an existing folder.

    Parameters
    ----------
    net : RetinaFaceNetwork
    folder : str
        Fill a `gluonfr.core.atomic_folder` to write it atomically.
    card : DetectorCard
        The SHA-256 of the parameters is added.

    Examples
    --------
    >>> import tempfile
    >>> net = RetinaFaceNetwork(channels=4)
    >>> net.initialize()
    >>> _ = net(mx.nd.zeros((1, 3, 64, 64)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_detector(net, folder, DetectorCard(channels=4))
    ...     load_detector(folder)[0]
    RetinaFaceNetwork('mobilenet0.25', channels=4)
    """
    path = os.path.join(folder, PARAMETERS)
    net.save_parameters(path)
    with atomic_file(os.path.join(folder, CARD), "w", encoding="utf-8") as file:
        json.dump(asdict(replace(card, sha256=file_sha256(path))), file, indent=1)
        file.write("\n")


def is_detector_folder(folder: PathLike) -> bool:
    """Return whether a folder holds a saved detector, or InsightFace's published `mnet.25`.

    Examples
    --------
    >>> is_detector_folder("/")
    False
    """
    return any(os.path.isfile(os.path.join(absolute_path(folder), name)) for name in (CARD, SYMBOL))


def find_detector(name: PathLike, root: PathLike = DEFAULT_MODELS) -> str | None:
    """Return the folder of a saved detector, given the folder or the name under which it is stored; None without one.

    Parameters
    ----------
    name : path
    root : path, default '~/.mxnet/models/face'
        Folder of the stored models.

    Examples
    --------
    >>> find_detector("runs/missing") is None
    True
    """
    folders = (absolute_path(name), os.path.join(absolute_path(root), os.fspath(name)))
    return next(filter(is_detector_folder, folders), None)


def load_detector(folder: PathLike, ctx: Any = None) -> tuple[RetinaFaceNetwork, DetectorCard]:
    """Load a saved detector, or InsightFace's published `mnet.25`.

    Parameters
    ----------
    folder : path
        Of `save_detector`, or with `mnet.25-symbol.json` and `mnet.25-0000.params`.
    ctx : Context or list of Context, optional
        Default CPU.

    Returns
    -------
    net : RetinaFaceNetwork
    card : DetectorCard

    Raises
    ------
    WeightsError
        A file is missing, damaged or of another network.

    Examples
    --------
    >>> net, card = load_detector("runs/detector/best")  # doctest: +SKIP
    """
    folder = absolute_path(folder)
    card_path = os.path.join(folder, CARD)
    if os.path.isfile(card_path):
        card = DetectorCard.from_dict(read_json(card_path, "card of a detector"), card_path)
        path = require_file(os.path.join(folder, PARAMETERS), "detector's parameters")
        if card.sha256 and file_sha256(path) != card.sha256:
            raise WeightsError(f"{path} is damaged: its SHA-256 differs from the one in {card_path}; fetch or train it again.")
        names: Mapping[str, str] | None = None
    else:
        for name in (SYMBOL, PARAMS):
            require_file(os.path.join(folder, name), "RetinaFace network")
        card, path, names = DetectorCard(trained_on="WIDER FACE"), os.path.join(folder, PARAMS), published_names()
    net = build_network(card)
    net.initialize(ctx=ctx or mx.cpu())
    contexts = ctx if isinstance(ctx, (list, tuple)) else [ctx or mx.cpu()]
    for context in contexts:
        # Determines the shapes of all parameters.
        net(mx.nd.zeros((1, 3, _SIDE, _SIDE), ctx=context))
    set_parameters(net, _values(net, read_params(path), path, names), ctx)
    return net, card


def _values(
    net: RetinaFaceNetwork, stored: dict[str, np.ndarray], path: str, names: Mapping[str, str] | None
) -> dict[str, np.ndarray]:
    """Return the stored values by parameter name, after checking that they are exactly those of the network."""
    values = {}
    parameters = parameters_by_path(net)
    for key, parameter in parameters.items():
        name = key if names is None else names[key]
        array = stored.pop(name, None)
        if array is None or array.shape != parameter.shape:
            found = "nothing" if array is None else f"the shape {array.shape}"
            raise WeightsError(
                f"{path} is of another network: expected {name!r} of shape {parameter.shape}, found {found}; give the folder "
                "of a saved detector or of RetinaFace with MobileNet-0.25."
            )
        if not np.isfinite(array).all():
            raise WeightsError(f"{path}: {name!r} has NaN or infinity; the training diverged, or the file is damaged.")
        values[parameter.name] = np.asarray(array, np.float32)
    if stored:
        raise WeightsError(f"{path} is of another network: {next(iter(stored))!r} has no place in it.")
    return values

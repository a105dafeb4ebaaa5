"""The network that training starts from, and the crops that it expects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Sequence

from mxnet import nd

from gluonfr.core import Card, UsageError
from gluonfr.core.errors import naming
from gluonfr.core.mxnet_internals import parameter_value, parameters_by_path
from gluonfr.data.dataset.views import RealignedSet
from gluonfr.model_zoo import get_model
from gluonfr.weights.conversion import set_parameters
from gluonfr.weights.load import load_pretrained

if TYPE_CHECKING:
    import mxnet as mx

    from gluonfr.data import TrainingSet
    from gluonfr.engine.options import TrainOptions

# Arguments of networks that change the size of the image or of a feature map, not the weights.
_INPUT = {"input_crop", "input_size", "last_stride"}


def load_start(options: TrainOptions, contexts: Sequence[mx.Context]) -> tuple[Any, Card] | None:
    """Load the pretrained network of a run: `(net, card)`, or None without one.

    Arguments of the network that are given replace those of the card, such as `dropout`. With another `input_size` or
    `input_crop`, the network computes another function with the same weights, and training has to adapt it.

    Raises
    ------
    UsageError
        The network is not named, or expects an input that training does not produce.
    WeightsError
        The weights do not exist or do not fit the network.

    Examples
    --------
    >>> load_start(TrainOptions(dataset="emore"), [mx.cpu()])  # doctest: +SKIP
    """
    if not options.pretrained:
        return None
    source = options.network if options.pretrained is True else options.pretrained
    if source is None:
        raise UsageError("pretrained=True needs the name of the network; set network= or name the weights in pretrained=.")
    with naming("pretrained", source):
        net, card = load_pretrained(source, options.network, ctx=list(contexts))
    if card.color != "RGB" or card.mean != 0 or card.std != 255:
        raise UsageError(f"pretrained={source!r}: training gives networks RGB pixels / 255, and its card states other inputs.")
    arguments = {**card.arguments, **options.network_args}
    given = {name for name, value in arguments.items() if value != card.arguments.get(name)}
    if given & _INPUT:
        net = _with_other_input(net, card.network, arguments, contexts)
        if net is None:
            raise UsageError(
                f"pretrained={source!r}: its weights do not fit {card.network} with "
                f"{', '.join(f'{name}={arguments[name]!r}' for name in sorted(given))}: some layer would have another size."
            )
    elif given:
        net = get_model(card.network, pretrained=source, ctx=list(contexts), **arguments)
    return net, replace(card, arguments=arguments, embedding_size=net.embedding_size)


def _with_other_input(net: Any, network: str, arguments: dict[str, Any], contexts: Sequence[mx.Context]) -> Any:
    """Return a network with the weights of `net` that reduces its input in another way; None if they do not fit."""
    other = get_model(network, **arguments)
    other.initialize(ctx=list(contexts))
    # All shapes are known after an image.
    other(nd.zeros((1, 3, *other.image_size), ctx=contexts[0]))
    # In the order of the layers: a layer without weights, such as dropout, changes the names of those behind it.
    theirs, ours = parameters_by_path(net).values(), parameters_by_path(other).values()
    if [parameter.shape for parameter in theirs] != [parameter.shape for parameter in ours]:
        return None
    values = {own.name: parameter_value(parameter) for own, parameter in zip(ours, theirs)}
    set_parameters(other, values, list(contexts))
    return other


def fit_crops(dataset: TrainingSet, card: Card) -> TrainingSet:
    """Return a training set with the crops that a network expects, re-aligned as they are read if the records differ.

    Examples
    --------
    >>> fit_crops(dataset, Card(image_size=(150, 150), template="dlib")).image_size  # doctest: +SKIP
    (150, 150)
    """
    if tuple(dataset.image_size) == tuple(card.image_size):
        return dataset
    return RealignedSet(dataset, card.image_size, card.template)

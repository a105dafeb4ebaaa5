"""Several networks as one, whose embeddings are more accurate than those of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mxnet.gluon import HybridBlock

from gluonfr.core import DEFAULT_MODELS, Card, UsageError
from gluonfr.deploy.model import load_model


class JoinedNetwork(HybridBlock):
    """Networks side by side: the embedding is that of every member, divided by its norm, one after the other.

    The cosine of two joined embeddings is the mean of the members' cosines.

    Parameters
    ----------
    members : sequence of HybridBlock
        Images (N, 3, H, W) to embeddings (N, D), with any D.

    Inputs:
        - **data**: (N, 3, H, W) float32 RGB in [0, 1].
    Outputs:
        - **embedding**: (N, sum of D), of norm sqrt(number of members).

    Examples
    --------
    >>> import mxnet as mx
    >>> from gluonfr.deploy import RawPixels
    >>> JoinedNetwork([RawPixels(), RawPixels()])(mx.nd.ones((2, 3, 4, 4))).shape
    (2, 96)
    """

    def __init__(self, members: Sequence[HybridBlock], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for member in members:
            self.register_child(member)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return the joined embeddings."""
        return F.concat(*(F.L2Normalization(member(x), mode="instance") for member in self._children.values()), dim=1)


def load_joined(models: Sequence[str], root: str = DEFAULT_MODELS) -> tuple[JoinedNetwork, Card]:
    """Load several networks as one: `(net, card)`.

    Parameters
    ----------
    models : sequence of str
        Names, folders or files as in `load_model`.
    root : str, default '~/.mxnet/models/face'
        Folder of stored models.

    Raises
    ------
    UsageError
        A model is an ONNX file, is compared by another distance than the cosine, or needs other crops than the first one.

    Examples
    --------
    >>> net, card = load_joined(["runs/seed0/best", "runs/seed1/best"])  # doctest: +SKIP
    """
    members, cards = [], []
    for model in models:
        net, card = load_model(model, root=root)
        members.append(net)
        cards.append(card)
        if not isinstance(net, HybridBlock):
            raise UsageError(
                f"{model} is not run by MXNet and cannot be joined with others; name the network it was made from."
            )
        if card.distance != "cosine":
            raise UsageError(f"{model} is compared by the {card.distance} distance; only networks for cosines can be joined.")
        for name in ("image_size", "template"):
            first, own = getattr(cards[0], name), getattr(card, name)
            if own != first:
                raise UsageError(
                    f"{model} needs crops with {name}={own!r} and {models[0]} with {first!r}; they cannot be joined."
                )
    return JoinedNetwork(members), Card(
        embedding_size=sum(card.embedding_size for card in cards),
        image_size=cards[0].image_size,
        template=cards[0].template,
        license="; ".join(dict.fromkeys(card.license for card in cards)),
        trained_on="; ".join(dict.fromkeys(card.trained_on for card in cards)),
    )

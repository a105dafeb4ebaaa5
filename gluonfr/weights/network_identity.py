"""Which network a gallery's embeddings are from."""

from __future__ import annotations

from gluonfr.core import DEFAULT_MODELS, GluonFRError, display_path
from gluonfr.weights.store import list_models


def network_name(card):
    """What people call the network of a card."""
    return card.extra.get("name") or card.network or "a network without a name"


def same_network(a, b):
    """Whether embeddings of two cards' networks can be compared.

    By the hashes of the weights where both cards have one, else by architecture. Template and size must agree either way:
    another crop is another embedding.
    """
    if (a.embedding_size, a.template, a.network) != (b.embedding_size, b.template, b.network):
        return False
    pairs = ((a.extra.get("original_sha256"), b.extra.get("original_sha256")), (a.sha256, b.sha256))
    known = [(first, second) for first, second in pairs if first and second]
    return all(first == second for first, second in known[:1])


def need_same_network(gallery, where, card, what) -> None:
    """GluonFRError unless embeddings of `card` belong into a gallery with the card `gallery`."""
    if not same_network(gallery, card):
        raise GluonFRError(
            f"{display_path(where)} holds embeddings of {_described(gallery)} and {what} is {_described(card)}; "
            "use the gallery's network, or another gallery."
        )


def model_of(card, root=DEFAULT_MODELS):
    """Name of the stored model that is a gallery's network; None where none is."""
    return next((name for name, each in list_models(root).items() if same_network(each, card)), None)


def _described(card) -> str:
    weights = card.extra.get("original_sha256") or card.sha256
    return f"{network_name(card)} ({card.embedding_size} numbers{', weights ' + weights[:8] if weights else ''})"

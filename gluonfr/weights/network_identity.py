"""Comparison of two networks by their cards: embeddings of different networks must not be mixed."""

from __future__ import annotations

from gluonfr.core import DEFAULT_MODELS, Card, WeightsError, display_path
from gluonfr.weights.store import list_stored_models


def network_name(card: Card) -> str:
    """Return the name to show for the network of a card.

    Examples
    --------
    >>> network_name(Card(network="mobilefacenet"))
    'mobilefacenet'
    """
    return card.extra.get("name") or card.network or "a network without a name"


def same_network(a: Card, b: Card) -> bool:
    """Return whether the embeddings of two networks can be compared.

    The hashes of the weights are compared if both cards have one, otherwise only the architectures. Crop template and
    embedding size must always agree.

    Examples
    --------
    >>> same_network(Card(sha256="1" * 64), Card(sha256="2" * 64))
    False
    """
    if (a.embedding_size, a.template, a.network) != (b.embedding_size, b.template, b.network):
        return False
    pairs = ((a.extra.get("original_sha256"), b.extra.get("original_sha256")), (a.sha256, b.sha256))
    known = [(first, second) for first, second in pairs if first and second]
    return all(first == second for first, second in known[:1])


def require_same_network(gallery: Card, where: str, card: Card, what: str) -> None:
    """Raise WeightsError unless the embeddings of a network belong into a gallery.

    Parameters
    ----------
    gallery : Card
        The card of the gallery.
    where : str
        The gallery, for messages.
    card : Card
        The card of the network.
    what : str
        The network or file, for messages.

    Examples
    --------
    >>> require_same_network(Card(network="mbf"), "faces.gallery", Card(network="mbf"), "the network")
    """
    if not same_network(gallery, card):
        raise WeightsError(
            f"{display_path(where)} has embeddings of {_describe(gallery)}, but {what} is {_describe(card)}; "
            "use the network of the gallery, or another gallery."
        )


def find_same_stored_model(card: Card, root: str = DEFAULT_MODELS) -> str | None:
    """Return the name of the stored model with the same network as a gallery's card; None if there is none.

    Examples
    --------
    >>> find_same_stored_model(Card(network="mbf"), "no_such_folder") is None
    True
    """
    return next((name for name, stored in list_stored_models(root).items() if same_network(stored, card)), None)


def _describe(card: Card) -> str:
    weights = card.extra.get("original_sha256") or card.sha256
    return f"{network_name(card)} (embedding size {card.embedding_size}{', weights ' + weights[:8] if weights else ''})"

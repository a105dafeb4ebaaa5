"""Trained and converted networks kept under a name: `NAME/network.params` and `NAME/card.json` in one folder."""

from __future__ import annotations

import difflib
import hashlib
import http.client
import logging
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.request

from tqdm import tqdm

from gluonfr.core import DEFAULT_MODELS, Card, GluonFRError, atomic_file, atomic_folder, file_sha256
from gluonfr.weights.load import load_any
from gluonfr.weights.saved import CARD, PARAMETERS, save_network

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_log = logging.getLogger(__name__)


def add_model(name, source, root=DEFAULT_MODELS, network=None):
    """Store a network under a name: recognized, converted to the toolkit's own format, with its card.

    Parameters
    ----------
    name : str
        Letters, digits, and . _ + - between them.
    source : str
        What `load_weights` takes: a saved network, Gluon's `.params` (then `network` is needed), an InsightFace checkpoint,
        a PyTorch state dict.
    root : str, default '~/.mxnet/models/face'
    network : str, optional
        Name of the network in the zoo, where it cannot be recognized or must be this one.

    Returns
    -------
    str
        The folder, which appears whole or not at all.

    Raises
    ------
    GluonFRError
        The name cannot be or is taken, or the source is none or damaged.
    """
    folder = _folder(name, root)
    if os.path.exists(folder):
        raise GluonFRError(f"{folder} is there already: remove the stored model {name!r} first, or choose another name.")
    net, card = load_any(source, network, root=root)
    with atomic_folder(folder) as written:
        save_network(net, written, card)
    return folder


def list_models(root=DEFAULT_MODELS):
    """The stored models: dict of name -> Card, by name. A folder whose card cannot be read is logged and left out."""
    root = os.path.expanduser(root)
    cards = {}
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
        folder = os.path.join(root, name)
        if not _NAME.fullmatch(name) or not os.path.isfile(os.path.join(folder, PARAMETERS)):
            continue
        try:
            cards[name] = Card.read(os.path.join(folder, CARD))
        except GluonFRError as error:
            _log.warning("%s", error)
    return cards


def find_model(name, root=DEFAULT_MODELS):
    """The folder of a stored model; GluonFRError lists what is stored when there is none of that name."""
    folder = _folder(name, root)
    if os.path.isfile(os.path.join(folder, PARAMETERS)):
        return folder
    known = list(list_models(root))
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    stored = f"stored are {', '.join(known)}" if known else "none is stored; add one with `gluonfr models --add`"
    raise GluonFRError(f"no stored model {name!r} under {root}: {hint}{stored}.")


def remove_model(name, root=DEFAULT_MODELS) -> None:
    """Remove a stored model."""
    folder = find_model(name, root)
    # Out of the way first, so that no half of it is ever found under its name.
    grave = tempfile.mkdtemp(prefix=".removed.", dir=os.path.dirname(folder))
    os.replace(folder, os.path.join(grave, name))
    shutil.rmtree(grave)


def _folder(name, root):
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise GluonFRError(f"a stored model's name has letters, digits and . _ + - between them, got {name!r}.")
    return os.path.join(os.path.abspath(os.path.expanduser(root)), name)


def fetch(url, sha256, path, timeout=30):
    """Download a file, which appears at `path` only when its SHA-256 is the one that was promised.

    Nothing is downloaded when it is there already.

    Parameters
    ----------
    url : str
        http or https.
    sha256 : str
        64 hexadecimal digits.
    path : str
    timeout : float, default 30
        Seconds without an answer after which to give up.

    Returns
    -------
    str
        The absolute path.

    Raises
    ------
    GluonFRError
        The server cannot be reached or refuses, the download breaks off, or the bytes are others; nothing is left behind.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if os.path.isfile(path) and file_sha256(path) == sha256.lower():
        return path
    if not url.lower().startswith(("http://", "https://")):
        raise GluonFRError(f"{url}: only http and https are downloaded; give such an address.")
    with atomic_file(path) as file:
        digest = hashlib.sha256()
        try:
            _download(url, file, digest, timeout)
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise GluonFRError(f"{url} cannot be downloaded ({reason}); check the address and the network.") from error
        if digest.hexdigest() != sha256.lower():
            raise GluonFRError(
                f"{url} gave other bytes than promised: SHA-256 {digest.hexdigest()}, not {sha256.lower()}; try again later."
            )
    return path


def _download(url, file, digest, timeout) -> None:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        with tqdm(total=total, unit="B", unit_scale=True, desc=url.rsplit("/", 1)[-1], leave=False) as bar:
            for block in iter(lambda: answer.read(1 << 18), b""):
                file.write(block)
                digest.update(block)
                bar.update(len(block))

"""Arguments and steps that `gluonfr verify` and `gluonfr report` share."""

from __future__ import annotations

import hashlib
import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Sequence

from gluonfr.cli.arguments import add_devices, add_root, names
from gluonfr.core import UsageError

if TYPE_CHECKING:
    from gluonfr.deploy import Embedder
    from gluonfr.evaluation.verification import PairSource
    from gluonfr.metrics import PairEvaluation


def add_pairs(parser: ArgumentParser) -> None:
    """Add the options that choose the pairs, the operating point, the devices and the batch size."""
    parser.add_argument(
        "--data", type=names, required=True, help="verification sets below --root, .bin files, or .npz files of embeddings"
    )
    add_root(parser)
    parser.add_argument(
        "--table",
        metavar="CSV",
        help="table with one row per pair: identity0, identity1 and group columns (default: NAME.pairs.csv beside NAME.bin)",
    )
    parser.add_argument("--pairs", metavar="FILE", help="list of pairs of the files in an .npz that `gluonfr embed` wrote")
    parser.add_argument("--far", type=float, default=1e-3, help="false accept rate of the threshold to use in an application")
    parser.add_argument(
        "--bootstrap", type=int, default=1000, help="number of bootstrap samples for confidence intervals; 0 turns them off"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap samples")
    add_devices(parser)
    parser.add_argument("--batch-size", type=int, default=64, help="images per batch")


def stored_sets(arguments: Namespace) -> list[str]:
    """Return the sets of `--data` that are embeddings; raise UsageError for options without an effect on the sets."""
    stored = [name for name in arguments.data if name.endswith(".npz")]
    if len(stored) == len(arguments.data):
        for name in ("model", "save"):
            if getattr(arguments, name, None):
                raise UsageError(f"--{name} has no effect, because --data names only embeddings; remove it.")
    elif arguments.pairs and not stored:
        raise UsageError("--pairs has no effect, because --data names no .npz of embeddings; remove it.")
    if arguments.table and len(arguments.data) > 1:
        raise UsageError(f"--table is for one set, but --data names {len(arguments.data)}; name one set.")
    return stored


def evaluate_all(
    arguments: Namespace, embedder: Embedder | None, sources: Sequence[PairSource], save: str | None = None
) -> dict[str, PairEvaluation]:
    """Evaluate a network, or stored embeddings, on all sets; returns the evaluations by the names of the sets."""
    from gluonfr.deploy.devices import devices
    from gluonfr.evaluation.verification import evaluate_verification

    return {
        source.name: evaluate_verification(
            source,
            embedder.net if embedder else None,
            devices(arguments.gpus, arguments.cpus),
            arguments.batch_size,
            flip=not arguments.no_flip,
            image_size=embedder.card.image_size if embedder else None,
            template=embedder.card.template if embedder else "",
            save=save and os.path.join(save, _file_name(source.name)),
            production_far=arguments.far,
            replicates=arguments.bootstrap,
            seed=arguments.seed,
        )
        for source in sources
    }


def _file_name(source: str) -> str:
    """Return the name of the file for the embeddings of a set; its name may be a path longer than file systems allow."""
    name = source.replace(os.sep, "_")
    if len(os.fsencode(name)) > 200:
        name = f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}_{name[-40:]}"
    return f"{name}.npz"

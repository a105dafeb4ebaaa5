"""1:1 verification of a network, or of stored embeddings, on verification sets."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Sequence

import numpy as np

from gluonfr.core import UsageError
from gluonfr.data import FRValDataset
from gluonfr.data.dataset.lookup import get_verification_set, warn_of_uneven_folds
from gluonfr.data.pairs.table import PairTable, read_pair_table, table_path
from gluonfr.deploy import embed_pairs
from gluonfr.evaluation.pair_embeddings import ScoredPairs, read_pair_embeddings, write_pair_embeddings
from gluonfr.metrics import evaluate_pairs, linked_people, pair_distances

if TYPE_CHECKING:
    from mxnet.gluon import Block

    from gluonfr.metrics import PairEvaluation

logger = logging.getLogger(__name__)

_EMBEDDINGS, _PAIRS = ".npz", ".bin"


@dataclass
class PairSource:
    """A verification set: pairs of images, or pairs of embeddings.

    Attributes
    ----------
    name : str
    table : PairTable
        People and groups of the pairs, as far as they are known.
    dataset : FRValDataset, optional
        The images; None for embeddings.
    scored : ScoredPairs, optional
        The distances of embeddings; None for images.

    Examples
    --------
    >>> (source,) = pair_sources(["lfw"], "~/.mxnet/datasets/face")  # doctest: +SKIP
    """

    name: str
    table: PairTable
    dataset: FRValDataset | None = None
    scored: ScoredPairs | None = None

    @property
    def images(self) -> Callable[[int], Any] | None:
        """Function from the index of a pair to its two images, or None for embeddings."""
        dataset = self.dataset
        return None if dataset is None else lambda i: dataset.read(i)[0]

    def people(self) -> tuple[np.ndarray | None, bool]:
        """Return the people of the images, (N, 2) or None, and whether they are given or inferred from shared images."""
        if self.table.people is not None:
            return self.table.people, self.table.known
        if self.dataset is None:
            return None, False
        people = linked_people(self.dataset.distinct()[1], self.dataset.issame)
        if people is None:
            logger.warning(
                "%s: the labels contradict each other: images of one person by some pairs are different people by another. "
                "Confidence intervals are omitted.",
                self.name,
            )
        return people, False


def pair_sources(
    names: Sequence[str],
    root: str,
    training_set: str | None = None,
    table: str | None = None,
    pair_list: str | None = None,
) -> list[PairSource]:
    """Open verification sets.

    Parameters
    ----------
    names : sequence of str
        Verification sets below `root`, `.bin` files, or `.npz` files of embeddings (`evaluation.pair_embeddings`).
    root : str
        Folder of the data sets.
    training_set : str, optional
        Training set below `root` whose folder is searched for sets that `root` does not have.
    table : str, optional
        CSV of people and groups (`data.pair_table`), for a single set; by default `NAME.pairs.csv` beside it, if present.
    pair_list : str, optional
        List of pairs of stored embeddings that are not pairs yet.

    Returns
    -------
    list of PairSource

    Raises
    ------
    UsageError
        There are no names, a name is given twice, or a table is given for several sets.

    Examples
    --------
    >>> import os, tempfile
    >>> from gluonfr.evaluation.pair_embeddings import write_pair_embeddings
    >>> path = os.path.join(tempfile.mkdtemp(), "mine.npz")
    >>> write_pair_embeddings(path, np.eye(2), np.eye(2), [True, True])
    >>> [source.name for source in pair_sources([path], root="")]
    ['mine']
    """
    if not names:
        raise UsageError("no verification set is given. Name at least one.")
    if table and len(names) > 1:
        raise UsageError(f"{table} is the table of one set, but {len(names)} sets are given. Evaluate that set alone.")
    short = [_short_name(name) for name in names]
    # Files with the same name in two folders are distinguished by their paths.
    shown = [brief if short.count(brief) == 1 else name for brief, name in zip(short, names)]
    if len(set(shown)) < len(shown):
        raise UsageError(f"{max(shown, key=shown.count)} is given twice. Name each set once.")
    return [_open_source(name, brief, root, training_set, table, pair_list) for name, brief in zip(names, shown)]


def _short_name(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0] if name.endswith((_PAIRS, _EMBEDDINGS)) else name


def _open_source(
    name: str, shown: str, root: str, training_set: str | None, table: str | None, pair_list: str | None
) -> PairSource:
    if name.endswith(_EMBEDDINGS):
        scored = read_pair_embeddings(name, pair_list)
        warn_of_uneven_folds(scored.issame.tolist(), name)
        return PairSource(shown, read_pair_table(table, scored.issame.tolist()) if table else scored.table, scored=scored)
    if name.endswith(_PAIRS):
        folder, file = os.path.split(os.path.abspath(os.path.expanduser(name)))
        dataset = get_verification_set(file[: -len(_PAIRS)], folder)
    else:
        dataset = get_verification_set(name, root, training_set)
    beside = table_path(dataset.path)
    path = table or (beside if os.path.exists(beside) else None)
    return PairSource(shown, read_pair_table(path, dataset.issame) if path else PairTable(), dataset)


def evaluate_verification(
    source: PairSource,
    net: Block | None = None,
    contexts: Sequence[Any] | None = None,
    batch_size: int = 64,
    flip: bool = True,
    image_size: tuple[int, int] | None = None,
    template: str = "arcface",
    save: str | None = None,
    progress: bool = True,
    **options: Any,
) -> PairEvaluation:
    """Evaluate a network on a verification set of images, or evaluate stored embeddings.

    Parameters
    ----------
    source : PairSource
    net : Block, optional
        Network from images in [0, 1] to embeddings, initialized on `contexts`; required for images.
    contexts, batch_size, flip, image_size, template
        See :func:`gluonfr.deploy.embed_pairs`.
    save : str, optional
        `.npz` to write the embeddings of the pairs to.
    progress : bool, default True
        Show progress bars on a terminal.
    **options
        Options of :func:`gluonfr.metrics.evaluate_pairs`: far_target, production_far, replicates, seed.

    Returns
    -------
    PairEvaluation

    Raises
    ------
    UsageError
        The source contains images, and `net` is None.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> first, second = random.normal(size=(2, 20, 8))
    >>> issame = np.arange(20) % 2 == 0
    >>> second[issame] = first[issame]
    >>> scored = ScoredPairs(pair_distances(*(rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (first, second))),
    ...                      issame, PairTable())
    >>> evaluate_verification(PairSource("mine", PairTable(), scored=scored), progress=False).verification.accuracy
    1.0
    """
    people, known = source.people()
    dataset = source.dataset
    if source.scored is not None:
        distances, issame = source.scored.distances, source.scored.issame
    else:
        if net is None or dataset is None:
            raise UsageError(f"{source.name} contains images, which need a network. Pass net=.")
        first, second = embed_pairs(
            net, dataset, contexts, batch_size, flip, source.name if progress else None, image_size, template
        )
        distances, issame = pair_distances(first, second), np.asarray(dataset.issame, dtype=bool)
        if save:
            write_pair_embeddings(save, first, second, issame, PairTable(people, source.table.groups, known))
    return evaluate_pairs(
        distances,
        issame,
        people,
        source.table.groups,
        people_known=known,
        progress="bootstrap" if progress else None,
        **options,
    )

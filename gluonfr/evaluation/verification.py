from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from gluonfr.core import DEFAULT_ROOT, GluonFRError
from gluonfr.data import FRValDataset
from gluonfr.data.pair_table import PairTable, read_pair_table, table_path
from gluonfr.data.sets import find_pairs
from gluonfr.deploy import embed_pairs
from gluonfr.evaluation.labeled import LabeledEmbeddings, labeled_embeddings, write_labeled
from gluonfr.evaluation.pair_embeddings import ScoredPairs, read_pair_embeddings, write_pair_embeddings
from gluonfr.evaluation.splits import split_people
from gluonfr.metrics import evaluate_pairs, linked_people, pair_distances

logger = logging.getLogger(__name__)

_EMBEDDINGS, _PAIRS = ".npz", ".bin"


@dataclass
class PairSource:
    """A set of pairs to evaluate: images, or embeddings that were made before.

    Attributes
    ----------
    name : str
    table : PairTable
        People and groupings, as far as they are known.
    dataset : FRValDataset or None
        Of images; None where there are only embeddings.
    scored : ScoredPairs or None
        Of embeddings.
    """

    name: str
    table: PairTable
    dataset: FRValDataset | None = None
    scored: ScoredPairs | None = None

    @property
    def images(self):
        """Function of a pair's number that gives its two images, or None."""
        return None if self.dataset is None else lambda i: self.dataset.read(i)[0]

    def people(self):
        """Whose the images are, (N, 2), and whether that was given: else it is told from shared images, or None."""
        if self.table.people is not None:
            return self.table.people, self.table.known
        if self.dataset is None:
            return None, False
        people = linked_people(self.dataset.distinct()[1], self.dataset.issame)
        if people is None:
            logger.warning(
                "%s: a pair called different shows one person by the other pairs, so that labels are wrong; no intervals.",
                self.name,
            )
        return people, False


def pair_sources(names, root, training_set=None, table=None, pair_list=None):
    """The sets called so.

    Parameters
    ----------
    names : sequence of str
        Verification sets below `root`, `.bin` files, or `.npz` files of embeddings (`deploy.pair_embeddings`).
    root : str
    training_set : str, optional
        Where `root` has no such set, it is looked for in this training set's folder.
    table : str, optional
        What is known of the pairs (`data.pair_table`), for one set; by default `NAME.pairs.csv` beside it, if there.
    pair_list : str, optional
        Of embeddings that are no pairs yet.

    Returns
    -------
    list of PairSource
    """
    if not names:
        raise GluonFRError("--data names no verification set.")
    if table and len(names) > 1:
        raise GluonFRError(f"{table} is the table of one set, and {len(names)} are named; evaluate that set alone.")
    shown = [_shown(name) for name in names]
    # Files of one name in two folders are told apart by their paths.
    shown = [short if shown.count(short) == 1 else name for short, name in zip(shown, names)]
    if len(set(shown)) < len(shown):
        raise GluonFRError(f"--data names {max(shown, key=shown.count)} twice; name each set once.")
    return [_source(name, short, root, training_set, table, pair_list) for name, short in zip(names, shown)]


def _shown(name):
    return os.path.basename(name)[: -len(_PAIRS)] if name.endswith((_PAIRS, _EMBEDDINGS)) else name


def _source(name, shown, root, training_set, table, pair_list):
    if name.endswith(_EMBEDDINGS):
        scored = read_pair_embeddings(name, pair_list)
        known = read_pair_table(table, scored.issame) if table else scored.table
        return PairSource(shown, known, scored=scored)
    if name.endswith(_PAIRS):
        folder, file = os.path.split(os.path.abspath(os.path.expanduser(name)))
        dataset = find_pairs(file[: -len(_PAIRS)], folder)
    else:
        dataset = find_pairs(name, root, training_set)
    beside = table_path(dataset.path)
    path = table or (beside if os.path.exists(beside) else None)
    return PairSource(shown, read_pair_table(path, dataset.issame) if path else PairTable(), dataset)


def evaluate(
    source,
    net=None,
    contexts=None,
    batch_size=64,
    flip=True,
    image_size=None,
    template="arcface",
    save=None,
    progress=True,
    **options,
):
    """Evaluate a network on one set, or the embeddings that the set consists of.

    Parameters
    ----------
    source : PairSource
    net : Block, optional
        Images in [0, 1] to embeddings, initialized on `contexts`; needed for images.
    contexts, batch_size, flip, image_size, template
        As :func:`gluonfr.deploy.embed_pairs`.
    save : str, optional
        `.npz` to write the embeddings of the pairs to.
    progress : bool, default True
        Show progress bars on a terminal.
    **options
        Of :func:`gluonfr.metrics.evaluate_pairs`: far_target, production_far, replicates, seed.

    Returns
    -------
    PairEvaluation
    """
    people, known = source.people()
    if source.scored is not None:
        distances, issame = source.scored.distances, source.scored.issame
    else:
        if net is None:
            raise GluonFRError(f"{source.name} holds images, which a network must embed; name one with --model.")
        first, second = embed_pairs(
            net, source.dataset, contexts, batch_size, flip, source.name if progress else None, image_size, template
        )
        distances, issame = pair_distances(first, second), source.dataset.issame
        if save:
            write_pair_embeddings(save, first, second, issame, PairTable(people, source.table.groups, known))
    return evaluate_pairs(
        distances,
        issame,
        people,
        source.table.groups,
        people_known=known,
        progress="people drawn" if progress else None,
        **options,
    )


def gallery_and_probes(sources, embedder=None, root=DEFAULT_ROOT, aligned=None, split=(1, 0.0, 0), save=None):
    """Embeddings of a gallery and of probes.

    Parameters
    ----------
    sources : (gallery, probes), or (set,)
        What `deploy.labeled.labeled_embeddings` takes; a single set is split.
    embedder : Embedder, optional
    root, aligned
        As there.
    split : (enroll, strangers, seed), default (1, 0, 0)
        Of a single set, see `split_people`.
    save : str, optional
        Folder to write `gallery.npz` and `probes.npz` to.

    Returns
    -------
    (gallery, probes) : LabeledEmbeddings
    """
    found = [labeled_embeddings(source, embedder, root, aligned, source) for source in sources]
    if len(found) == 2 and sources[0] != sources[1] and not (found[0].named or found[1].named):
        raise GluonFRError(
            f"{sources[0]} and {sources[1]} number their people each for itself, so that nobody can be told in the other; name "
            "them in identities.csv, or split one set with --data."
        )
    if len(found) == 1:
        (whole,) = found
        parts = split_people(whole.labels, *split)
        found = [LabeledEmbeddings(whole.embeddings[part], whole.labels[part]) for part in parts]
        found[0].left_out = whole.left_out
    if save:
        for name, each in zip(("gallery", "probes"), found):
            write_labeled(os.path.join(save, f"{name}.npz"), each)
    return found

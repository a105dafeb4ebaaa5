from __future__ import annotations

import os

from gluonfr.core import GluonFRError
from gluonfr.data.catalog import training_names
from gluonfr.data.dataset import FRValDataset, get_recognition_dataset
from gluonfr.data.training import TrainingSet


def training_set(options):
    """The records that `options.dataset` names, of several sets as one; GluonFRError where they are pairs."""
    dataset = get_recognition_dataset(options.dataset, root=options.root, identities=options.identities)
    if not isinstance(dataset, TrainingSet):
        raise GluonFRError(f"{options.dataset} is a verification set; --dataset takes a folder with a train.rec.")
    return dataset


def find_pairs(name, root, training_set=None):
    """The verification set `name` of `root`, or else of the training set's folder there, as InsightFace lays them out; of
    several training sets, the first that has one.
    """
    root = os.path.abspath(os.path.expanduser(root))
    if training_set and not os.path.exists(os.path.join(root, name + ".bin")):
        for each in training_names(training_set, root):
            if os.path.isfile(os.path.join(root, each, name + ".bin")):
                name = f"{each}/{name}"
                break
    pairs = FRValDataset(name, root=root)
    if len(pairs) < 10:
        raise GluonFRError(f"{pairs.path}: {len(pairs)} pairs are too few for the 10 folds of the protocol; use a larger set.")
    return pairs


def verification_sets(options):
    """Name -> FRValDataset of `options.val`, looked for under the root, then inside the training set's folder."""
    return {name: find_pairs(name, options.root, options.dataset) for name in options.val}

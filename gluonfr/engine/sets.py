import os

from gluonfr.core import GluonFRError
from gluonfr.data import FRTrainRecordDataset, FRValDataset, get_recognition_dataset


def training_set(options):
    """The records that `options.dataset` names; GluonFRError where they are pairs."""
    dataset = get_recognition_dataset(options.dataset, root=options.root)
    if not isinstance(dataset, FRTrainRecordDataset):
        raise GluonFRError(f"{options.dataset} is a verification set; --dataset takes a folder with a train.rec.")
    return dataset


def verification_sets(options):
    """name -> FRValDataset of `options.val`, looked for under the root, then inside the training set's folder."""
    sets = {}
    for name in options.val:
        try:
            sets[name] = get_recognition_dataset(name, root=options.root)
        except GluonFRError:
            inside = os.path.join(options.root, options.dataset, name + ".bin")
            if not os.path.isfile(inside):
                raise
            sets[name] = get_recognition_dataset(f"{options.dataset}/{name}", root=options.root)
        if not isinstance(sets[name], FRValDataset):
            raise GluonFRError(f"{name} is a training set; --val takes verification sets (NAME.bin).")
    return sets

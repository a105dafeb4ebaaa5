"""Data: training records, verification pairs, the datasets of both, loading and augmentation."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.data.dataset import (
    FRJoinedDataset,
    FRTrainRecordDataset,
    FRValDataset,
    TrainingSet,
    get_recognition_dataset,
    list_recognition_datasets,
)
from gluonfr.data.loading import (
    Augmentation,
    IdentityBatchSampler,
    RecordLoader,
    get_augmentation,
    get_augmentation_list,
)
from gluonfr.data.pairs import read_pairs, write_pairs
from gluonfr.data.records import RecordFile, RecordWriter

__all__ = [
    "Augmentation",
    "FRJoinedDataset",
    "FRTrainRecordDataset",
    "FRValDataset",
    "IdentityBatchSampler",
    "RecordFile",
    "RecordLoader",
    "RecordWriter",
    "TrainingSet",
    "get_augmentation",
    "get_augmentation_list",
    "get_recognition_dataset",
    "list_recognition_datasets",
    "read_pairs",
    "write_pairs",
]

"""What to learn from: training records, verification pairs and the data sets over them."""

from __future__ import annotations

from gluonfr.core.cpu import tune_cpu

# Before any module of this room imports MXNet.
tune_cpu()

from gluonfr.data.augment import Augmentation, get_augmentation, get_augmentation_list
from gluonfr.data.dataset import FRTrainRecordDataset, FRValDataset, get_recognition_dataset, list_recognition_datasets
from gluonfr.data.joined import FRJoinedDataset
from gluonfr.data.loader import RecordLoader
from gluonfr.data.pairs import read_pairs, write_pairs
from gluonfr.data.records.file import RecordFile, RecordWriter
from gluonfr.data.samplers import IdentityBatchSampler
from gluonfr.data.training import TrainingSet

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

"""Training sets and verification sets, found by name below a root folder."""

from __future__ import annotations

from gluonfr.data.dataset.base import TrainingSet
from gluonfr.data.dataset.catalog import list_recognition_datasets
from gluonfr.data.dataset.joined import FRJoinedDataset
from gluonfr.data.dataset.lookup import get_recognition_dataset
from gluonfr.data.dataset.train import FRTrainRecordDataset
from gluonfr.data.dataset.val import FRValDataset

__all__ = [
    "FRJoinedDataset",
    "FRTrainRecordDataset",
    "FRValDataset",
    "TrainingSet",
    "get_recognition_dataset",
    "list_recognition_datasets",
]

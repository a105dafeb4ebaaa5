"""What to learn from: training records, verification pairs and the data sets over them."""

from gluonfr.data.dataset import FRTrainRecordDataset, FRValDataset, get_recognition_dataset, list_recognition_datasets
from gluonfr.data.pairs import read_pairs, write_pairs
from gluonfr.data.records import RecordFile, RecordWriter

__all__ = [
    "FRTrainRecordDataset",
    "FRValDataset",
    "RecordFile",
    "RecordWriter",
    "get_recognition_dataset",
    "list_recognition_datasets",
    "read_pairs",
    "write_pairs",
]

"""RecordIO files of training sets: `train.rec`, `train.idx`, `train.cache`."""

from __future__ import annotations

from gluonfr.data.records.file import RecordFile
from gluonfr.data.records.writer import RecordWriter

__all__ = ["RecordFile", "RecordWriter"]

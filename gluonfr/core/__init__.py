"""The foundation: errors, atomic files, stateless seeds, registries, model cards."""

from __future__ import annotations

from gluonfr.core.card import Card
from gluonfr.core.errors import DataError, GluonFRError, TrainingStopped, UsageError, WeightsError, describe_os_error
from gluonfr.core.files import atomic_file, atomic_files, atomic_folder, file_sha256, read_npz, require_file
from gluonfr.core.machine import DEFAULT_MODELS, DEFAULT_ROOT, cores
from gluonfr.core.registry import Registry
from gluonfr.core.seeds import generator

__all__ = [
    "DEFAULT_MODELS",
    "DEFAULT_ROOT",
    "Card",
    "DataError",
    "GluonFRError",
    "Registry",
    "TrainingStopped",
    "UsageError",
    "WeightsError",
    "cores",
    "describe_os_error",
    "file_sha256",
    "generator",
    "require_file",
    "read_npz",
    "atomic_file",
    "atomic_files",
    "atomic_folder",
]

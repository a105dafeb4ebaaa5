"""The foundation: errors, argument checks, atomic files, stateless seeds, registries, model cards."""

from __future__ import annotations

from gluonfr.core.arguments import (
    check_choice,
    check_flag,
    check_increasing,
    check_integer,
    check_number,
    is_integer,
    is_number,
)
from gluonfr.core.card import Card
from gluonfr.core.cpu import cores
from gluonfr.core.errors import (
    DataError,
    GluonFRError,
    TrainingInterrupted,
    TrainingStopped,
    UsageError,
    WeightsError,
    describe_os_error,
)
from gluonfr.core.files import atomic_file, atomic_files, atomic_folder, file_sha256, new_folder, sync_folder
from gluonfr.core.paths import (
    DEFAULT_MODELS,
    DEFAULT_ROOT,
    PathLike,
    absolute_path,
    disk_errors,
    display_lines,
    display_path,
    require_file,
    require_new_folder,
)
from gluonfr.core.reading import read_npz
from gluonfr.core.registry import Registry
from gluonfr.core.seeds import generator

__all__ = [
    "DEFAULT_MODELS",
    "DEFAULT_ROOT",
    "Card",
    "DataError",
    "GluonFRError",
    "PathLike",
    "Registry",
    "TrainingInterrupted",
    "TrainingStopped",
    "UsageError",
    "WeightsError",
    "absolute_path",
    "atomic_file",
    "atomic_files",
    "atomic_folder",
    "check_choice",
    "check_flag",
    "check_increasing",
    "check_integer",
    "check_number",
    "cores",
    "describe_os_error",
    "disk_errors",
    "display_lines",
    "display_path",
    "file_sha256",
    "generator",
    "is_integer",
    "is_number",
    "new_folder",
    "read_npz",
    "require_file",
    "require_new_folder",
    "sync_folder",
]

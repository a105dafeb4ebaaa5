"""The ground floor: whole-or-nothing files, errors, stateless seeds, registries, model cards."""

from gluonfr.core.card import Card
from gluonfr.core.errors import GluonFRError, file_sentence
from gluonfr.core.files import file_sha256, need_file, read_npz, whole_file, whole_files, whole_folder
from gluonfr.core.machine import DEFAULT_MODELS, DEFAULT_ROOT, cores
from gluonfr.core.registry import Registry
from gluonfr.core.seeds import generator

__all__ = [
    "DEFAULT_MODELS",
    "DEFAULT_ROOT",
    "Card",
    "GluonFRError",
    "Registry",
    "cores",
    "file_sentence",
    "file_sha256",
    "generator",
    "need_file",
    "read_npz",
    "whole_file",
    "whole_files",
    "whole_folder",
]

"""The ground floor: whole-or-nothing files, errors, stateless seeds, registries."""

from gluonfr.core.errors import GluonFRError
from gluonfr.core.files import whole_file, whole_files, whole_folder
from gluonfr.core.machine import DEFAULT_ROOT, cores
from gluonfr.core.registry import Registry
from gluonfr.core.seeds import generator

__all__ = ["DEFAULT_ROOT", "GluonFRError", "Registry", "cores", "generator", "whole_file", "whole_files", "whole_folder"]

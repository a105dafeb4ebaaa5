"""What is installed, what is missing and what to do about it; works where MXNet cannot be imported."""

from __future__ import annotations

from gluonfr.apps.doctor.examination import examine
from gluonfr.apps.doctor.horovod import build_commands

__all__ = ["build_commands", "examine"]

from __future__ import annotations

import json
import os
from typing import Any

from gluonfr.core import atomic_file
from gluonfr.viz import read_log
from gluonfr.viz.curves import LOG


class TrainingLog:
    """The log of a run: one JSON object per line in `log.jsonl`.

    Parameters
    ----------
    folder : str
        The run folder.
    last_step : int, default 0
        Rows after this step are removed from an existing log: a resumed run writes them again.

    Attributes
    ----------
    path : str
    rows : list of dict

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = TrainingLog(folder)
    ...     log.add(1, loss=2.5)
    ...     log.close()
    ...     read_log(log.path)
    [{'step': 1, 'loss': 2.5}]
    """

    def __init__(self, folder: str, last_step: int = 0) -> None:
        self.path = os.path.join(folder, LOG)
        self.rows = [row for row in read_log(self.path) if row["step"] <= last_step] if os.path.exists(self.path) else []
        with atomic_file(self.path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in self.rows)
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115  (closed by close)

    def __repr__(self) -> str:
        return f"TrainingLog({self.path!r}, {len(self.rows)} rows)"

    def add(self, step: int, **values: Any) -> None:
        """Append a row."""
        row = {"step": step, **values}
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; no rows can be added afterwards."""
        self._file.close()

from __future__ import annotations

import json
import os
from typing import Any, Callable

from gluonfr.core import atomic_file
from gluonfr.viz import read_log
from gluonfr.viz.curves import LOG


class TrainingLog:
    """The log of a run: one JSON object per line in `log.jsonl`, and TensorBoard scalars where tensorboard is installed.

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
        self._write_scalars = _scalar_writer(folder)

    def __repr__(self) -> str:
        return f"TrainingLog({self.path!r}, {len(self.rows)} rows)"

    def add(self, step: int, **values: Any) -> None:
        """Append a row; the numbers among `values` are TensorBoard scalars too."""
        row = {"step": step, **values}
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        if self._write_scalars is not None:
            self._write_scalars(step, {name: value for name, value in values.items() if isinstance(value, (int, float))})

    def close(self) -> None:
        """Close the files; no rows can be added afterwards."""
        self._file.close()
        if self._write_scalars is not None:
            self._write_scalars(None, {})
            self._write_scalars = None


def _scalar_writer(folder: str) -> Callable[[int | None, dict[str, float]], None] | None:
    """Return a function that writes the scalars of a step, and closes the file for step None."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except (ImportError, TypeError):
        # A protobuf of another version raises TypeError.
        return None
    import time

    writer = EventFileWriter(os.path.join(folder, "tensorboard"))

    def write(step: int | None, scalars: dict[str, float]) -> None:
        if step is None:
            writer.close()
            return
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    return write

from __future__ import annotations

import json
import os

from gluonfr.core import atomic_file
from gluonfr.viz import read_log
from gluonfr.viz.curves import LOG


class History:
    """What a run has seen, one JSON object a line in `log.jsonl`, and as TensorBoard scalars where that is installed.

    Parameters
    ----------
    folder : str
        The run folder.
    last_step : int, default 0
        Rows after this step are dropped from an older log: a resumed run writes them again.
    """

    def __init__(self, folder, last_step=0) -> None:
        self.path = os.path.join(folder, LOG)
        self.rows = [row for row in read_log(self.path) if row["step"] <= last_step] if os.path.exists(self.path) else []
        with atomic_file(self.path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in self.rows)
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115  (closed by close)
        self._board = _board(folder)

    def add(self, step, **values) -> None:
        """Append a row; numbers among `values` are scalars on the board."""
        row = {"step": step, **values}
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        if self._board is not None:
            self._board(step, {name: value for name, value in values.items() if isinstance(value, (int, float))})

    def close(self) -> None:
        """Flush and close; no rows after it."""
        self._file.close()
        if self._board is not None:
            self._board(None, None)


def _board(folder):
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except (ImportError, TypeError):
        # TypeError is what a protobuf of another version raises.
        return None
    import time

    writer = EventFileWriter(os.path.join(folder, "tensorboard"))

    def add(step, scalars) -> None:
        if step is None:
            writer.close()
            return
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    return add

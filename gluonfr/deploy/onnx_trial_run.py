"""The program that `onnx_trial` starts: runs an ONNX model on blank images under limits of memory and time.

It imports nothing of this package, so that it starts fast. Exit status 3 reports a lack of memory. Every other failure that
Python can report gives status 0: the caller meets the same failure and describes it.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

OUT_OF_MEMORY = 3


def _main(arguments: dict[str, Any]) -> int:
    """Open and run the model; return the exit status."""
    import numpy as np
    import onnxruntime

    _limit(arguments["memory"], arguments["seconds"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            arguments["path"], options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        (data,) = session.get_inputs()
        batch, _, height, width = data.shape
        size = (height, width)
        if not all(isinstance(length, int) and length > 0 for length in size):
            size = arguments["image_size"] or _embedded_size(session, arguments["entry"]) or arguments["fallback"]
        kind = np.float16 if data.type == "tensor(float16)" else np.float32
        for count in [batch] if isinstance(batch, int) and batch > 0 else [2, 1]:
            if count * 3 * size[0] * size[1] > arguments["max_numbers"]:
                # Too large; the caller refuses it before it creates the images.
                return 0
            try:
                session.run(None, {data.name: np.zeros((count, 3, *size), kind)})
            except Exception as error:
                if _is_out_of_memory(error):
                    raise
    except Exception as error:  # The exceptions of ONNX Runtime have no common base class but this.
        return OUT_OF_MEMORY if _is_out_of_memory(error) else 0
    return 0


def _limit(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:
        # Windows has no such limits.
        return
    used = 0
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    for kind, limit in ((resource.RLIMIT_AS, used + memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, hard))


def _embedded_size(session: Any, entry: str) -> Any:
    text = session.get_modelmeta().custom_metadata_map.get(entry)
    return (json.loads(text).get("image_size") or (112, 112)) if text else None


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "alloc" in str(error).lower()


if __name__ == "__main__":
    sys.exit(_main(json.loads(sys.argv[1])))

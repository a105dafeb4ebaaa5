from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from typing import Any

from gluonfr.core import UsageError, absolute_path, display_path
from gluonfr.data import FRValDataset, synthetic
from gluonfr.deploy import RawPixels
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.run import TrainResult, train
from gluonfr.engine.validation import validate
from gluonfr.metrics import VerificationResult
from gluonfr.viz import plot_roc

# A small network that is trained for six epochs in two or three minutes on two cores.
RECIPE: dict[str, Any] = {
    "network": "lresnet10e_ir",
    "network_args": {
        "channels": [32, 32, 64, 128, 256],
        "embedding_size": 128,
        "stem_stride": 2,
        "input_crop": 112,
        "input_size": 64,
        "dropout": 0.2,
    },
    "loss": "cos",
    "loss_args": {"s": 24, "m": 0.2},
    "batch_size": 64,
    "epochs": 6,
    "lr": 0.1,
    "final_lr": 0.0,
    "warmup": 0.5,
    "val_every": 1,
    "clip_norm": 5,
    "average": 0.98,
    "augment": "flip",
}

# Size of the rendered training set.
_PEOPLE, _IMAGES_PER_PERSON = 400, 18


@dataclass
class DemoResult:
    """The result of `run_demo`.

    Attributes
    ----------
    baseline : VerificationResult
        Verification with raw pixels.
    trained : TrainResult
        Result of the training, with the verification of the network.
    rendering_seconds : float
        Time for rendering the faces.

    Examples
    --------
    >>> run_demo("runs/demo").baseline  # doctest: +SKIP
    """

    baseline: VerificationResult
    trained: TrainResult
    rendering_seconds: float


def run_demo(out: str, seed: int = 0, steps: int | None = None, progress: bool = True) -> DemoResult:
    """Run the whole pipeline on synthetic faces: render, verify raw pixels, train, verify the network, draw figures.

    The people of the verification set are not in the training set. The figures show that the pipeline works; they do not
    predict results on real faces.

    Parameters
    ----------
    out : str
        Folder of the demo; an earlier demo in it is replaced.
    seed : int, default 0
    steps : int, optional
        Number of training steps. Default: 6 epochs.
    progress : bool, default True
        Show progress bars.

    Returns
    -------
    DemoResult

    Examples
    --------
    >>> run_demo("runs/demo").trained.validation  # doctest: +SKIP
    """
    out = absolute_path(out)
    run_folder = os.path.join(out, "run")
    if os.path.isdir(out) and set(os.listdir(out)) - {"data", "run"}:
        raise UsageError(f"{display_path(out)} has files that are not of a demo; choose an empty or new folder.")
    recipe = dict(RECIPE, seed=seed, val_every=1, checkpoint_every=0)
    if steps is not None:
        recipe["steps"] = steps
        # In epochs; at most a fifth of the steps.
        recipe["warmup"] = min(RECIPE["warmup"], 0.2 * steps * RECIPE["batch_size"] / (_PEOPLE * _IMAGES_PER_PERSON))
    data = os.path.join(out, "data")
    options = TrainOptions(dataset="synthetic", root=data, val=["val_data"], out=run_folder, progress=progress, **recipe)
    if os.path.isdir(run_folder) and not os.path.exists(os.path.join(run_folder, "options.json")):
        raise UsageError(f"{display_path(run_folder)} is not the run of a demo; choose an empty or new folder.")
    shutil.rmtree(run_folder, ignore_errors=True)
    start = time.perf_counter()
    synthetic.make_dataset(os.path.join(data, "synthetic"), _PEOPLE, _IMAGES_PER_PERSON, seed=seed, progress=progress)
    rendering = time.perf_counter() - start
    pairs = FRValDataset("synthetic/val_data", root=data)
    baseline = validate(RawPixels(), pairs, progress=False)
    trained = train(options)
    # With the baseline, which a run does not know.
    plot_roc({"trained network": trained.validation["val_data"], "raw pixels": baseline}, os.path.join(run_folder, "roc.png"))
    return DemoResult(baseline, trained, rendering)

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass

from gluonfr.core import GluonFRError
from gluonfr.data import FRValDataset, synthetic
from gluonfr.deploy import RawPixels
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.run import TrainResult, train
from gluonfr.engine.validate import validate
from gluonfr.metrics import VerificationResult

# A small network that sees the set six times in two or three minutes on two cores.
RECIPE = {
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
    "warmup": 0.5,
    "clip_norm": 5,
    "average": 0.98,
    "augment": "flip",
}


@dataclass
class Demo:
    """What `run_demo` found: the raw pixels' verification, the trained network's, and how long rendering took."""

    baseline: VerificationResult
    trained: TrainResult
    rendering_seconds: float


def run_demo(out, seed=0, steps=None, progress=True):
    """The whole pipeline on synthetic faces: render, measure the raw pixels, train, verify, draw.

    The people of the verification set are none of the training set's. The figures prove the pipeline; they say nothing
    about real faces.

    Parameters
    ----------
    out : str
        Folder for all of it; an earlier demo there is replaced.
    seed : int, default 0
    steps : int, optional
        Training steps; the recipe's own otherwise.

    Returns
    -------
    Demo
    """
    out = os.path.abspath(os.path.expanduser(out))
    run_folder = os.path.join(out, "run")
    if os.path.isdir(out) and set(os.listdir(out)) - {"data", "run"}:
        raise GluonFRError(f"{out} holds other files than a demo's; give an empty folder or a new one with --out.")
    recipe = dict(RECIPE, seed=seed, val_every=1, checkpoint_every=0)
    if steps is not None:
        recipe["steps"] = steps
    data = os.path.join(out, "data")
    options = TrainOptions(dataset="synthetic", root=data, val=["val_data"], out=run_folder, progress=progress, **recipe)
    if os.path.isdir(run_folder) and not os.path.exists(os.path.join(run_folder, "options.json")):
        raise GluonFRError(f"{run_folder} is no demo's; give an empty folder or a new one with --out.")
    shutil.rmtree(run_folder, ignore_errors=True)
    start = time.perf_counter()
    synthetic.make_dataset(os.path.join(data, "synthetic"), seed=seed, progress=progress)
    rendering = time.perf_counter() - start
    pairs = FRValDataset("synthetic/val_data", root=data)
    baseline = validate(RawPixels(), pairs, progress=False)
    return Demo(baseline, train(options), rendering)

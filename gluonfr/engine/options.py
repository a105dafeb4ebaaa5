from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field
from typing import Sequence

from gluonfr.core import DEFAULT_ROOT, GluonFRError
from gluonfr.engine.contexts import devices
from gluonfr.engine.precision import DTYPES
from gluonfr.engine.schedule import SCHEDULES

CLASSIFIERS = ("auto", "plain", "sharded")
# When something is read from the devices, or written.
_EVERY = ("log_every", "val_every", "checkpoint_every", "checkpoint_steps", "checkpoint_minutes")


@dataclass
class TrainOptions:
    """All that decides a training run.

    Parameters
    ----------
    classifier : {'auto', 'plain', 'sharded'}, default 'auto'
        Whether every device has all classes, or a part of them. By itself it is divided where several devices meet many
        classes (`choice.MANY`), or a sample is asked for.
    sample_rate : float or int, default 1.0
        Part of the classes that a step uses, or their number: Partial FC.
    sample_correction : bool, default False
        Let each sampled class count for all those that it stands for, as `ShardedHead` has it.
    network, network_args : str, dict
        A name of the model zoo, and what its constructor gets besides `classes`.
    pretrained : bool or str, optional
        Start from weights instead of random numbers: True for the published ones of `network`, or a stored model's name, a file
        or a folder such as RUN/best, as `get_model` takes them.
    loss, loss_args : str, dict
        A name of `gluonfr.loss`, and what its constructor gets besides `classes`.
    dataset : str
        Training set under `root`, or several as one: "a,b".
    identities : str, optional
        CSV file that tells which labels of the training sets are one person (`gluonfr.data.FRJoinedDataset`).
    val : sequence of str
        Verification sets under `root`, or inside the training set's folder; the first decides which network is the best.
    out : str
        Run folder: log, checkpoints, best and last network, pictures, results.
    gpus : sequence of int
        GPUs to train on; empty for CPUs.
    cpus : int, default 1
        Number of CPU contexts when there are no GPUs; more than one is for trying out what several devices do.
    batch_size : int, default 64
        Of all devices and processes together.
    accumulate : int, default 1
        Parts that a batch is taken in, one after the other, with the memory of one part.
    dtype : {'float32', 'bfloat16', 'float16'}
        Of the network's convolutions; embeddings and classifier stay float32. float16 is for GPUs, and scales the loss.
    people, images_per_person : int, optional
        Batches of so many people with so many images each (`gluonfr.data.IdentityBatchSampler`). A loss that compares the images of a
        batch gets them without asking: 16 people unless said otherwise, and as many images of each as fill the batch.
    epochs : float, default 20
        Passes over the training set; a fraction is allowed. `steps` overrides it.
    lr, schedule, warmup, drops, final_lr
        Rate after warm-up, kind of schedule, and in epochs: length of the warm-up, drops of 'step' by 0.1. `final_lr` is
        where 'cosine' ends, as a fraction of `lr`.
    optimizer, momentum, wd, classifier_wd_mult, clip_norm
        `wd` is applied to weights only, not to scales, shifts, biases and slopes. 'nag' does not repeat a run bit for bit:
        MXNet's kernel takes the weight decay of the momentum from the old or the new weight, whichever lies in memory.
    augment : str
        A name of `gluonfr.data.get_augmentation`.
    average : float, default 0
        Decay of the moving average of the weights that is validated and saved; 0 for none.
    val_every, checkpoint_every : float
        In epochs; 0 only at the end.
    checkpoint_steps, checkpoint_minutes : int, float, optional
        Also after so many steps, or so much time since the last one.
    keep_checkpoints : int, default 2
        How many stay, the newest.
    log_every : int
        In steps. Losses are read from the devices only then.
    threads : int, optional
        Of the loader; one per core by default.
    seed : int
    resume : bool
        Go on from the newest checkpoint of `out`, which must have one. Without it a run goes on where there is one, too,
        and starts where there is none.
    """

    dataset: str
    out: str
    root: str = DEFAULT_ROOT
    val: Sequence[str] = ()
    identities: str | None = None
    network: str = "mobilefacenet"
    network_args: dict = field(default_factory=dict)
    pretrained: bool | str | None = None
    loss: str = "arc"
    loss_args: dict = field(default_factory=dict)
    gpus: Sequence[int] = ()
    cpus: int = 1
    classifier: str = "auto"
    sample_rate: int | float = 1.0
    sample_correction: bool = False
    batch_size: int = 64
    accumulate: int = 1
    dtype: str = "float32"
    people: int | None = None
    images_per_person: int | None = None
    epochs: float = 20
    steps: int | None = None
    lr: float = 0.1
    schedule: str = "cosine"
    warmup: float = 0
    drops: Sequence[float] = ()
    final_lr: float = 0.0
    optimizer: str = "sgd"
    momentum: float = 0.9
    wd: float = 5e-4
    classifier_wd_mult: float = 1.0
    clip_norm: float | None = None
    augment: str = "flip"
    average: float = 0.0
    val_every: float = 1
    checkpoint_every: float = 1
    checkpoint_steps: int | None = None
    checkpoint_minutes: float | None = None
    keep_checkpoints: int = 2
    log_every: int = 20
    threads: int | None = None
    seed: int = 0
    resume: bool = False
    progress: bool = True

    def __post_init__(self):
        self.root, self.out = (os.path.abspath(os.path.expanduser(path)) for path in (self.root, self.out))
        self._check("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}")
        self._check("classifier", self.classifier in CLASSIFIERS, f"one of {', '.join(CLASSIFIERS)}")
        self._check("dtype", self.dtype in DTYPES, f"one of {', '.join(DTYPES)}")
        whole = isinstance(self.sample_rate, int) and not isinstance(self.sample_rate, bool)
        self._check(
            "sample_rate", 0 < self.sample_rate <= 1 or whole and self.sample_rate > 1, "a part up to 1 or a number of classes"
        )
        self._check(
            "classifier", self.sample_rate == 1 or self.classifier != "plain", "sharded or auto, where classes are sampled"
        )
        self._check("sample_correction", not self.sample_correction or self.sample_rate != 1, "False, where no sample is taken")
        for name in ("checkpoint_steps", "checkpoint_minutes"):
            self._check(name, getattr(self, name) is None or 0 < getattr(self, name) < math.inf, "positive, and finite")
        for name in ("batch_size", "log_every", "accumulate", "keep_checkpoints"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        self._check("epochs", 0 < self.epochs < math.inf, "positive and finite")
        self._check("steps", self.steps is None or self.steps >= 1, "at least 1")
        for name in ("people", "images_per_person"):
            self._check(name, getattr(self, name) is None or getattr(self, name) >= 1, "at least 1")
        self._check("lr", 0 < self.lr < math.inf, "positive and finite")
        self._check("average", 0 <= self.average < 1, "a decay below 1, or 0 for none")
        self._check("clip_norm", self.clip_norm is None or self.clip_norm > 0, "positive")
        for name in ("warmup", "wd", "val_every", "checkpoint_every", "momentum", "final_lr"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "not negative, and finite")
        for name in ("network_args", "loss_args"):
            self._check(name, "classes" not in getattr(self, name), "without classes, which the training set decides")
        self._check("seed", 0 <= self.seed < 2**31, "between 0 and 2**31 - 1")

    def _check(self, name, right, wanted) -> None:
        if not right:
            raise GluonFRError(f"{name} must be {wanted}, got {getattr(self, name)!r}.")

    def contexts(self):
        """The devices, checked to exist; raises GluonFRError where a GPU is asked for that is not there."""
        return devices(self.gpus, self.cpus)

    def decisive(self):
        """The options that a resumed run must share with the one it goes on with, as plain Python."""
        free = {"out", "root", "resume", "progress", "threads", "val", "gpus", "cpus", *_EVERY, "keep_checkpoints"}
        every = json.loads(json.dumps(self.to_dict()))
        kept = {name: value for name, value in every.items() if name not in free}
        if self.average:
            # When the averaged statistics are taken in.
            kept.update((name, every[name]) for name in ("log_every", "val_every"))
            kept["val"] = bool(self.val)
        return kept

    def to_dict(self):
        """Plain Python, for JSON."""
        return {name: list(each) if isinstance(each, tuple) else each for name, each in asdict(self).items()}

"""All options of a training run, in groups; the parser of `gluonfr train` is generated from them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

from gluonfr.core import DEFAULT_ROOT, DataError, UsageError
from gluonfr.engine.distillation.options import DistillationOptions
from gluonfr.engine.finetuning.options import FineTuningOptions
from gluonfr.engine.option_fields import check_types, option

if TYPE_CHECKING:
    from gluonfr.engine.option_fields import Auto

# Name of the file of a run folder with its options.
OPTIONS = "options.json"
CLASSIFIERS = ("auto", "plain", "sharded")
DTYPES = ("float32", "bfloat16", "float16")
SCHEDULES = ("cosine", "step", "poly", "constant")

# Values of the options of fine-tuning and distillation in a run that uses neither.
PLAIN_TRAINING: dict[str, Any] = {
    "freeze_epochs": 0.0,
    "init_classifier": "random",
    "lr_decay_by_depth": 1.0,
    "batch_norm": "train",
    "stay_close": 0.0,
    "patience": 0,
    "hold_out": 0.0,
    "distill_weight": 0.0,
    "label_weight": 1.0,
}

# Options that a resumed run may change: where, on what and how often, but not what is computed.
_FREE_ON_RESUME = frozenset(
    [
        "out",
        "root",
        "resume",
        "mlflow",
        "parent",
        "progress",
        "threads",
        "val",
        "gpus",
        "cpus",
        "keep_checkpoints",
        "log_every",
        "val_every",
        "checkpoint_every",
        "checkpoint_steps",
        "checkpoint_minutes",
    ]
)


@dataclass
class DataOptions:
    """What a run reads. The help text of every field is its documentation.

    Examples
    --------
    >>> DataOptions(dataset="emore", augment="flip").val
    ()
    """

    dataset: str = option("", "training set: a folder with train.rec under the root; several are joined, such as emore,celeb")
    root: str = option(DEFAULT_ROOT, "folder that contains the data sets")
    val: Sequence[str] = option(
        (), "verification sets, such as lfw,cfp_fp,agedb_30; the first one decides which network is best"
    )
    identities: str | None = option(None, "CSV file dataset,label,identity that names the same person in several training sets")
    augment: Auto[str] = option(None, "augmentation: none, flip, standard or strong")
    people: int | None = option(None, "people per batch, for losses that compare the images of a batch (default: 16)")
    images_per_person: int | None = option(None, "images per person of a batch (default: as many as fill the batch)")
    threads: int | None = option(None, "threads of the loader (default: one per core)")


@dataclass
class NetworkOptions:
    """The network and the loss of a run. The help text of every field is its documentation.

    Examples
    --------
    >>> NetworkOptions(network="mobilefacenet", loss="cos").classifier
    'auto'
    """

    network: Auto[str] = option(None, "network: a name of the model zoo")
    network_args: dict[str, Any] = option({}, "arguments of the network, such as embedding_size=256,dropout=0.2")
    pretrained: bool | str | None = option(
        None,
        "start from the published weights of the network, or from a stored model, a file or a folder such as RUN/best",
        metavar="WEIGHTS",
    )
    loss: Auto[str] = option(None, "loss: a name of gluonfr.loss")
    loss_args: dict[str, Any] = option({}, "arguments of the loss, such as s=30,m=0.35")
    classifier: str = option(
        "auto",
        "plain, sharded (classes divided over the devices), or auto, which divides many classes over several devices",
        choices=CLASSIFIERS,
    )
    sample_rate: int | float = option(1.0, "fraction of the classes used per step (Partial FC), such as 0.1, or their number")
    sample_correction: bool = option(False, "weight each sampled class by the number of classes that it represents")


@dataclass
class OptimizationOptions:
    """Batches, length, learning rate and optimizer of a run. The help text of every field is its documentation.

    'nag' does not repeat a run bit for bit: MXNet's kernel reads the weight for the decay of the momentum before or after the
    update, depending on the layout in memory.

    Examples
    --------
    >>> OptimizationOptions(epochs=4, warmup=1).momentum
    0.9
    """

    batch_size: Auto[int] = option(None, "images per step, over all devices and processes")
    accumulate: int = option(1, "gradient-accumulation steps per batch; the memory needed is that of one of them")
    dtype: str = option("float32", "type of the convolutions: float32, bfloat16, or on GPUs float16", choices=DTYPES)
    epochs: Auto[float] = option(None, "passes over the training set; a fraction is allowed")
    steps: int | None = option(None, "length in steps, instead of epochs")
    lr: Auto[float] = option(None, "learning rate after the warm-up")
    schedule: Auto[str] = option(None, "shape of the learning rate: cosine, step, poly or constant", choices=SCHEDULES)
    warmup: Auto[float] = option(None, "epochs of linear warm-up of the learning rate")
    drops: Auto[Sequence[float]] = option(None, "epochs at which schedule 'step' divides the learning rate by ten")
    final_lr: Auto[float] = option(None, "learning rate at the end of cosine and poly, as a fraction of the learning rate")
    optimizer: str = option("sgd", "an optimizer of MXNet")
    momentum: float = option(0.9, "momentum of sgd and nag")
    wd: Auto[float] = option(None, "weight decay; scales, shifts, biases and slopes have none")
    classifier_wd_mult: float = option(1.0, "factor of the classifier's weight decay")
    clip_norm: Auto[float] = option(None, "largest Euclidean norm of the gradient; 0: no limit")
    average: Auto[float] = option(
        None, "decay of the moving average of the weights that is validated and saved, such as 0.999; 0: off"
    )
    seed: int = option(0, "seed of weights, order, augmentation and dropout")


@dataclass
class DeviceOptions:
    """The devices of one process. The help text of every field is its documentation.

    Examples
    --------
    >>> DeviceOptions(cpus=2).gpus
    ()
    """

    gpus: Sequence[int] = option((), "numbers of the GPUs to train on, such as 0,1 (default: none)")
    cpus: int = option(1, "number of CPU contexts to train on without GPUs")


@dataclass
class OutputOptions:
    """What a run writes, and how often. The help text of every field is its documentation.

    Examples
    --------
    >>> OutputOptions(out="runs/first").checkpoint_every
    1
    """

    out: str = option("", "run folder (default: runs/DATASET-NETWORK-LOSS, with the network and the loss where given)")
    resume: bool = option(False, "fail if the run folder has no checkpoint (by default, a run resumes if there is one)")
    val_every: Auto[float] = option(None, "epochs between validations; 0: only at the end")
    checkpoint_every: float = option(1, "epochs between checkpoints; 0: only at the end")
    checkpoint_steps: int | None = option(None, "also write a checkpoint after this many steps")
    checkpoint_minutes: float | None = option(None, "also write a checkpoint after this many minutes")
    keep_checkpoints: int = option(2, "number of checkpoints to keep, the latest ones")
    log_every: int = option(20, "steps between log lines; losses are read from the devices only then")
    mlflow: str | None = option(
        None, "also record the run with MLflow: a server such as http://localhost:5000, or file:FOLDER", metavar="URI"
    )
    parent: str | None = option(None, "run from which the options were taken", cli=False)
    progress: bool = option(True, "show a progress bar on a terminal", cli=False)


@dataclass
class TrainOptions(
    OutputOptions, DeviceOptions, DistillationOptions, FineTuningOptions, OptimizationOptions, NetworkOptions, DataOptions
):
    """All options of a training run: those of the groups, checked together.

    The recipe for the data replaces options without a value, see `gluonfr.engine.recipes`.

    Relative paths of `root` and `out` are made absolute.

    Raises
    ------
    UsageError
        A value of the wrong type or out of range, or a combination that cannot work.

    Examples
    --------
    >>> options = TrainOptions(dataset="emore", val=["lfw"], network="mobilefacenet", loss="cos", lr=0.1)
    >>> options.lr, os.path.basename(options.out)
    (0.1, 'emore-mobilefacenet-cos')
    """

    def __post_init__(self) -> None:
        check_types(self)
        self.out = self.out or self._default_folder()
        self.root, self.out = (os.path.abspath(os.path.expanduser(path)) for path in (self.root, self.out))
        self._check_ranges()
        self._check_start()
        self._check_sampling()
        for name in ("network_args", "loss_args"):
            if "classes" in getattr(self, name):
                raise UsageError(f"{name}= must not contain classes: the training set decides their number.")

    def _default_folder(self) -> str:
        # Of a path the last part; several sets are separated by commas.
        dataset = ",".join(os.path.basename(os.path.normpath(name)) for name in self.dataset.split(","))
        parts = [
            dataset,
            self.network,
            self.loss,
            "finetuned" if self.pretrained else None,
            "distilled" if self.teacher else None,
        ]
        return f"runs/{'-'.join(part for part in parts if part)}".lower()

    def _check_ranges(self) -> None:
        for name in ("batch_size", "log_every", "accumulate", "keep_checkpoints", "steps", "people", "images_per_person"):
            self._require(name, lambda value: value >= 1, "at least 1")
        for name in ("checkpoint_steps", "checkpoint_minutes", "epochs", "lr"):
            self._require(name, lambda value: 0 < value < math.inf, "positive and finite")
        for name in ("warmup", "wd", "val_every", "checkpoint_every", "momentum", "final_lr", "clip_norm", "freeze_epochs"):
            self._require(name, lambda value: 0 <= value < math.inf, "finite and not negative")
        for name in ("stay_close", "patience", "distill_weight", "label_weight"):
            self._require(name, lambda value: 0 <= value < math.inf, "finite and not negative")
        self._require("average", lambda value: 0 <= value < 1, "a decay below 1, or 0 for no averaging")
        self._require("lr_decay_by_depth", lambda value: 0 < value <= 1, "above 0 and at most 1")
        self._require("hold_out", lambda value: 0 <= value <= 0.5, "a fraction of at most 0.5")
        self._require("seed", lambda value: 0 <= value < 2**31, "between 0 and 2**31 - 1")

    def _check_start(self) -> None:
        for name in ("freeze", "stay_close", "freeze_epochs"):
            self._require(name, lambda value: not value or bool(self.pretrained), "used with pretrained weights (pretrained=)")
        for name in ("distill_weight", "unlabeled"):
            self._require(name, lambda value: not value or bool(self.teacher), "used with a teacher (teacher=)")
        self._require("label_weight", lambda value: value == 1 or bool(self.teacher), "1 without a teacher (teacher=)")

    def _check_sampling(self) -> None:
        is_count = isinstance(self.sample_rate, int) and self.sample_rate > 1
        self._require("sample_rate", lambda rate: is_count or 0 < rate <= 1, "a fraction of at most 1, or a number of classes")
        if self.sample_rate != 1:
            self._require("classifier", lambda kind: kind != "plain", "sharded or auto when classes are sampled (sample_rate=)")
        else:
            self._require("sample_correction", lambda on: not on, "False when no classes are sampled (sample_rate=)")

    def _require(self, name: str, is_valid: Callable[[Any], bool], words: str) -> None:
        value = getattr(self, name)
        if value is not None and not is_valid(value):
            raise UsageError(f"{name}={value!r} must be {words}.")

    @classmethod
    def from_dict(cls, values: Any, source: str = "options") -> TrainOptions:
        """Build the options that `to_dict` returned; options that an older version did not know have their defaults.

        Raises
        ------
        DataError
            `values` is no dict, or has an unknown name or an invalid value; the message begins with `source`.

        Examples
        --------
        >>> TrainOptions.from_dict({"dataset": "emore", "out": "runs/a", "lr": 0.2}).lr
        0.2
        """
        if not isinstance(values, dict):
            raise DataError(f"{source}: expected an object with the options of a run, found {type(values).__name__}.")
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise DataError(f"{source}: unknown option {unknown[0]!r}; it was written by another version or is damaged.")
        try:
            return cls(**values)
        except UsageError as error:
            raise DataError(f"{source}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return all options as plain Python values, for JSON.

        Examples
        --------
        >>> TrainOptions(dataset="emore", out="runs/a", drops=(2, 3)).to_dict()["drops"]
        [2, 3]
        """
        return {name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()}

    def fixed_on_resume(self) -> dict[str, Any]:
        """Return the options that must not change when a run is resumed, as plain Python values.

        Examples
        --------
        >>> fixed = TrainOptions(dataset="emore", out="runs/a").fixed_on_resume()
        >>> "lr" in fixed, "out" in fixed
        (True, False)
        """
        values = json.loads(json.dumps(self.to_dict()))
        fixed = {name: value for name, value in values.items() if name not in _FREE_ON_RESUME}
        if self.average:
            # They decide when running statistics enter the average.
            fixed.update({name: values[name] for name in ("log_every", "val_every")}, val=bool(self.val))
        return fixed


def first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Describe the first option of `now` that had another value before; empty when there is none.

    Options that are missing in `before` had their defaults, and training from pretrained weights had no options of its own: an
    older version did not know them.

    Examples
    --------
    >>> first_difference({"lr": 0.1}, {"lr": 0.2})
    'lr=0.1 instead of 0.2'
    """
    before = {**TrainOptions(out="default", **PLAIN_TRAINING).fixed_on_resume(), **before}
    for name, value in now.items():
        if before.get(name) != value:
            return f"{name}={before.get(name)!r} instead of {value!r}"
    return ""

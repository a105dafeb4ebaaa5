"""The options that all kinds of training runs share: optimization, devices, output."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Mapping, Sequence, TypeVar

from gluonfr.core import DataError, UsageError
from gluonfr.engine.option_fields import option

if TYPE_CHECKING:
    from gluonfr.engine.option_fields import Auto

    _Options = TypeVar("_Options", bound="RunOptions")

# Name of the file of a run folder with its options.
OPTIONS = "options.json"
DTYPES = ("float32", "bfloat16", "float16", "auto")
# Optimizers with a momentum, which learn with the same rates.
_WITH_MOMENTUM = {"sgd", "nag"}
SCHEDULES = ("cosine", "step", "poly", "constant")

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
    dtype: str = option(
        "float32",
        "type of the convolutions: float32, bfloat16, on GPUs float16; auto: bfloat16 on CPUs with instructions for it, else "
        "float32",
        choices=DTYPES,
    )
    epochs: Auto[float] = option(None, "passes over the training set; a fraction is allowed")
    steps: int | None = option(None, "length in steps, instead of epochs")
    lr: Auto[float] = option(None, "learning rate after the warm-up")
    schedule: Auto[str] = option(None, "shape of the learning rate: cosine, step, poly or constant", choices=SCHEDULES)
    warmup: Auto[float] = option(None, "epochs of linear warm-up of the learning rate")
    drops: Auto[Sequence[float]] = option(None, "epochs at which schedule 'step' divides the learning rate by ten")
    final_lr: Auto[float] = option(None, "learning rate at the end of cosine and poly, as a fraction of the learning rate")
    optimizer: Auto[str] = option(None, "an optimizer of MXNet; another one than the recipe's needs lr")
    momentum: float = option(0.9, "momentum of sgd and nag")
    wd: Auto[float] = option(None, "weight decay; scales, shifts, biases and slopes have none")
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
class RunOptions(OutputOptions, DeviceOptions, OptimizationOptions):
    """The options that all kinds of training runs share, and how they are stored and compared; a subclass adds its own.

    Examples
    --------
    >>> RunOptions(out="runs/a", lr=0.1).to_dict()["lr"]
    0.1
    """

    # Options whose arguments, in the option NAME_args, do not fit another value.
    with_arguments: ClassVar[Sequence[str]] = ()

    @property
    def has_validation(self) -> bool:
        """Whether the run was given something to validate on."""
        return False

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the default of every option."""
        return {
            field.name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            for field in dataclasses.fields(cls)
        }

    @classmethod
    def former_defaults(cls) -> dict[str, Any]:
        """Return the values with which a run was trained that has no such options, because its version did not know them."""
        return {"optimizer": "sgd"}

    @classmethod
    def values_for_recipe(cls, before: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
        """Return the options that a run with these changes does not take from the run with the options `before`."""
        return []

    def _check_shared_ranges(self) -> None:
        self.optimizer = self.optimizer and self.optimizer.lower()
        for name in ("batch_size", "log_every", "accumulate", "keep_checkpoints", "steps"):
            self._require(name, lambda value: value >= 1, "at least 1")
        for name in ("checkpoint_steps", "checkpoint_minutes", "epochs", "lr"):
            self._require(name, lambda value: 0 < value < math.inf, "positive and finite")
        for name in ("warmup", "wd", "val_every", "checkpoint_every", "momentum", "final_lr", "clip_norm"):
            self._require(name, lambda value: 0 <= value < math.inf, "finite and not negative")
        self._require("average", lambda value: 0 <= value < 1, "a decay below 1, or 0 for no averaging")
        self._require("seed", lambda value: 0 <= value < 2**31, "between 0 and 2**31 - 1")

    def _require(self, name: str, is_valid: Callable[[Any], bool], words: str) -> None:
        value = getattr(self, name)
        if value is not None and not is_valid(value):
            raise UsageError(f"{name}={value!r} must be {words}.")

    @classmethod
    def from_dict(cls: type[_Options], values: Any, source: str = "options") -> _Options:
        """Build the options that `to_dict` returned; options that an older version did not know have their defaults.

        Raises
        ------
        DataError
            `values` is no dict, or has an unknown name or an invalid value; the message begins with `source`.

        Examples
        --------
        >>> RunOptions.from_dict({"out": "runs/a", "lr": 0.2}).lr
        0.2
        """
        if not isinstance(values, dict):
            raise DataError(f"{source}: expected an object with the options of a run, found {type(values).__name__}.")
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise DataError(
                f"{source}: unknown option {unknown[0]!r}; another version or kind of training wrote it, or it is damaged."
            )
        try:
            return cls(**values)
        except UsageError as error:
            raise DataError(f"{source}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return all options as plain Python values, for JSON.

        Examples
        --------
        >>> RunOptions(out="runs/a", drops=(2, 3)).to_dict()["drops"]
        [2, 3]
        """
        return {name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()}

    def fixed_on_resume(self) -> dict[str, Any]:
        """Return the options that must not change when a run is resumed, as plain Python values.

        Examples
        --------
        >>> fixed = RunOptions(out="runs/a").fixed_on_resume()
        >>> "lr" in fixed, "out" in fixed
        (True, False)
        """
        values = json.loads(json.dumps(self.to_dict()))
        fixed = {name: value for name, value in values.items() if name not in _FREE_ON_RESUME}
        if self.average:
            # They decide when running statistics enter the average.
            fixed.update({name: values[name] for name in ("log_every", "val_every")}, val=self.has_validation)
        if self.steps:
            # They decide the length; the epochs may be those of the recipe of another version.
            del fixed["epochs"]
        return fixed

    def first_difference(self, before: Mapping[str, Any]) -> str:
        """Describe the first of these options that had another value in `before`, from `fixed_on_resume`; empty without one.

        Examples
        --------
        >>> RunOptions(lr=0.2).first_difference({"lr": 0.1})
        'lr=0.1 instead of 0.2'
        """
        defaults = {name: value for name, value in self.defaults().items() if name not in _FREE_ON_RESUME}
        before = {**json.loads(json.dumps({**defaults, **self.former_defaults()})), **before}
        for name, value in self.fixed_on_resume().items():
            if before.get(name) != value:
                return f"{name}={before.get(name)!r} instead of {value!r}"
        return ""


def share_rates(first: str | None, second: str | None) -> bool:
    """Return whether two optimizers learn with the same rates.

    Examples
    --------
    >>> share_rates("sgd", "NAG"), share_rates("sgd", "adam")
    (True, False)
    """
    names = {str(first).lower(), str(second).lower()}
    return len(names) == 1 or names <= _WITH_MOMENTUM


def check_rate(options: RunOptions, recipe: Mapping[str, Any]) -> None:
    """Raise UsageError where an optimizer is given without a learning rate, and that of the recipe is for another one.

    Examples
    --------
    >>> check_rate(RunOptions(optimizer="adam"), {"optimizer": "sgd", "lr": 0.1})
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: optimizer='adam' needs lr=: the recipe's rate of 0.1 is for sgd.
    """
    given, usual = options.optimizer, recipe["optimizer"]
    if options.lr is None and given is not None and not share_rates(given, usual):
        raise UsageError(f"optimizer={given!r} needs lr=: the recipe's rate of {recipe['lr']} is for {usual}.")

"""All options of the training of a recognition network, in groups; the parser of `gluonfr train` is generated from them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Mapping, Sequence

from gluonfr.core import DEFAULT_ROOT, UsageError
from gluonfr.engine.distillation.options import DistillationOptions
from gluonfr.engine.finetuning.options import FineTuningOptions
from gluonfr.engine.loop.options import RunOptions
from gluonfr.engine.option_fields import auto_names, check_types, option

if TYPE_CHECKING:
    from gluonfr.engine.option_fields import Auto

CLASSIFIERS = ("auto", "plain", "sharded")
# What `MixedFaces` accepts.
_MOST_MIXED = 100_000_000

# What a new run from pretrained weights takes from a run without, although a recipe can choose it.
_KEPT_FROM_RUN = ("loss", "batch_size", "augment")

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
    augment_args: dict[str, Any] = option(
        {}, "changes of the augmentation, such as low_resolution=1,low_resolution_scale=(0.18,0.5)"
    )
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
    classifier_wd_mult: float = option(1.0, "factor of the classifier's weight decay")


@dataclass
class TrainOptions(RunOptions, DistillationOptions, FineTuningOptions, NetworkOptions, DataOptions):
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

    with_arguments: ClassVar[Sequence[str]] = ("augment", "loss", "network")

    @property
    def has_validation(self) -> bool:
        """Whether verification sets are given."""
        return bool(self.val)

    @classmethod
    def former_defaults(cls) -> dict[str, Any]:
        """Return the options of fine-tuning and distillation in a run that uses neither, and the former default optimizer."""
        return {**super().former_defaults(), **PLAIN_TRAINING}

    @classmethod
    def values_for_recipe(cls, before: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
        """Return the options that the recipe chooses again where a run had no pretrained network or no teacher.

        Its values suit another kind of training: a network from scratch learns with ten times the rate of a pretrained one.
        """
        chosen = [name for name in auto_names(cls) if name not in _KEPT_FROM_RUN]
        if changes.get("pretrained") and not before["pretrained"]:
            return ["network_args", *chosen]
        if changes.get("teacher") and not before["teacher"]:
            if before["pretrained"]:
                return chosen
            return [name for name, value in PLAIN_TRAINING.items() if before[name] == value]
        return []

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
        self._check_shared_ranges()
        for name in ("people", "images_per_person"):
            self._require(name, lambda value: value >= 1, "at least 1")
        for name in ("freeze_epochs", "stay_close", "patience", "distill_weight", "label_weight"):
            self._require(name, lambda value: 0 <= value < math.inf, "finite and not negative")
        self._require("mixed", lambda count: 0 <= count <= _MOST_MIXED, f"from 0 to {_MOST_MIXED:,}")
        self._require("lr_decay_by_depth", lambda value: 0 < value <= 1, "above 0 and at most 1")
        self._require("hold_out", lambda value: 0 <= value <= 0.5, "a fraction of at most 0.5")

    def _check_start(self) -> None:
        for name in ("pretrained", "teacher"):
            self._require(name, lambda value: value != "", "the name of a network")
        for name in ("freeze", "stay_close", "freeze_epochs"):
            self._require(name, lambda value: not value or bool(self.pretrained), "used with pretrained weights (pretrained=)")
        for name in ("distill_weight", "unlabeled", "mixed"):
            self._require(name, lambda value: not value or bool(self.teacher), "used with a teacher (teacher=)")
        self._require("batch_norm", lambda kind: kind == "train" or bool(self.pretrained), "'train' without pretrained weights")
        self._require("distill_weight", lambda value: value > 0 or not self.teacher, "above 0 with a teacher (teacher=)")
        self._require(
            "patience",
            lambda value: not value or bool(self.val) or self.hold_out != 0,
            "0 without a verification set (val=) and without people who are held out (hold_out=)",
        )
        for name in ("people", "images_per_person"):
            words = "left out with images that have no label (unlabeled=, mixed=)"
            self._require(name, lambda value: not (self.unlabeled or self.mixed), words)
        self._require("label_weight", lambda value: value == 1 or bool(self.teacher), "1 without a teacher (teacher=)")

    def _check_sampling(self) -> None:
        is_count = isinstance(self.sample_rate, int) and self.sample_rate > 1
        self._require("sample_rate", lambda rate: is_count or 0 < rate <= 1, "a fraction of at most 1, or a number of classes")
        if self.sample_rate != 1:
            self._require("classifier", lambda kind: kind != "plain", "sharded or auto when classes are sampled (sample_rate=)")
        else:
            self._require("sample_correction", lambda on: not on, "False when no classes are sampled (sample_rate=)")

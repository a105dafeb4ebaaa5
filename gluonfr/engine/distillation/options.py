from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Sequence

from gluonfr.engine.option_fields import option

if TYPE_CHECKING:
    from gluonfr.engine.option_fields import Auto

DISTILLATIONS = ("cosine", "l2", "relational", "logits")


@dataclass
class DistillationOptions:
    """Training a network to reproduce the embeddings of another one. The help text of every field is its documentation.

    Examples
    --------
    >>> DistillationOptions(teacher="dlib_resnet29").distill
    'cosine'
    """

    teacher: str | None = option(
        None,
        "network whose embeddings the trained one learns to reproduce: a stored model, a folder such as RUN/best, or a file, "
        "ONNX included",
        metavar="MODEL",
    )
    distill: str = option(
        "cosine",
        "what the network learns from the teacher: cosine (the direction of the embedding from the mean of all), l2 (the "
        "embedding, up to one scale for all), relational (distances and angles within a batch), or logits (similarities to the "
        "mean embedding of each person)",
        choices=DISTILLATIONS,
        metavar="KIND",
    )
    distill_weight: Auto[float] = option(None, "weight of the distillation loss")
    label_weight: Auto[float] = option(None, "weight of the loss on labels; 0 trains without labels")
    unlabeled: Sequence[str] = option(
        (),
        "further training sets under the root, such as more,web; only the teacher's embeddings of their images are used",
        metavar="SETS",
    )
    mixed: int = option(
        0,
        "further images that are each mixed from the faces of two people of the training set; only the teacher's embeddings of "
        "them are used",
    )

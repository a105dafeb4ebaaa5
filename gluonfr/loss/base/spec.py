from __future__ import annotations

from dataclasses import dataclass

INPUT_KINDS = ("cosine", "logits", "embedding", "pairs", "triplets")
BATCH_KINDS = ("any", "all devices", "identities")


@dataclass(frozen=True)
class LossSpec:
    """What a loss expects; training builds the classifier, the head and the batches from it.

    Attributes
    ----------
    input_kind : {'logits', 'cosine', 'embedding', 'pairs', 'triplets'}, default 'logits'
        First input of the loss: logits or cosines of a classifier, embeddings, or given pairs or triplets of embeddings.
    weight_norm, feature_norm : bool, default False
        Norms of the classifier. For losses on embeddings, `feature_norm` means that they are meant for unit vectors.
    needs_embedding : bool, default False
        Whether the loss needs the embedding as third input.
    batch : {'any', 'all devices', 'identities'}, default 'any'
        'all devices': the loss compares samples, so it has to see those of all devices together; 'identities': the same, and
        batches hold P identities with K images each.
    num_centers : int, default 1
        Rows of the classifier for each class.
    class_parameters : tuple of str
        Own parameters (C,) with one number for each class, which a sharded classifier divides like its weights.
    needs_target : bool, default False
        Whether the logits of other classes depend on the target's output.
    needs_others : bool, default False
        Whether `batch_statistics` needs the log-sum-exp of the other classes.

    Examples
    --------
    >>> spec = LossSpec("cosine", weight_norm=True, feature_norm=True)
    >>> spec.uses_classifier, spec.compares_samples
    (True, False)
    """

    input_kind: str = "logits"
    weight_norm: bool = False
    feature_norm: bool = False
    needs_embedding: bool = False
    batch: str = "any"
    num_centers: int = 1
    class_parameters: tuple[str, ...] = ()
    needs_target: bool = False
    needs_others: bool = False

    def __post_init__(self) -> None:
        if self.input_kind not in INPUT_KINDS or self.batch not in BATCH_KINDS:
            raise ValueError(f"input_kind is one of {INPUT_KINDS} and batch one of {BATCH_KINDS}, got {self}")

    @property
    def uses_classifier(self) -> bool:
        """Whether the input is the output of a classifier."""
        return self.input_kind in ("cosine", "logits")

    @property
    def compares_samples(self) -> bool:
        """Whether the loss of a sample depends on other samples of the batch."""
        return self.batch != "any"

    @property
    def needs_identities(self) -> bool:
        """Whether batches have to hold several images of each identity."""
        return self.batch == "identities"

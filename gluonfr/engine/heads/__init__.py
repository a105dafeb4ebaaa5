"""Training heads: the classifier and the loss over all devices."""

from __future__ import annotations

from gluonfr.engine.heads.class_shard import ClassShard, sample_classes
from gluonfr.engine.heads.plain import GatheringHead, PlainHead, make_head
from gluonfr.engine.heads.selection import choose_head
from gluonfr.engine.heads.sharded import ShardedHead

__all__ = [
    "ClassShard",
    "GatheringHead",
    "PlainHead",
    "ShardedHead",
    "choose_head",
    "make_head",
    "sample_classes",
]

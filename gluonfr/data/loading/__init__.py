"""Batches for training: the loader, augmentations, and batches of P people with K images each."""

from __future__ import annotations

from gluonfr.data.loading.augmentation import Augmentation, get_augmentation, get_augmentation_list
from gluonfr.data.loading.loader import RecordLoader
from gluonfr.data.loading.samplers import IdentityBatchSampler

__all__ = ["Augmentation", "IdentityBatchSampler", "RecordLoader", "get_augmentation", "get_augmentation_list"]

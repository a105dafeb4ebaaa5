"""What the digit scripts share: images of scikit-learn's digits as MNIST, a small network, a loop on two contexts."""

import logging

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.gluon import nn
from sklearn.datasets import load_digits

from gluonfr.nn.basic_blocks import FrBase

CONTEXTS = [mx.cpu(0), mx.cpu(1)]
BATCH = 64


class DigitNet(FrBase):
    def __init__(self, embedding_size=8, **kwargs):
        super().__init__(10, embedding_size, **kwargs)
        self.features.add(
            nn.Conv2D(16, 5, strides=2),
            nn.BatchNorm(),
            nn.PReLU(),
            nn.Conv2D(32, 3, strides=2),
            nn.BatchNorm(),
            nn.PReLU(),
            nn.Flatten(),
            nn.Dense(embedding_size, use_bias=False),
        )


def loaders():
    """Loaders of images (1, 28, 28) in [0, 1] with integer labels: for training, and for validation."""
    images, labels = load_digits(return_X_y=True)
    images = np.kron(images.reshape(-1, 1, 8, 8) / 16, np.ones((3, 3)))
    images = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))).astype("float32")
    order = np.random.RandomState(0).permutation(len(labels))
    images, labels = images[order], labels[order].astype("int32")
    sets = [gluon.data.ArrayDataset(images[part], labels[part]) for part in (slice(0, 1500), slice(1500, None))]
    return [
        gluon.data.DataLoader(dataset, BATCH, shuffle=i == 0, last_batch=["discard", "keep"][i])
        for i, dataset in enumerate(sets)
    ]


def split(batch):
    return [gluon.utils.split_and_load(part, CONTEXTS, batch_axis=0, even_split=False) for part in batch]


def accuracy(data, outputs_of):
    metric = mx.metric.Accuracy()
    for batch in data:
        images, labels = split(batch)
        metric.update(labels, [outputs_of(x, y) for x, y in zip(images, labels)])
    return metric.get()[1]


def train(loss_of, trainer, outputs_of, steps=30):
    """Train; return the accuracy on the other digits before and after."""
    train_data, val_data = loaders()
    before, step = accuracy(val_data, outputs_of), 0
    while step < steps:
        for batch in train_data:
            images, labels = split(batch)
            with autograd.record():
                losses = [loss_of(x, y) for x, y in zip(images, labels)]
            for loss in losses:
                autograd.backward(loss)
            trainer.step(BATCH)
            step += 1
            if step == steps:
                break
    after = accuracy(val_data, outputs_of)
    logging.info("accuracy %.3f before and %.3f after %d steps", before, after, steps)
    return before, after

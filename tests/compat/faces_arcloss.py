"""ArcLoss on faces with two contexts: records, DataLoader, split_and_load, Trainer, validation."""

import sys

import mxnet as mx
from face_parts import CONTEXTS, augment, to_tensor, validate
from mxnet import autograd, gluon
from mxnet.gluon.data import DataLoader

from gluonfr.data import get_recognition_dataset
from gluonfr.loss import ArcLoss
from gluonfr.model_zoo import get_mobile_facenet

root, steps, batch_size = sys.argv[1], 30, 12

train_set = get_recognition_dataset("people", root=root, transform=augment)
train_data = DataLoader(train_set, batch_size, shuffle=True, num_workers=0, last_batch="discard")
val_set = get_recognition_dataset("people/val_data", root=root, transform=to_tensor)
val_data = DataLoader(val_set, batch_size)

net = get_mobile_facenet(train_set.num_classes, embedding_size=64, weight_norm=True, feature_norm=True)
net.initialize(init=mx.init.MSRAPrelu(), ctx=CONTEXTS)
net.hybridize()
trainer = gluon.Trainer(net.collect_params(), "nag", {"learning_rate": 0.05, "momentum": 0.9, "wd": 5e-4})
loss = ArcLoss(train_set.num_classes, 0.1, 16, easy_margin=False)

accuracies, it = [], 0
while it < steps:
    for batch in train_data:
        data = gluon.utils.split_and_load(batch[0], ctx_list=CONTEXTS, batch_axis=0, even_split=False)
        labels = gluon.utils.split_and_load(batch[1], ctx_list=CONTEXTS, batch_axis=0, even_split=False)
        with autograd.record():
            outputs = [net(x)[1] for x in data]
            losses = [loss(yhat, y) for yhat, y in zip(outputs, labels)]
        for part in losses:
            autograd.backward(part)
        trainer.step(batch_size)
        metric = mx.metric.Accuracy()
        metric.update(labels, outputs)
        accuracies.append(metric.get()[1])
        it += 1
        if it == steps:
            break
seven = validate(net, CONTEXTS, val_data)

"""RingLoss on faces with two contexts and a given radius; the parameters of the loss go to the Trainer with the network's."""

import sys

import mxnet as mx
from face_parts import CONTEXTS, augment, to_tensor, validate
from mxnet import autograd, gluon
from mxnet.gluon.data import DataLoader

from gluonfr.data import get_recognition_dataset
from gluonfr.loss import *  # noqa: F403
from gluonfr.model_zoo import *  # noqa: F403

root, steps, batch_size = sys.argv[1], 30, 12

train_set = get_recognition_dataset("people", root=root, transform=augment)
train_data = DataLoader(train_set, batch_size, shuffle=True, num_workers=0, last_batch="discard")
val_data = DataLoader(get_recognition_dataset("people/val_data", root=root, transform=to_tensor), batch_size)

net = get_mobile_facenet(train_set.num_classes, embedding_size=64, weight_norm=True, feature_norm=False)  # noqa: F405
net.initialize(init=mx.init.MSRAPrelu(), ctx=CONTEXTS)
net.hybridize(static_alloc=True)
loss = RingLoss(0.01, mx.init.Constant(10.0))  # noqa: F405
loss.initialize(ctx=CONTEXTS)
loss.hybridize(static_alloc=True)

train_params = net.collect_params()
train_params.update(loss.params)
trainer = gluon.Trainer(train_params, "sgd", {"learning_rate": 0.05, "momentum": 0.9, "wd": 4e-5})

accuracies, it = [], 0
while it < steps:
    for batch in train_data:
        data = gluon.utils.split_and_load(batch[0], ctx_list=CONTEXTS, batch_axis=0, even_split=False)
        labels = gluon.utils.split_and_load(batch[1], ctx_list=CONTEXTS, batch_axis=0, even_split=False)
        with autograd.record():
            results = [net(x) for x in data]
            losses = [loss(output, y, embedding) for (embedding, output), y in zip(results, labels)]
        for part in losses:
            autograd.backward(part)
        trainer.step(batch_size)
        metric = mx.metric.Accuracy()
        metric.update(labels, [output for _, output in results])
        accuracies.append(metric.get()[1])
        it += 1
        if it == steps:
            break
radius = [loss.R.data(ctx=context).asscalar() for context in CONTEXTS]
seven = validate(net, CONTEXTS, val_data)

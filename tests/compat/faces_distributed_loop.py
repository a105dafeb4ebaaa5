"""The loop of one process of a distributed training: one device, a scheduler, "multi_precision", a whole batch per step."""

import sys

import mxnet as mx
from face_parts import augment, to_tensor, validate
from mxnet import autograd, gluon
from mxnet.gluon.data import DataLoader

from gluonfr.data import get_recognition_dataset
from gluonfr.loss import RingLoss
from gluonfr.model_zoo import get_mobile_facenet
from gluonfr.utils.lr_scheduler import IterLRScheduler

root, steps, batch_size, context = sys.argv[1], 30, 12, mx.cpu()

train_set = get_recognition_dataset("people", root=root, transform=augment)
train_data = DataLoader(train_set, batch_size, shuffle=True, num_workers=0, last_batch="discard")
val_data = DataLoader(get_recognition_dataset("people/val_data", root=root, transform=to_tensor), batch_size)

net = get_mobile_facenet(train_set.num_classes, weight_norm=True)
net.initialize(init=mx.init.MSRAPrelu(), ctx=context)
net.hybridize(static_alloc=True)
loss = RingLoss(0.01, 20.0)
loss.initialize(ctx=context)
loss.hybridize(static_alloc=True)

train_params = net.collect_params()
train_params.update(loss.params)
schedule = IterLRScheduler(mode="cosine", baselr=0.05, targetlr=1e-8, niters=steps)
# The Trainer of a distributed library is a subclass of Gluon's.
trainer = gluon.Trainer(
    train_params,
    "sgd",
    {"momentum": 0.9, "wd": 4e-5, "lr_scheduler": schedule, "multi_precision": True, "learning_rate": 0.05},
    kvstore=None,
)

accuracies, it = [], 0
while it < steps:
    for data, label in train_data:
        with autograd.record():
            embedding, output = net(data)
            batch_loss = loss(output, label, embedding)
        autograd.backward(batch_loss)
        trainer.step(batch_size)
        metric = mx.metric.Accuracy()
        metric.update([label], [output])
        accuracies.append(metric.get()[1])
        it += 1
        if it == steps:
            break
radius = [loss.R.data(ctx=context).asscalar()]
seven = validate(net, [context], val_data)

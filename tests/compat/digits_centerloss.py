"""CenterLoss on digits: its centers go to the Trainer with the network, and the loop never calls `step`."""

import mxnet as mx
from digit_parts import CONTEXTS, DigitNet, train
from mxnet import gluon

from gluonfr.loss import CenterLoss
from gluonfr.utils.lr_scheduler import IterLRScheduler

net = DigitNet()
net.initialize(init=mx.init.MSRAPrelu(), ctx=CONTEXTS)
net.hybridize()
loss = CenterLoss(10, 8, 0.1)
loss.initialize(ctx=CONTEXTS)
start = loss.centers.data(CONTEXTS[1]).asnumpy()
train_params = net.collect_params()
train_params.update(loss.params)
schedule = IterLRScheduler("cosine", 0.02, niters=30, targetlr=1e-8, warmup_iters=3, warmup_lr=0.001)
trainer = gluon.Trainer(train_params, "nag", {"lr_scheduler": schedule, "momentum": 0.9, "wd": 5e-4})


def loss_of(x, y):
    embedding, output = net(x)
    return loss(output, y, embedding)


before, after = train(loss_of, trainer, lambda x, y: net(x)[1])
centers = [loss.centers.data(context).asnumpy() for context in CONTEXTS]

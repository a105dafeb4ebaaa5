"""LGMLoss on digits: the classes are in the loss, which returns its losses and the likelihoods of the classes."""

import mxnet as mx
from digit_parts import CONTEXTS, DigitNet, train
from mxnet import gluon

from gluonfr.loss import LGMLoss

net = DigitNet(need_cls_layer=False)
net.initialize(init=mx.init.MSRAPrelu(), ctx=CONTEXTS)
net.hybridize()
loss = LGMLoss(10, 8, 0.1, 0.2, 0.06)
loss.initialize(ctx=CONTEXTS)
loss.hybridize()
start = loss.mean.data(CONTEXTS[0]).asnumpy()
train_params = net.collect_params()
train_params.update(loss.params)
trainer = gluon.Trainer(train_params, "sgd", {"learning_rate": 0.01, "momentum": 0.9, "wd": 5e-4})


def loss_of(x, y):
    result = loss(net(x), y)
    return result[0]


before, after = train(loss_of, trainer, lambda x, y: loss(net(x), y)[1])
moved = abs(loss.mean.data(CONTEXTS[0]).asnumpy() - start).max()

"""RingLoss on digits without a given radius: the first batch sets it, the Trainer moves it."""

import mxnet as mx
from digit_parts import CONTEXTS, DigitNet, train
from mxnet import gluon

from gluonfr.loss import RingLoss

net = DigitNet(feature_norm=False, weight_norm=True)
net.initialize(init=mx.init.MSRAPrelu(), ctx=CONTEXTS)
net.hybridize()
loss = RingLoss(0.1)
loss.initialize(ctx=CONTEXTS)
loss.hybridize()
train_params = net.collect_params()
train_params.update(loss.params)
trainer = gluon.Trainer(train_params, "sgd", {"learning_rate": 0.01, "momentum": 0.9, "wd": 5e-4})


def loss_of(x, y):
    embedding, output = net(x)
    return loss(output, y, embedding)


before, after = train(loss_of, trainer, lambda x, y: net(x)[1])
radius = [loss.R.data(context).asscalar() for context in CONTEXTS]

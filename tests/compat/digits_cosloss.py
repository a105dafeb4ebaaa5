"""CosLoss on digits."""

import mxnet as mx
from digit_parts import CONTEXTS, DigitNet, train
from mxnet import gluon

from gluonfr.loss import CosLoss

net = DigitNet(16, feature_norm=True, weight_norm=True)
net.initialize(init=mx.init.MSRAPrelu(), ctx=CONTEXTS)
net.hybridize()
loss = CosLoss(classes=10, s=10, m=0.2)
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.05, "momentum": 0.9, "wd": 5e-4})
before, after = train(lambda x, y: loss(net(x)[1], y), trainer, lambda x, y: net(x)[1])

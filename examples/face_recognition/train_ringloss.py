"""Train with ring loss: softmax on the logits, and a term on the norm of the embedding with a learned radius.

    python train_ringloss.py --dataset emore --val lfw --gpus 0,1,2,3
    python train_ringloss.py --dataset synthetic --val synthetic/val_data --epochs 2

Differences from train_arcloss.py: (1) the classifier returns logits, (2) the loss has a parameter of its own, which the trainer
updates as well, (3) the loss also reads the embedding, (4) `loss.step()` follows each step of the trainer. Center loss and
similar losses are trained in the same way.
"""

import common
from mxnet import autograd
from mxnet.gluon.data import DataLoader
from mxnet.gluon.utils import split_and_load

from gluonfr.loss import RingLoss
from gluonfr.model_zoo import get_model

parser = common.make_parser(__doc__, out="runs/ringloss")
parser.add_argument("--batch-size", type=int, default=64, help="images per step, over all devices (default: 64)")
parser.add_argument("--lamda", type=float, default=0.01, help="weight of the ring term (default: 0.01)")
options, contexts, train_set, val_set = common.start(parser)
train_data = DataLoader(train_set, options.batch_size, shuffle=True, num_workers=options.workers, last_batch="discard")

net = get_model(options.network, classes=train_set.num_classes)  # (1)
common.initialize(net, contexts)
loss = RingLoss(options.lamda, classes=train_set.num_classes)
loss.initialize(ctx=contexts)  # (2)
loss.hybridize()

steps = options.epochs * len(train_data)
trainer, log = common.make_trainer([net, loss], options, steps), common.Log(steps)  # (2)
for _ in range(options.epochs):
    for data, label in train_data:
        images = split_and_load(data, contexts, even_split=False)
        labels = split_and_load(label, contexts, even_split=False)
        with autograd.record():
            pairs = [net(image) for image in images]
            losses = [loss(output, y, embedding) for (embedding, output), y in zip(pairs, labels)]  # (3)
        autograd.backward(losses)
        trainer.step(len(data))
        # After the first batch the radius is its mean norm over all devices.
        loss.step()  # (4)
        log(losses, len(data), lambda: f" radius {loss.R.data(contexts[0]).asscalar():.2f}")
    common.verify(net, val_set, contexts, options)
common.save(net, options)

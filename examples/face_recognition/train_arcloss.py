"""Train with ArcFace: softmax on cosines, with a margin on the angle of the target.

    python train_arcloss.py --dataset emore --val lfw --gpus 0,1,2,3
    python train_arcloss.py --dataset synthetic --val synthetic/val_data --s 16 --m 0.2 --epochs 2

`gluonfr train` does the same with checkpoints, a log and plots.
"""

import common
from mxnet import autograd
from mxnet.gluon.data import DataLoader
from mxnet.gluon.utils import split_and_load

from gluonfr.loss import ArcLoss
from gluonfr.model_zoo import get_model

parser = common.make_parser(__doc__, out="runs/arcloss")
parser.add_argument("--batch-size", type=int, default=64, help="images per step, over all devices (default: 64)")
parser.add_argument("--s", type=float, default=64, help="scale of the cosines; 16 to 32 for few people (default: 64)")
parser.add_argument("--m", type=float, default=0.5, help="margin in radians (default: 0.5)")
options, contexts, train_set, val_set = common.start(parser)
train_data = DataLoader(train_set, options.batch_size, shuffle=True, num_workers=options.workers, last_batch="discard")

# With both norms, the classifier returns cosines, which the margin of the loss needs.
net = get_model(options.network, classes=train_set.num_classes, weight_norm=True, feature_norm=True)
common.initialize(net, contexts)
loss = ArcLoss(train_set.num_classes, s=options.s, m=options.m)
loss.hybridize()

steps = options.epochs * len(train_data)
trainer, log = common.make_trainer([net], options, steps), common.Log(steps)
for _ in range(options.epochs):
    for data, label in train_data:
        images = split_and_load(data, contexts, even_split=False)
        labels = split_and_load(label, contexts, even_split=False)
        with autograd.record():
            # The network returns the embedding and the cosines.
            losses = [loss(net(image)[1], y) for image, y in zip(images, labels)]
        autograd.backward(losses)
        trainer.step(len(data))
        log(losses, len(data))
    common.verify(net, val_set, contexts, options)
common.save(net, options)

"""Train a small network with the Multi-Batch loss (arXiv 1605.07270): all pairs of 16 people x 16 images.

    python train_multibatch.py --dataset emore --val lfw --gpus 0,1,2,3
    python train_multibatch.py --dataset synthetic --val synthetic/val_data --people 8 --images 8 --epochs 2

Differences from train_triplet.py: (1) the embeddings of all devices are gathered on the first one, so that all pairs are
compared, and gradients flow back to the devices, (2) the threshold between genuine and impostor pairs is learned on the first
device, by a trainer of its own.
"""

import common
from mxnet import autograd, nd
from mxnet.gluon.data import DataLoader
from mxnet.gluon.utils import split_and_load

from gluonfr.data import IdentityBatchSampler
from gluonfr.loss import MultiBatchLoss
from gluonfr.model_zoo import get_model

parser = common.make_parser(__doc__, out="runs/multibatch", lr=0.05)
parser.add_argument("--people", type=int, default=16, help="people per batch (default: 16)")
parser.add_argument("--images", type=int, default=16, help="images per person in a batch (default: 16)")
parser.add_argument("--theta", type=float, default=1, help="first threshold, a squared distance (default: 1)")
options, contexts, train_set, val_set = common.start(parser)
sampler = IdentityBatchSampler(train_set, options.people, options.images)
train_data = DataLoader(train_set, batch_sampler=sampler, num_workers=options.workers)

net = get_model(options.network, embedding_size=128)
common.initialize(net, contexts)
loss = MultiBatchLoss(theta=options.theta)
loss.initialize(ctx=contexts[0])  # (2)
loss.hybridize()

steps = options.epochs * len(train_data)
trainer, log = common.make_trainer([net], options, steps), common.Log(steps)
# A Trainer needs all its parameters on the same devices.
threshold_trainer = common.make_trainer([loss], options, steps, momentum=0)  # (2)
for _ in range(options.epochs):
    for data, label in train_data:
        images = split_and_load(data, contexts, even_split=False)
        with autograd.record():
            embeddings = [nd.L2Normalization(net(image)).as_in_context(contexts[0]) for image in images]
            losses = loss(nd.concat(*embeddings, dim=0), label.as_in_context(contexts[0]))  # (1)
        losses.backward()
        trainer.step(len(data))
        threshold_trainer.step(len(data))  # (2)
        log([losses], len(data), lambda: f" theta {loss.theta.data().asscalar():.3f}")
    common.verify(net, val_set, contexts, options)
common.save(net, options, embedding_size=128)

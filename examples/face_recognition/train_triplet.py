"""Train with triplets from batches of P people with K images: FaceNet's semi-hard triplets, or the hardest ones.

    python train_triplet.py --dataset emore --val lfw --gpus 0,1,2,3
    python train_triplet.py --dataset synthetic --val synthetic/val_data --people 8 --epochs 2

Differences from train_arcloss.py: (1) a sampler that groups images by person, (2) a network without a classifier, (3) a loss
on embeddings. Each device compares its own images; train_multibatch.py compares those of all devices.
"""

import common
from mxnet import autograd, nd
from mxnet.gluon.data import DataLoader
from mxnet.gluon.utils import split_and_load

from gluonfr.data import IdentityBatchSampler
from gluonfr.loss import BatchHardTriplet, SemiHardTriplet
from gluonfr.model_zoo import get_model

parser = common.make_parser(__doc__, out="runs/triplet", lr=0.05)
parser.add_argument("--people", type=int, default=16, help="people per batch (default: 16)")
parser.add_argument("--images", type=int, default=4, help="images per person in a batch (default: 4)")
parser.add_argument("--mining", default="semihard", choices=("semihard", "hardest"), help="(default: semihard)")
parser.add_argument("--margin", type=float, default=0.2, help="margin between squared distances (default: 0.2)")
options, contexts, train_set, val_set = common.start(parser)
if options.people % len(contexts):
    raise SystemExit(f"--people {options.people} cannot be divided evenly over {len(contexts)} devices.")
sampler = IdentityBatchSampler(train_set, options.people, options.images)  # (1)
train_data = DataLoader(train_set, batch_sampler=sampler, num_workers=options.workers)

net = get_model(options.network)  # (2)
common.initialize(net, contexts)
loss = (SemiHardTriplet if options.mining == "semihard" else BatchHardTriplet)(margin=options.margin)
loss.hybridize()

steps = options.epochs * len(train_data)
trainer, log = common.make_trainer([net], options, steps), common.Log(steps)
for _ in range(options.epochs):
    for data, label in train_data:
        # The images of a person are consecutive in the batch, so each device receives all images of its people.
        images, labels = split_and_load(data, contexts), split_and_load(label, contexts)
        with autograd.record():
            # Distances are those between directions.
            losses = [loss(nd.L2Normalization(net(image)), y) for image, y in zip(images, labels)]  # (3)
        autograd.backward(losses)
        trainer.step(len(data))
        log(losses, len(data))
    common.verify(net, val_set, contexts, options)
common.save(net, options)

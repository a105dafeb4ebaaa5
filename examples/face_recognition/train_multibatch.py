"""Train a small network with the Multi-Batch loss (arXiv 1605.07270): all pairs of 16 people x 16 images.

    python train_multibatch.py --dataset emore --val lfw --gpus 0,1,2,3
    python train_multibatch.py --dataset celeb --val lfw_dev --root DATA --cpus 2 --epochs 2

Differences from train_triplet.py: the embeddings of all devices are gathered on the first one, so that all pairs are
compared, and gradients flow back to the devices. The threshold between genuine and impostor pairs is learned, on the first
device as well.
"""

import argparse
import os
import time

import gluonfr  # noqa: F401  (before mxnet: it makes MXNet importable with new versions of NumPy)

# isort: split
import mxnet as mx
from mxnet import autograd, gluon, nd
from mxnet.gluon.data.vision import transforms

from gluonfr.data import IdentityBatchSampler, get_recognition_dataset
from gluonfr.engine import validate
from gluonfr.loss import MultiBatchLoss
from gluonfr.model_zoo import get_model

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--dataset", default="emore", help="training set below --root")
parser.add_argument("--val", default="", help="verification set below --root")
parser.add_argument("--root", default=os.path.expanduser("~/.mxnet/datasets/face"))
parser.add_argument("--network", default="mobilefacenet")
parser.add_argument("--gpus", default="", help="such as 0,1,2,3")
parser.add_argument("--cpus", type=int, default=1)
parser.add_argument("--people", type=int, default=16, help="people per batch")
parser.add_argument("--images", type=int, default=16, help="images per person in a batch")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--steps", type=int, help="number of steps (default: --epochs)")
parser.add_argument("--lr", type=float, default=0.05)
parser.add_argument("--theta", type=float, default=1, help="initial threshold, a squared distance")
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--save", default="multibatch.params")
options = parser.parse_args()

contexts = [mx.gpu(int(i)) for i in options.gpus.split(",")] if options.gpus else [mx.cpu(i) for i in range(options.cpus)]

# Training images are mirrored at random and come as float32 in [0, 1], which is what the networks take.
augment = transforms.Compose([transforms.RandomFlipLeftRight(), transforms.ToTensor()])
train_set = get_recognition_dataset(options.dataset, root=options.root, transform=lambda image, label: (augment(image), label))
sampler = IdentityBatchSampler(train_set, options.people, options.images)
train_data = gluon.data.DataLoader(train_set, batch_sampler=sampler, num_workers=options.workers)

net = get_model(options.network, embedding_size=128)
net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2), ctx=contexts)
net.hybridize(static_alloc=True)
loss = MultiBatchLoss(theta=options.theta)
loss.initialize(ctx=contexts[0])
loss.hybridize()

steps = options.steps or options.epochs * len(train_data)
schedule = mx.lr_scheduler.CosineScheduler(steps, base_lr=options.lr, warmup_steps=min(100, steps // 10))
# Running statistics are left to the network: only what has a gradient is trained.
parameters = [parameter for parameter in net.collect_params().values() if parameter.grad_req != "null"]
trainer = gluon.Trainer(parameters, "sgd", {"learning_rate": options.lr, "momentum": 0.9, "wd": 5e-4, "lr_scheduler": schedule})
# Apart, because a Trainer wants all its parameters on the same devices.
threshold = gluon.Trainer(loss.collect_params(), "sgd", {"learning_rate": options.lr, "lr_scheduler": schedule})

step = 0
while step < steps:
    images, start = 0, time.time()
    for data, label in train_data:
        parts = gluon.utils.split_and_load(data, contexts, even_split=False)
        with autograd.record():
            # Distances are those between directions.
            embeddings = [nd.L2Normalization(net(part)) for part in parts]
            together = nd.concat(*[embedding.as_in_context(contexts[0]) for embedding in embeddings], dim=0)
            losses = loss(together, label.as_in_context(contexts[0]))
        losses.backward()
        for advancing in (trainer, threshold):
            advancing.step(data.shape[0])

        step, images = step + 1, images + data.shape[0]
        if step % 20 == 0 or step == steps:
            # Reading the loss waits for the devices, so it is done seldom.
            mean, theta = losses.mean().asscalar(), loss.theta.data().asscalar()
            speed = images / (time.time() - start)
            print(f"step {step}/{steps} loss {mean:.4f} theta {theta:.3f} {speed:.1f} images/s")
        if step == steps:
            break
    if options.val:
        result = validate(net, get_recognition_dataset(options.val, root=options.root), contexts)
        print(f"step {step} {options.val}: accuracy {result.accuracy:.4f} +- {result.accuracy_std:.4f}, AUC {result.auc:.4f}")

net.save_parameters(options.save)
print(f"parameters in {options.save}")

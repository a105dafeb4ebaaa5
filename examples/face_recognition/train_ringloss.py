"""Train with ring loss: softmax on the logits, and a term on the norm of the embedding with a learned radius.

    python train_ringloss.py --dataset emore --val lfw --gpus 0,1,2,3
    python train_ringloss.py --dataset celeb --val lfw_dev --root DATA --cpus 2 --epochs 2

Differences from train_arcloss.py: the embedding is the third argument of the loss, the loss has a parameter of its own, and
`loss.step()` follows each step of the trainer. Center loss and similar losses are trained in the same way.
"""

import argparse
import os
import time

import gluonfr  # noqa: F401  (before mxnet: it makes MXNet importable with new versions of NumPy)

# isort: split
import mxnet as mx
from mxnet import autograd, gluon
from mxnet.gluon.data.vision import transforms

from gluonfr.data import get_recognition_dataset
from gluonfr.engine import validate
from gluonfr.loss import RingLoss
from gluonfr.model_zoo import get_model

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--dataset", default="emore", help="training set below --root")
parser.add_argument("--val", default="", help="verification set below --root")
parser.add_argument("--root", default=os.path.expanduser("~/.mxnet/datasets/face"))
parser.add_argument("--network", default="mobilefacenet")
parser.add_argument("--gpus", default="", help="such as 0,1,2,3")
parser.add_argument("--cpus", type=int, default=1)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--steps", type=int, help="number of steps (default: --epochs)")
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--lamda", type=float, default=0.01, help="weight of the ring term")
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--save", default="ringloss.params")
options = parser.parse_args()

contexts = [mx.gpu(int(i)) for i in options.gpus.split(",")] if options.gpus else [mx.cpu(i) for i in range(options.cpus)]

# Training images are mirrored at random and come as float32 in [0, 1], which is what the networks take.
augment = transforms.Compose([transforms.RandomFlipLeftRight(), transforms.ToTensor()])
train_set = get_recognition_dataset(options.dataset, root=options.root, transform=lambda image, label: (augment(image), label))
train_data = gluon.data.DataLoader(
    train_set, options.batch_size, shuffle=True, num_workers=options.workers, last_batch="discard"
)

net = get_model(options.network, classes=train_set.num_classes)
net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2), ctx=contexts)
net.hybridize(static_alloc=True)
loss = RingLoss(options.lamda, classes=train_set.num_classes)
loss.initialize(ctx=contexts)
loss.hybridize()

if not len(train_data) or options.batch_size < len(contexts):
    raise SystemExit(f"{len(train_set)} images make no batch of {options.batch_size} on {len(contexts)} devices")
steps = options.steps or options.epochs * len(train_data)
schedule = mx.lr_scheduler.CosineScheduler(steps, base_lr=options.lr, warmup_steps=min(100, steps // 10))
# Running statistics are left to the network: only what has a gradient is trained, and that includes the loss's radius.
everything = [*net.collect_params().values(), *loss.collect_params().values()]
parameters = [parameter for parameter in everything if parameter.grad_req != "null"]
trainer = gluon.Trainer(parameters, "sgd", {"learning_rate": options.lr, "momentum": 0.9, "wd": 5e-4, "lr_scheduler": schedule})

step = 0
while step < steps:
    images, start = 0, time.time()
    for data, label in train_data:
        parts = gluon.utils.split_and_load(data, contexts, even_split=False)
        labels = gluon.utils.split_and_load(label, contexts, even_split=False)
        with autograd.record():
            pairs = [net(part) for part in parts]
            losses = [loss(output, y, embedding) for (embedding, output), y in zip(pairs, labels)]
        autograd.backward(losses)
        trainer.step(data.shape[0])
        # After the first batch the radius is its mean norm over all devices.
        loss.step()

        step, images = step + 1, images + data.shape[0]
        if step % 20 == 0 or step == steps:
            # Reading the loss waits for the devices, so it is done seldom.
            mean = sum(device_loss.mean().asscalar() for device_loss in losses) / len(losses)
            radius = loss.R.data(contexts[0]).asscalar()
            speed = images / (time.time() - start)
            print(f"step {step}/{steps} loss {mean:.4f} radius {radius:.2f} {speed:.1f} images/s")
        if step == steps:
            break
    if options.val:
        result = validate(net, get_recognition_dataset(options.val, root=options.root), contexts)
        print(f"step {step} {options.val}: accuracy {result.accuracy:.4f} +- {result.accuracy_std:.4f}, AUC {result.auc:.4f}")

net.save_parameters(options.save)
print(f"parameters in {options.save}")

"""What the four training scripts share: options, devices, data, optimizer, log lines, and the saved network."""

import argparse
import os
import time

import gluonfr  # noqa: F401  (before mxnet: it makes MXNet importable with new versions of NumPy)

# isort: split
import mxnet as mx
from mxnet import gluon
from mxnet.gluon.data.vision import transforms

from gluonfr.core import Card, GluonFRError, atomic_folder
from gluonfr.data import get_recognition_dataset
from gluonfr.deploy.devices import devices
from gluonfr.engine import validate
from gluonfr.weights.saved import save_network

ROOT = "~/.mxnet/datasets/face"


def make_parser(description, out, lr=0.1):
    """Return a parser with the options of all scripts; `description` is the docstring of a script."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="", help="training set: a folder with train.rec below --root (required)")
    parser.add_argument("--val", default="", help="verification set below --root (default: none)")
    parser.add_argument("--root", default=ROOT, help=f"folder that contains the data sets (default: {ROOT})")
    parser.add_argument("--network", default="mobilefacenet", help="name in the model zoo (default: mobilefacenet)")
    parser.add_argument("--gpus", default="", help="numbers of the GPUs to use, such as 0,1 (default: none)")
    parser.add_argument("--cpus", type=int, default=1, help="number of CPU contexts to use without GPUs (default: 1)")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training set (default: 20)")
    parser.add_argument("--lr", type=float, default=lr, help=f"learning rate after the warm-up (default: {lr})")
    parser.add_argument("--workers", type=int, default=2, help="processes that load images (default: 2)")
    parser.add_argument("--out", default=out, help=f"folder for the trained network (default: {out})")
    return parser


def start(parser):
    """Return (options, contexts, training set, verification set or None), or exit with a sentence."""
    options = parser.parse_args()
    if not options.dataset:
        raise SystemExit(
            f"--dataset is missing: name a folder with train.rec below {options.root}, or render one with "
            f"`gluonfr synthesize {options.root}/synthetic` and pass --dataset synthetic."
        )
    # Training images are mirrored at random and converted to float32 in [0, 1], the input of the networks.
    augment = transforms.Compose([transforms.RandomFlipLeftRight(), transforms.ToTensor()])
    root = os.path.expanduser(options.root)
    try:
        contexts = devices([int(number) for number in options.gpus.split(",") if number], options.cpus)
        train_set = get_recognition_dataset(options.dataset, root, lambda image, label: (augment(image), label))
        val_set = get_recognition_dataset(options.val, root) if options.val else None
    except GluonFRError as error:
        raise SystemExit(str(error)) from error
    return options, contexts, train_set, val_set


def initialize(net, contexts):
    """Draw the first parameters of a network, and compile its graph at the first batch."""
    net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2), ctx=contexts)
    net.hybridize(static_alloc=True)


def make_trainer(blocks, options, steps, momentum=0.9):
    """Return the optimizer of all parameters of some blocks: SGD with a cosine schedule after a warm-up."""
    if not steps:
        raise SystemExit(f"{options.dataset} has fewer images than one batch: use a smaller batch.")
    schedule = mx.lr_scheduler.CosineScheduler(steps, base_lr=options.lr, warmup_steps=min(100, steps // 10))
    # Running statistics have no gradient and are not trained.
    parameters = [
        parameter for block in blocks for parameter in block.collect_params().values() if parameter.grad_req != "null"
    ]
    settings = {"learning_rate": options.lr, "momentum": momentum, "wd": 5e-4, "lr_scheduler": schedule}
    return gluon.Trainer(parameters, "sgd", settings)


class Log:
    """Prints the loss and the speed every 20 steps and at the last one; call it after each step."""

    def __init__(self, steps):
        self.steps, self.step, self.images, self.start = steps, 0, 0, time.time()

    def __call__(self, losses, images, state=None):
        """Count a step of a number of images; `state` returns more to print, such as a learned parameter."""
        self.step, self.images = self.step + 1, self.images + images
        if self.step % 20 and self.step != self.steps:
            return
        # Reading the loss waits for the devices, so it is not done in every step.
        mean = sum(part.mean().asscalar() for part in losses) / len(losses)
        speed = self.images / (time.time() - self.start)
        print(f"step {self.step}/{self.steps} loss {mean:.4f}{state() if state else ''} {speed:.1f} images/s")
        self.images, self.start = 0, time.time()


def verify(net, val_set, contexts, options):
    """Print the accuracy of a network on the verification set, if there is one."""
    if val_set is not None:
        result = validate(net, val_set, contexts)
        print(f"{options.val}: accuracy {result.accuracy:.4f} +- {result.accuracy_std:.4f}, AUC {result.auc:.4f}")


def save(net, options, **arguments):
    """Write a network with its card; `arguments` are those of `get_model` that describe the embedding."""
    card = Card(network=options.network, arguments=arguments, trained_on=options.dataset)
    with atomic_folder(options.out) as folder:
        save_network(net, folder, card)
    print(f"network in {options.out}; to verify it: gluonfr verify --model {options.out} --data NAME")

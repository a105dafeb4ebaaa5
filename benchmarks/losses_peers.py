"""Compare values and gradients of our losses with those of pytorch-metric-learning, on the same float64 inputs.

    python -m venv peers && peers/bin/pip install torch==2.13.0 pytorch-metric-learning==2.9.0
    python benchmarks/losses_peers.py --python peers/bin/python

The peer runs in its own interpreter and is not a dependency. Differences are relative to the largest number of the peer's
array. Known differences are printed with their reason; any other difference above 1e-6 causes exit code 1.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile

import numpy as np

N, D, C = 32, 16, 10
# Our loss, its arguments, the peer's loss, its arguments, and the reason for a difference.
CASES = {
    "ArcLoss": ("ArcLoss", {"s": 30, "m": 0.5}, "ArcFaceLoss", {"scale": 30, "margin": math.degrees(0.5)}, ""),
    "CosLoss": ("CosLoss", {"s": 30, "m": 0.35}, "CosFaceLoss", {"scale": 30, "margin": 0.35}, ""),
    "SubCenterArc": (
        "SubCenterArc",
        {"s": 30, "m": 0.5, "K": 3},
        "SubCenterArcFaceLoss",
        {"scale": 30, "margin": math.degrees(0.5), "sub_centers": 3},
        "",
    ),
    "NormFace": ("NormFace", {"s": 20, "learned": False}, "NormalizedSoftmaxLoss", {"temperature": 1 / 20}, ""),
    "ASoftmax, without annealing": (
        "ASoftmax",
        {"m": 4, "lambda_min": 0, "lambda_max": 0},
        "SphereFaceLoss",
        {"margin": 4, "scale": 1},
        "",
    ),
    "ASoftmax, lambda 5": (
        "ASoftmax",
        {"m": 4, "lambda_min": 5, "lambda_max": 5},
        "SphereFaceLoss",
        {"margin": 4, "scale": 1},
        "the peer has no lambda",
    ),
    "LSoftmax, without annealing": (
        "LSoftmax",
        {"m": 4, "lambda_min": 0, "lambda_max": 0},
        "LargeMarginSoftmaxLoss",
        {"margin": 4, "scale": 1},
        "",
    ),
    "PairwiseCircle": ("PairwiseCircle", {"m": 0.4, "gamma": 80}, "CircleLoss", {"m": 0.4, "gamma": 80}, ""),
    "BatchHardTriplet": ("BatchHardTriplet", {"margin": 0.5}, "TripletMarginLoss", {"margin": 0.5, "power": 2}, ""),
    "BatchHardTriplet, Euclidean": (
        "BatchHardTriplet",
        {"margin": 0.5, "squared": False},
        "TripletMarginLoss",
        {"margin": 0.5, "power": 1},
        "",
    ),
    "TripletLoss": ("TripletLoss", {"margin": 4}, "TripletMarginLoss", {"margin": 4, "power": 2}, ""),
    "ContrastiveLoss": (
        "ContrastiveLoss",
        {"margin": 6},
        "ContrastiveLoss",
        {"neg_margin": 6, "power": 1},
        "the peer takes D and max(0, m - D), the paper half their squares",
    ),
    "ArcLoss, cosine of 1": (
        "ArcLoss",
        {"s": 30, "m": 0.5},
        "ArcFaceLoss",
        {"scale": 30, "margin": math.degrees(0.5)},
        "the peer's arccos has an infinite derivative there; ours is cut off",
    ),
}


def inputs(case):
    """Return embeddings, class weights, labels and, for losses on pairs and triplets, the indices of the pairs or triplets."""
    rng = np.random.RandomState(0)
    label = np.arange(N) % 8
    rows = C * CASES[case][1].get("K", 1)
    given = {"embedding": rng.randn(N, D), "weight": rng.randn(rows, D), "label": label}
    # The next image of the same person, and one of another person; half of the pairs are genuine.
    given["same"], given["other"] = (np.arange(N) + 8) % N, (np.arange(N) + 3) % N
    if case.endswith("cosine of 1"):
        given["embedding"][:8] = given["weight"][:8]
    return given


def ours(case, given):
    """Return losses (N,), and the gradients of their mean for the embedding and the classifier's weight."""
    import gluonfr  # noqa: F401

    # isort: split
    from mxnet import autograd, nd

    from gluonfr.loss import get_loss
    from gluonfr.nn import NormDense

    name, arguments = CASES[case][:2]
    loss = get_loss(name, classes=C, embedding_size=D, dtype="float64", **arguments)
    loss.initialize()
    x, y = nd.array(given["embedding"], dtype="float64"), nd.array(given["label"])
    x.attach_grad()
    dense = NormDense(len(given["weight"]), loss.spec.weight_norm, loss.spec.feature_norm, in_units=D, dtype="float64")
    dense.initialize()
    dense.weight.set_data(nd.array(given["weight"], dtype="float64"))
    if name == "LSoftmax":
        loss.norms.set_data(nd.array(np.linalg.norm(given["weight"], axis=1), dtype="float64"))
    with autograd.record():
        if name == "TripletLoss":
            value = loss(x, x[nd.array(given["same"])], x[nd.array(given["other"])])
        elif name == "ContrastiveLoss":
            value = nd.concat(
                loss(x, x[nd.array(given["same"])], nd.ones(N)), loss(x, x[nd.array(given["other"])], nd.zeros(N)), dim=0
            )
        elif not loss.spec.uses_classifier:
            value = loss(x, y)
        else:
            value = loss(dense(x), y, *([x] if loss.spec.needs_embedding else []))
        mean = value.mean()
    mean.backward()
    result = {"loss": value.asnumpy(), "gradient": x.grad.asnumpy()}
    # L-Softmax has separate parameters for direction and norm, so there is no single gradient of the weight.
    if loss.spec.uses_classifier and name != "LSoftmax":
        result["weight gradient"] = dense.weight.grad().asnumpy()
    return result


def peer(case, given):
    """Return the same for pytorch-metric-learning."""
    import torch
    from pytorch_metric_learning import distances, losses, miners, reducers

    name, arguments = CASES[case][2], dict(CASES[case][3])
    power = arguments.pop("power", None)
    if power:
        arguments["distance"] = distances.LpDistance(normalize_embeddings=False, power=power)
    classified = power is None and name != "CircleLoss"
    if classified:
        arguments.update(num_classes=C, embedding_size=D)
    loss = getattr(losses, name)(reducer=reducers.DoNothingReducer(), **arguments).double()
    x, y = torch.tensor(given["embedding"], requires_grad=True), torch.tensor(given["label"])
    if classified:
        loss.W.data = torch.tensor(given["weight"].T.copy())
    anchor, same, other = torch.arange(N), torch.tensor(given["same"]), torch.tensor(given["other"])
    if case == "TripletLoss":
        parts = loss(x, y, (anchor, same, other))
    elif case == "ContrastiveLoss":
        parts = loss(x, y, (anchor, same, anchor, other))
    elif name == "TripletMarginLoss":
        parts = loss(x, y, miners.BatchHardMiner(distance=arguments["distance"])(x, y))
    else:
        parts = loss(x, y)
    value = torch.cat([part["losses"].reshape(-1) for part in parts.values() if torch.is_tensor(part["losses"])])
    value.mean().backward()
    result = {"loss": value.detach().numpy(), "gradient": x.grad.numpy()}
    if classified and name != "LargeMarginSoftmaxLoss":
        result["weight gradient"] = loss.W.grad.numpy().T
    return result


def compare(case, options):
    """Return a Markdown row, and whether the two agree or their difference is known."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = (os.path.join(folder, name) for name in ("given.npz", "result.npz"))
        given = inputs(case)
        np.savez(before, **given)
        # Without the warnings of the peer.
        call = [options.python, os.path.abspath(__file__), "--peer", case, before, after]
        done = subprocess.run(call, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{case}: the peer failed: {done.stderr.splitlines()[-1]}")
        with np.load(after) as theirs:
            mine, theirs = ours(case, given), dict(theirs)
    columns, agree = [], True
    for key in ("loss", "gradient", "weight gradient"):
        if key not in mine:
            columns.append("-")
            continue
        apart = np.abs(mine[key] - theirs[key]).max() / np.abs(theirs[key]).max()
        agree &= bool(apart < 1e-6)
        columns.append("peer's is NaN" if not np.isfinite(theirs[key]).all() else f"{apart:.0e}")
    reason = CASES[case][4]
    print(f"| {case} | {CASES[case][2]} | {' | '.join(columns)} | {reason or ('' if agree else 'UNKNOWN')} |", flush=True)
    return agree or bool(reason)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="interpreter that has torch and pytorch-metric-learning")
    parser.add_argument("--peer", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        case, before, after = options.peer
        with np.load(before) as given:
            np.savez(after, **peer(case, dict(given)))
        return
    print("| ours | peer's | loss | gradient | gradient of weights | why |\n|---|---|---|---|---|---|")
    right = [compare(case, options) for case in CASES]
    sys.exit(not all(right))


if __name__ == "__main__":
    main()

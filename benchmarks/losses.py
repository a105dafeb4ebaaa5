"""Train and verify every loss with the same data, network and budget, and print a Markdown table.

    python benchmarks/losses.py --root DATA                       all losses, seed 0, then seed 1 of the leading five
    python benchmarks/losses.py --root DATA --losses arc,cos --seeds 0,1,2
    python benchmarks/losses.py --table                           only the table of finished runs

Finished runs are stored in a JSON file, which is replaced atomically after each run. Runs with stored settings are skipped,
so the script can be interrupted and rerun. `--minutes` is the time after which no run is started.
"""

import argparse
import json
import logging
import os
import statistics
import tempfile
import time

from gluonfr.core import DEFAULT_ROOT, GluonFRError, atomic_file
from gluonfr.engine import TrainOptions, train
from gluonfr.loss.registry import LOSSES as LOSS_CLASSES

logger = logging.getLogger("losses")

RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "losses.json")
NETWORK = {
    "channels": (32, 32, 64, 128, 256),
    "embedding_size": 128,
    "stem_stride": 2,
    "input_crop": 102,
    "input_size": 64,
    "dropout": 0.2,
}
COMMON = {
    "network": "lresnet10e_ir",
    "network_args": NETWORK,
    "batch_size": 64,
    "lr": 0.1,
    "clip_norm": 5,
    "augment": "strong",
    "wd": 5e-4,
    "warmup": 1,
    "schedule": "cosine",
    "final_lr": 0,
    "average": 0,
}

# Settings for a few hundred people and a few thousand steps; the defaults of the losses are for millions of images.
# The most promising losses come first. Losses on P x K batches use 16 people x 4 images.
#
# - s = 24, because 64 does not train with a few hundred classes. Margins are about two thirds of those in the papers.
# - MagFace: the range of norms of this network; BatchNorm gives embeddings norms around sqrt(128) = 11.
# - AdaFace: statistics over tens of steps instead of hundreds.
# - CircleLoss, PairwiseCircle: a scale that does not diverge at the common learning rate.
# - A-Softmax, L-Softmax: m = 2 and 3; lambda ends near 15 within the budget, so larger m hardly differ.
# - Losses between images: half the learning rate, because each sample is part of many pairs.
LOSSES = {
    "SoftmaxLoss": {},
    "CosLoss": {"s": 24, "m": 0.3},
    "ArcLoss": {"s": 24, "m": 0.3},
    "NormFace": {},
    "TripletLoss": {"lr": 0.05},
    "CombinedMargin": {"s": 24, "m1": 1.0, "m2": 0.2, "m3": 0.15},
    "AdaCos": {},
    "CurricularFace": {"s": 24, "m": 0.3},
    "AdaFace": {"s": 24, "m": 0.3, "momentum": 0.9},
    "SemiHardTriplet": {"lr": 0.05},
    "MultiBatchLoss": {"lr": 0.05},
    "CenterLoss": {},
    "L2Softmax": {},
    "CircleLoss": {"s": 64, "m": 0.25},
    "SVXSoftmax": {"s": 24, "m": 0.3, "t": 1.1},
    "MagFace": {"s": 24, "l_a": 5, "u_a": 20, "l_m": 0.2, "u_m": 0.4, "lambda_g": 2},
    "SubCenterArc": {"s": 24, "m": 0.3, "K": 2},
    "ASoftmax": {"m": 3},
    "PairwiseCircle": {"gamma": 16, "lr": 0.05},
    "RingLoss": {},
    "COCOLoss": {},
    "BatchHardTriplet": {"lr": 0.05},
    "GitLoss": {},
    "LSoftmax": {"m": 2},
    "ContrastiveLoss": {"lr": 0.05},
    "LGMLoss": {"lr": 0.05},
    "MPSLoss": {"lr": 0.05},
    "RangeLoss": {"lr": 0.05},
}


def settings(name, seed, options):
    """Return the training options of a run; they identify it, so a change of any of them causes a new run."""
    own = dict(LOSSES[name])
    steps = max(1, options.images // COMMON["batch_size"])
    return {
        **COMMON,
        "lr": own.pop("lr", COMMON["lr"]),
        "loss": name,
        "loss_args": own,
        "dataset": options.dataset,
        "val": [options.val],
        "seed": seed,
        "steps": steps,
    }


def run(chosen, options):
    """Train and verify; return the row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            TrainOptions(
                **chosen,
                root=options.root,
                out=os.path.join(folder, "run"),
                cpus=options.cpus,
                threads=1,
                val_every=0,
                checkpoint_every=0,
                log_every=100,
                progress=False,
            )
        )
    values = result.validation[options.val].name_values()
    return {"settings": chosen, "images": result.images, "seconds": round(result.seconds, 1), **dict(values)}


def read(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write(rows, path):
    with atomic_file(path, "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)


def find(rows, chosen):
    """Return the finished row with these settings, or None."""
    chosen = json.loads(json.dumps(chosen))
    return next((row for row in rows if row["settings"] == chosen), None)


def done(rows, options):
    """Return finished rows of this budget by loss, the best mean accuracy first."""
    found = {}
    for name in LOSSES:
        finished = [find(rows, settings(name, seed, options)) for seed in range(10)]
        if any(finished):
            found[name] = [row for row in finished if row]
    return dict(sorted(found.items(), key=lambda item: -mean(item[1], "accuracy")))


def mean(rows, key):
    return statistics.fmean(row[key] for row in rows)


def table(rows, options):
    """Markdown, a line a loss: means over its seeds, and the spread between the least and the largest of them."""
    lines = [
        f"| loss | settings | seeds | accuracy on {options.val} | +- over folds | spread over seeds | AUC | minutes a run |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, finished in done(rows, options).items():
        given = ", ".join(f"{key} {value:g}" for key, value in LOSSES[name].items()) or "defaults"
        accuracies = [row["accuracy"] for row in finished]
        spread = f"{max(accuracies) - min(accuracies):.4f}" if len(finished) > 1 else "-"
        lines.append(
            f"| {name} | {given} | {len(finished)} | {mean(finished, 'accuracy'):.4f} | {mean(finished, 'accuracy_std'):.4f} | "
            f"{spread} | {mean(finished, 'auc'):.4f} | {mean(finished, 'seconds') / 60:.1f} |"
        )
    return "\n".join(lines)


def plan(options):
    """Names and seeds in the order of running: all losses with the first seed, then the leading five with the others."""
    for name in options.losses or LOSSES:
        yield name, options.seeds[0]
    leading = options.losses or list(done(read(options.results), options))[:5]
    for seed in options.seeds[1:]:
        for name in leading:
            yield name, seed


def canonical(name):
    """The class's name of a loss by any of its names."""
    return LOSS_CLASSES.get(name).__name__


def train_all(options):
    """Run everything that is not finished; runs that cannot be trained are reported and skipped."""
    start = time.monotonic()
    for name, seed in plan(options):
        chosen = settings(name, seed, options)
        if find(read(options.results), chosen):
            continue
        if time.monotonic() - start > 60 * options.minutes:
            logger.info("the time is up; start again to go on")
            return
        try:
            row = run(chosen, options)
        except GluonFRError as error:
            logger.error("%s, seed %d: %s", name, seed, error)
            continue
        write([*read(options.results), row], options.results)
        logger.info("%s, seed %d: accuracy %.4f, AUC %.4f, %.0f s", name, seed, row["accuracy"], row["auc"], row["seconds"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=DEFAULT_ROOT)
    parser.add_argument("--dataset", default="celeb")
    parser.add_argument("--val", default="lfw")
    parser.add_argument("--images", type=int, default=60_000, help="images per run")
    parser.add_argument("--losses", type=lambda text: [canonical(name) for name in text.split(",")], help="such as arc,cos")
    parser.add_argument("--seeds", type=lambda text: [int(number) for number in text.split(",")], default=[0, 1])
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no run after this many minutes")
    parser.add_argument("--results", default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print the finished runs only")
    options = parser.parse_args()
    if not options.table:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        train_all(options)
    print(table(read(options.results), options))


if __name__ == "__main__":
    main()

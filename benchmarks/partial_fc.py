"""Compare training with a sampled classifier: the same run with all classes, with 30 % and with 10 % of them per step.

    gluonfr synthesize DATA/many --identities 10000 --images 6 --pairs 3000 --seed 2
    python benchmarks/partial_fc.py --root DATA --dataset many --out runs/partial_fc [--epochs 20] [--correct]

Prints one row per run: verification accuracy on people who are not in the training set, its standard deviation over the
folds, and the AUC. Interrupted runs are resumed, and finished ones are skipped.
"""

import argparse
import logging

from gluonfr.engine import TrainOptions, train

NETWORK = {
    "channels": (16, 16, 32, 64, 128),
    "embedding_size": 64,
    "stem_stride": 2,
    "input_crop": 102,
    "input_size": 48,
    "dropout": 0.0,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--dataset", default="many")
    parser.add_argument("--out", default="runs/partial_fc")
    parser.add_argument("--rates", type=lambda text: [float(number) for number in text.split(",")], default=[1.0, 0.1, 0.3])
    parser.add_argument("--seeds", type=lambda text: [int(number) for number in text.split(",")], default=[0])
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--loss", default="arc")
    parser.add_argument("--correct", action="store_true", help="train with --sample-correction where classes are sampled")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    rows = []
    for seed in arguments.seeds:
        for rate in arguments.rates:
            corrected = arguments.correct and rate != 1
            name = f"{rate:g}{' corrected' if corrected else ''}"
            options = TrainOptions(
                dataset=arguments.dataset,
                root=arguments.root,
                val=["val_data"],
                out=f"{arguments.out}/{arguments.loss}-{name.replace(' ', '-')}-{arguments.epochs:g}-{seed}",
                network="lresnet10e_ir",
                network_args=NETWORK,
                loss=arguments.loss,
                loss_args={"s": 32, "m": 0.3},
                classifier="sharded",
                sample_rate=rate,
                sample_correction=corrected,
                batch_size=128,
                epochs=arguments.epochs,
                lr=0.2,
                warmup=0.5,
                clip_norm=10,
                final_lr=0,
                average=0,
                val_every=2,
                checkpoint_minutes=3,
                seed=seed,
            )
            result = train(options).validation["val_data"]
            rows.append(f"| {name} | {seed} | {result.accuracy:.4f} | {result.accuracy_std:.4f} | {result.auc:.4f} |")
            print("| sample rate | seed | accuracy | +- over folds | AUC |\n|---|---|---|---|---|", *rows, sep="\n", flush=True)


if __name__ == "__main__":
    main()

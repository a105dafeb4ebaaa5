"""Search learning rate and margin with Optuna; an observer reports each validation and stops trials that fall behind.

pip install optuna
python optuna_search.py --dataset celeb --val lfw_dev --root DATA --trials 20 --epochs 4
gluonfr runs runs/search --sort lfw_dev
"""

import argparse
import os

import optuna

from gluonfr.core import TrainingInterrupted
from gluonfr.engine import TrainingObserver, train

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--dataset", required=True)
parser.add_argument("--val", required=True, help="verification set whose AUC is maximized")
parser.add_argument("--root", default=os.path.expanduser("~/.mxnet/datasets/face"))
parser.add_argument("--out", default="runs/search", help="folder of the runs")
parser.add_argument("--trials", type=int, default=20)
parser.add_argument("--epochs", type=float, default=4)
parser.add_argument("--network", default=None, help="default: by the recipe for the data")
options = parser.parse_args()


class Pruner(TrainingObserver):
    def __init__(self, trial):
        self.trial = trial

    def validated(self, step, results, norms):
        self.trial.report(results[options.val].auc, step)
        if self.trial.should_prune():
            raise TrainingInterrupted(f"pruned at step {step}: other trials were better there.")


def objective(trial):
    lr = trial.suggest_float("lr", 0.01, 0.3, log=True)
    margin = trial.suggest_float("m", 0.0, 0.4)
    settings = {"dataset": options.dataset, "val": [options.val], "root": options.root, "network": options.network}
    settings.update(loss="cos", loss_args={"s": 24, "m": margin}, lr=lr, epochs=options.epochs, val_every=1)
    try:
        result = train(**settings, out=f"{options.out}/{trial.number:03}", progress=False, observers=[Pruner(trial)])
    except TrainingInterrupted:
        raise optuna.TrialPruned from None
    return result.validation[options.val].auc


study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=3))
study.optimize(objective, n_trials=options.trials)
print(f"best AUC {study.best_value:.5f} with {study.best_params}: {options.out}/{study.best_trial.number:03}")

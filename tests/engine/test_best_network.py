"""Which network of a run is the best: by the part of the ROC where few impostors are accepted."""

from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest

from gluonfr.cli.train import print_result
from gluonfr.engine import validation
from gluonfr.engine.train_result import TrainResult
from gluonfr.engine.validation import Validator
from gluonfr.metrics.roc import roc_curve


def make_roc(genuine, impostors):
    distances = np.concatenate([genuine, impostors])
    return roc_curve(distances, np.arange(len(distances)) < len(genuine))


IMPOSTORS = np.linspace(1, 2, 100)
# Nine of ten genuine pairs before all impostors and one after them: an AUC of 0.9, and a TAR of 0.9 at every FAR.
STEEP = make_roc(np.r_[np.linspace(0, 0.9, 9), 3.0], IMPOSTORS)
# All genuine pairs among the nearest tenth of the impostors: a larger AUC, and lower TARs where few impostors are accepted.
WIDE = make_roc(np.linspace(1.02, 1.08, 10), IMPOSTORS)
WORSE = make_roc(np.linspace(1.5, 2.5, 10), IMPOSTORS)
NO_IMPOSTORS = make_roc(np.linspace(0, 1, 10), [])


@pytest.fixture
def validate(monkeypatch):
    """Return a validator and a function that validates a network of a given ROC."""
    net = mx.gluon.nn.Dense(2, in_units=2)
    net.initialize()
    validator = Validator(net, {"pairs": None}, [mx.cpu()], progress=False)
    monkeypatch.setattr(validator, "_measure_norms", lambda: np.ones(1, np.float32))

    def call(step, roc):
        result = SimpleNamespace(auc=roc.auc, roc=roc, accuracy=0.5)
        metric = SimpleNamespace(result=lambda: result, distances=np.zeros(2), issame=np.ones(2, bool))
        monkeypatch.setattr(validation, "_measure", lambda *args, **kwargs: {"pairs": metric})
        return validator.validate(step)[1]

    return validator, call


def test_the_best_network_accepts_most_genuine_pairs_where_few_impostors_are_accepted(validate):
    validator, call = validate
    assert WIDE.auc > STEEP.auc > WORSE.auc
    assert call(1, WIDE)
    assert call(2, STEEP)
    # Equal results do not replace the first ones, and neither do results without impostors.
    assert not any(call(3, roc) for roc in (STEEP, WIDE, WORSE, NO_IMPOSTORS))
    assert validator.best["step"] == 2
    assert validator.best["partial_auc"] == pytest.approx(0.9)
    assert "start_auc" not in validator.best


def test_a_start_is_a_candidate_and_its_results_are_kept(validate):
    validator, call = validate
    assert call(0, WIDE)
    assert call(5, STEEP)
    assert validator.best["start_auc"] == WIDE.auc
    assert validator.best["start_partial_auc"] == WIDE.partial_auc(0.1)


def test_a_run_that_an_older_version_began_goes_on_by_its_rule(validate):
    validator, call = validate
    before = {"step": 4, "auc": 0.92, "accuracy": {"pairs": 0.9}}
    validator.best = dict(before)
    assert not call(8, STEEP)
    assert validator.best == before
    assert call(9, WIDE)


@pytest.mark.parametrize(
    ("best", "lines"),
    [
        (
            {"step": 3, "partial_auc": 0.8, "start_partial_auc": 0.7, "auc": 0.9, "start_auc": 0.91, "accuracy": {"lfw": 0.95}},
            [
                "best by the mean TAR at FARs up to 0.1 on the first set: step 3, accuracy lfw 0.95000",
                "mean TAR at FARs up to 0.1 on the first set: 0.70000 before training, 0.80000 best",
                "AUC on the first set: 0.91000 before training, 0.90000 best",
            ],
        ),
        (
            {"step": 3, "auc": 0.9, "start_auc": 0.89, "accuracy": {"lfw": 0.95}},
            [
                "best by the AUC on the first set: step 3, accuracy lfw 0.95000",
                "AUC on the first set: 0.89000 before training, 0.90000 best",
            ],
        ),
    ],
)
def test_the_end_of_a_run_states_what_it_chose_by(best, lines, tmp_path, capsys):
    print_result(TrainResult(str(tmp_path), 10, 640, 2.0, {}, best, 0.5, []))
    assert capsys.readouterr().out.splitlines()[: len(lines)] == lines

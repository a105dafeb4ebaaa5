"""The benchmark of all losses: complete, and never the same run twice."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

from gluonfr.core import GluonFRError
from gluonfr.engine import TrainOptions
from gluonfr.loss import get_loss, get_loss_list


@pytest.fixture
def benchmark():
    spec = importlib.util.spec_from_file_location("losses", Path(__file__).parent.parent / "benchmarks" / "losses.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def options(tmp_path):
    return SimpleNamespace(
        images=640, dataset="celeb", val="lfw", losses=None, seeds=[0, 1], minutes=1, results=str(tmp_path / "rows.json")
    )


def test_every_loss_accepts_its_settings(benchmark, options, tmp_path):
    assert set(benchmark.LOSSES) == set(get_loss_list())
    for name in benchmark.LOSSES:
        chosen = benchmark.settings(name, 0, options)
        get_loss(name, classes=293, embedding_size=128, **chosen["loss_args"])
        assert TrainOptions(**chosen, out=str(tmp_path)).steps == 10


def test_finished_runs_are_not_repeated_and_the_best_losses_get_more_seeds(benchmark, options, monkeypatch):
    runs, quality = [], {name: 0.5 + 0.01 * place for place, name in enumerate(benchmark.LOSSES)}

    def run(chosen, _):
        name, seed = chosen["loss"], chosen["seed"]
        runs.append((name, seed))
        if name == "RangeLoss":
            raise GluonFRError("the loss became nan")
        if len(runs) == 4:
            raise KeyboardInterrupt
        return {"settings": chosen, "seconds": 60, "accuracy": quality[name] + seed / 100, "accuracy_std": 0.02, "auc": 0.8}

    monkeypatch.setattr(benchmark, "run", run)
    with pytest.raises(KeyboardInterrupt):
        benchmark.train_all(options)
    assert len(benchmark.read(options.results)) == 3
    benchmark.train_all(options)
    # The fourth was interrupted, and is the only one that runs twice.
    first = [name for name, seed in runs if seed == 0]
    assert sorted(first) == sorted([*benchmark.LOSSES, first[3]])
    leading = [name for name in list(benchmark.LOSSES)[::-1] if name != "RangeLoss"][:5]
    assert [name for name, seed in runs if seed == 1] == leading
    lines = benchmark.table(benchmark.read(options.results), options).splitlines()
    assert len(lines) == 2 + len(benchmark.LOSSES) - 1
    assert lines[2].startswith(f"| {leading[0]} |")
    assert "| 2 |" in lines[2]
    assert "| 0.0100 |" in lines[2]
    # Another budget is another run.
    options.images = 6400
    assert benchmark.done(benchmark.read(options.results), options) == {}


def test_no_run_starts_after_the_time_limit(benchmark, options, monkeypatch):
    monkeypatch.setattr(benchmark, "run", lambda *_: pytest.fail("started"))
    options.minutes = -1
    benchmark.train_all(options)

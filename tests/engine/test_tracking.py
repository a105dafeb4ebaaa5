"""What a run records of itself, its observers, and runs that are derived from others."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from gluonfr.apps.runs.paired import read_results
from gluonfr.apps.runs.records import read_run
from gluonfr.cli import _parser
from gluonfr.cli.train import _train_options
from gluonfr.core import Card, TrainingInterrupted, TrainingStopped, UsageError
from gluonfr.engine import TrainingObserver, TrainOptions, options_from_run, train
from gluonfr.engine.detector.options import DetectorOptions
from gluonfr.engine.detector.recipe import complete_detector_options
from gluonfr.engine.recipes import choose_recipe, complete_options
from gluonfr.engine.tracking.derived_options import derive_options
from gluonfr.engine.tracking.provenance import git_commit
from gluonfr.engine.tracking.status import StatusFile

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "tuning" / "optuna_search.py"


class Recorder(TrainingObserver):
    def __init__(self, stop_at=None):
        self.calls, self.stop_at = [], stop_at

    def started(self, options, first_step, total_steps):
        self.calls.append(("started", first_step, total_steps, os.path.isdir(options.out)))

    def logged(self, step, values):
        self.calls.append(("logged", step, sorted(values)))

    def validated(self, step, results, norms):
        self.calls.append(("validated", step, list(results), len(norms)))
        assert (norms > 0).all()
        if step == self.stop_at:
            raise TrainingInterrupted(f"pruned at step {step}.")

    def ended(self, state, reason, pictures):
        self.calls.append(("ended", state, reason, sorted(pictures)))


def status(folder):
    with open(os.path.join(folder, "status.json")) as file:
        return json.load(file)


def test_a_run_calls_observers_and_records_status_provenance_and_pairs(small_options, small_root):
    observer = Recorder()
    result = train(observers=[observer], **dict(small_options, epochs=2, log_every=3))
    assert observer.calls == [
        ("started", 0, 6, True),
        ("logged", 3, ["epoch", "images_per_second", "loss", "lr"]),
        ("validated", 3, ["val_data"], 64),
        ("logged", 6, ["epoch", "images_per_second", "loss", "lr"]),
        ("validated", 6, ["val_data"], 64),
        ("ended", "finished", "", ["curves", "roc", "scores_val_data"]),
    ]
    run = read_run(result.folder)
    accuracy = result.validation["val_data"].accuracy
    assert (run.state, run.step, run.total_steps, run.last) == ("finished", 6, 6, {"val_data": accuracy})
    assert run.best["val_data"] == max(accuracy, run.best["val_data"])
    assert status(result.folder)["peak_memory"] > 0.1
    with open(os.path.join(result.folder, "provenance.json")) as file:
        provenance = json.load(file)
    files = {os.path.basename(source["path"]): source for source in provenance["data"]}
    assert sorted(files) == ["property", "train.idx", "train.rec", "val_data.bin"]
    with open(os.path.join(small_root, "blobs", "train.idx"), "rb") as file:
        assert files["train.idx"]["sha256"] == hashlib.sha256(file.read()).hexdigest()
    assert files["train.rec"]["size"] == os.path.getsize(os.path.join(small_root, "blobs", "train.rec"))
    (session,) = provenance["sessions"]
    assert session["mxnet"] == "1.9.1"
    assert session["devices"] == ["cpu(0)"]
    assert session["command"] == sys.argv
    stored = read_results(result.folder)["val_data"]
    assert (stored.accuracy, stored.auc) == pytest.approx((accuracy, result.validation["val_data"].auc), abs=1e-6)


def test_an_observer_stops_a_run_which_resumes(small_options):
    with pytest.raises(TrainingInterrupted, match="pruned at step 3"):
        train(observers=[Recorder(stop_at=3)], **dict(small_options, epochs=2, checkpoint_steps=3))
    run = read_run(small_options["out"])
    assert (run.state, run.reason) == ("stopped", "pruned at step 3.")
    train(**dict(small_options, epochs=2, checkpoint_steps=3))
    assert read_run(small_options["out"]).state == "finished"
    with open(os.path.join(small_options["out"], "provenance.json")) as file:
        sessions = json.load(file)["sessions"]
    assert [session["first_step"] for session in sessions] == [0, 3]


def test_a_run_that_diverges_has_failed(small_options):
    with pytest.raises(TrainingStopped):
        train(**dict(small_options, epochs=3, lr=1e30, log_every=1, val=[]))
    run = read_run(small_options["out"])
    assert run.state == "failed"
    assert "the loss became" in run.reason


def write_options(folder, **options):
    folder.mkdir()
    (folder / "options.json").write_text(json.dumps(options))
    return str(folder)


def test_options_of_another_run_with_changes(tmp_path):
    values = TrainOptions(dataset="emore", out=str(tmp_path / "a"), loss="arc", loss_args={"m": 0.4}, network="mobilefacenet")
    path = write_options(tmp_path / "a", **values.to_dict())
    child = options_from_run(path, lr=0.05)
    assert (child.lr, child.loss, child.loss_args, child.parent) == (0.05, "arc", {"m": 0.4}, path)
    assert child.out == f"{path}-2"
    # Arguments of another loss would not fit.
    assert options_from_run(path, loss="ring").loss_args == {}
    write_options(tmp_path / "a-2", **child.to_dict())
    # The same command continues the run that it began; another one gets a folder of its own.
    assert options_from_run(path, lr=0.05).out == f"{path}-2"
    assert options_from_run(path, lr=0.06).out == f"{path}-3"
    (tmp_path / "a-2" / "last").mkdir()
    assert options_from_run(path, lr=0.05).out == f"{path}-3"
    assert options_from_run(str(tmp_path / "a-2")).out == f"{path}-3"
    assert options_from_run(path, out=str(tmp_path / "mine")).out == str(tmp_path / "mine")


def test_a_number_of_epochs_replaces_the_steps_of_the_run(tmp_path):
    values = TrainOptions(dataset="emore", out=str(tmp_path / "a"), steps=20)
    path = write_options(tmp_path / "a", **values.to_dict())
    assert (options_from_run(path, epochs=6.0).epochs, options_from_run(path, epochs=6.0).steps) == (6, None)
    assert options_from_run(path, lr=0.1).steps == 20


def test_the_rate_of_a_run_is_not_used_for_another_optimizer(tmp_path):
    given = TrainOptions(dataset="emore", out=str(tmp_path / "a"), loss="arc")
    recipe = choose_recipe(given, people=300, images=6000)
    path = write_options(tmp_path / "a", **complete_options(given, recipe).to_dict())
    with pytest.raises(UsageError, match="optimizer='adam' needs lr="):
        complete_options(options_from_run(path, optimizer="adam"), recipe)
    assert complete_options(options_from_run(path, optimizer="adam", lr=0.004), recipe).lr == 0.004
    assert complete_options(options_from_run(path, optimizer="SGD"), recipe).lr == 0.1
    # Both have a momentum and learn with the rate of the run, which need not be that of the recipe.
    path = write_options(tmp_path / "c", **dict(complete_options(given, recipe).to_dict(), out=str(tmp_path / "c"), lr=0.03))
    assert options_from_run(path, optimizer="nag").lr == 0.03
    scenes = complete_detector_options(DetectorOptions(scenes=500, out=str(tmp_path / "b")), photos=500)
    path = write_options(tmp_path / "b", **scenes.to_dict())
    with pytest.raises(UsageError, match="optimizer='adam' needs lr="):
        complete_detector_options(derive_options(path, DetectorOptions, optimizer="adam"), photos=500)


def test_the_first_teacher_or_start_of_a_run_brings_the_values_of_its_recipe(tmp_path):
    given = TrainOptions(dataset="emore", out=str(tmp_path / "a"), lr=0.3, loss="arc")
    recipe = choose_recipe(given, people=300, images=6000)
    path = write_options(tmp_path / "a", **complete_options(given, recipe).to_dict())
    student = options_from_run(path, teacher="dlib_resnet29")
    assert (student.distill_weight, student.hold_out, student.lr, student.loss) == (None, None, 0.3, "arc")
    complete = complete_options(student, choose_recipe(student, people=300, images=6000))
    assert (complete.distill_weight, complete.hold_out, complete.stay_close) == (20, 0.1, 0)
    tuned = options_from_run(path, pretrained="dlib_resnet29", stay_close=1.0)
    assert (tuned.lr, tuned.batch_norm, tuned.network, tuned.network_args, tuned.loss) == (None, None, None, {}, "arc")
    assert tuned.stay_close == 1
    # With both, the recipe is another one than with either.
    card = Card(network="dlib_resnet29", arguments={"embedding_size": 128}, image_size=(150, 150), template="dlib")
    tuned = complete_options(tuned, choose_recipe(tuned, people=300, images=6000, card=card))
    path = write_options(tmp_path / "c", **dict(tuned.to_dict(), out=str(tmp_path / "c")))
    both = options_from_run(path, teacher="dlib_resnet29")
    assert (both.freeze, both.lr, both.optimizer, both.loss) == (None, None, None, "arc")
    # A run that has a teacher is repeated as it was.
    path = write_options(tmp_path / "b", **dict(complete.to_dict(), out=str(tmp_path / "b")))
    assert options_from_run(path, teacher="y1").distill_weight == 20


def test_a_detector_run_with_other_data_or_a_first_start_has_the_values_of_its_recipe(tmp_path):
    scenes = complete_detector_options(DetectorOptions(scenes=500, out=str(tmp_path / "a")), photos=500)
    path = write_options(tmp_path / "a", **scenes.to_dict())
    photos = derive_options(path, DetectorOptions, data="wider", val="wider/val")
    assert (photos.scenes, os.path.basename(photos.data), photos.size, photos.lr) == (0, "wider", None, None)
    back = write_options(tmp_path / "b", **dict(complete_detector_options(photos, 900).to_dict(), out=str(tmp_path / "b")))
    rendered = derive_options(back, DetectorOptions, scenes=9)
    assert (rendered.data, rendered.val) == ("", "")
    tuned = derive_options(back, DetectorOptions, pretrained="mnet.25", batch_size=8)
    assert (tuned.lr, tuned.epochs, tuned.batch_size, tuned.data) == (None, None, 8, photos.data)
    assert derive_options(path, DetectorOptions, seed=1).lr == scenes.lr


def test_options_of_a_run_of_an_older_version(tmp_path):
    path = write_options(
        tmp_path / "a", dataset="emore", root="/data", network="mobilefacenet", loss="cos", lr=0.2, clip_norm=None
    )
    child = options_from_run(path, epochs=3)
    assert (child.dataset, child.loss, child.lr, child.epochs) == ("emore", "cos", 0.2, 3)
    # It had no limit, and was not fine-tuned by a recipe.
    assert child.clip_norm == 0
    with pytest.raises(UsageError, match="holds no run"):
        options_from_run(str(tmp_path))


def test_git_names_the_commit_and_changes(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", "-C", str(tmp_path), *identity, *words], capture_output=True, text=True, check=True)

    assert git_commit(str(tmp_path)) is None
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "first")
    head = git("rev-parse", "HEAD").stdout.strip()
    assert git_commit(str(tmp_path)) == head
    (tmp_path / "a").write_text("2")
    assert git_commit(str(tmp_path)) == head + "+"


@pytest.mark.system
def test_tensorboard_reads_scalars_histograms_and_images(small_options):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = train(**dict(small_options, epochs=2, log_every=3))
    events = EventAccumulator(os.path.join(result.folder, "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"loss", "lr", "images_per_second", "val_data/accuracy"} <= set(tags["scalars"])
    assert events.Scalars("val_data/accuracy")[-1].value == pytest.approx(result.validation["val_data"].accuracy)
    assert [event.step for event in events.Scalars("loss")] == [3, 6]
    histogram = events.Histograms("embedding_norm")[-1].histogram_value
    assert histogram.num == sum(histogram.bucket) == 64
    assert histogram.min > 0
    assert sorted(tags["images"]) == ["curves", "roc", "scores_val_data"]
    image = events.Images("curves")[0]
    assert image.encoded_image_string[:4] == b"\x89PNG"
    assert image.width > 200


@pytest.fixture
def mlflow_server(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{tmp_path}/m.db", "--artifacts-destination", str(tmp_path / "artifacts")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *store]
    with open(tmp_path / "mlflow.log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "mlflow.log").read_text()
                assert time.monotonic() < deadline
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 15)
        server.wait(60)


@pytest.mark.system
@pytest.mark.parametrize("store", ["server", "files"])
def test_mlflow_has_parameters_metrics_and_artifacts(store, small_options, tmp_path, request):
    from mlflow.tracking import MlflowClient

    uri = request.getfixturevalue("mlflow_server") if store == "server" else f"file:{tmp_path}/mlruns"
    result = train(mlflow=uri, **dict(small_options, epochs=2, log_every=3))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("gluonfr")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["loss"] == "cos"
    assert json.loads(run.data.params["loss_args"]) == small_options["loss_args"]
    accuracy = result.validation["val_data"].accuracy
    assert run.data.metrics["val_data/accuracy"] == pytest.approx(accuracy)
    assert [point.step for point in client.get_metric_history(run.info.run_id, "loss")] == [3, 6]
    artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"options.json", "provenance.json", "results.json", "curves.png", "roc.png"} <= artifacts


@pytest.mark.system
def test_a_server_that_does_not_answer_is_named(small_options):
    with pytest.raises(UsageError, match="mlflow=http://127.0.0.1:9 cannot be used"):
        train(mlflow="http://127.0.0.1:9", **dict(small_options, epochs=1))
    assert not os.path.exists(os.path.join(small_options["out"], "status.json"))


@pytest.mark.system
def test_optuna_searches_and_prunes(small_root, tmp_path):
    command = [sys.executable, str(EXAMPLE), "--dataset", "blobs", "--val", "val_data", "--root", small_root]
    command += ["--out", str(tmp_path / "search"), "--trials", "5", "--epochs", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "best AUC" in done.stdout
    states = [read_run(str(folder)).state for folder in sorted((tmp_path / "search").iterdir())]
    assert len(states) == 5
    assert set(states) <= {"finished", "stopped"}
    assert "finished" in states


def test_the_command_takes_from_another_run_what_is_not_given(tmp_path):
    values = TrainOptions(dataset="emore", out=str(tmp_path / "a"), loss="arc", lr=0.2, drops=[1, 2], network="mobilefacenet")
    path = write_options(tmp_path / "a", **values.to_dict())

    def options(*words):
        arguments = ["train", *words]
        return _train_options(_parser(arguments)[0].parse_args(arguments))

    # A value that equals the default of the option counts as given.
    child = options("--from", path, "--loss-args", "m=0.3", "--seed", "0", "--val", "lfw")
    assert (child.dataset, child.loss, child.lr, list(child.drops), child.loss_args) == (
        "emore",
        "arc",
        0.2,
        [1, 2],
        {"m": 0.3},
    )
    assert list(child.val) == ["lfw"]
    assert child.parent == path
    assert [options("--from", path, word).lr for word in ("--quiet", "--verbose")] == [0.2, 0.2]
    assert options("--dataset", "emore").parent is None
    with pytest.raises(UsageError, match="dataset= is required"):
        options("--lr", "0.1")


@pytest.mark.parametrize("values", [[1], {"lfw": "0.5", "other": None}, "x", None])
def test_the_status_of_a_resumed_run_ignores_what_is_no_accuracy(values, tmp_path):
    status_file = StatusFile(str(tmp_path), {"best": values, "last": values, "started": [1], "seconds": "1"})
    status_file.validated(3, {"lfw": SimpleNamespace(name_values=lambda: [("accuracy", 0.75)])}, [])
    assert status(tmp_path)["best"] == status(tmp_path)["last"] == {"lfw": 0.75}
    assert isinstance(status(tmp_path)["started"], str)

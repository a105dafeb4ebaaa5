"""Readers of runs, checkpoints, embeddings, and of the files of MegaFace and IJB."""

import contextlib
import io
import json
import os
import zlib

import mxnet as mx
import numpy as np
from fuzz_sets import folder_of, write
from fuzz_weights import SMALL
from mxnet import gluon, nd
from target import Target

from gluonfr.apps.runs.comparison import compare_runs
from gluonfr.apps.runs.listing import arrange_tree, columns, row, sort_runs
from gluonfr.apps.runs.live import watch_run
from gluonfr.apps.runs.page import write_comparison
from gluonfr.apps.runs.records import find_runs
from gluonfr.cli.tables import print_table
from gluonfr.core import Card, GluonFRError, UsageError
from gluonfr.core.reading import read_if_valid
from gluonfr.engine import ShardedHead, TrainStep
from gluonfr.engine.checkpoints.format import checksum
from gluonfr.engine.checkpoints.manager import CheckpointManager
from gluonfr.engine.checkpoints.meta import check_meta
from gluonfr.engine.checkpoints.snapshot import restore_snapshot, take_snapshot
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.precision import LossScale
from gluonfr.engine.run_folder import RunFolder, check_same_options
from gluonfr.engine.tracking.derived_options import options_from_run
from gluonfr.engine.tracking.status import StatusFile
from gluonfr.engine.weight_average import WeightAverage
from gluonfr.evaluation.embedding_files import read_embeddings
from gluonfr.evaluation.ijb import read_ijb_embeddings
from gluonfr.evaluation.ijb_files import read_ijb
from gluonfr.evaluation.labeled_embeddings import labeled_embeddings
from gluonfr.evaluation.megaface_files import read_feature, read_image_list, read_noise_list, write_feature
from gluonfr.evaluation.pair_embeddings import read_pair_embeddings
from gluonfr.loss import get_loss
from gluonfr.photos.resumable import Blocks, working_in
from gluonfr.viz import plot_training_curves

OPTIONS = {"dataset": "emore", "out": "run", "network": "mobilefacenet", "loss": "ArcLoss", "lr": 0.1}


def run_seeds(folder):
    root = folder_of(folder, "run")
    write(root, "options.json", content=json.dumps(TrainOptions(**OPTIONS).to_dict()))
    write(root, "status.json", content='{"format": 1, "started": "now", "seconds": 3.5, "last": {"step": 2}, "best": {}}')
    write(root, "log.jsonl", content='{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 2.25, "lfw/accuracy": 0.5}\n')


def run_list_seeds(folder):
    root = folder_of(folder, "runs")
    for name, loss in (("a", "ArcLoss"), ("b", "CosLoss")):
        run = folder_of(root, name)
        write(run, "options.json", content=json.dumps({**OPTIONS, "loss": loss, "parent": os.path.join(root, "a")}))
        status = '{"format": 1, "state": "finished", "started": "2026-11-01T10:00:00+00:00", "seconds": 3.5, "step": 2, '
        status += '"total_steps": 4, "last": {"lfw": 0.5}, "best": {"lfw": 0.75}, "images_per_second": 12.5}'
        write(run, "status.json", content=status)
        write(run, "log.jsonl", content='{"step": 1, "loss": 2.5, "lr": 0.1}\n{"step": 2, "loss": 2.25, "lfw/accuracy": 0.5}\n')
        sessions = '{"sessions": [{"gluonfr": "1", "environment": {"A": "1"}}], "data": [{"path": "a/train.rec", "size": 7}]}'
        write(run, "provenance.json", content=sessions)
        distances = np.linspace(0.2, 3.8, 20)
        pairs = {"lfw/distances": distances, "lfw/issame": (distances < 2) ^ (np.arange(20) % 9 == 0)}
        np.savez(os.path.join(run, "pairs.npz"), **pairs)


def read_run_list(folder):
    """List, sort, compare and draw the runs of a folder."""
    runs = find_runs(folder)
    names = columns(runs)
    rows = [row(run, names) for _, run in arrange_tree(runs)]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        print_table([cells.values() for cells in rows], names)
    assert all(letter.isprintable() or letter == "\n" for letter in output.getvalue())
    for key in ("lfw", "loss"):
        with contextlib.suppress(UsageError):
            sort_runs(runs, key)
    folders = [os.path.join(folder, name) for name in ("a", "b")]
    write_comparison(os.path.join(folder, "out"), compare_runs(folders))
    for path in folders:
        watch_run(path)


def read_run(folder):
    readers = (
        lambda: RunFolder(folder).check_start(TrainOptions(**OPTIONS)),
        lambda: options_from_run(folder, lr=0.05),
        lambda: StatusFile(folder, read_if_valid(os.path.join(folder, "status.json"))),
        lambda: plot_training_curves(os.path.join(folder, "log.jsonl")),
    )
    problems = []
    for read in readers:
        try:
            read()
        except GluonFRError as error:
            problems.append(error)
    if problems:
        raise problems[0]


def training_step():
    """A step of a small network with a divided classifier, an average and a loss scale: all that a checkpoint can hold."""
    contexts = [mx.cpu(0), mx.cpu(1)]
    head = ShardedHead(get_loss("ArcLoss", classes=5, embedding_size=4), 5, 4, contexts, seed=1)
    head.initialize(ctx=contexts)
    net = gluon.nn.HybridSequential(prefix="net_")
    with net.name_scope():
        net.add(gluon.nn.Dense(4, in_units=4), gluon.nn.BatchNorm(in_channels=4))
    net.initialize(ctx=contexts)
    step = TrainStep(net, head, contexts, "sgd", {"learning_rate": 0.05, "momentum": 0.9}, loss_scale=LossScale())
    return step, WeightAverage(net)


def checkpoint_seeds(folder):
    step, average = training_step()
    manager = CheckpointManager(folder_of(folder, "checkpoints"))
    for _ in range(2):
        step(nd.ones((4, 4)), nd.array([0, 1, 2, 3]))
        average.update()
        arrays, meta = take_snapshot(step, average)
        meta["options"] = TrainOptions(**OPTIONS).fixed_on_resume()
        manager.save(step.step_number, lambda cache, arrays=arrays, meta=meta: (arrays, meta))
        manager.finish()


def read_checkpoints(folder):
    found = CheckpointManager(folder).latest()
    if found is not None:
        check_same_options(*found, TrainOptions(**OPTIONS))
        restore_snapshot(*found, *training_step())
        check_meta(*found, needs_loss_scale=True)


def correct_checkpoints(folder):
    """Write sizes and checksums as they are now, as a stranger would."""
    for step in os.listdir(folder):
        path = os.path.join(folder, step)
        try:
            with open(os.path.join(path, "meta.json"), "rb") as file:
                content = file.read()
            meta = json.loads(content)
            for name in meta["files"]:
                file = os.path.join(path, name)
                if os.path.isfile(file):
                    meta["files"][name] = [os.path.getsize(file), checksum(file)]
            content = json.dumps(meta).encode()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass
        else:
            write(path, "meta.json", content=content)
        if os.path.isfile(os.path.join(path, "meta.json")):
            with open(os.path.join(path, "meta.json"), "rb") as file:
                write(path, "meta.crc32", content=b"%08x\n" % zlib.crc32(file.read()))


def embedding_seeds(folder):
    rows = np.random.RandomState(0).normal(size=(6, 4)).astype(np.float32)
    card = np.array(json.dumps(Card(network="lresnet10e_ir", arguments=SMALL, embedding_size=4).to_dict()))
    files = np.array(["Ann/1.jpg", "Ann/2.jpg", "Ben/1.jpg", "Ben/2.jpg", "Cem/1.jpg", "Cem/2.jpg"])
    layouts = {
        "files": {"embeddings": rows, "files": files, "card": card},
        "labels": {"embeddings": rows, "labels": np.array(["Ann", "Ann", "Ben", "Ben", "Cem", "Cem"])},
        "integers": {"embeddings": rows, "labels": np.array([0, 0, 1, 1, 2, 2])},
        "pairs": {"embeddings0": rows[:3], "embeddings1": rows[3:], "issame": np.array([True, False, True]), "age": files[:3]},
    }
    for name, arrays in layouts.items():
        np.savez(os.path.join(folder_of(folder, name), "x.npz"), **arrays)
        if name == "files":
            write(folder, name, "pairs.csv", content="Ann/1.jpg,Ann/2.jpg,1\nAnn/1.jpg,Ben/1.jpg,0\n")


def read_embedding_files(folder):
    path, pairs = os.path.join(folder, "x.npz"), os.path.join(folder, "pairs.csv")
    pairs = pairs if os.path.exists(pairs) else None
    readers = (read_embeddings, lambda path: labeled_embeddings(path), lambda path: read_pair_embeddings(path, pairs))
    problems = []
    for read in readers:
        try:
            read(path)
        except GluonFRError as error:
            problems.append(error)
            if "\n" in str(error):
                raise
    if len(problems) == len(readers):
        raise problems[0]


def megaface_seeds(folder):
    root = folder_of(folder, "features")
    write_feature(os.path.join(root, "1.bin"), np.arange(1, 9))
    write(root, "list.json", content='{"path": ["Ann/1.png", "Ben/2.png"], "id": ["Ann", "Ben"]}')
    write(root, "noises.txt", content="# noisy images\nann_1.png\n7\tbob_2.png\n")


def read_megaface(folder):
    read_feature(os.path.join(folder, "1.bin"))
    read_image_list(os.path.join(folder, "list.json"))
    read_noise_list(os.path.join(folder, "noises.txt"))


def ijb_seeds(folder):
    root = folder_of(folder, "ijb")
    os.mkdir(os.path.join(root, "meta"))
    lists = {
        "face_tid_mid.txt": "1.jpg 10 7\n2.jpg 10 7\n3.jpg 20 9\n",
        "name_5pts_score.txt": "".join(f"{n}.jpg {' '.join(str(n + i) for i in range(10))} 0.{n}\n" for n in (1, 2, 3)),
        "template_pair_label.txt": "10 20 0\n20 10 1\n10 10 1\n",
        "1N_gallery_G1.csv": "TEMPLATE_ID,SUBJECT_ID,FILENAME\n10,5,a.jpg\n10,5,b.jpg\n",
        "1N_probe_mixed.csv": "TEMPLATE_ID,SUBJECT_ID,FILENAME\n20,6,c.jpg\n10,5,a.jpg\n",
    }
    for name, content in lists.items():
        write(root, "meta", f"ijbc_{name}", content=content)
    np.savez(os.path.join(root, "embeddings.npz"), embeddings=np.ones((3, 4), np.float32))


def read_ijb_folder(folder):
    lists = read_ijb(folder)
    read_ijb_embeddings(lists, os.path.join(folder, "embeddings.npz"))


def block_seeds(folder):
    with working_in(os.path.join(folder_of(folder, "work"), ".sorted.unfinished"), keep=True) as work:
        blocks = Blocks(work, {"flip": True, "set": "ab"})
        blocks.write(
            "00000000", rows=np.arange(3), left_out=np.array('{"1": "no face"}'), embeddings=np.ones((3, 4), np.float32)
        )


def read_blocks(folder):
    with working_in(os.path.join(folder, ".sorted.unfinished"), keep=True) as work:
        blocks = Blocks(work, {"flip": True, "set": "ab"})
        if "00000000" in blocks:
            blocks.read("00000000", "rows", "left_out")
            blocks.stacked(["00000000"], "embeddings", "embeddings.f32", (3, 4), np.float32)


TARGETS = {
    "run_folder": Target(run_seeds, read_run),
    "run_list": Target(run_list_seeds, read_run_list),
    "checkpoints": Target(checkpoint_seeds, read_checkpoints, correct_checkpoints),
    "embeddings": Target(embedding_seeds, read_embedding_files),
    "megaface": Target(megaface_seeds, read_megaface),
    "ijb": Target(ijb_seeds, read_ijb_folder),
    "blocks": Target(block_seeds, read_blocks),
}

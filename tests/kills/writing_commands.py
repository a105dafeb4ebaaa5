"""Every command that writes: its arguments, what it starts from, and what it must have written in the end."""

import json
import os
import re
import shutil
from typing import Callable, Mapping, NamedTuple

import cv2
import numpy as np
from blobs import picture

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.data import RecordWriter, write_pairs
from gluonfr.data.images import encode
from gluonfr.weights.saved import read_card, save_network

SMALL = {"units": [1, 1], "channels": [4, 4, 8], "embedding_size": 16}


class WritingCommand(NamedTuple):
    """A command.

    Attributes
    ----------
    arguments : list of str
        With `IN` for the folder of inputs, which must not change, and `OUT` for the folder that the command changes.
    start : callable, optional
        `start(inputs, out)` fills the folder that the command changes.
    state : callable
        `state(out)` returns what must be equal after an unbroken and a repeated command.
    done : str
        Part of the sentence with which the command is refused when it was finished before it was killed.
    environment : dict
        Variables of the command; `OUT` as in the arguments.
    ranks : bool
        Whether the command starts ranks, of which single ones are killed too.
    """

    arguments: list
    start: Callable = lambda inputs, out: None
    state: Callable = None
    done: str = "already"
    environment: Mapping = {}
    ranks: bool = False


def tree(out):
    """Return all files below a folder and their contents."""
    found = {}
    for folder, _, names in os.walk(out):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, out)] = file.read()
    return found


def names(out):
    """Return the names of all files: of outputs that contain times or compressed figures.

    TensorBoard writes a file per session, with its time in the name.
    """
    return sorted({re.sub(r"(events\.out\.tfevents).*", r"\1", name) for name in tree(out)})


def people(out):
    """Return the people of the gallery, and the names of the files beside it."""
    with Gallery(os.path.join(out, "g.db"), create=False) as gallery:
        listed = [(name, entry.source, entry.embedding.tobytes()) for name, entry in gallery.entries()]
    return sorted(listed), [name for name in names(out) if not name.startswith("g.db-")]


def trained(out, file_name="network.params"):
    """Return the names of all files and the parameters of the last network of a run."""
    with open(os.path.join(out, "run", "last", file_name), "rb") as file:
        return names(out), file.read()


def trained_detector(out):
    return trained(out, "detector.params")


def make_inputs(folder):
    """Write small photos of people, sets, a network and a gallery."""
    for person in range(4):
        for number in range(3):
            path = os.path.join(folder, "people", f"Person {person}", f"{number}.jpg")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            large = cv2.resize(picture(person, number), (112, 112), interpolation=cv2.INTER_NEAREST)
            with open(path, "wb") as file:
                file.write(encode(large))
    lines = [f"Person {a}/0.jpg,Person {b}/1.jpg,{int(a == b)}" for a in range(4) for b in range(4)]
    with open(os.path.join(folder, "pairs.csv"), "w") as file:
        file.write("\n".join(lines[:10] + lines[10:]) + "\n")
    for name, first in (("set", 0), ("other", 20)):
        with RecordWriter(os.path.join(folder, name), image_size=(112, 112)) as writer:
            for identity in range(8):
                for number in range(4):
                    writer.add(cv2.resize(picture(first + identity, number), (112, 112)), identity * 2)
    crops = [encode(cv2.resize(picture(i // 4 % 6, i), (112, 112))) for i in range(80)]
    write_pairs(os.path.join(folder, "val.bin"), crops, [i % 2 == 0 for i in range(40)])
    make_detection_inputs(folder)
    make_runs(folder)
    _save_network(os.path.join(folder, "model"))
    card = read_card(os.path.join(folder, "model"))
    with Gallery(os.path.join(folder, "g.db"), card) as gallery:
        for number in range(6):
            rows = np.random.default_rng(number).normal(size=(3, 16))
            gallery.enroll(f"Person {number}", rows, sources=[f"{number}/{k}.jpg" for k in range(3)])
        from gluonfr.apps.gallery.import_export import export_gallery

        export_gallery(gallery, os.path.join(folder, "people.npz"))


def make_detection_inputs(folder):
    """Write annotated photos and a saved detector."""
    import mxnet as mx

    from gluonfr.data.detection import pack_detection, read_annotations
    from gluonfr.detection.saved import DetectorCard, build_network, save_detector

    os.makedirs(os.path.join(folder, "annotated", "images"))
    lines = []
    for number in range(6):
        with open(os.path.join(folder, "annotated", "images", f"{number}.jpg"), "wb") as file:
            file.write(encode(cv2.resize(picture(number, number), (96, 80))))
        lines += [f"# {number}.jpg", "10 20 30 30"]
    with open(os.path.join(folder, "annotated", "label.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")
    annotations = read_annotations(os.path.join(folder, "annotated", "label.txt"))
    pack_detection(annotations, os.path.join(folder, "annotated", "images"), os.path.join(folder, "packed"))
    mx.random.seed(1)
    card = DetectorCard(channels=8)
    net = build_network(card)
    net.initialize()
    net(mx.nd.zeros((1, 3, 64, 64)))
    os.makedirs(os.path.join(folder, "detector"))
    save_detector(net, os.path.join(folder, "detector"), card)


def make_runs(folder):
    """Write two run folders."""
    for name, loss in (("a", "arc"), ("b", "cos")):
        run = os.path.join(folder, "runs", name)
        os.makedirs(run)
        with open(os.path.join(run, "options.json"), "w") as file:
            json.dump({"loss": loss, "network": "mobilefacenet"}, file)
        with open(os.path.join(run, "log.jsonl"), "w") as file:
            file.write("".join(json.dumps({"step": step, "loss": 1 / step}) + "\n" for step in range(1, 20)))


def _save_network(folder):
    import mxnet as mx

    from gluonfr.model_zoo import get_model

    mx.random.seed(1)
    net = get_model("lresnet10e_ir", **SMALL)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 112, 112)))
    os.makedirs(folder)
    save_network(
        net, folder, {"network": "lresnet10e_ir", "arguments": SMALL, "thresholds": [{"far": 0.001, "similarity": 0.9}]}
    )


def copy(*files):
    """Return a `start` that copies inputs."""

    def start(inputs, out):
        for name in files:
            source = os.path.join(inputs, name)
            (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, os.path.join(out, name))

    return start


def _change(*arguments):
    return ["people", "--gallery", "OUT/g.db", *arguments]


def _report_first(inputs, out):
    from gluonfr.cli import main

    assert main(f"clean {inputs}/set --out {out}/report {_MODEL.replace('IN', inputs)} --aligned --quiet".split()) == 0


_MODEL = "--model IN/model"
_TRAIN = "train --dataset set --root IN --out OUT/run --network lresnet10e_ir --loss arcface --batch-size 8 --steps 6"
_TRAIN += " --checkpoint-steps 2 --log-every 1 --threads 1 --cpus 1"
_TRAIN_DETECTOR = "train-detector --data IN/packed --val IN/annotated --out OUT/run --size 64 --batch-size 4 --steps 4"
_TRAIN_DETECTOR += " --checkpoint-steps 2 --log-every 1 --threads 1 --cpus 1"
_NETWORK = ["--network-args", "units=[1,1],channels=[4,4,8],embedding_size=16"]
COMMANDS = {
    "pack": WritingCommand(["pack", "IN/people", "OUT/set", "--aligned", "--keep-poor", "--keep-duplicates"], done="finished"),
    "pack_workers": WritingCommand(
        ["pack", "IN/people", "OUT/set", "--aligned", "--keep-poor", "--keep-duplicates", "--workers", "2"], done="finished"
    ),
    "pairs_list": WritingCommand(["pairs", "OUT/x.bin", "--list", "IN/pairs.csv", "--folder", "IN/people", "--aligned"]),
    "pairs_draw": WritingCommand(["pairs", "OUT/x.bin", "--draw", "IN/set", "--count", "40"]),
    "synthesize": WritingCommand(["synthesize", "OUT/set", "--identities", "4", "--images", "2", "--pairs", "20"]),
    "shuffle": WritingCommand(["shuffle", "IN/set", "OUT/set"]),
    "merge": WritingCommand(["merge", "IN/set", "IN/other", "OUT/set"]),
    "split": WritingCommand(["split", "IN/set", "OUT/a", "OUT/b", "--fraction", "0.5"]),
    "relabel": WritingCommand(["relabel", "IN/set", "OUT/set"]),
    "unpack": WritingCommand(["unpack", "IN/set", "OUT/photos"]),
    "clean": WritingCommand(f"clean IN/set --out OUT/report {_MODEL} --aligned".split(), state=names),
    "clean_apply": WritingCommand(
        f"clean IN/set --out OUT/report {_MODEL} --aligned --apply OUT/set".split(), start=_report_first, state=names
    ),
    "cluster": WritingCommand(f"cluster IN/people OUT/sorted {_MODEL} --aligned --join 0.5".split()),
    "embed": WritingCommand(f"embed IN/people --out OUT/x.npz {_MODEL} --aligned".split(), state=names),
    "report": WritingCommand(f"report --data IN/val.bin --out OUT/report {_MODEL} --bootstrap 20".split(), state=names),
    "export_onnx": WritingCommand(f"export {_MODEL} --out OUT/x.onnx".split(), state=names),
    "export_symbol": WritingCommand(f"export {_MODEL} --out OUT/x --format symbol".split(), state=names),
    "models_add": WritingCommand(["models", "--add", "IN/model", "--name", "x", "--models", "OUT"], done="exists"),
    "models_remove": WritingCommand(
        ["models", "--remove", "model", "--models", "OUT"], start=copy("model"), done="no stored model"
    ),
    "enroll": WritingCommand(f"enroll IN/people --gallery OUT/g.db {_MODEL} --aligned --keep-poor".split(), state=people),
    "people_remove": WritingCommand(_change("--remove", "Person 1"), copy("g.db"), people, "Person 1"),
    "people_rename": WritingCommand(_change("--rename", "Person 1", "New"), copy("g.db"), people, "Person 1"),
    "people_merge": WritingCommand(_change("--merge", "Person 1", "Person 2"), copy("g.db"), people, "Person 1"),
    "people_move": WritingCommand(_change("--move-photo", "Person 1", "1/0.jpg", "Person 2"), copy("g.db"), people, "1/0.jpg"),
    "people_import": WritingCommand(["people", "--gallery", "OUT/g.db", "--import", "IN/people.npz"], state=people),
    "people_export": WritingCommand(["people", "--gallery", "IN/g.db", "--export", "OUT/x.npz"], state=names),
    "pack_detection": WritingCommand(["pack-detection", "IN/annotated", "OUT/set"]),
    "evaluate_detector": WritingCommand(
        ["evaluate-detector", "--detector", "IN/detector", "--data", "IN/annotated", "--out", "OUT/report"], state=names
    ),
    "inspect": WritingCommand(["inspect", "IN/set", "--sheet", "OUT/x.png", "--json", "OUT/x.json"]),
    "picture": WritingCommand(f"picture IN/people --out OUT/x.png --method pca {_MODEL} --aligned".split(), state=names),
    "verify": WritingCommand(f"verify --data IN/val.bin --json OUT/x.json {_MODEL}".split(), state=names),
    "identification": WritingCommand(
        f"identification --data IN/people --save OUT/saved --json OUT/x.json {_MODEL} --aligned".split(), state=names
    ),
    "identify": WritingCommand(
        # The gallery keeps the similarities by which the threshold was calibrated.
        f"identify IN/people --gallery OUT/g.db --out OUT/images --json OUT/x.json {_MODEL} --aligned".split(),
        copy("g.db"),
        people,
    ),
    "runs_table": WritingCommand(["runs", "IN/runs", "--csv", "OUT/x.csv", "--json", "OUT/x.json"], state=names),
    "runs_compare": WritingCommand(["runs", "compare", "IN/runs/a", "IN/runs/b", "--out", "OUT/report"], state=names),
    "train": WritingCommand([*_TRAIN.split(), *_NETWORK], state=trained),
    "train_detector": WritingCommand(_TRAIN_DETECTOR.split(), state=trained_detector),
    "train_distilled": WritingCommand(
        [*_TRAIN.split(), *_NETWORK, "--teacher", "IN/model", "--epochs", "2", "--hold-out", "0"],
        state=trained,
        # Without native operators, which would be compiled into the new folder.
        environment={"XDG_CACHE_HOME": "OUT/cache", "GLUONFR_OPS": "0"},
    ),
    "train_horovod": WritingCommand([*_TRAIN.split(), *_NETWORK, "--workers", "2"], state=trained, ranks=True),
    "train_ps": WritingCommand([*_TRAIN.split(), *_NETWORK, "--workers", "2", "--sync", "ps"], state=trained, ranks=True),
}

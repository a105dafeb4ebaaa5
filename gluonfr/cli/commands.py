"""The commands of `gluonfr`, grouped by task, with their modules, summaries and examples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command of `gluonfr`.

    Attributes
    ----------
    name : str
        What follows `gluonfr` on the command line.
    module : str
        Module below `gluonfr.cli` with `add_arguments(parser)` and `run(arguments) -> exit status`.
    summary : str
        One line of help, without a capital and a full stop.
    example : str
        One command line, shown at the end of the command's help.

    Examples
    --------
    >>> COMMANDS["verify"].module
    'evaluate.verify'
    """

    name: str
    module: str
    summary: str
    example: str


GROUPS: dict[str, tuple[Command, ...]] = {
    "train": (
        Command(
            "train",
            "train",
            "train a network on records and validate it",
            "gluonfr train --dataset emore --val lfw,agedb_30 --network mobilefacenet --loss arc --gpus 0,1",
        ),
        Command(
            "train-detector",
            "train_detector",
            "train a face detector on annotated photos and validate it",
            "gluonfr train-detector --data sets/wider --val wider/val --pretrained mnet025/ --rotate 0.5 --gpus 0,1",
        ),
        Command(
            "runs",
            "runs",
            "list, compare and watch training runs",
            "gluonfr runs runs/ --where loss=arc --sort lfw",
        ),
    ),
    "data": (
        Command("pack", "data.pack", "make a training set of a folder of photos", "gluonfr pack photos/ sets/mine --workers 2"),
        Command(
            "pairs",
            "data.pairs",
            "make a verification set of listed pairs, or of pairs drawn from a training set",
            "gluonfr pairs mine.bin --list pairs.csv --folder photos/",
        ),
        Command(
            "pack-detection",
            "data.pack_detection",
            "make a training set for detectors of annotated photos",
            "gluonfr pack-detection WIDER_train/ sets/wider",
        ),
        Command("fetch", "data.fetch", "make the .bin of a public benchmark", "gluonfr fetch lfw --root sets/"),
        Command(
            "synthesize",
            "data.synthesize",
            "render a synthetic training and verification set",
            "gluonfr synthesize sets/synthetic --identities 100 --images 20",
        ),
        Command(
            "inspect",
            "data.inspect",
            "show what a training or verification set contains",
            "gluonfr inspect sets/mine --sheet sample.png",
        ),
        Command("unpack", "data.unpack", "write the images of a set as files", "gluonfr unpack sets/mine images/"),
        Command(
            "shuffle",
            "data.shuffle",
            "write the records of a training set in random order",
            "gluonfr shuffle sets/mine sets/shuffled --seed 1",
        ),
        Command(
            "merge",
            "data.merge",
            "write several training sets as one",
            "gluonfr merge sets/a sets/b sets/both --by-name",
        ),
        Command(
            "split",
            "data.split",
            "write a training set as two that share no person",
            "gluonfr split sets/mine sets/train sets/rest --fraction 0.9",
        ),
        Command(
            "relabel",
            "data.relabel",
            "write a training set with labels from 0 without gaps",
            "gluonfr relabel sets/mine sets/dense",
        ),
        Command(
            "clean",
            "data.clean",
            "find wrong labels, people under two labels, copies, and people of a test set",
            "gluonfr clean sets/mine --out report/ --against lfw --apply sets/clean",
        ),
        Command(
            "cluster",
            "data.cluster",
            "sort unlabeled photos into one folder per person",
            "gluonfr cluster photos/ sorted/",
        ),
    ),
    "evaluate": (
        Command(
            "verify",
            "evaluate.verify",
            "1:1 verification of a network or of stored embeddings",
            "gluonfr verify --model runs/mine/best --data lfw,agedb_30",
        ),
        Command(
            "report",
            "evaluate.report",
            "write an HTML report of the 1:1 verification of one or more networks",
            "gluonfr report --model y1,runs/mine/best --data lfw --out report/",
        ),
        Command(
            "identification",
            "evaluate.identification",
            "1:N identification: CMC ranks, and detection rates with unknown faces",
            "gluonfr identification --gallery known/ --probes new/ --model y1",
        ),
        Command(
            "megaface",
            "evaluate.megaface",
            "the MegaFace protocol on feature files",
            "gluonfr megaface --probes facescrub/ --distractors megaface/ --ending _y1.bin",
        ),
        Command("ijb", "evaluate.ijb", "the 1:1 and 1:N protocols of IJB-B and IJB-C", "gluonfr ijb IJBC/ --model y1"),
        Command(
            "compare",
            "evaluate.compare",
            "compare the faces on two images",
            "gluonfr compare a.jpg b.jpg --model y1",
        ),
        Command(
            "evaluate-detector",
            "evaluate.evaluate_detector",
            "measure face detectors on annotated photos",
            "gluonfr evaluate-detector --detector mtcnn,runs/detector/best --data wider/val --out report/",
        ),
        Command(
            "picture",
            "evaluate.picture",
            "draw the embeddings of some people in two dimensions",
            "gluonfr picture photos/ --model y1 --out people.png",
        ),
    ),
    "models": (
        Command("losses", "models.losses", "list the losses, or describe one", "gluonfr losses arcface"),
        Command(
            "models",
            "models.models",
            "list the networks and the stored models; store and remove models",
            "gluonfr models --add runs/mine/best --name mine",
        ),
        Command(
            "embed",
            "models.embed",
            "write the embeddings of images to a file",
            "gluonfr embed photos/ --model y1 --out photos.npz",
        ),
        Command(
            "export",
            "models.export",
            "write a network as ONNX or as MXNet's symbol and parameters, and check the result",
            "gluonfr export --model y1 --out y1.onnx",
        ),
    ),
    "gallery": (
        Command(
            "enroll",
            "gallery.enroll",
            "enroll the people of a folder of photos in a gallery",
            "gluonfr enroll people/ --gallery g.db",
        ),
        Command(
            "identify",
            "gallery.identify",
            "identify the people on photos and videos with a gallery",
            "gluonfr identify new.jpg --gallery g.db --out named.jpg",
        ),
        Command(
            "people",
            "gallery.people",
            "list the people of a gallery; rename, merge, remove, export and import them",
            'gluonfr people --gallery g.db --rename "Ann Lee" "Ann Smith"',
        ),
        Command(
            "search",
            "gallery.search",
            "find the person of one photo on other photos, without a gallery",
            "gluonfr search one.jpg photos/ --out sheet.png",
        ),
        Command(
            "serve",
            "gallery.serve",
            "serve a gallery as a web page and a JSON API",
            "gluonfr serve --gallery g.db --port 8000",
        ),
    ),
    "tools": (
        Command(
            "doctor",
            "tools.doctor",
            "show problems of the installation with their cure, and versions, devices and extras",
            "gluonfr doctor",
        ),
        Command(
            "demo",
            "tools.demo",
            "render synthetic faces, train a network on them and show its metrics",
            "gluonfr demo --out runs/demo",
        ),
    ),
}

COMMANDS: dict[str, Command] = {command.name: command for group in GROUPS.values() for command in group}

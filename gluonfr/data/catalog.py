"""Which sets lie below a root: `NAME/train.rec` is a training set, `NAME.bin` a verification set."""

from __future__ import annotations

import os

from gluonfr.core import DEFAULT_ROOT, GluonFRError

_NAMES_SHOWN = 40


def _folder(root):
    folder = os.path.abspath(os.path.expanduser(os.fspath(root)))
    if not os.path.isdir(folder):
        raise GluonFRError(f"{folder}: this root of data sets does not exist; give the folder that holds them as root.")
    return folder


def _training(name, folder):
    return os.path.join(folder, name, "train.rec")


def _verification(name, folder):
    return [os.path.join(folder, name + ".bin"), os.path.join(folder, name, "val_data.bin")]


def is_training(name, root):
    """Whether `name` is a training set below `root`."""
    return isinstance(name, str) and os.path.isfile(_training(name, _folder(root)))


def training_names(name, root):
    """The names of the training sets that `name` means: "a,b" or a list of names are several."""
    if isinstance(name, (list, tuple)):
        return list(name)
    if isinstance(name, str) and "," in name and not is_training(name, root):
        return [each.strip() for each in name.split(",")]
    return [name]


def find(name, root, kind):
    """The file of a set: `train.rec` of a "training" set, the `.bin` of a "verification" set.

    A missing root or set raises GluonFRError, which lists the sets that are there.
    """
    folder = _folder(root)
    if not isinstance(name, str) or not name.strip("/."):
        raise GluonFRError(f"a data set is asked for by its name, got {name!r}; {_there(folder)}")
    paths = {"training": [_training(name, folder)], "verification": _verification(name, folder)}
    for path in paths[kind]:
        if os.path.isfile(path):
            return path
    (other,) = set(paths) - {kind}
    if any(os.path.isfile(path) for path in paths[other]):
        use = {"training": "FRTrainRecordDataset", "verification": "FRValDataset"}[other]
        raise GluonFRError(f"{folder}: {name!r} is a {other} set there and has no {kind} file ({paths[kind][-1]}); use {use}.")
    raise GluonFRError(f"{folder}: has no data set {name!r}; {_there(folder)}")


def list_recognition_datasets(root=DEFAULT_ROOT):
    """Names of the sets below `root`, sorted, each of which `get_recognition_dataset` takes: "celeb", "celeb/lfw", "lfw"."""
    return _names(_folder(root))


def _names(folder):
    names = set()
    for entry in os.scandir(folder):
        if not entry.is_dir():
            names.update(_stem(entry))
            continue
        try:
            inside = list(os.scandir(entry.path))
        except OSError:
            continue
        stems = {stem for each in inside if each.is_file() for stem in _stem(each)}
        if any(each.name == "train.rec" for each in inside):
            names.add(entry.name)
        elif "val_data" in stems:
            stems.remove("val_data")
            names.add(entry.name)
        names.update(f"{entry.name}/{stem}" for stem in stems)
    return sorted(names)


def _stem(entry):
    stem, extension = os.path.splitext(entry.name)
    return [stem] if extension == ".bin" and not stem.startswith(".") else []


def _there(folder) -> str:
    names = _names(folder)
    if os.path.isfile(os.path.join(folder, "train.rec")):
        parent, name = os.path.split(folder)
        return f"the folder is a training set itself: give {name!r} as name and {parent} as root."
    if not names:
        return "nothing is there: give the folder that holds NAME/train.rec or NAME.bin as root."
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"there are {', '.join(names[:_NAMES_SHOWN])}{more}; name one of them or give another root."

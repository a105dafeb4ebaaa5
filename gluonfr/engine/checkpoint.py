import glob
import json
import os
import pickle
import re
import shutil

from mxnet import nd
from mxnet.base import MXNetError

from gluonfr.core import GluonFRError, whole_folder

_NAME = re.compile(r"step_(\d{8})$")
_META, _PARAMETERS, _STATES, _AVERAGE = "meta.json", "parameters.nd", "optimizer.states", "average.nd"


def save_checkpoint(folder, step, average=None, meta=None, keep=2):
    """Write all that a run needs to go on, as `folder/step_NNNNNNNN`, whole or not at all.

    Running statistics differ from device to device, so those are stored for each.

    Parameters
    ----------
    folder : str
    step : TrainStep
    average : WeightAverage, optional
    meta : dict
        JSON-able; comes back from `load_checkpoint`.
    keep : int, default 2
        Older checkpoints are removed, the newest `keep` stay.
    """
    nd.waitall()
    for left_over in glob.glob(os.path.join(glob.escape(folder), ".step_*")):
        shutil.rmtree(left_over, ignore_errors=True)
    with whole_folder(os.path.join(folder, f"step_{step.step_number:08d}")) as written:
        nd.save(os.path.join(written, _PARAMETERS), dict(_arrays(step)))
        step.trainer.save_states(os.path.join(written, _STATES))
        if average is not None:
            average.save(os.path.join(written, _AVERAGE))
        with open(os.path.join(written, _META), "w", encoding="utf-8") as file:
            json.dump(dict(meta or {}, step=step.step_number, devices=len(step.contexts), average=average is not None), file)
    for number in _steps(folder)[:-keep]:
        shutil.rmtree(os.path.join(folder, f"step_{number:08d}"))


def newest_checkpoint(folder):
    """Path of the newest checkpoint in `folder`, or None."""
    steps = _steps(folder)
    return os.path.join(folder, f"step_{steps[-1]:08d}") if steps else None


def load_checkpoint(path, step, average=None, options=None):
    """Put a run back to where it was when the checkpoint at `path` was written; returns its `meta`.

    `options` (name -> value) must equal the `options` of the `meta` that was saved.

    Raises
    ------
    GluonFRError
        The checkpoint is damaged, of another network or class count, or was written with other options.
    """
    try:
        with open(os.path.join(path, _META), encoding="utf-8") as file:
            meta = json.load(file)
        stored = nd.load(os.path.join(path, _PARAMETERS))
    except (OSError, ValueError, MXNetError) as error:
        raise _damaged(path, error) from error
    changed = [name for name, value in (options or {}).items() if meta.get("options", {}).get(name) != value]
    if changed:
        before = meta.get("options", {}).get(changed[0])
        raise GluonFRError(
            f"{path} was written with {changed[0]} {before!r}, not {options[changed[0]]!r}; resume with the same options, or "
            "start a new run with another --out."
        )
    if meta["devices"] != len(step.contexts) or meta["average"] != (average is not None):
        raise GluonFRError(
            f"{path} was written on {meta['devices']} devices {'with' if meta['average'] else 'without'} weight averaging; "
            "resume with the same options."
        )
    here = dict(_arrays(step))
    different = [name for name in sorted(set(stored) | set(here)) if name not in stored or name not in here]
    different += [name for name in here if name in stored and here[name].shape != stored[name].shape]
    if different:
        raise GluonFRError(f"{path} belongs to another network or class count: {different[0].split('|')[0]} differs.")
    for name, parameter in _parameters(step):
        if parameter.grad_req == "null":
            for device, array in enumerate(parameter.list_data()):
                stored[f"{name}|{device}"].copyto(array)
        else:
            parameter.set_data(stored[f"{name}|0"])
    try:
        step.trainer.load_states(os.path.join(path, _STATES))
        if average is not None:
            average.load(os.path.join(path, _AVERAGE))
    except (OSError, ValueError, EOFError, pickle.UnpicklingError, MXNetError) as error:
        raise _damaged(path, error) from error
    step.step_number = meta["step"]
    return meta


def _damaged(path, error):
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return GluonFRError(f"{path} cannot be read ({line}); remove it to go on from the checkpoint before it.")


def _steps(folder):
    if not os.path.isdir(folder):
        return []
    return sorted(int(_NAME.match(name).group(1)) for name in os.listdir(folder) if _NAME.match(name))


def _parameters(step):
    for part, block in (("net", step.net), ("head", step.head)):
        for name, parameter in block._collect_params_with_prefix().items():
            yield f"{part}.{name}", parameter


def _arrays(step):
    for name, parameter in _parameters(step):
        copies = parameter.list_data()
        # What is trained is equal on all devices; running statistics are not.
        for device, array in enumerate(copies if parameter.grad_req == "null" else copies[:1]):
            yield f"{name}|{device}", array

"""Comparison of runs: what differs in options, data and programs, and in the results."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import asdict, dataclass
from typing import Any, Sequence

import numpy as np

from gluonfr.apps.runs.paired import PairedTest, SetResult, paired_test, read_results
from gluonfr.apps.runs.records import PROVENANCE, RunRecord, log_rows, number, read_run
from gluonfr.core import UsageError
from gluonfr.core.reading import read_if_valid

# Options that differ between any two runs.
_OWN = ("out", "parent", "resume", "progress")
_PROGRAMS = ("gluonfr", "git", "python", "mxnet", "mxnet_features", "numpy", "cpu", "gpus", "devices", "system", "environment")
# Bytes of the end of a log that are read for the curves: 300,000 readings and more.
_MOST_LOG = 1 << 25
# Digits of a git commit that are shown.
_COMMIT = 10


@dataclass
class Comparison:
    """Runs side by side.

    Attributes
    ----------
    runs : list of RunRecord
    options, data, programs : dict of str to list
        Values by name, one for each run, where they differ.
    results : list of dict of str to SetResult
        By verification set, for each run.
    tests : list of (set, first, second, PairedTest)
        For every two runs that were validated on the same pairs.
    curves : list of list of dict
        Rows of the log of each run.

    Examples
    --------
    >>> compare_runs(["runs/arc", "runs/cos"]).options  # doctest: +SKIP
    {'loss': ['arc', 'cos']}
    """

    runs: list[RunRecord]
    options: dict[str, list[Any]]
    data: dict[str, list[Any]]
    programs: dict[str, list[Any]]
    results: list[dict[str, SetResult]]
    tests: list[tuple[str, int, int, PairedTest]]
    curves: list[list[dict[str, Any]]]

    def set_names(self) -> list[str]:
        """Return the verification sets on which a run was validated.

        Examples
        --------
        >>> runs = [RunRecord("/r/a", "a", last={"lfw": 0.9}), RunRecord("/r/b", "b")]
        >>> Comparison(runs, {}, {}, {}, [{}, {}], [], [[], []]).set_names()
        ['lfw']
        """
        return list(dict.fromkeys(name for run, sets in zip(self.runs, self.results) for name in (*sets, *run.last)))

    def last_accuracy(self, number: int, name: str) -> float | None:
        """Return the accuracy of the last validation of a run on a set; None where there was none.

        A run stores the pairs, and with them interval and AUC, at its end; before, the accuracy alone is known.

        Examples
        --------
        >>> runs = [RunRecord("/r/a", "a", last={"lfw": 0.9}), RunRecord("/r/b", "b")]
        >>> comparison = Comparison(runs, {}, {}, {}, [{}, {}], [], [[], []])
        >>> comparison.last_accuracy(0, "lfw"), comparison.last_accuracy(1, "lfw")
        (0.9, None)
        """
        result = self.results[number].get(name)
        return self.runs[number].last.get(name) if result is None else result.accuracy

    def to_dict(self) -> dict[str, Any]:
        """Return everything except curves and single pairs for JSON."""
        return {
            "runs": [dict(vars(run)) for run in self.runs],
            "options": self.options,
            "data": self.data,
            "programs": self.programs,
            "results": [
                {
                    name: {key: number(getattr(result, key)) for key in ("accuracy", "low", "high", "auc")}
                    for name, result in sets.items()
                }
                for sets in self.results
            ],
            "tests": [
                {"set": name, "first": self.runs[first].name, "second": self.runs[second].name, **asdict(test)}
                for name, first, second, test in self.tests
            ],
        }


def compare_runs(folders: Sequence[str]) -> Comparison:
    """Compare runs.

    Parameters
    ----------
    folders : sequence of str
        Two or more run folders.

    Raises
    ------
    UsageError
        There are fewer than two, a folder twice, or a folder without a run.

    Examples
    --------
    >>> compare_runs(["runs/arc", "runs/cos"]).tests  # doctest: +SKIP
    """
    runs = [read_run(folder) for folder in folders]
    if len({run.folder for run in runs}) < max(2, len(runs)):
        raise UsageError("folders= needs two or more different runs; name each once.")
    _make_names_unique(runs)
    provenance = [read_if_valid(os.path.join(run.folder, PROVENANCE)) for run in runs]
    results = [read_results(run.folder) for run in runs]
    return Comparison(
        runs,
        differences([_flat(run.options) for run in runs]),
        differences([_data(values) for values in provenance]),
        differences([_program(values) for values in provenance]),
        results,
        [*_tests(results)],
        [log_rows(run.folder, _MOST_LOG) for run in runs],
    )


def differences(values: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the entries that are not the same in all dicts, one value for each; None where it is missing.

    Examples
    --------
    >>> differences([{"lr": 0.1, "loss": "arc"}, {"lr": 0.2, "loss": "arc"}])
    {'lr': [0.1, 0.2]}
    """
    found = {}
    for name in dict.fromkeys(name for entry in values for name in entry):
        row = [entry.get(name) for entry in values]
        if len({json.dumps(value, sort_keys=True, default=str) for value in row}) > 1:
            found[name] = row
    return found


def _make_names_unique(runs: Sequence[RunRecord]) -> None:
    """Prefix the names with parent folders where two runs have the same one."""
    if len({run.name for run in runs}) < len(runs):
        for run in runs:
            run.name = os.path.relpath(run.folder)


def _flat(options: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in options.items():
        if name in _OWN:
            continue
        if name.endswith("_args") and isinstance(value, dict):
            flat.update({f"{name[: -len('_args')]} {key}": argument for key, argument in value.items()})
        else:
            flat[name] = value
    return flat


def _data(provenance: dict[str, Any]) -> dict[str, Any]:
    files = provenance.get("data")
    found = {}
    for file in files if isinstance(files, list) else []:
        if isinstance(file, dict) and isinstance(file.get("path"), str):
            name = os.path.join(os.path.basename(os.path.dirname(file["path"])), os.path.basename(file["path"]))
            digest = file.get("sha256")
            found[name] = f"{file.get('size')} bytes" + (f", SHA-256 {str(digest)[:12]}" if digest else "")
    return found


def _program(provenance: dict[str, Any]) -> dict[str, Any]:
    sessions = provenance.get("sessions")
    last = sessions[-1] if isinstance(sessions, list) and sessions and isinstance(sessions[-1], dict) else {}
    found = {name: last.get(name) for name in _PROGRAMS}
    if isinstance(found["git"], str):
        # The first digits identify a commit; "+" marks changes after it.
        found["git"] = found["git"][:_COMMIT] + ("+" if found["git"].endswith("+") else "")
    environment = found.pop("environment")
    found.update({f"${name}": value for name, value in environment.items()} if isinstance(environment, dict) else {})
    return found


def _tests(results: Sequence[dict[str, SetResult]]) -> list[tuple[str, int, int, PairedTest]]:
    tests = []
    for first, second in itertools.combinations(range(len(results)), 2):
        for name in results[first]:
            one, other = results[first][name], results[second].get(name)
            if other is not None and np.array_equal(one.issame, other.issame):
                tests.append((name, first, second, paired_test(one.right, other.right)))
    return tests

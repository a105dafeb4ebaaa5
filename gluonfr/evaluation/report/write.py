from __future__ import annotations

import datetime
import json
import os
from typing import Any, Callable, Mapping, Sequence

from gluonfr.core import atomic_files
from gluonfr.evaluation.report.charts import Chart, draw_roc, draw_scores, draw_training, embed_png
from gluonfr.evaluation.report.entry import ReportEntry, check_entries
from gluonfr.evaluation.report.file_names import FileNames
from gluonfr.evaluation.report.hard_pairs import HardPair, contact_sheet_of, hardest_pairs
from gluonfr.evaluation.report.page import EntryFigures, Page, default_title, render
from gluonfr.version import __version__

PAGE, FIGURES = "report.html", "report.json"
_HARD = {"false_accepts": False, "false_rejects": True}


def write_report(
    folder: str,
    entries: Sequence[ReportEntry],
    title: str | None = None,
    curves: Sequence[dict[str, Any]] | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> str:
    """Write an evaluation of models on verification sets as one HTML page, with its figures as PNG and JSON.

    The page contains everything it shows and loads nothing. Next to it are `report.json` with all numbers, `roc_SET.png` for
    sets with pairs of both kinds, `scores_MODEL_SET.png`, `false_accepts_MODEL_SET.png` and `false_rejects_MODEL_SET.png` if
    images are known, and `curves.png` if there are curves. `report.json` maps models and sets to the files. The files are
    written atomically; other files in the folder are not changed.

    Parameters
    ----------
    folder : str
        Created when missing.
    entries : sequence of ReportEntry
        One per model and set, in the order of the page.
    title : str, optional
        By default the models and sets.
    curves : list of dict, optional
        Rows of a training log for :func:`gluonfr.viz.plot_training_curves`.
    pictures : dict of str to bytes, optional
        PNG files by caption, such as a plot of embeddings.

    Returns
    -------
    str
        Path of `report.html`.

    Raises
    ------
    UsageError
        There are no entries, two entries of one model and set, or a picture that is not a PNG.
    DataError
        The folder cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.linspace(0, 2, 40)
    >>> entry = ReportEntry("mine", "lfw", evaluate_pairs(distances, distances < 1))
    >>> write_report("report/", [entry])  # doctest: +SKIP
    '/home/ann/report/report.html'
    """
    entries = check_entries(entries)
    title, files = str(title or default_title(entries)), _Files()
    date = datetime.datetime.now().astimezone().replace(microsecond=0)
    embedded = {str(caption): embed_png(caption, data) for caption, data in (pictures or {}).items()}
    results, facts = _by_set_and_model(entries)
    rocs = {name: files.add(draw_roc(name, of_set), "roc", name) for name, of_set in results.items()}
    shown = [_draw(entry, files) for entry in entries]
    drawn = draw_training(curves) if curves is not None else None
    training = files.add(drawn, "curves") if isinstance(drawn, tuple) else drawn

    page = render(Page(title, date, facts, shown, rocs, training, embedded))
    numbers = {
        "title": title,
        "date": date.isoformat(),
        "gluonfr": __version__,
        "models": facts,
        "evaluations": _nested(shown, lambda figures: figures.entry.evaluation.to_dict()),
        "hardest": _nested(shown, lambda figures: {kind: _plain(getattr(figures, kind)) for kind in _HARD}),
        "pictures": _nested(shown, lambda figures: files.names_of(figures.entry)),
        "roc_pictures": {name: files.names["roc", name] for name, chart in rocs.items() if chart},
    }
    # The page is renamed last: when it is there, all files are.
    contents = {**files.contents, FIGURES: json.dumps(numbers, indent=1, allow_nan=False).encode(), PAGE: page.encode()}
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    with atomic_files(*(os.path.join(folder, name) for name in contents)) as opened:
        for file, data in zip(opened, contents.values()):
            file.write(data)
    return os.path.join(folder, PAGE)


def _by_set_and_model(
    entries: Sequence[ReportEntry],
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, str]]]:
    """Return the verification results by set and model, and the facts by model."""
    results: dict[str, dict[str, Any]] = {}
    facts: dict[str, dict[str, str]] = {}
    for entry in entries:
        results.setdefault(entry.set, {})[entry.model] = entry.evaluation.verification
        known = facts.setdefault(entry.model, {})
        known.update({str(name): str(fact) for name, fact in entry.facts.items() if name not in known and fact})
    return results, facts


class _Files:
    """The PNG files of a report.

    Attributes
    ----------
    contents : dict of str to bytes
        By file name.
    names : dict of tuple to str
        File names by (kind, name, ...).
    """

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.names: dict[tuple[str, ...], str] = {}
        self._unique = FileNames()

    def add(self, drawn: tuple[bytes, Chart | None] | None, *what: str) -> Chart | None:
        """Add the PNG of (PNG, chart) and return the chart; None is passed through."""
        if drawn is None:
            return None
        data, chart = drawn
        self.names[what] = self._unique(*what)
        self.contents[self.names[what]] = data
        return chart

    def names_of(self, entry: ReportEntry) -> dict[str, str]:
        """Return the file names of an entry's own figures by kind."""
        return {what[0]: name for what, name in self.names.items() if what[1:] == (entry.model, entry.set)}


def _draw(entry: ReportEntry, files: _Files) -> EntryFigures:
    name = (entry.model, entry.set)
    png, scores = draw_scores(*name, entry.evaluation)
    files.add((png, scores), "scores", *name)
    hard = {kind: hardest_pairs(entry, issame) for kind, issame in _HARD.items()}
    for kind, pairs in hard.items():
        sheet = contact_sheet_of(pairs)
        files.add((sheet, None) if sheet else None, kind, *name)
    return EntryFigures(entry, scores, **hard)


def _nested(shown: Sequence[EntryFigures], value: Callable[[EntryFigures], Any]) -> dict[str, dict[str, Any]]:
    """Return values by model and set."""
    nested: dict[str, dict[str, Any]] = {}
    for figures in shown:
        nested.setdefault(figures.entry.model, {})[figures.entry.set] = value(figures)
    return nested


def _plain(pairs: Sequence[HardPair]) -> list[dict[str, Any]]:
    return [
        {"pair": pair.number, "similarity": pair.similarity, "distance": pair.distance, "wrong": pair.wrong} for pair in pairs
    ]

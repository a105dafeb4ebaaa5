from __future__ import annotations

import datetime
import json
import os

import gluonfr
from gluonfr.core import atomic_files
from gluonfr.evaluation.report.charts import given_picture, roc_picture, score_picture, training_picture
from gluonfr.evaluation.report.entry import check_entries
from gluonfr.evaluation.report.hardest import hardest_pairs, sheet_of
from gluonfr.evaluation.report.naming import FileNames
from gluonfr.evaluation.report.page import Page, Shown, default_title, render

PAGE, FIGURES = "report.html", "report.json"
_HARD = {"false_accepts": False, "false_rejects": True}


def write_report(folder, entries, title=None, curves=None, pictures=None):
    """Write the evaluation of models on verification sets as one HTML page, and the same as PNG and JSON.

    The page holds everything it shows and loads nothing. Beside it lie `report.json` with all figures; `roc_SET.png` where
    a set has pairs of both kinds; `scores_MODEL_SET.png`, `false_accepts_MODEL_SET.png` and `false_rejects_MODEL_SET.png`,
    the last two where images are known; and `curves.png` where there are curves. `report.json` says which picture is whose.
    All files appear whole, or none does; other files in the folder stay.

    Parameters
    ----------
    folder : str
        Created when missing.
    entries : sequence of ReportEntry
        One for each model and set, in the order of the page.
    title : str, default None
        Models and sets otherwise.
    curves : list of dict, default None
        Rows of a training log, as :func:`gluonfr.viz.plot_training_curves` takes them.
    pictures : dict of str to bytes, default None
        PNG files by their captions, such as embeddings in a plane.

    Returns
    -------
    str, the path of `report.html`

    Raises
    ------
    GluonFRError
        No entries, two of one model and set, a picture that is no PNG, or a folder that cannot be written.
    """
    entries = check_entries(entries)
    title, kept = str(title or default_title(entries)), _Pictures()
    date = datetime.datetime.now().astimezone().replace(microsecond=0)
    given = {str(caption): given_picture(caption, data) for caption, data in (pictures or {}).items()}
    results, facts = {}, {}
    for entry in entries:
        results.setdefault(entry.set, {})[entry.model] = entry.evaluation.verification
        known = facts.setdefault(entry.model, {})
        known.update({str(name): str(fact) for name, fact in entry.facts.items() if name not in known and fact})
    rocs = {name: kept.keep(roc_picture(name, each), "roc", name) for name, each in results.items()}
    shown = [_show(entry, kept) for entry in entries]
    training = training_picture(curves) if curves is not None else None
    if isinstance(training, tuple):
        training = kept.keep(training, "curves")

    page = render(Page(title, date, facts, shown, rocs, training, given))
    figures = {
        "title": title,
        "date": date.isoformat(),
        "gluonfr": gluonfr.__version__,
        "models": facts,
        "evaluations": _nested(shown, lambda each: each.entry.evaluation.to_dict()),
        "hardest": _nested(shown, lambda each: {kind: _plain(getattr(each, kind)) for kind in _HARD}),
        "pictures": _nested(shown, lambda each: kept.names_of(each.entry)),
        "roc_pictures": {name: kept.names["roc", name] for name, chart in rocs.items() if chart},
    }
    # Named last: where the page is, all the rest is.
    files = {**kept.files, FIGURES: json.dumps(figures, indent=1, allow_nan=False).encode(), PAGE: page.encode()}
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    with atomic_files(*(os.path.join(folder, name) for name in files)) as opened:
        for file, data in zip(opened, files.values()):
            file.write(data)
    return os.path.join(folder, PAGE)


class _Pictures:
    """PNG files of a report: their bytes, and what is on them.

    Attributes
    ----------
    files : dict of file name to bytes
    names : dict of (kind, name, ...) to file name
    """

    def __init__(self) -> None:
        self.files, self.names, self._give = {}, {}, FileNames()

    def keep(self, drawn, *what):
        """Keep the PNG of (PNG, chart) and return the chart; None, where nothing was drawn, is passed through."""
        if drawn is None:
            return None
        data, chart = drawn
        self.names[what] = self._give(*what)
        self.files[self.names[what]] = data
        return chart

    def names_of(self, entry):
        """File names of an entry's own pictures by their kind."""
        return {what[0]: name for what, name in self.names.items() if what[1:] == (entry.model, entry.set)}


def _show(entry, kept):
    name = (entry.model, entry.set)
    scores = kept.keep(score_picture(*name, entry.evaluation), "scores", *name)
    hard = {kind: hardest_pairs(entry, issame) for kind, issame in _HARD.items()}
    for kind, pairs in hard.items():
        sheet = sheet_of(pairs)
        kept.keep(sheet and (sheet, None), kind, *name)
    return Shown(entry, scores, **hard)


def _nested(shown, value):
    """By model and set."""
    nested = {}
    for each in shown:
        nested.setdefault(each.entry.model, {})[each.entry.set] = value(each)
    return nested


def _plain(pairs):
    return [
        {"pair": each.number, "similarity": each.similarity, "distance": each.distance, "wrong": each.wrong} for each in pairs
    ]

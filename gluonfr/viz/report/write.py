import datetime
import json
import os

import gluonfr
from gluonfr.core import whole_files
from gluonfr.viz.report.charts import given_picture, roc_picture, score_picture, training_picture
from gluonfr.viz.report.entry import check_entries
from gluonfr.viz.report.hardest import hardest_pairs, sheet_of
from gluonfr.viz.report.naming import FileNames
from gluonfr.viz.report.page import Page, Shown, default_title, render

PAGE, FIGURES, CURVES = "report.html", "report.json", "curves.png"


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
    title = title or default_title(entries)
    date = datetime.datetime.now().astimezone().replace(microsecond=0)
    given = {str(caption): given_picture(caption, data) for caption, data in (pictures or {}).items()}
    files, names = {}, FileNames()

    results = {}
    for entry in entries:
        results.setdefault(entry.set, {})[entry.model] = entry.evaluation
    rocs, roc_files = {}, {}
    for name, each in results.items():
        drawn = roc_picture(name, {model: evaluation.verification for model, evaluation in each.items()})
        rocs[name] = drawn and _keep(files, names("roc", name), drawn, roc_files, name)

    shown, facts, records = [], {}, []
    for entry in entries:
        own = {}
        scores = _keep(
            files,
            names("scores", entry.model, entry.set),
            score_picture(entry.model, entry.set, entry.evaluation),
            own,
            "scores",
        )
        hard = {"false_accepts": hardest_pairs(entry, False), "false_rejects": hardest_pairs(entry, True)}
        for kind, pairs in hard.items():
            sheet = sheet_of(pairs)
            if sheet:
                _keep(files, names(kind, entry.model, entry.set), (sheet, None), own, kind)
        shown.append(Shown(entry, scores, **hard))
        known = facts.setdefault(entry.model, {})
        known.update({str(name): str(fact) for name, fact in entry.facts.items() if name not in known and fact})
        records.append((entry, hard, own))

    training = training_picture(curves) if curves is not None else None
    if isinstance(training, tuple):
        training = _keep(files, CURVES, training, {}, "curves")
    page = render(Page(str(title), date, facts, shown, rocs, training, given))
    figures = {
        "title": str(title),
        "date": date.isoformat(),
        "gluonfr": gluonfr.__version__,
        "models": facts,
        "evaluations": _nested(records, lambda entry, hard, own: entry.evaluation.to_dict()),
        "hardest": _nested(records, lambda entry, hard, own: {kind: _plain(pairs) for kind, pairs in hard.items()}),
        "pictures": _nested(records, lambda entry, hard, own: own),
        "roc_pictures": roc_files,
    }
    files[FIGURES] = json.dumps(figures, indent=1, allow_nan=False).encode()
    # Named last: where the page is, all the rest is.
    files[PAGE] = page.encode()
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    with whole_files(*(os.path.join(folder, name) for name in files)) as opened:
        for file, data in zip(opened, files.values()):
            file.write(data)
    return os.path.join(folder, PAGE)


def _keep(files, name, drawn, own, kind):
    """Keep a picture's PNG under a file name, note whose it is, and return its chart."""
    files[name], chart = drawn
    own[kind] = name
    return chart


def _nested(records, value):
    """By model and set."""
    nested = {}
    for entry, hard, own in records:
        nested.setdefault(entry.model, {})[entry.set] = value(entry, hard, own)
    return nested


def _plain(pairs):
    return [
        {"pair": each.number, "similarity": each.similarity, "distance": each.distance, "wrong": each.wrong} for each in pairs
    ]

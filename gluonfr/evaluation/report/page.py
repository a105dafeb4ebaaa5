"""The HTML page of a report."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Sequence

from gluonfr.evaluation.report import tables
from gluonfr.evaluation.report.charts import Chart
from gluonfr.evaluation.report.entry import ReportEntry
from gluonfr.evaluation.report.formatting import far_label
from gluonfr.evaluation.report.hard_pairs import HardPair
from gluonfr.evaluation.report.templates import page_template
from gluonfr.evaluation.report.threshold_steps import Steps, threshold_steps
from gluonfr.metrics import VerificationResult
from gluonfr.version import __version__
from gluonfr.viz.figure import COLORS, LINES, printable

# Most pairs with images on the page, so that it still loads, and fewest per list.
_MOST_PAIRS, _FEWEST = 144, 4


@dataclass
class EntryFigures:
    """An entry with its figures.

    Attributes
    ----------
    entry : ReportEntry
    scores : Chart
    false_accepts, false_rejects : list of HardPair

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.linspace(0.02, 1.98, 50)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> entry = ReportEntry("mine", "lfw", evaluation)
    >>> scores = Chart("data:,", "data:,", 451, 355, (0.1, 0.9, 0.1, 0.9), (0.0, 4.0))
    >>> EntryFigures(entry, scores, false_accepts=[], false_rejects=[]).scores.width
    451
    """

    entry: ReportEntry
    scores: Chart
    false_accepts: list[HardPair]
    false_rejects: list[HardPair]


@dataclass
class Page:
    """The contents of the page.

    Attributes
    ----------
    title : str
    date : datetime
    facts : dict of str to dict
        Facts by model.
    shown : list of EntryFigures
    rocs : dict of str to Chart or None
        ROC by set.
    training : Chart, str or None
        Training curves, or a sentence on why there are none.
    pictures : dict of str to dict
        Pictures by caption, with `uri`, `width` and `height`.

    Examples
    --------
    >>> page = Page("Mine", datetime.datetime(2026, 1, 1), {"mine": {}}, [], {"lfw": None}, None, {})
    >>> page.title
    'Mine'
    """

    title: str
    date: datetime.datetime
    facts: dict[str, dict[str, str]]
    shown: list[EntryFigures]
    rocs: dict[str, Chart | None]
    training: Chart | str | None
    pictures: dict[str, dict]


def default_title(entries: Sequence[ReportEntry]) -> str:
    """Return the title of a report without a title: its models and sets.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.linspace(0.02, 1.98, 50)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> entry = ReportEntry("mine", "lfw", evaluation)
    >>> default_title([entry])
    'mine on lfw'
    """
    models, sets = ({getattr(entry, kind) for entry in entries} for kind in ("model", "set"))
    what = entries[0].model if len(models) == 1 else f"{len(models)} models"
    return f"{what} on {entries[0].set}" if len(sets) == 1 else f"{what} on {len(sets)} verification sets"


def render(page: Page) -> str:
    """Return the page as HTML; names are escaped.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.linspace(0.02, 1.98, 50)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> entry = ReportEntry("mine", "lfw", evaluation)
    >>> scores = Chart("data:,", "data:,", 451, 355, (0.1, 0.9, 0.1, 0.9), (0.0, 4.0))
    >>> figures = EntryFigures(entry, scores, [], [])
    >>> page = Page("Mine", datetime.datetime(2026, 1, 1), {"mine": {}}, [figures], {"lfw": None}, None, {})
    >>> "<title>Mine</title>" in render(page)
    True
    """
    models = list(page.facts)
    targets = tables.far_targets([shown.entry.evaluation for shown in page.shown])
    most = max(_FEWEST, _MOST_PAIRS // (2 * len(page.shown)))
    sets = [
        _set(number, name, [shown for shown in page.shown if shown.entry.set == name], chart, models, targets, most)
        for number, (name, chart) in enumerate(page.rocs.items(), 1)
    ]
    return page_template("page.html").render(
        title=printable(page.title),
        date=page.date,
        version=__version__,
        models=[
            {"name": printable(name), "style": line_classes(number), "facts": _facts(facts)}
            for number, (name, facts) in enumerate(page.facts.items())
        ],
        sets=sets,
        targets=[far_label(far) for far in targets],
        several=len(models) > 1,
        steps={entry["id"]: entry["steps"] for section in sets for entry in section["entries"]},
        training=page.training,
        pictures=[{"caption": printable(caption), **picture} for caption, picture in page.pictures.items()],
    )


def _facts(facts: dict[str, str]) -> dict[str, str]:
    return {printable(name): printable(value) for name, value in facts.items()}


def line_classes(number: int) -> str:
    """Return the CSS classes of a model's line, which match `figure.line_style`.

    Examples
    --------
    >>> line_classes(8)
    'c1 d1'
    """
    return f"c{number % len(COLORS)} d{number // len(COLORS) % len(LINES)}"


def _set(
    number: int,
    name: str,
    shown: Sequence[EntryFigures],
    chart: Chart | None,
    models: list[str],
    targets: list[float],
    most: int,
) -> dict[str, Any]:
    evaluations = [figures.entry.evaluation for figures in shown]
    rows = tables.summary(evaluations, targets)
    first = evaluations[0].verification
    notes = [(printable(figures.entry.model), tables.intervals_note(figures.entry.evaluation)) for figures in shown]
    if len({note for _, note in notes}) == 1:
        notes = [("", notes[0][1])]
    return {
        "id": f"set-{number}",
        "name": printable(name),
        "roc": chart,
        "pairs": tables.pairs_text(first),
        "count": f"{first.pairs:,}",
        "missing": None if chart else "the same person" if not first.genuine else "different people",
        "notes": notes,
        "wanted": far_label(evaluations[0].wanted_far),
        "entries": [
            _entry(f"set-{number}-model-{models.index(figures.entry.model) + 1}", figures, models, cells, most)
            for figures, cells in zip(shown, rows)
        ],
    }


def _entry(identifier: str, shown: EntryFigures, models: list[str], cells: list[dict[str, Any]], most: int) -> dict[str, Any]:
    entry, evaluation = shown.entry, shown.entry.evaluation
    steps, result = threshold_steps(evaluation), evaluation.verification
    counts = _counts(steps, result)
    return {
        "id": identifier,
        "model": printable(entry.model),
        "style": line_classes(models.index(entry.model)),
        "cells": cells,
        "tiles": tables.tiles(evaluation),
        "sentence": evaluation.explain(printable(entry.set)),
        "production": evaluation.production is not None,
        "comparison": tables.comparison(evaluation),
        "thresholds": tables.thresholds(evaluation),
        "groups": {
            printable(column): [{**row, "value": printable(row["value"])} for row in rows]
            for column, rows in tables.groups(evaluation).items()
        },
        "scores": shown.scores,
        "decisions": tables.decisions(counts),
        "start": {"similarity": steps.similarity[steps.start], "distance": steps.distance[steps.start]},
        "steps": {
            "similarity": steps.similarity,
            "distance": steps.distance,
            "true_accepts": steps.true_accepts,
            "false_accepts": steps.false_accepts,
            "start": steps.start,
            "genuine": result.genuine,
            "impostors": result.impostors,
            "limits": shown.scores.limits,
            "name": f"{printable(entry.model)}, {printable(entry.set)}",
        },
        "images": entry.images is not None,
        "hard": [
            {
                "title": "Hardest false accepts",
                "what": "the most similar pairs of different people",
                "none": "There are no pairs of different people.",
                "pairs": shown.false_accepts[:most],
            },
            {
                "title": "Hardest false rejects",
                "what": "the least similar pairs of the same person",
                "none": "There are no pairs of the same person.",
                "pairs": shown.false_rejects[:most],
            },
        ],
    }


def _counts(steps: Steps, result: VerificationResult) -> dict[str, int]:
    true_accepts, false_accepts = steps.true_accepts[steps.start], steps.false_accepts[steps.start]
    return {
        "true_accepts": true_accepts,
        "false_rejects": result.genuine - true_accepts,
        "false_accepts": false_accepts,
        "true_rejects": result.impostors - false_accepts,
    }

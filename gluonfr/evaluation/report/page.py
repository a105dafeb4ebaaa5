from __future__ import annotations

import datetime
import os
from dataclasses import dataclass

import gluonfr
from gluonfr.evaluation.report import tables
from gluonfr.evaluation.report.charts import Chart
from gluonfr.evaluation.report.entry import ReportEntry
from gluonfr.evaluation.report.hardest import HardPair
from gluonfr.evaluation.report.steps import threshold_steps
from gluonfr.evaluation.report.wording import far_label
from gluonfr.viz.figure import COLORS, LINES, printable

_TEMPLATES = os.path.join(os.path.dirname(__file__), "html")
# Pairs of images that all entries together show: a page of many must still load.
_MOST_PAIRS, _FEWEST = 144, 4


@dataclass
class Shown:
    """An entry with its pictures.

    Attributes
    ----------
    entry : ReportEntry
    scores : Chart
    false_accepts, false_rejects : list of HardPair
    """

    entry: ReportEntry
    scores: Chart
    false_accepts: list[HardPair]
    false_rejects: list[HardPair]


@dataclass
class Page:
    """All that the page shows.

    Attributes
    ----------
    title : str
    date : datetime
    facts : dict of model to dict of str to str
    shown : list of Shown
    rocs : dict of set to Chart or None
    training : Chart, str or None
        A sentence where there is nothing to draw.
    pictures : dict of caption to dict of `uri`, `width` and `height`
    """

    title: str
    date: datetime.datetime
    facts: dict[str, dict[str, str]]
    shown: list[Shown]
    rocs: dict[str, Chart | None]
    training: Chart | str | None
    pictures: dict[str, dict]


def default_title(entries) -> str:
    """Of a report without one."""
    models, sets = ({getattr(entry, kind) for entry in entries} for kind in ("model", "set"))
    what = entries[0].model if len(models) == 1 else f"{len(models)} models"
    return f"{what} on {entries[0].set}" if len(sets) == 1 else f"{what} on {len(sets)} verification sets"


def render(page):
    """The page as HTML text. Whatever is a name in it stands there as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    models = list(page.facts)
    targets = tables.far_targets([each.entry.evaluation for each in page.shown])
    most = max(_FEWEST, _MOST_PAIRS // (2 * len(page.shown)))
    sets = [
        _set(number, name, [each for each in page.shown if each.entry.set == name], chart, models, targets, most)
        for number, (name, chart) in enumerate(page.rocs.items(), 1)
    ]
    return environment.get_template("page.html").render(
        title=printable(page.title),
        date=page.date,
        version=gluonfr.__version__,
        models=[
            {"name": printable(name), "style": _style(number), "facts": _facts(facts)}
            for number, (name, facts) in enumerate(page.facts.items())
        ],
        sets=sets,
        targets=[far_label(far) for far in targets],
        several=len(models) > 1,
        steps={entry["id"]: entry["steps"] for each in sets for entry in each["entries"]},
        training=page.training,
        pictures=[{"caption": printable(caption), **picture} for caption, picture in page.pictures.items()],
    )


def _facts(facts):
    return {printable(name): printable(value) for name, value in facts.items()}


def _style(number) -> str:
    """Classes of a model's line, as `figure.line_style` draws it."""
    return f"c{number % len(COLORS)} d{number // len(COLORS) % len(LINES)}"


def _set(number, name, shown, chart, models, targets, most):
    evaluations = [each.entry.evaluation for each in shown]
    rows = tables.summary(evaluations, targets)
    first = evaluations[0].verification
    notes = [(printable(each.entry.model), tables.intervals_note(each.entry.evaluation)) for each in shown]
    if len({note for _, note in notes}) == 1:
        notes = [("", notes[0][1])]
    return {
        "id": f"set-{number}",
        "name": printable(name),
        "roc": chart,
        "pairs": tables.pairs_text(first),
        "count": f"{first.pairs:,}",
        "missing": None if chart else "one person" if not first.genuine else "different people",
        "notes": notes,
        "wanted": far_label(evaluations[0].wanted_far),
        "entries": [
            _entry(f"set-{number}-model-{models.index(each.entry.model) + 1}", each, models, cells, most)
            for each, cells in zip(shown, rows)
        ],
    }


def _entry(identifier, shown, models, cells, most):
    entry, evaluation = shown.entry, shown.entry.evaluation
    steps, result = threshold_steps(evaluation), evaluation.verification
    counts = _counts(steps, result)
    return {
        "id": identifier,
        "model": printable(entry.model),
        "style": _style(models.index(entry.model)),
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
                "what": "different people most alike",
                "none": "There are no pairs of different people.",
                "pairs": shown.false_accepts[:most],
            },
            {
                "title": "Hardest false rejects",
                "what": "photos of one person furthest apart",
                "none": "There are no pairs of one person.",
                "pairs": shown.false_rejects[:most],
            },
        ],
    }


def _counts(steps, result):
    true_accepts, false_accepts = steps.true_accepts[steps.start], steps.false_accepts[steps.start]
    return {
        "true_accepts": true_accepts,
        "false_rejects": result.genuine - true_accepts,
        "false_accepts": false_accepts,
        "true_rejects": result.impostors - false_accepts,
    }

"""What the tables of the page hold, in words and numbers ready to be shown."""

from __future__ import annotations

import math

from gluonfr.evaluation.report.wording import (
    NONE,
    count_of,
    digits_of,
    far_label,
    far_text,
    fixed,
    interval,
    percent,
    unresolvable,
)

_NAN = (math.nan, math.nan)


def far_targets(evaluations):
    """All FAR targets of the protocol in several evaluations, most frequent first."""
    return sorted({at.target for each in evaluations for at in each.verification.tar_at_far}, reverse=True)


def summary(evaluations, targets):
    """Rows of cells for the models on one set, the best of each column marked.

    Parameters
    ----------
    evaluations : list of PairEvaluation
    targets : list of float

    Returns
    -------
    list of list of dict
        A row an evaluation; each cell has `text`, `small` (an interval, or '') and `best`.
    """
    rows = [_figures(each, targets) for each in evaluations]
    for column in zip(*rows):
        values = [cell["value"] for cell in column if not math.isnan(cell["value"])]
        # Marked where there is something to choose from.
        if len(values) > 1 and min(values) < max(values):
            best = max(values)
            for cell in column:
                cell["best"] = cell["value"] == best
    return rows


def _figures(evaluation, targets):
    result, known = evaluation.verification, evaluation.intervals.values if evaluation.intervals else {}
    tars = {at.target: at.tar for at in result.tar_at_far if at.resolvable}
    accuracy = f"{percent(result.accuracy)} ± {percent(result.accuracy_std)}"
    return [
        _cell(accuracy, result.accuracy, interval(known.get("accuracy", _NAN), percent)),
        *(_cell(percent(tars.get(far, math.nan)), tars.get(far, math.nan)) for far in targets),
        _cell(fixed(result.auc, 5), result.auc, interval(known.get("auc", _NAN), lambda value: fixed(value, 4))),
        _cell(percent(result.eer), -result.eer, interval(known.get("eer", _NAN), percent)),
        _cell(fixed(result.dprime, 2), result.dprime),
    ]


def _cell(text, value, small=""):
    return {"text": text, "value": value, "small": small, "best": False}


def intervals_note(evaluation) -> str:
    """Over whom the intervals were taken, in a sentence."""
    intervals = evaluation.intervals
    if intervals is None:
        return "No intervals: they need to know, or to be told from shared images, whose the images are."
    told = "as the set names them" if evaluation.people_known else "told apart by the images that pairs share"
    return (
        f"{100 * intervals.confidence:g} % intervals over {intervals.people:,} people, {told}; "
        f"{intervals.replicates:,} draws of people."
    )


def thresholds(evaluation):
    """Rows of the thresholds table: a dict for each FAR target, and for that of the production threshold."""
    production, points = evaluation.production, list(evaluation.points)
    if production and all(point.target != production.target for point in points):
        points = sorted([*points, production], key=lambda point: -point.target)
    known = evaluation.intervals.values if evaluation.intervals else {}
    return [_threshold(point, production, known) for point in points]


def _threshold(point, production, known):
    row = {"far": far_label(point.target), "why": "", "production": False}
    if not point.resolvable:
        return {**row, "why": unresolvable(point)}
    tar = known.get(f"tar@far={point.target:g}", _NAN)
    return {
        **row,
        "production": production is not None and point.target == production.target,
        "similarity": f"{point.similarity:.4f}",
        "distance": f"{point.threshold:.4f}",
        "tar": percent(point.tar),
        "tar_interval": interval(tar, percent),
        "true_accepts": f"{point.true_accepts:,} of {point.genuine:,}",
        "measured": percent(point.far, digits_of(point.impostors)),
        "measured_interval": interval(point.far_interval, lambda value: percent(value, digits_of(point.impostors))),
        "false_accepts": f"{point.false_accepts:,} of {point.impostors:,}",
    }


def decisions(counts):
    """The four decisions and the rates that follow from them, as text by their names."""
    genuine = counts["true_accepts"] + counts["false_rejects"]
    impostors = counts["false_accepts"] + counts["true_rejects"]
    right = counts["true_accepts"] + counts["true_rejects"]
    shares = {"true_accepts": genuine, "false_rejects": genuine, "false_accepts": impostors, "true_rejects": impostors}
    texts = {name: f"{count:,}" for name, count in counts.items()}
    for name, total in shares.items():
        texts[f"{name}_share"] = f"{percent(counts[name] / total, digits_of(total))} %" if total else NONE
    texts["accuracy"] = f"{percent(right / (genuine + impostors))} %"
    return texts


def groups(evaluation):
    """Dict of column to rows, each with the texts of a group and the length of its bar: errors, the largest 100."""
    tables = {}
    for group in evaluation.groups:
        tables.setdefault(group.column, []).append(group)
    return {column: _bars(rows) for column, rows in tables.items()}


def _bars(rows):
    digits = max(digits_of(row.impostors) for row in rows)
    largest = max([1 - row.accuracy for row in rows if not math.isnan(row.accuracy)], default=0)
    return [
        {
            "value": row.value,
            "pairs": f"{row.pairs:,}",
            "genuine": f"{row.genuine:,}",
            "impostors": f"{row.impostors:,}",
            "accuracy": percent(row.accuracy),
            "errors": percent(1 - row.accuracy),
            "bar": 0 if math.isnan(row.accuracy) or not largest else round(100 * (1 - row.accuracy) / largest, 1),
            "tar": percent(row.tar),
            "far": percent(row.far, digits),
            "auc": fixed(row.auc, 4),
            "eer": percent(row.eer),
        }
        for row in rows
    ]


def tiles(evaluation):
    """The figures to read first: list of (name, value, unit)."""
    result, production = evaluation.verification, evaluation.production
    shown = [("Accuracy, 10 folds" if len(result.fold_accuracies) == 10 else "Accuracy", percent(result.accuracy), "%")]
    if production:
        shown.append((f"TAR at FAR {far_text(production.target)}", percent(production.tar), "%"))
    shown += [("AUC", fixed(result.auc, 5), ""), ("EER", percent(result.eer), "%"), ("d′", fixed(result.dprime, 2), "")]
    return shown


def comparison(evaluation):
    """At the production threshold: similarity, TAR, FAR and both kinds of errors; dashes where there is none."""
    point = evaluation.production
    if point is None:
        return [NONE] * 5
    return [
        f"{point.similarity:.4f}",
        percent(point.tar),
        percent(point.far, digits_of(point.impostors)),
        f"{point.genuine - point.true_accepts:,}",
        f"{point.false_accepts:,}",
    ]


def pairs_text(result) -> str:
    """'6,000 pairs: 3,000 of one person, 3,000 of different people.'"""
    return (
        f"{count_of(result.pairs, 'pair')}: {result.genuine:,} of one person (genuine), "
        f"{result.impostors:,} of different people (impostors)."
    )

"""The contents of the tables of the page, as text."""

from __future__ import annotations

import math
from typing import Any, Sequence

from gluonfr.core.wording import counted
from gluonfr.evaluation.report.formatting import (
    NONE,
    count_of,
    far_label,
    far_text,
    fixed,
    interval,
    percent,
    percent_digits,
    unresolvable,
)
from gluonfr.metrics import OperatingPoint, PairEvaluation, VerificationResult

_NAN = (math.nan, math.nan)


def far_targets(evaluations: Sequence[PairEvaluation]) -> list[float]:
    """Return all FAR targets of the protocol in several evaluations, in descending order.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.tile([0.5, 1.5], 25)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> far_targets([evaluation])[:3]
    [0.1, 0.01, 0.001]
    """
    return sorted({at.target for evaluation in evaluations for at in evaluation.verification.tar_at_far}, reverse=True)


def summary(evaluations: Sequence[PairEvaluation], targets: Sequence[float]) -> list[list[dict[str, Any]]]:
    """Return the rows of the summary of one set, one per model, with the best cell of each column marked.

    Parameters
    ----------
    evaluations : list of PairEvaluation
    targets : list of float
        FAR targets, one column each.

    Returns
    -------
    list of list of dict
        Cells with `text`, `value`, `small` (a confidence interval, or '') and `best`.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.tile([0.5, 1.5], 25)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> summary([evaluation], [])[0][0]["text"]
    '100.00 ± 0.00'
    """
    rows = [_summary_row(evaluation, targets) for evaluation in evaluations]
    for column in zip(*rows):
        values = [cell["value"] for cell in column if not math.isnan(cell["value"])]
        # Only where the models differ.
        if len(values) > 1 and min(values) < max(values):
            best = max(values)
            for cell in column:
                cell["best"] = cell["value"] == best
    return rows


def _summary_row(evaluation: PairEvaluation, targets: Sequence[float]) -> list[dict[str, Any]]:
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


def _cell(text: str, value: float, small: str = "") -> dict[str, Any]:
    return {"text": text, "value": value, "small": small, "best": False}


def intervals_note(evaluation: PairEvaluation) -> str:
    """Return a sentence on the people over whom the confidence intervals are computed.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.tile([0.5, 1.5], 25)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> intervals_note(evaluation)
    'No confidence intervals, because the people on the images are unknown and cannot be inferred.'
    """
    intervals = evaluation.intervals
    if intervals is None:
        return "No confidence intervals, because the people on the images are unknown and cannot be inferred."
    source = "as the set names them" if evaluation.people_known else "inferred from the images that pairs share"
    return (
        f"{100 * intervals.confidence:g} % confidence intervals over {counted(intervals.people, 'person')}, {source}; "
        f"{intervals.replicates:,} bootstrap samples."
    )


def thresholds(evaluation: PairEvaluation) -> list[dict[str, Any]]:
    """Return the rows of the table of thresholds, one per FAR target, that of the production threshold included.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.tile([0.5, 1.5], 25)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> thresholds(evaluation)[0]["true_accepts"]
    '25 of 25'
    """
    production, points = evaluation.production, list(evaluation.points)
    if production and all(point.target != production.target for point in points):
        points = sorted([*points, production], key=lambda point: -point.target)
    known = evaluation.intervals.values if evaluation.intervals else {}
    return [_threshold(point, production, known) for point in points]


def _threshold(
    point: OperatingPoint, production: OperatingPoint | None, known: dict[str, tuple[float, float]]
) -> dict[str, Any]:
    row: dict[str, Any] = {"far": far_label(point.target), "why": "", "production": False}
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
        "measured": percent(point.far, percent_digits(point.impostors)),
        "measured_interval": interval(point.far_interval, lambda value: percent(value, percent_digits(point.impostors))),
        "false_accepts": f"{point.false_accepts:,} of {point.impostors:,}",
    }


def decisions(counts: dict[str, int]) -> dict[str, str]:
    """Return the four counts of decisions, and the rates that follow from them, as text.

    Examples
    --------
    >>> counts = {"true_accepts": 9, "false_rejects": 1, "false_accepts": 2, "true_rejects": 8}
    >>> decisions(counts)["accuracy"]
    '85.00 %'
    """
    genuine = counts["true_accepts"] + counts["false_rejects"]
    impostors = counts["false_accepts"] + counts["true_rejects"]
    right = counts["true_accepts"] + counts["true_rejects"]
    shares = {"true_accepts": genuine, "false_rejects": genuine, "false_accepts": impostors, "true_rejects": impostors}
    texts = {name: f"{count:,}" for name, count in counts.items()}
    for name, total in shares.items():
        texts[f"{name}_share"] = f"{percent(counts[name] / total, percent_digits(total))} %" if total else NONE
    texts["accuracy"] = f"{percent(right / (genuine + impostors))} %"
    return texts


def groups(evaluation: PairEvaluation) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of groups by column; a row has the text of its cells and the length of its bar, 0 to 100.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.tile([0.5, 1.5], 25)
    >>> group = np.repeat(["young", "old"], 25)
    >>> evaluation = evaluate_pairs(distances, np.arange(50) % 2, groups={"age": group})
    >>> [row["value"] for row in groups(evaluation)["age"]]
    ['old', 'young']
    """
    tables: dict[str, list[Any]] = {}
    for group in evaluation.groups:
        tables.setdefault(group.column, []).append(group)
    return {column: _bars(rows) for column, rows in tables.items()}


def _bars(rows: Sequence[Any]) -> list[dict[str, Any]]:
    digits = max(percent_digits(row.impostors) for row in rows)
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


def tiles(evaluation: PairEvaluation) -> list[tuple[str, str, str]]:
    """Return the most important metrics as (name, value, unit).

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.tile([0.5, 1.5], 25)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> tiles(evaluation)[0]
    ('Accuracy, 10 folds', '100.00', '%')
    """
    result, production = evaluation.verification, evaluation.production
    shown = [("Accuracy, 10 folds" if len(result.fold_accuracies) == 10 else "Accuracy", percent(result.accuracy), "%")]
    if production:
        shown.append((f"TAR at FAR {far_text(production.target)}", percent(production.tar), "%"))
    shown += [("AUC", fixed(result.auc, 5), ""), ("EER", percent(result.eer), "%"), ("d′", fixed(result.dprime, 2), "")]
    return shown


def comparison(evaluation: PairEvaluation) -> list[str]:
    """Return similarity, TAR, FAR, false rejects and false accepts at the production threshold; dashes without one.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.tile([0.5, 1.5], 25)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> comparison(evaluation)[3:]
    ['0', '0']
    """
    point = evaluation.production
    if point is None:
        return [NONE] * 5
    return [
        f"{point.similarity:.4f}",
        percent(point.tar),
        percent(point.far, percent_digits(point.impostors)),
        f"{point.genuine - point.true_accepts:,}",
        f"{point.false_accepts:,}",
    ]


def pairs_text(result: VerificationResult) -> str:
    """Return a sentence on the number of pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.tile([0.5, 1.5], 25)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> pairs_text(evaluation.verification)
    '50 pairs: 25 of the same person (genuine), 25 of different people (impostors).'
    """
    return (
        f"{count_of(result.pairs, 'pair')}: {result.genuine:,} of the same person (genuine), "
        f"{result.impostors:,} of different people (impostors)."
    )

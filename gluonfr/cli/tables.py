"""How the commands print results."""

from __future__ import annotations

import math
import re
import sys
import textwrap
import unicodedata
from typing import Any, Iterable, Mapping, Sequence

from gluonfr.core import display_path
from gluonfr.core.wording import counted

_NONE = "-"
_NUMBER = re.compile(r"[-+]?[0-9.]|-?$")


def print_table(rows: Iterable[Sequence[object]], header: Sequence[object]) -> None:
    """Print rows below a header; columns of numbers are aligned to the right, except the first.

    Control characters and text direction marks, as file names may contain them, are printed as escapes.

    Examples
    --------
    >>> print_table([["a", 1, "x"], ["long", 22, "yz"]], ["set", "n", "license"])
    set    n  license
    a      1  x
    long  22  yz
    >>> print_table([["王芳", 1], ["Łukasz", 22]], ["person", "n"])
    person   n
    王芳     1
    Łukasz  22
    """
    table = [[display_path(str(cell)) for cell in row] for row in (header, *rows)]
    columns = list(zip(*table))
    widths = [max(map(_columns, column)) for column in columns]
    is_number = [number > 0 and all(map(_NUMBER.match, column[1:])) for number, column in enumerate(columns)]
    for row in table:
        blanks = [" " * (width - _columns(cell)) for cell, width in zip(row, widths)]
        cells = (blank + cell if right else cell + blank for cell, blank, right in zip(row, blanks, is_number))
        print("  ".join(cells).rstrip())


def _columns(text: str) -> int:
    """Return the columns of a terminal that a text occupies: two for a Chinese, Japanese or Korean character."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def number(value: float | None, digits: int) -> str:
    """Write a number with this number of digits after the point; a dash for None and NaN.

    Examples
    --------
    >>> number(0.98765, 3), number(float("nan"), 3)
    ('0.988', '-')
    """
    return _NONE if value is None or math.isnan(value) else f"{value:.{digits}f}"


def print_text(text: str) -> None:
    """Print sentences, indented and wrapped at 110 columns."""
    print(textwrap.fill(display_path(text), 110, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))


def print_left_out(left_out: Mapping[str, str]) -> int:
    """Print the reasons for images that were left out to stderr; returns the exit status."""
    for reason in left_out.values():
        print(f"left out: {display_path(reason)}", file=sys.stderr)
    return 1 if left_out else 0


def print_results(results: Mapping[str, Any]) -> None:
    """Print verification results, one row per set."""
    rates = [at for result in results.values() for at in result.tar_at_far]
    targets = sorted({at.target for at in rates if at.resolvable}, reverse=True)
    header = ["set", "pairs", "accuracy", "+-", *(f"TAR@FAR={far:g}" for far in targets), "AUC", "EER", "d'", "threshold"]
    rows = []
    for name, result in results.items():
        tar = {at.target: at.tar for at in result.tar_at_far if at.resolvable}
        rows.append(
            [name, result.pairs, number(result.accuracy, 5), number(result.accuracy_std, 5)]
            + [number(tar.get(far), 4) for far in targets]
            + [number(result.auc, 5), number(result.eer, 4), number(result.dprime, 3), _threshold(result)]
        )
    print_table(rows, header)
    if not all(at.resolvable for at in rates):
        print("TAR@FAR is omitted where a set has fewer impostor pairs than 1 / FAR, or no genuine pairs.")


def _threshold(result: Any) -> str:
    return number(result.threshold, 3) if result.genuine and result.impostors else _NONE


def print_evaluation(name: str, evaluation: Any) -> None:
    """Print thresholds, confidence intervals, groups and the threshold to use of one set."""
    rows = [
        [
            f"{point.target:g}",
            f"{point.similarity:.4f}",
            f"{point.threshold:.4f}",
            f"{point.tar:.4f}",
            f"{point.false_accepts:,} of {point.impostors:,}",
            f"{point.far_interval[0]:.2g} to {point.far_interval[1]:.2g}",
        ]
        for point in evaluation.points
        if point.resolvable
    ]
    print(f"\n{display_path(name)}")
    if rows:
        print_table(rows, ["  FAR", "similarity above", "distance below", "TAR", "false accepts", "95 % interval of FAR"])
    if evaluation.intervals:
        _print_intervals(evaluation)
    if evaluation.groups:
        groups = [
            [f"  {group.column} = {group.value}", group.pairs, group.genuine]
            + [number(group.accuracy, 4), number(group.tar, 4), number(group.far, 5), number(group.auc, 5)]
            for group in evaluation.groups
        ]
        print_table(groups, ["  group", "pairs", "genuine", "accuracy", "TAR", "FAR", "AUC"])
    print_text(f"In an application: {evaluation.explain(name)}")


def _print_intervals(evaluation: Any) -> None:
    intervals = evaluation.intervals
    shown = [f"{name} {low:.4f} to {high:.4f}" for name, (low, high) in intervals.values.items() if low < high]
    inferred = "" if evaluation.people_known else ", inferred from shared images"
    print_text(
        f"{100 * intervals.confidence:g} % confidence intervals over {counted(intervals.people, 'person')}{inferred}: "
        f"{', '.join(shown) or 'none, because there are too few errors'}."
    )


def print_identification(result: Any) -> None:
    """Print the CMC curve and the open-set rates of one gallery."""
    print(
        f"{counted(result.gallery_images, 'image')} of {counted(result.gallery_people, 'person')} in the gallery; "
        f"{result.mated:,} probes of enrolled people, {result.strangers:,} probes of unknown people"
    )
    print_table(
        [[f"rank {rank}", number(rate, 4)] for rank, rate in zip(result.ranks, result.cmc)], ["CMC", "identification rate"]
    )
    rows = [
        [f"{rate.target:g}", number(rate.dir, 4), number(rate.threshold, 4), f"{rate.false_alarms:,} of {rate.strangers:,}"]
        for rate in result.dir_at_fpir
        if rate.resolvable
    ]
    if rows:
        print_table(rows, ["FPIR", "DIR", "similarity above", "false alarms"])
    unresolved = [f"{rate.target:g}" for rate in result.dir_at_fpir if not rate.resolvable]
    if unresolved and not result.mated:
        print("DIR is omitted, because no probe shows an enrolled person.")
    elif unresolved:
        print(f"DIR at FPIR {', '.join(unresolved)} is omitted: {result.strangers:,} probes of unknown people are too few.")


def print_megaface(name: str, results: Sequence[Any]) -> None:
    """Print MegaFace results, one row per number of distractors."""
    first = results[0]
    print(
        f"\n{display_path(name)}: {first.probes:,} probes of {counted(first.people, 'person')}, {first.pairs:,} pairs; "
        f"{first.replaced:,} noisy probes replaced, {results[-1].pushed_away:,} noisy distractors moved away"
    )
    rows = [
        [f"{row.distractors:,}", *(number(rate, 5) for rate in row.cmc), *(number(at.tar, 5) for at in row.tar_at_far)]
        for row in results
    ]
    header = [*(f"rank {rank}" for rank in first.ranks), *(f"TAR@FAR={at.target:g}" for at in first.tar_at_far)]
    print_table(rows, ["distractors", *header])


def print_rates(values: Iterable[tuple[str, float]]) -> None:
    """Print metrics, one per line."""
    print_table([[name, number(value, 5)] for name, value in values], ["metric", "value"])

"""How results are printed."""

from __future__ import annotations

import math
import textwrap

_NONE = "-"


def print_table(rows, header) -> None:
    """Print rows under a header in columns of their own width, numbers to the right."""
    table = [[_printable(each) for each in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*table)]
    for row in table:
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))
        )
        print("  ".join([first, *others]).rstrip())


def _printable(cell):
    # Names of files and of their columns need not be text; what is not is shown as its escapes.
    return str(cell).encode("utf-8", "backslashreplace").decode("utf-8")


def number(value, digits):
    """With so many digits after the point; a dash for what is not defined."""
    return _NONE if value is None or math.isnan(value) else f"{value:.{digits}f}"


def print_results(results) -> None:
    """A table of verification results: one row a set."""
    everywhere = sorted({at.target for result in results.values() for at in result.tar_at_far}, reverse=True)
    told = {at.target for result in results.values() for at in result.tar_at_far if at.resolvable}
    far = [each for each in everywhere if each in told]
    header = ["set", "pairs", "accuracy", "+-", *(f"TAR@FAR={each:g}" for each in far), "AUC", "EER", "d'", "threshold"]
    rows = []
    for name, result in results.items():
        tar = {at.target: at.tar for at in result.tar_at_far if at.resolvable}
        rows.append(
            [name, result.pairs, number(result.accuracy, 5), number(result.accuracy_std, 5)]
            + [number(tar.get(each), 4) for each in far]
            + [number(result.auc, 5), number(result.eer, 4), number(result.dprime, 3), _threshold(result)]
        )
    print_table(rows, header)
    if any(not at.resolvable for result in results.values() for at in result.tar_at_far):
        print("A rate that is left out or a dash: the set has fewer impostor pairs than 1 / FAR, or no genuine ones.")


def _threshold(result):
    return number(result.threshold, 3) if result.genuine and result.impostors else _NONE


def print_evaluation(name, evaluation) -> None:
    """Thresholds, intervals, groups and the threshold to use, of one set."""
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
    print(f"\n{_printable(name)}")
    if rows:
        print_table(rows, ["  FAR", "similarity above", "distance below", "TAR", "false accepts", "95 % interval of FAR"])
    if evaluation.intervals:
        print_intervals(evaluation)
    if evaluation.groups:
        header = ["  group", "pairs", "of one person", "accuracy", "TAR", "FAR", "AUC"]
        groups = [
            [f"  {each.column} = {each.value}", each.pairs, each.genuine]
            + [number(each.accuracy, 4), number(each.tar, 4), number(each.far, 5), number(each.auc, 5)]
            for each in evaluation.groups
        ]
        print_table(groups, header)
    print_text(f"In an application: {evaluation.explain(name)}")


def print_intervals(evaluation) -> None:
    """Bootstrap intervals in words."""
    intervals = evaluation.intervals
    shown = [f"{name} {low:.4f} to {high:.4f}" for name, (low, high) in intervals.values.items() if low < high]
    told = "" if evaluation.people_known else ", told apart by shared images"
    print_text(
        f"{100 * intervals.confidence:g} % intervals over {intervals.people:,} people{told}: "
        f"{', '.join(shown) or 'none, because there are too few errors'}."
    )


def print_text(text) -> None:
    """Sentences, in lines that can be read."""
    print(textwrap.fill(_printable(text), 110, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))


def print_identification(result) -> None:
    """CMC and open-set rates of one gallery."""
    print(
        f"{result.gallery_images:,} images of {result.gallery_people:,} people in the gallery; {result.mated:,} probes of "
        f"them, {result.strangers:,} of strangers"
    )
    rows = [[f"rank {rank}", number(rate, 4)] for rank, rate in zip(result.ranks, result.cmc)]
    print_table(rows, ["found at", "share of probes"])
    told = [each for each in result.dir_at_fpir if each.resolvable]
    if told:
        rows = [
            [f"{each.target:g}", number(each.dir, 4), number(each.threshold, 4), f"{each.false_alarms:,} of {each.strangers:,}"]
            for each in told
        ]
        print_table(rows, ["FPIR", "DIR", "similarity above", "false alarms"])
    untold = [f"{each.target:g}" for each in result.dir_at_fpir if not each.resolvable]
    if untold and not result.mated:
        print("No probe has its person in the gallery, so that nobody can be found.")
    elif untold:
        print(f"FPIR {', '.join(untold)}: {result.strangers:,} probes of strangers cannot tell.")


def print_megaface(name, results) -> None:
    """A row for each number of distractors."""
    first = results[0]
    print(
        f"\n{name}: {first.probes:,} probes of {first.people:,} people, {first.pairs:,} pairs; {first.replaced:,} noisy probes "
        f"replaced, {results[-1].pushed_away:,} noisy distractors pushed away"
    )
    rows = [
        [f"{each.distractors:,}", *(number(rate, 5) for rate in each.cmc), *(number(at.tar, 5) for at in each.tar_at_far)]
        for each in results
    ]
    header = [*(f"rank {rank}" for rank in first.ranks), *(f"TAR@FAR={at.target:g}" for at in first.tar_at_far)]
    print_table(rows, ["distractors", *header])


def print_rates(values) -> None:
    """Names and rates, one a line."""
    print_table([[name, number(value, 5)] for name, value in values], ["figure", "value"])

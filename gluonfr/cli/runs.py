"""`gluonfr runs`: list, compare and watch training runs."""

from __future__ import annotations

import csv
import difflib
import sys
from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_json, write_json
from gluonfr.cli.tables import print_table
from gluonfr.core import UsageError, display_path

_ACTIONS = ("compare", "watch")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr runs`."""
    parser.usage = (
        "gluonfr runs [FOLDER] [options]\n       gluonfr runs compare RUN RUN ... [--out FOLDER]\n       gluonfr runs watch RUN"
    )
    parser.add_argument(
        "words", nargs="*", metavar="FOLDER", help="folder that contains the runs (default: runs), or compare, watch"
    )
    listing = parser.add_argument_group("list")
    listing.add_argument("--where", action="append", default=[], metavar="NAME=VALUE", help="only runs with this value")
    listing.add_argument(
        "--sort", metavar="NAME", help="column, option or verification set; -NAME reverses (default: by name, as a tree)"
    )
    listing.add_argument("--csv", metavar="FILE", help="write the table to this file; - is the standard output")
    add_json(listing, "the runs or the comparison")
    compare = parser.add_argument_group("compare")
    compare.add_argument("--out", metavar="FOLDER", help="also write compare.html, compare.png and compare.json")
    compare.add_argument("--title", help="title of the page (default: the names of the runs)")


def run(arguments: Namespace) -> int:
    """Run `gluonfr runs`."""
    words = arguments.words
    action, folders = (words[0], words[1:]) if words and words[0] in _ACTIONS else ("list", words)
    if action == "compare":
        if len(folders) < 2:
            raise UsageError("`gluonfr runs compare` needs the folders of two or more runs.")
        return _compare(arguments, folders)
    if action == "watch" and len(folders) != 1:
        raise UsageError("`gluonfr runs watch` needs the folder of one run.")
    if len(folders) > 1:
        nearest = difflib.get_close_matches(words[0], _ACTIONS, 1)
        raise UsageError(
            f"unknown action {words[0]!r}: did you mean {nearest[0]!r}?"
            if nearest
            else "give one folder that contains runs; to compare runs, write `gluonfr runs compare RUN RUN`."
        )
    return _watch(folders[0]) if action == "watch" else _list(arguments, folders[0] if folders else "runs")


def _list(arguments: Namespace, folder: str) -> int:
    from gluonfr.apps.runs import listing
    from gluonfr.apps.runs.records import find_runs

    runs = listing.filter_runs(find_runs(folder), arguments.where)
    tree = [(0, run) for run in listing.sort_runs(runs, arguments.sort)] if arguments.sort else listing.arrange_tree(runs)
    names = listing.columns(runs)
    rows = [listing.row(run, names) for _, run in tree]
    write_json(arguments, [listing.to_dict(run) for _, run in tree])
    if arguments.csv:
        _write_csv(arguments.csv, names, rows)
    if arguments.csv == "-" or arguments.json == "-":
        return 0
    if not runs:
        print(f"no runs in {display_path(folder)}" + (" with these values" if arguments.where else ""))
        return 0
    shown = [_cells(row, "  " * depth) for (depth, _), row in zip(tree, rows)]
    print_table(shown, names)
    for _, run in tree:
        for text in (run.reason if run.state in ("failed", "stopped", "killed") else "", run.note):
            if text:
                print(display_path(f"{run.name}: {text}"))
    return 0


def _cells(row: dict[str, object], indent: str) -> list[str]:
    from gluonfr.apps.runs.text import duration

    cells = []
    for name, value in row.items():
        if value is None:
            cells.append("-")
        elif name == "run":
            cells.append(f"{indent}{value}")
        elif name == "started":
            cells.append(str(value)[:16].replace("T", " "))
        elif name == "time":
            cells.append(duration(float(str(value))))
        elif name.endswith((" best", " last")):
            cells.append(f"{float(str(value)):.5f}")
        else:
            cells.append(f"{value:g}" if isinstance(value, float) else str(value))
    return cells


def _write_csv(path: str, names: list[str], rows: list[dict[str, object]]) -> None:
    from gluonfr.core import atomic_file

    if path == "-":
        csv.writer(sys.stdout).writerows([names, *(row.values() for row in rows)])
        return
    with atomic_file(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *(row.values() for row in rows)])


def _compare(arguments: Namespace, folders: list[str]) -> int:
    from gluonfr.apps.runs.comparison import compare_runs
    from gluonfr.apps.runs.text import percent, show

    comparison = compare_runs(folders)
    names = [run.name for run in comparison.runs]
    for title, values in (("option", comparison.options), ("data", comparison.data), ("program", comparison.programs)):
        if values:
            print_table([[name, *map(show, row)] for name, row in values.items()], [title, *names])
            print()
    results = []
    for set_name in comparison.set_names():
        for number, (name, sets) in enumerate(zip(names, comparison.results)):
            accuracy, result = comparison.last_accuracy(number, set_name), sets.get(set_name)
            if result:
                interval, auc = f"{percent(result.low)} to {percent(result.high)}", f"{result.auc:.5f}"
            else:
                interval, auc = "not finished", "-"
            if accuracy is not None:
                results.append([name, set_name, percent(accuracy), interval, auc])
    if results:
        print_table(results, ["run", "set", "accuracy", "95 % interval", "AUC"])
    for set_name, first, second, test in comparison.tests:
        verdict = "real" if test.is_real else "may be chance"
        p_value = f"= {test.p_value:.3f}" if test.p_value >= 0.001 else "< 0.001"
        print(
            display_path(
                f"{set_name}: {names[first]} - {names[second]} = {100 * test.difference:+.2f} % "
                f"({100 * test.low:+.2f} to {100 * test.high:+.2f} %), p {p_value}: {verdict}"
            )
        )
    write_json(arguments, comparison.to_dict())
    if arguments.out:
        from gluonfr.apps.runs.page import write_comparison

        print(f"comparison: {display_path(write_comparison(arguments.out, comparison, arguments.title))}")
    return 0


def _watch(folder: str) -> int:
    from gluonfr.apps.runs.live import watch_run
    from gluonfr.apps.runs.text import describe_state

    try:
        run = watch_run(folder)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the run continues") from None
    print(display_path(f"{run.name}: {describe_state(run.state, run.reason)}"))
    return 0 if run.state == "finished" else 1

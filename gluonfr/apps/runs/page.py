"""The comparison of runs as an HTML page with its figure, and as JSON."""

from __future__ import annotations

import datetime
import json
import os
from typing import Any

from gluonfr.apps.runs.comparison import Comparison
from gluonfr.apps.runs.paired import PairedTest
from gluonfr.apps.runs.text import describe_state, duration, percent, show
from gluonfr.core import DataError, absolute_path, atomic_files
from gluonfr.evaluation.report.charts import Chart, to_chart, to_png
from gluonfr.evaluation.report.page import line_classes
from gluonfr.evaluation.report.templates import page_template
from gluonfr.version import __version__
from gluonfr.viz.figure import printable
from gluonfr.viz.run_curves import plot_run_curves

PAGE, FIGURE, NUMBERS = "compare.html", "compare.png", "compare.json"
_HERE = os.path.join(os.path.dirname(__file__), "html")


def write_comparison(folder: str, comparison: Comparison, title: str | None = None) -> str:
    """Write `compare.html`, which contains all it shows, `compare.png` with the curves, and `compare.json` with the numbers.

    Parameters
    ----------
    folder : str
        Created when missing.
    comparison : Comparison
    title : str, optional
        By default the names of the runs.

    Returns
    -------
    str
        Path of the page.

    Raises
    ------
    DataError
        The folder cannot be written.

    Examples
    --------
    >>> from gluonfr.apps.runs.comparison import compare_runs
    >>> write_comparison("report/", compare_runs(["runs/arc", "runs/cos"]))  # doctest: +SKIP
    '/home/ann/report/compare.html'
    """
    contents: dict[str, bytes] = {}
    chart = None
    try:
        figure = plot_run_curves({run.name: rows for run, rows in zip(comparison.runs, comparison.curves)})
        contents[FIGURE] = to_png(figure)
        chart = to_chart(figure, *figure.get_size_inches())
    except DataError:
        # Runs that ended before their first log line have no curves.
        pass
    contents[NUMBERS] = json.dumps(comparison.to_dict(), indent=1, default=str).encode()
    contents[PAGE] = render(comparison, chart, title).encode()
    folder = absolute_path(folder)
    with atomic_files(*(os.path.join(folder, name) for name in contents)) as files:
        for file, data in zip(files, contents.values()):
            file.write(data)
    return os.path.join(folder, PAGE)


def render(comparison: Comparison, chart: Chart | None, title: str | None = None) -> str:
    """Return the page as HTML; names are escaped.

    Examples
    --------
    >>> from gluonfr.apps.runs.records import RunRecord
    >>> runs = [RunRecord("/r/arc", "arc"), RunRecord("/r/cos", "cos")]
    >>> "<title>arc, cos</title>" in render(Comparison(runs, {}, {}, {}, [{}, {}], [], [[], []]), None)
    True
    """
    return page_template("compare.html", _HERE).render(
        title=printable(title or ", ".join(run.name for run in comparison.runs)),
        date=datetime.datetime.now().astimezone().replace(microsecond=0),
        version=__version__,
        runs=[
            {"name": printable(run.name), "style": line_classes(number), "facts": _facts(comparison, number)}
            for number, run in enumerate(comparison.runs)
        ],
        results=_results(comparison),
        tests=[_test(comparison, *test) for test in comparison.tests],
        curves=chart,
        differences=[
            _part("Options", comparison.options, "All options are the same."),
            _part("Data", comparison.data, "The data files are the same, or were not recorded."),
            _part("Programs and machine", comparison.programs, "Versions and machine are the same, or were not recorded."),
        ],
    )


def _facts(comparison: Comparison, number: int) -> list[tuple[str, str]]:
    run = comparison.runs[number]
    facts = [
        ("state", describe_state(run.state, run.reason)),
        ("network", run.network),
        ("loss", run.loss),
        ("data", run.dataset),
        ("steps", "" if run.step is None else f"{run.step:,}" + (f" of {run.total_steps:,}" if run.total_steps else "")),
        ("speed", "" if run.images_per_second is None else f"{run.images_per_second:,.1f} images/s"),
        ("time", duration(run.seconds)),
        ("from", os.path.basename(run.parent)),
        ("note", run.note),
    ]
    return [(name, printable(value)) for name, value in facts if value]


def _results(comparison: Comparison) -> list[dict[str, Any]]:
    sections = []
    for name in comparison.set_names():
        shown = [
            (number, sets.get(name), comparison.last_accuracy(number, name))
            for number, sets in enumerate(comparison.results)
            if comparison.last_accuracy(number, name) is not None
        ]
        highest = max(accuracy or 0.0 for _, _, accuracy in shown)
        rows = [
            {
                "name": printable(comparison.runs[number].name),
                "style": line_classes(number),
                "accuracy": percent(accuracy),
                "is_best": len(shown) > 1 and accuracy == highest,
                "interval": f"{percent(result.low)} to {percent(result.high)}" if result else "not finished",
                "auc": f"{result.auc:.5f}" if result else "–",
                "best": percent(comparison.runs[number].best.get(name)),
            }
            for number, result, accuracy in shown
        ]
        counts = {len(result.issame) for _, result, _ in shown if result}
        pairs = f"{counts.pop():,} pairs" if len(counts) == 1 else "different pairs" if counts else "no stored pairs"
        sections.append({"name": printable(name), "pairs": pairs, "rows": rows})
    return sections


def _test(comparison: Comparison, name: str, first: int, second: int, test: PairedTest) -> dict[str, str]:
    one, other = (printable(comparison.runs[number].name) for number in (first, second))
    better = one if test.difference > 0 else other
    return {
        "runs": f"{one} − {other}",
        "set": printable(name),
        "difference": f"{100 * test.difference:+.2f} %",
        "interval": f"{100 * test.low:+.2f} to {100 * test.high:+.2f} %",
        "only": f"{test.first_only:,} / {test.second_only:,}",
        "p": f"{test.p_value:.3f}" if test.p_value >= 0.001 else "< 0.001",
        "verdict": f"{better} is better" if test.is_real else "may be chance",
    }


def _part(title: str, values: dict[str, list[Any]], none: str) -> dict[str, Any]:
    rows = [{"name": printable(name), "values": [printable(show(value)) for value in row]} for name, row in values.items()]
    return {"title": title, "rows": rows, "none": none}

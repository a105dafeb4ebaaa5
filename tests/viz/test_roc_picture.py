import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.metrics import evaluate_verification
from gluonfr.viz import plot_roc


def result(seed, n=600, shift=0.6, **options):
    random = np.random.default_rng(seed)
    issame = random.random(n) < 0.5
    return evaluate_verification(np.clip(random.normal(1.9 - shift * issame, 0.3), 0, 4), issame, **options)


def line(figure, label):
    (found,) = [drawn for drawn in figure.axes[0].lines if drawn.get_label().startswith(label)]
    return found


def test_lines_are_the_curves_and_the_legend_states_their_figures():
    results = {"lfw": result(0), "cfp_fp": result(1, n=900, shift=0.3)}
    figure = plot_roc(results)
    for name, expected in results.items():
        drawn = line(figure, name)
        np.testing.assert_array_equal(drawn.get_xdata(), expected.roc.corners().far)
        np.testing.assert_array_equal(drawn.get_ydata(), expected.roc.corners().tar)
        assert f"AUC {expected.auc:.4f}" in drawn.get_label()
        assert f"accuracy {100 * expected.accuracy:.2f} ± {100 * expected.accuracy_std:.2f} %" in drawn.get_label()
    assert line(figure, "lfw").get_color() != line(figure, "cfp_fp").get_color()
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlim() == (1 / results["cfp_fp"].impostors, 1)
    assert "FAR" in axes.get_xlabel()
    assert "TAR" in axes.get_ylabel()
    chance = line(figure, "chance")
    np.testing.assert_array_equal(chance.get_xdata(), chance.get_ydata())


def test_far_targets_within_the_axis_are_marked():
    figure = plot_roc({"lfw": result(0, far_target=[0.1, 0.01, 1e-6])})
    marks = [drawn.get_xdata()[0] for drawn in figure.axes[0].lines if len(drawn.get_xdata()) == 2]
    assert sorted(marks) == [0.01, 0.1]


def test_a_perfect_curve_lies_inside_the_axes():
    issame = np.arange(100) < 50
    figure = plot_roc(evaluate_verification(np.where(issame, 0.5, 2.0), issame))
    low, high = figure.axes[0].get_ylim()
    assert low < 1 < high
    assert max(line(figure, "AUC 1.0000").get_ydata()) == 1


def test_many_curves_differ_in_color_or_dashes():
    figure = plot_roc({f"set {seed:02}": result(seed, n=60) for seed in range(12)})
    lines = [drawn for drawn in figure.axes[0].lines if drawn.get_label().startswith("set")]
    styles = {(drawn.get_color(), drawn.get_linestyle()) for drawn in lines}
    assert len(styles) == 12


def test_the_png_has_the_size_of_the_figure(tmp_path):
    path = tmp_path / "new" / "roc.png"
    figure = plot_roc(result(0), path, title="demo")
    image = cv2.imread(str(path))
    width, height = figure.get_size_inches() * figure.dpi
    assert image.shape == (round(height), round(width), 3)
    assert image.shape[1] <= 1200
    assert path.stat().st_size < 200_000
    # The first color (#0072B2, here BGR) covers the pixels of a curve.
    assert (image == (0xB2, 0x72, 0x00)).all(axis=2).sum() > 300
    assert [entry.name for entry in path.parent.iterdir()] == ["roc.png"]


def test_threads_draw_equal_figures(tmp_path):
    results = {"lfw": result(0)}
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    plot_roc(results, paths[0])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: plot_roc(results, path), paths[1:]))
    assert len({path.read_bytes() for path in paths}) == 1


@pytest.mark.system
def test_drawing_needs_no_display_and_no_global_state(tmp_path):
    program = (
        "import sys, numpy as np\n"
        "from gluonfr.metrics import evaluate_verification\n"
        "from gluonfr.viz import plot_roc\n"
        "plot_roc(evaluate_verification(np.arange(20.0), np.arange(20) < 10), sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "roc.png")],
        check=True,
        env={"MPLBACKEND": "tkagg", "MPLCONFIGDIR": str(tmp_path)},
    )
    assert cv2.imread(str(tmp_path / "roc.png")) is not None


def test_invalid_results_are_refused_without_leaving_a_file(tmp_path):
    path = tmp_path / "roc.png"
    with pytest.raises(GluonFRError, match="no results"):
        plot_roc({}, path)
    one_kind = evaluate_verification(np.arange(20.0), np.ones(20))
    with pytest.raises(GluonFRError, match="mine has no impostor pairs"):
        plot_roc({"lfw": result(0), "mine": one_kind}, path)
    with pytest.raises(GluonFRError, match="lfw is a float"):
        plot_roc({"lfw": 0.99}, path)
    with pytest.raises(GluonFRError, match=r"roc\.pdf: .*\.png"):
        plot_roc(result(0), tmp_path / "roc.pdf")
    assert list(tmp_path.iterdir()) == []


def test_the_legend_shows_any_name_literally(tmp_path):
    names = ["_hidden", "$\\frac{x$", "a\nb\x07", "/long/" * 20 + "best"]
    figure = plot_roc({name: result(seed, n=60) for seed, name in enumerate(names)}, tmp_path / "roc.png", title="$\\frac{")
    shown = [text.get_text().split(": AUC")[0] for text in figure.legends[0].get_texts()]
    assert shown[:3] == [" _hidden", "$\\frac{x$", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"]
    assert shown[3].startswith("/long/")
    assert "…" in shown[3]
    assert shown[3].endswith("best")
    assert len(shown[3]) < 50

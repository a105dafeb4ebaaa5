import json

import cv2
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.viz import plot_training_curves


def rows(steps=range(10, 1010, 10)):
    history = []
    for step in steps:
        history.append(
            {"step": step, "epoch": step / 100, "loss": 1000 / step, "lr": 0.1 / step, "images_per_second": 40 + step % 7}
        )
        if step % 200 == 0:
            history.append({"step": step, "lfw/accuracy": step / 2000, "lfw/accuracy_std": 0.01, "lfw/auc": 0.9, "note": "x"})
    return history


def panel(figure, label):
    (axes,) = [axes for axes in figure.axes if axes.get_visible() and axes.get_ylabel().startswith(label)]
    return axes


def test_panels_draw_their_series():
    figure = plot_training_curves(rows())
    steps = np.arange(10, 1010, 10)
    for label, expected in [("loss", 1000 / steps), ("learning rate", 0.1 / steps), ("throughput", 40 + steps % 7)]:
        recorded = panel(figure, label).lines[0]
        np.testing.assert_array_equal(recorded.get_xdata(), steps)
        np.testing.assert_allclose(recorded.get_ydata(), expected)
    (accuracy,) = panel(figure, "validation accuracy (%)").lines
    np.testing.assert_array_equal(accuracy.get_xdata(), [200, 400, 600, 800, 1000])
    np.testing.assert_allclose(accuracy.get_ydata(), [10, 20, 30, 40, 50])
    assert accuracy.get_label() == "lfw: 50.00 %"
    assert "images / s" in panel(figure, "throughput").get_ylabel()
    assert "step (10 epochs)" in [text.get_text() for text in figure.texts]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


def test_the_smooth_line_is_the_mean_of_the_preceding_rows():
    figure = plot_training_curves(rows())
    recorded, smooth = panel(figure, "loss").lines
    assert "mean of the last 4 rows" in smooth.get_label()
    at = list(recorded.get_xdata()).index(500)
    assert smooth.get_ydata()[list(smooth.get_xdata()).index(500)] == pytest.approx(
        recorded.get_ydata()[at - 3 : at + 1].mean()
    )


def test_a_resumed_run_replaces_repeated_steps():
    figure = plot_training_curves([{"step": s, "loss": 1.0} for s in (1, 2, 3, 4)] + [{"step": s, "loss": 2.0} for s in (3, 5)])
    (line,) = panel(figure, "loss").lines
    assert list(line.get_xdata()) == [1, 2, 3, 5]
    assert list(line.get_ydata()) == [1, 1, 2, 2]


def test_missing_series_have_no_panel():
    figure = plot_training_curves([{"step": 1, "loss": 2.0, "lr": None}, {"step": 2, "loss": float("nan")}])
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss"]
    figure = plot_training_curves([{"step": 5, "a/accuracy": 0.5}, {"step": 5, "b/accuracy": 0.6}])
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["a: 50.00 %", "b: 60.00 %"]


def test_a_log_file_gives_the_figure_of_its_rows(tmp_path):
    log = tmp_path / "log.jsonl"
    history = rows()
    log.write_text("".join(json.dumps(row) + "\n" for row in history) + '{"step": 1010, "lo')
    figure = plot_training_curves(log, tmp_path / "curves.png")
    plot_training_curves(history, tmp_path / "same.png")
    assert (tmp_path / "curves.png").read_bytes() == (tmp_path / "same.png").read_bytes()
    width, height = figure.get_size_inches() * figure.dpi
    assert cv2.imread(str(tmp_path / "curves.png")).shape == (int(height), int(width), 3)
    log.write_text("\n".join(json.dumps(row) for row in history))
    assert panel(plot_training_curves(str(log)), "loss").lines[0].get_xdata()[-1] == 1000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"step": 1, "loss": 1}\nnot json\n{"step": 2, "loss": 1}\n', "line 2 is not JSON"),
        ('{"loss": 1}\n', "row 1 has no step"),
        ("[1]\n", "row 1 has no step"),
        ('{"step": 1, "epoch": 3}\n', "nothing to draw"),
        ("", "nothing to draw"),
        (b"\xff\xfe\x00", "cannot be read"),
        ("[" * 100_000 + "\n", "line 1 is not JSON"),
        ('{"step": 1' + "0" * 5000 + ', "loss": 1}\n', "line 1 is not JSON|row 1 has no step"),
    ],
)
def test_invalid_logs_are_refused_with_their_path(tmp_path, text, words):
    log = tmp_path / "log.jsonl"
    log.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GluonFRError, match=words) as caught:
        plot_training_curves(log, tmp_path / "curves.png")
    assert str(log) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "curves.png").exists()


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(GluonFRError, match="absent.jsonl cannot be read"):
        plot_training_curves(tmp_path / "absent.jsonl")


def test_average_precision_of_a_detector_has_a_panel():
    figure = plot_training_curves([{"step": 5, "loss": 2.0}, {"step": 5, "easy/ap": 0.8, "hard/ap": 0.4}])
    lines = panel(figure, "average precision (%)").lines
    assert [line.get_ydata().tolist() for line in lines] == [[80.0], [40.0]]

import cv2
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.metrics import evaluate_verification
from gluonfr.viz import plot_score_histogram


def pairs(n=500, dtype="float32"):
    random = np.random.default_rng(5)
    issame = random.random(n) < 0.3
    return np.clip(random.normal(1.9 - 0.7 * issame, 0.3), 0, 4).astype(dtype), issame


def outlines(figure):
    (axes,) = figure.axes
    return {patch.get_label().split(" ")[0]: patch for patch in axes.patches if patch.get_label()}


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_bars_are_shares_of_the_pairs_of_a_kind():
    distances, issame = pairs()
    figure = plot_score_histogram(evaluate_verification(distances, issame), bins=40)
    for kind, own in [("genuine", distances[issame]), ("impostor", distances[~issame])]:
        shares, edges, _ = outlines(figure)[kind].get_data()
        assert len(shares) == 40
        expected = [100 * np.mean((own >= low) & (own < high)) for low, high in zip(edges, edges[1:])]
        np.testing.assert_allclose(shares, expected, atol=1e-9)
        assert shares.sum() == pytest.approx(100)


def test_the_threshold_is_a_line_and_the_legend_states_the_errors():
    distances, issame = pairs()
    result = evaluate_verification(distances, issame)
    figure = plot_score_histogram(result)
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == [result.threshold] * 2
    rejected = 100 * np.mean(distances[issame] >= result.threshold)
    accepted = 100 * np.mean(distances[~issame] < result.threshold)
    assert labels(figure) == [
        f"genuine pairs ({issame.sum()}), {rejected:.2f} % rejected",
        f"impostor pairs ({(~issame).sum()}), {accepted:.2f} % accepted",
        f"threshold {result.threshold:.4g}",
    ]
    assert 0 < rejected < 50
    assert 0 < accepted < 50
    assert "squared Euclidean distance" in figure.axes[0].get_xlabel()
    assert "%" in figure.axes[0].get_ylabel()
    (line,) = plot_score_histogram(result, threshold=1.25).axes[0].lines
    assert line.get_xdata()[0] == 1.25


def test_a_distance_equal_to_the_threshold_is_rejected():
    genuine, impostor, _ = labels(plot_score_histogram([1.0, 2.0, 2.0, 3.0], [1, 1, 0, 0], threshold=2.0))
    assert genuine.endswith("50.00 % rejected")
    assert impostor.endswith(" 0.00 % accepted")


def test_distances_with_labels_give_the_figure_of_their_result():
    distances, issame = pairs()
    result = evaluate_verification(distances, issame)
    from_result = outlines(plot_score_histogram(result))
    figure = plot_score_histogram(distances, issame, threshold=result.threshold)
    for kind, outline in outlines(figure).items():
        np.testing.assert_allclose(outline.get_data().values, from_result[kind].get_data().values)
        np.testing.assert_array_equal(outline.get_data().edges, from_result[kind].get_data().edges)
    assert labels(figure) == labels(plot_score_histogram(result))
    assert len(plot_score_histogram(distances, issame).axes[0].lines) == 0


def test_pairs_of_one_kind_and_distance_can_be_drawn(tmp_path):
    figure = plot_score_histogram(evaluate_verification(np.ones(20), np.ones(20)), path=tmp_path / "one.png")
    assert list(outlines(figure)) == ["genuine"]
    assert outlines(figure)["genuine"].get_data().values.sum() == 100
    assert cv2.imread(str(tmp_path / "one.png")).std() > 5


def test_the_png_shows_both_kinds(tmp_path):
    path = tmp_path / "histogram.png"
    figure = plot_score_histogram(evaluate_verification(*pairs()), path=path)
    image = cv2.imread(str(path))
    width, height = figure.get_size_inches() * figure.dpi
    assert image.shape == (round(height), round(width), 3)
    for blue_green_red in [(0xB2, 0x72, 0x00), (0x00, 0x5E, 0xD5)]:
        assert (image == blue_green_red).all(axis=2).sum() > 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0.1, 0.2],), "needs issame"),
        (([0.1, 0.2], [1]), "do not match"),
        (([], []), "do not match"),
        (([0.1, np.nan], [1, 0]), "NaN"),
    ],
)
def test_invalid_input_is_refused(arguments, words):
    with pytest.raises(GluonFRError, match=words):
        plot_score_histogram(*arguments)

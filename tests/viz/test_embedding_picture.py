import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.offsetbox import AnnotationBbox

from gluonfr.core import GluonFRError
from gluonfr.data import get_recognition_dataset
from gluonfr.deploy import embed, load_model
from gluonfr.viz import plot_embeddings
from gluonfr.viz.embeddings import _sample


def groups(counts, spread=0.1, size=16, seed=0):
    """Return embeddings and labels in random order: label i has counts[i] points around one direction."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(counts)), counts))
    centers = random.normal(size=(len(counts), size))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    points = centers[labels] + spread * random.normal(size=(len(labels), size))
    # Lengths vary: only directions count.
    return points * random.uniform(0.1, 20, (len(labels), 1)), labels


def drawn(figure):
    """Return a dict of name to its drawn points, (n, 2), in order."""
    return {points.get_label(): np.asarray(points.get_offsets()) for points in figure.axes[0].collections}


def written(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def plane(embeddings):
    """Return scores and shares of the first two principal components of the directions, from the covariance."""
    directions = embeddings / np.sqrt((embeddings**2).sum(axis=1))[:, None]
    centered = directions - directions.mean(axis=0)
    values, vectors = np.linalg.eigh(centered.T @ centered)
    return centered @ vectors[:, [-1, -2]], values[[-1, -2]] / values.sum()


def purity(figure):
    """Return the share of points with a nearest neighbor of the same person."""
    found = list(drawn(figure).values())
    points, owner = np.concatenate(found), np.repeat(np.arange(len(found)), [len(group) for group in found])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.mean(owner[distances.argmin(axis=1)] == owner)


def test_pca_shows_the_first_two_principal_components_of_the_directions():
    embeddings, labels = groups([8, 5, 9])
    figure = plot_embeddings(embeddings, labels, method="pca")
    expected, shares = plane(embeddings)
    points = drawn(figure)
    assert list(points) == ["0", "1", "2"]
    for axis in (0, 1):
        found = np.concatenate([points[str(label)][:, axis] for label in range(3)])
        wanted = np.concatenate([expected[labels == label, axis] for label in range(3)])
        assert min(np.abs(found - wanted).max(), np.abs(found + wanted).max()) < 1e-9
    (axes,) = figure.axes
    assert f"first component, {100 * shares[0]:.1f} % of the variance" in axes.get_xlabel()
    assert f"together {100 * shares.sum():.1f} %" in axes.get_xlabel()
    assert f"second component, {100 * shares[1]:.1f} % of the variance" in axes.get_ylabel()
    assert axes.get_aspect() == 1


@pytest.mark.parametrize("people", [4, 12])
def test_tsne_separates_people_with_separate_embeddings(people):
    embeddings, labels = groups([12] * people)
    figure = plot_embeddings(embeddings, labels, people=people)
    assert purity(figure) == 1
    # The measure distinguishes: the same points with random labels are mixed.
    mixed = plot_embeddings(embeddings, np.random.default_rng(1).permutation(labels), people=people)
    assert purity(mixed) < 0.5
    assert "t-SNE, cosine distance, perplexity 5\n" in figure.axes[0].get_xlabel()
    assert "distances between groups mean nothing" in figure.axes[0].get_xlabel()


def test_equal_seeds_give_equal_figures(tmp_path):
    embeddings, labels = groups([30] * 5, spread=0.4)
    for name, seed in [("a", 3), ("b", 3), ("c", 4)]:
        plot_embeddings(embeddings, labels, images_per_person=12, seed=seed, path=tmp_path / f"{name}.png")
    same, again, other = (cv2.imread(str(tmp_path / f"{name}.png")) for name in "abc")
    assert np.array_equal(same, again)
    assert not np.array_equal(same, other)


def test_length_and_scale_of_the_embeddings_have_no_effect():
    embeddings, labels = groups([10, 10, 10])
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    for method in ("pca", "tsne"):
        first = drawn(plot_embeddings(directions, labels, method=method))
        for factor in (1e-200, 1e200):
            second = drawn(plot_embeddings(directions * factor, labels, method=method))
            for name in first:
                np.testing.assert_allclose(first[name], second[name], atol=1e-6 if method == "pca" else 0.5)


def test_people_with_most_images_are_drawn_and_ties_are_ordered_by_label():
    counts = [4, 9, 6, 9, 6, 6, 2]
    embeddings, labels = groups(counts)
    figure = plot_embeddings(embeddings, labels, people=4, method="pca")
    assert {name: len(points) for name, points in drawn(figure).items()} == {"1": 9, "2": 6, "3": 9, "4": 6}
    assert figure.axes[0].get_title() == "Embeddings: 30 images of 4 of 7 people"
    # People who are not drawn do not influence the components.
    rows = np.concatenate([np.flatnonzero(labels == label) for label in (1, 2, 3, 4)])
    found = np.concatenate(list(drawn(figure).values()))
    np.testing.assert_allclose(np.abs(found), np.abs(plane(embeddings[rows])[0]), atol=1e-9)
    everyone = plot_embeddings(embeddings, labels, method="pca")
    assert len(drawn(everyone)) == 7
    assert everyone.axes[0].get_title() == "Embeddings: 42 images of 7 people"


def test_listed_people_are_drawn_in_order_under_their_names():
    embeddings, labels = groups([4, 9, 6, 9])
    figure = plot_embeddings(embeddings, labels, people=[3, 0], names={3: "Ada"}, method="pca")
    assert {name: len(points) for name, points in drawn(figure).items()} == {"Ada": 9, "0": 4}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Ada", "0"]
    texts = np.array(["Zoe", "Ada", "Bob", "Cid"])[labels]
    figure = plot_embeddings(embeddings, texts, method="pca")
    assert list(drawn(figure)) == ["Ada", "Bob", "Cid", "Zoe"]
    assert not figure.legends[0].get_title().get_text()
    assert list(drawn(plot_embeddings(embeddings, texts.astype(object), people=["Zoe", "Bob"], method="pca"))) == ["Zoe", "Bob"]
    floats = plot_embeddings(embeddings, labels.astype(np.float32), names=["a", "b", "c", "d"], method="pca")
    assert list(drawn(floats)) == ["a", "b", "c", "d"]


def test_every_image_is_drawn_once_and_of_many_images_a_random_sample():
    embeddings, labels = groups([40, 12, 7])
    points = np.concatenate(list(drawn(plot_embeddings(embeddings, labels, method="pca")).values()))
    assert len(points) == 59
    assert len(np.unique(points.round(9), axis=0)) == 59
    few = drawn(plot_embeddings(embeddings, labels, images_per_person=10, method="pca"))
    assert [len(points) for points in few.values()] == [10, 10, 7]
    assert len(np.unique(np.concatenate(list(few.values())).round(9), axis=0)) == 27

    chosen = _sample(labels, [0, 1, 2], 10, seed=1)
    for label, rows in enumerate(chosen):
        assert (labels[rows] == label).all()
        assert (np.diff(rows) > 0).all()
    assert chosen[0].tolist() != _sample(labels, [0, 1, 2], 10, seed=2)[0].tolist()
    # Over the seeds, all rows are chosen about equally often: 400 draws of 10 in 40 have mean 100, standard deviation 9.
    often = np.bincount(np.concatenate([_sample(labels, [0], 10, seed)[0] for seed in range(400)]), minlength=59)
    assert often[labels == 0].min() > 60
    assert often[labels == 0].max() < 140


def test_people_differ_in_color_and_shape():
    embeddings, labels = groups([3] * 63)
    figure = plot_embeddings(embeddings, labels, people=63, method="pca")
    points = figure.axes[0].collections
    looks = [(to_hex(group.get_facecolor()[0]), group.get_paths()[0].vertices.tobytes()) for group in points]
    assert len(set(looks)) == 63
    colors, shapes = zip(*looks[:7])
    assert len(set(colors)) == len(set(shapes)) == 7


def test_few_people_are_named_in_a_legend_and_many_at_their_points():
    embeddings, labels = groups([6] * 13)
    few = plot_embeddings(embeddings, labels, people=12)
    assert [text.get_text() for text in few.legends[0].get_texts()] == [str(label) for label in range(12)]
    assert few.legends[0].get_title().get_text() == "label"
    assert not written(few)
    many = plot_embeddings(embeddings, labels, people=13, names=[f"person {label}" for label in range(13)])
    assert not many.legends
    assert written(many) == [f"person {label}" for label in range(13)]
    for text, points in zip(many.axes[0].texts, drawn(many).values()):
        # At one of the person's points, not between two halves.
        assert np.abs(points - text.xy).sum(axis=1).min() == 0


def test_faces_are_drawn_at_their_points():
    embeddings, labels = groups([20, 20, 20])

    read = []

    def image(number):
        read.append(number)
        return np.full((112, 112, 3), number, np.uint8)

    figure = plot_embeddings(embeddings, labels, images=image)
    boxes = [artist for artist in figure.axes[0].get_children() if isinstance(artist, AnnotationBbox)]
    faces = [int(box.offsetbox.get_data()[0, 0, 0]) for box in boxes]
    assert labels[faces].tolist() == [0, 1, 2]
    assert faces == read
    for box, points in zip(boxes, drawn(figure).values()):
        assert points[:, 0].min() <= box.xy[0] <= points[:, 0].max()
    for wrong in (np.zeros((112, 112), np.uint8), np.zeros((8, 8, 3), np.float32)):
        with pytest.raises(GluonFRError, match=r"images returns .* uint8 \(H, W, 3\)"):
            plot_embeddings(embeddings, labels, method="pca", images=lambda number, wrong=wrong: wrong)


def test_the_png_shows_the_people(tmp_path):
    path = tmp_path / "new" / "people.png"
    embeddings, labels = groups([20, 20, 20])
    figure = plot_embeddings(embeddings, labels, path=path, title="mine")
    image = cv2.imread(str(path))
    width, height = figure.get_size_inches() * figure.dpi
    assert image.shape == (round(height), round(width), 3)
    assert figure.axes[0].get_title() == "mine"
    # 85 % of the first three colors over white, here BGR.
    for color in [(0xB2, 0x72, 0x00), (0x00, 0x5E, 0xD5), (0x73, 0x9E, 0x00)]:
        mixed = 0.85 * np.array(color) + 0.15 * 255
        assert (np.abs(image - mixed).max(axis=2) < 2).sum() > 300
    assert [entry.name for entry in path.parent.iterdir()] == ["people.png"]


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("counts", [[2, 1], [1, 1, 1], [3, 3]])
def test_the_smallest_samples_can_be_drawn(method, counts):
    embeddings, labels = groups(counts, size=2)
    points = np.concatenate(list(drawn(plot_embeddings(embeddings, labels, method=method)).values()))
    assert len(points) == sum(counts)
    assert np.isfinite(points).all()
    assert np.ptp(points, axis=0).max() > 0


def test_embeddings_of_two_directions_can_be_drawn():
    embeddings = np.repeat(np.eye(2, 8), 30, axis=0)
    for method in ("pca", "tsne"):
        figure = plot_embeddings(embeddings, np.repeat([0, 1], 30), method=method)
        assert np.isfinite(np.concatenate(list(drawn(figure).values()))).all()
        assert purity(figure) == 1


GOOD, LABELS = groups([4, 4])
NAN, ZERO = GOOD.copy(), GOOD.copy()
NAN[5, 2], ZERO[3] = np.nan, 0


@pytest.mark.parametrize(
    ("embeddings", "labels", "options", "words"),
    [
        (NAN, LABELS, {}, "row 5 holds NaN or infinity"),
        (GOOD * [np.inf], LABELS, {}, "row 0 holds NaN or infinity"),
        (ZERO, LABELS, {}, "row 3 is zero, which has no direction"),
        (np.ones((8, 16)), LABELS, {}, "all have one direction"),
        (GOOD, LABELS[:-1], {}, "7 labels for 8 embeddings"),
        (GOOD[0], LABELS, {}, r"shape \(16,\)"),
        (GOOD[:, :1], LABELS, {}, r"shape \(8, 1\)"),
        (GOOD[:0], LABELS[:0], {}, r"shape \(0, 16\)"),
        ([["a", "b"]], [0], {}, "not an array of numbers"),
        ([[1, 2], [3]], [0, 1], {}, "not an array of numbers"),
        (GOOD, LABELS + 0.5, {}, "labels are float64"),
        (GOOD, np.where(LABELS, np.nan, 1), {}, "labels are float64"),
        (GOOD, LABELS[:, None], {}, r"labels are int64 \(8, 1\)"),
        (GOOD[:1], LABELS[:1], {}, "two people and three images, got 1 with 1"),
        (GOOD, np.zeros(8), {}, "two people and three images, got 1 with 8"),
        (GOOD[:2], [0, 1], {}, "two people and three images, got 2 with 2"),
        (GOOD, LABELS, {"images_per_person": 1}, "two people and three images, got 2 with 2"),
        (GOOD, LABELS, {"people": [1]}, "two people and three images, got 1 with 4"),
        (GOOD, LABELS, {"people": []}, "two people and three images, got 0 with 0"),
        (GOOD, LABELS, {"people": [0, 5]}, "no embedding has the label 5; labels range from 0 to 1"),
        (GOOD, LABELS, {"people": 1}, "people must be an integer of at least 2, got 1"),
        (GOOD, LABELS, {"people": 2.5}, "people must be an integer"),
        (GOOD, LABELS, {"images_per_person": 0}, "images_per_person must be an integer of at least 1"),
        (GOOD, LABELS, {"method": "umap"}, "method must be 'tsne' or 'pca', got 'umap'"),
        (GOOD, LABELS, {"seed": -1}, "seed must be an integer"),
        (GOOD, LABELS, {"names": ["Ada"]}, "1 names do not include label 1"),
        (GOOD, LABELS, {"path": "x.pdf"}, r"x\.pdf: .*\.png"),
    ],
)
def test_invalid_input_is_refused_with_one_sentence(embeddings, labels, options, words, tmp_path):
    options = {"path": tmp_path / "people.png", "method": "pca", **options}
    with pytest.raises(GluonFRError, match=words) as error:
        plot_embeddings(embeddings, labels, **options)
    assert "\n" not in str(error.value)
    assert not re.search(r"\. [A-Z]", str(error.value))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.system
def test_scikit_learn_is_imported_only_when_drawing():
    program = (
        "import sys, numpy as np\n"
        "from gluonfr.viz import plot_embeddings\n"
        # MXNet itself imports the base of scikit-learn, which is fast.
        "assert not {'sklearn.manifold', 'sklearn.decomposition'} & set(sys.modules)\n"
        "plot_embeddings(np.eye(12), np.arange(12) // 4)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error::FutureWarning", "-c", program], check=True)


@pytest.mark.system
def test_real_faces_of_one_person_are_neighbors(faces):
    dataset = get_recognition_dataset("celeb", root=faces)
    items = np.concatenate([items[:8] for items in dataset.identities[:10]])
    net, _ = load_model(f"{faces}/weights/mobilefacenet-y1-symbol.json")
    embeddings = embed(net, [dataset.read(item)[0] for item in items], flip=False)
    figure = plot_embeddings(embeddings, dataset.labels[items])
    assert len(drawn(figure)) == 10
    assert purity(figure) > 0.9

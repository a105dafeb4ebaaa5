import mxnet as mx
import numpy as np
import pytest
from scipy.spatial.distance import cosine
from sklearn.preprocessing import normalize

from gluonfr.core import GluonFRError
from gluonfr.metrics import FaceVerification, evaluate_verification, pair_distances


def embeddings(n=230, size=16, seed=0, dtype="float32"):
    random = np.random.default_rng(seed)
    issame = random.random(n) < 0.5
    first = random.normal(size=(n, size))
    second = random.normal(size=(n, size)) + 1.2 * first * issame[:, None]
    return issame, normalize(first).astype(dtype), normalize(second).astype(dtype)


def seven(metric, *update):
    metric.update(*update)
    return metric.get()


def assert_same(got, expected):
    assert len(got) == len(expected) == 7
    for one, other in zip(got, expected):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_seven_values_are_the_protocol_on_squared_distances(dtype):
    issame, first, second = embeddings(dtype=dtype)
    tpr, fpr, accuracy, val, val_std, far, accuracy_std = seven(FaceVerification(far_target=0.05), issame, first, second)
    expected = evaluate_verification(np.sum(np.square(first - second), 1), issame, far_target=0.05)
    np.testing.assert_array_equal(tpr, expected.tpr)
    np.testing.assert_array_equal(fpr, expected.fpr)
    (at,) = expected.tar_at_far
    assert (accuracy, accuracy_std, val, val_std, far) == (expected.accuracy, expected.accuracy_std, at.tar, at.tar_std, at.far)
    assert 0.7 < accuracy < 1
    assert 0 < val < 1


def test_a_list_of_targets_returns_arrays_and_named_values():
    issame, first, second = embeddings()
    metric = FaceVerification(far_target=[0.1, 0.01])
    *_, val, val_std, far, _ = seven(metric, issame, first, second)
    for place, target in enumerate([0.1, 0.01]):
        alone = seven(FaceVerification(far_target=target), issame, first, second)
        assert (val[place], val_std[place], far[place]) == alone[3:6]
    values = dict(metric.get_name_value())
    assert list(values) == [
        *("accuracy", "accuracy_std", "threshold"),
        *("tar@far=0.1", "tar@far=0.1_std", "far@far=0.1"),
        *("tar@far=0.01", "tar@far=0.01_std", "far@far=0.01"),
        *("auc", "eer", "dprime"),
    ]
    assert (values["tar@far=0.01"], values["far@far=0.01"]) == (val[1], far[1])
    assert values["auc"] == metric.result().auc
    assert all(type(value) is float for value in values.values())


def test_update_in_pieces_equals_one_update():
    issame, first, second = embeddings()
    whole = seven(FaceVerification(), issame, first, second)
    pieces = FaceVerification()
    for start, stop in [(0, 1), (1, 100), (100, 230)]:
        pieces.update(issame[start:stop], first[start:stop], second[start:stop])
        if stop == 100:
            pieces.get()
    assert_same(pieces.get(), whole)
    assert pieces.num_inst == 230


def test_ndarrays_on_two_devices_equal_arrays():
    issame, first, second = embeddings()
    whole = seven(FaceVerification(), issame, first, second)
    parts = [slice(0, 130), slice(130, 230)]
    on_devices = [
        [mx.nd.array(values[part], ctx=mx.cpu(device)) for device, part in enumerate(parts)]
        for values in (issame, first, second)
    ]
    assert [part.context for part in on_devices[1]] == [mx.cpu(0), mx.cpu(1)]
    assert_same(seven(FaceVerification(), *on_devices), whole)
    assert_same(seven(FaceVerification(), issame, *on_devices[1:]), whole)
    assert_same(seven(FaceVerification(), mx.nd.array(issame), mx.nd.array(first), mx.nd.array(second)), whole)
    assert_same(seven(FaceVerification(), issame.tolist(), first, second), whole)


def test_only_distances_and_labels_are_stored():
    metric = FaceVerification()
    issame, first, second = embeddings(n=4000, size=512)
    metric.update(issame, first, second)
    stored = [part for value in vars(metric).values() if isinstance(value, list) for part in value]
    assert sum(part.nbytes for part in stored) == 4000 * (4 + 1)
    first[:] = 0
    assert metric.get()[2] > 0.5


def test_reset_forgets_the_pairs_and_the_result():
    issame, first, second = embeddings()
    metric = FaceVerification()
    metric.update(~issame, first, second)
    metric.get()
    metric.reset()
    assert metric.num_inst == 0
    with pytest.raises(GluonFRError, match="no pairs yet"):
        metric.get()
    assert_same(seven(metric, issame, first, second), seven(FaceVerification(), issame, first, second))


def test_the_metric_is_created_by_name_and_from_its_configuration():
    metric = mx.metric.create("FaceVerification", far_target=[0.1], thresholds=np.array([0.5, 1.0]), name="lfw")
    assert isinstance(metric, FaceVerification)
    again = mx.metric.create(**metric.get_config())
    data = embeddings()
    assert_same(seven(again, *data), seven(metric, *data))
    assert again.name == "lfw"
    assert str(again) == "FaceVerification: lfw, 230 pairs"


def test_distances_are_computed_in_the_type_of_the_embeddings():
    issame, first, second = embeddings(n=3000, size=128)
    np.testing.assert_array_equal(pair_distances(first, second), np.sum(np.square(first - second), 1))
    assert pair_distances(first, second).dtype == np.float32
    assert pair_distances(first, second.astype("float64")).dtype == np.float64
    # float16 would lose three digits of the sum.
    half = pair_distances(first.astype("float16"), second.astype("float16"))
    np.testing.assert_allclose(half, pair_distances(first, second), rtol=2e-2)
    assert half.dtype == np.float32


def test_cosine_distance_ignores_length_and_is_half_the_squared_distance_of_unit_vectors():
    issame, first, second = embeddings(dtype="float64")
    scale = np.random.default_rng(1).uniform(0.1, 9, (230, 1))
    distances = pair_distances(first * scale, second / scale, dist_type=1)
    np.testing.assert_allclose(distances, [cosine(a, b) for a, b in zip(first, second)], atol=1e-12)
    np.testing.assert_allclose(2 * distances, pair_distances(first, second), atol=1e-12)
    assert pair_distances(first, first, 1).min() >= 0
    assert pair_distances(first, -first, 1).max() <= 2
    by_cosine = FaceVerification(dist_type=1)
    by_cosine.update(issame, first * scale, second)
    squared = FaceVerification()
    squared.update(issame, first, second)
    assert by_cosine.result().distance == "cosine distance"
    assert by_cosine.result().accuracy == pytest.approx(squared.result().accuracy, abs=0.01)
    assert by_cosine.result().threshold == pytest.approx(squared.result().threshold / 2, abs=0.006)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, a, b: (s[:-1], a, b), "229 labels for 230 pairs"),
        (lambda s, a, b: (s, a, b[:-1]), "do not match"),
        (lambda s, a, b: (s, a, b[:, :-1]), "do not match"),
        (lambda s, a, b: (s, a[:, 0], b[:, 0]), "do not match"),
        (lambda s, a, b: (s[:0], a[:0], b[:0]), "not empty"),
        (lambda s, a, b: (s, [], []), "not empty"),
        (lambda s, a, b: (s * 2, a, b), "0 or 1"),
        (
            lambda s, a, b: (s, a, np.where(np.arange(230)[:, None] == 7, np.nan, b)),
            "embeddings1 holds NaN or infinity, .* row 7",
        ),
        (
            lambda s, a, b: (s, np.where(np.arange(230)[:, None] == 9, np.inf, a), b),
            "embeddings0 holds NaN or infinity, .* row 9",
        ),
        (lambda s, a, b: (s, a * 1e30, b), "row 0 is not finite"),
        (lambda s, a, b: (s, [a[:5], a[5:, 1:]], b), "parts"),
        (lambda s, a, b: (s, a.astype(str), b), "real numbers"),
    ],
)
def test_an_invalid_update_is_refused_and_adds_nothing(change, words):
    issame, first, second = embeddings()
    metric = FaceVerification()
    metric.update(issame, first, second)
    before = metric.get()
    with pytest.raises(GluonFRError, match=words) as caught:
        metric.update(*change(issame.astype(int), first, second))
    assert "\n" not in str(caught.value)
    assert_same(metric.get(), before)


@pytest.mark.parametrize("dist_type", [2, -1, None, 0.0, "0"])
def test_an_unknown_distance_is_refused(dist_type):
    with pytest.raises(GluonFRError, match="dist_type must be 0"):
        pair_distances(np.eye(2), np.eye(2), dist_type)


def test_zero_vectors_have_no_cosine():
    with pytest.raises(GluonFRError, match="row 1 .*are zero"):
        pair_distances([[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]], dist_type=1)


def test_invalid_options_are_refused_at_once_and_too_few_pairs_by_get():
    with pytest.raises(GluonFRError, match="nfolds"):
        FaceVerification(nfolds=0)
    with pytest.raises(GluonFRError, match="far_target"):
        FaceVerification(far_target=-1)
    metric = FaceVerification()
    metric.update([1, 0], np.eye(2), np.eye(2))
    with pytest.raises(GluonFRError, match="2 pairs are too few for 10 folds"):
        metric.get_name_value()


def test_named_values_print_as_a_table():
    metric = FaceVerification(nfolds=2)
    metric.update([1, 0, 1, 0], np.eye(4), np.eye(4)[[0, 2, 2, 0]])
    values = metric.get_name_value()
    assert dict(values)["accuracy"] == 1
    lines = str(values).splitlines()
    assert [line.split()[0] for line in lines] == [name for name, _ in values]
    assert lines[0].split() == ["accuracy", "1"]
    # Numbers begin in one column.
    assert len({line.index(line.split()[1], len(line.split()[0]) + 2) for line in lines}) == 1

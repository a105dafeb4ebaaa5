"""Every loss of the list against what it should not be given: arguments, shapes, types, labels, and numbers that are none."""

import inspect

import numpy as np
import pytest
from mxnet import autograd, gluon, nd

import gluonfr.loss
from gluonfr.core import GluonFRError
from gluonfr.loss import get_loss, get_loss_list

N, C, D = 6, 5, 4
LABEL = np.array([0, 1, 0, 2, 1, 2])
NAMES = get_loss_list()
CLASSES = {name: getattr(gluonfr.loss, name) for name in NAMES}
# Losses that compare the samples of a batch.
GROUPED = [name for name, loss in CLASSES.items() if loss.spec.needs_identities and loss.spec.input_kind != "pairs"]

NUMBER = ["1", None, True, [1], float("nan"), float("inf"), -float("inf"), -1, nd.array([1])]
POSITIVE = [*NUMBER, 0]
WHOLE = ["1", None, True, [1], float("nan"), 2.5, 0, -1]
FLAG = ["yes", None, 2, 1.0]
# Arguments of the same name and kind in all losses that have them, then what differs.
BAD = {
    "classes": [*WHOLE, 1],
    "embedding_size": WHOLE,
    "dtype": [None, "int32", "nonsense", 7, [1]],
    "weight": [value for value in NUMBER if value is not None],
    "weight_initializer": ["nonsense", 3, [1]],
    "s": POSITIVE,
    "m": NUMBER,
    "margin": NUMBER,
    "momentum": [*NUMBER, 1],
    "alpha": NUMBER,
    "lamda": NUMBER,
    "easy_margin": FLAG,
}
SOME = {
    "ASoftmax": {
        "m": [*WHOLE, 11],
        "s": [value for value in POSITIVE if value is not None],
        "lambda_min": [*NUMBER, 1501],
        "lambda_max": [*NUMBER, 4],
        "phiflag": [False, None],
    },
    "AdaCos": {"dynamic": FLAG},
    "AdaFace": {"m": [*NUMBER, 1.6], "h": POSITIVE},
    "ArcLoss": {"m": [*NUMBER, 3.2]},
    "BatchHardTriplet": {"squared": FLAG},
    "COCOLoss": {"alpha": [value for value in POSITIVE if value is not None]},
    "CenterLoss": {"alpha": [*NUMBER, 1.1]},
    "CircleLoss": {"m": [*NUMBER, 1]},
    "CombinedMargin": {"m1": [*NUMBER, 0.9, 5], "m2": [*NUMBER, 3.2], "m3": [*NUMBER, 2]},
    "ContrastiveLoss": {"margin": POSITIVE},
    "CosLoss": {"m": [*NUMBER, 2]},
    "CurricularFace": {"m": [*NUMBER, 3.2]},
    "GitLoss": {"lamda_c": NUMBER, "lamda_g": NUMBER, "alpha": [*NUMBER, 1.1]},
    "L2Softmax": {"alpha": [value for value in POSITIVE if value is not None], "p": [*POSITIVE, 1], "from_normx": FLAG},
    "LGMLoss": {"lr_mult": NUMBER, "num_classes": [4]},
    "LSoftmax": {"m": [*WHOLE, 11], "lambda_min": [*NUMBER, 1501], "lambda_max": [*NUMBER, 4]},
    "MPSLoss": {"m": [*NUMBER, 2]},
    "MagFace": {
        "l_a": [*POSITIVE, 110],
        "u_a": [*POSITIVE, 10],
        "l_m": [*NUMBER, 0.9],
        "u_m": [*NUMBER, 0.4, 3.2],
        "lambda_g": NUMBER,
    },
    "MultiBatchLoss": {"theta": NUMBER},
    "NormFace": {"learned": FLAG},
    "PairwiseCircle": {"m": [*NUMBER, 1], "gamma": POSITIVE},
    "RangeLoss": {"beta": NUMBER, "top_k": WHOLE},
    "RingLoss": {"classes": [value for value in BAD["classes"] if value is not None], "r_init": ["nonsense", -1, [1]]},
    "SVXSoftmax": {
        "m": [value for value in [*NUMBER, 3.2] if value is not None],
        "m1": [*NUMBER, 0.9, 5],
        "m2": [value for value in [*NUMBER, 3.2] if value is not None],
        "m3": [value for value in [*NUMBER, 2] if value is not None],
        "t": [*NUMBER, 0.9],
        "x": ["sphere", None, 1, nd.array([1])],
    },
    "SemiHardTriplet": {"margin": POSITIVE},
    "SubCenterArc": {"K": WHOLE, "m": [*NUMBER, 3.2]},
}
# Taken from old callers, and without an effect.
IGNORED = {"GitLoss": ["batch_size_per_gpu"], "RangeLoss": ["num_class", "num_in_class", "feature_dim"]}


def sizes_of(name):
    known = inspect.signature(CLASSES[name]).parameters
    return {key: size for key, size in (("classes", C), ("embedding_size", D)) if key in known}


def build(name, hybrid=False, classes=C, **arguments):
    loss = get_loss(name, classes=classes, embedding_size=D, **arguments)
    loss.initialize()
    if name == "RingLoss":
        loss.R.set_data(nd.ones(1))
    if hybrid:
        loss.hybridize(static_alloc=True, static_shape=True)
    return loss


def given(loss, label=LABEL, seed=0):
    """What the loss takes, by name, as NumPy: matrices and one column."""
    rng = np.random.RandomState(seed)
    draw = lambda *shape: rng.uniform(-0.9, 0.9, shape).astype("float32")  # noqa: E731
    n, label = len(label), np.asarray(label, dtype="float32")
    if loss.spec.input_kind == "pairs":
        return {"embedding0": draw(n, D), "embedding1": draw(n, D), "issame": label % 2}
    if loss.spec.input_kind == "triplets":
        return {"anchor": draw(n, D), "positive": draw(n, D), "negative": draw(n, D)}
    if type(loss).__name__ == "MPSLoss":
        return {"embedding0": draw(n, D), "embedding1": draw(n, D), "label": label}
    if loss.spec.input_kind == "embedding":
        return {"embedding": draw(n, D), "label": label}
    third = {"embedding": 40 * draw(n, D)} if loss.spec.needs_embedding else {}
    return {"output": draw(n, loss.outputs), "label": label, **third}


def matrices(arrays):
    return [key for key, array in arrays.items() if array.ndim == 2]


def run(loss, arrays, **more):
    """Value, and gradients of the matrices."""
    inputs = [nd.array(array, dtype=array.dtype) for array in arrays.values()]
    real = [array for array in inputs if array.ndim == 2]
    for array in real:
        array.attach_grad()
    with autograd.record():
        value = loss(*inputs, **more)
    value.backward()
    return value.asnumpy(), [array.grad.asnumpy() for array in real]


def refusal(call, *names):
    with pytest.raises(GluonFRError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text, text
    assert text.endswith("."), text
    assert len(text) < 250, text
    for name in names:
        assert name in text, text
    return text


@pytest.mark.parametrize("name", NAMES)
def test_invalid_arguments_are_rejected(name):
    known = inspect.signature(CLASSES[name]).parameters
    for argument in known:
        if argument == "kwargs" or argument in IGNORED.get(name, ()):
            continue
        for value in SOME.get(name, {}).get(argument) or BAD[argument]:
            arguments = {**sizes_of(name), argument: value}
            refusal(lambda given=arguments: CLASSES[name](**given), name, argument)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_arguments_are_rejected(name):
    sizes = sizes_of(name)
    refusal(lambda: CLASSES[name](**sizes, lamda_x=1), name, "lamda_x")
    refusal(lambda: get_loss(name, lamda_x=1, **sizes), name, "lamda_x")
    refusal(lambda: CLASSES[name](**sizes, axis=1), name, "axis")


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_wrong_shapes_and_types_are_rejected(name, hybrid):
    loss = build(name, hybrid)
    arrays = given(loss)
    good = {key: nd.array(array) for key, array in arrays.items()}
    loss(*good.values())

    def call(**changes):
        return lambda: loss(*{**good, **changes}.values())

    for key, array in good.items():
        refusal(call(**{key: arrays[key]}), name, "ndarray", "nd.array")
        for wrong in (arrays[key].tolist(), None, 1.0):
            refusal(call(**{key: wrong}), name)
        refusal(call(**{key: array[:-1]}), name, "shape")
        refusal(call(**{key: array.reshape((N, -1, 1))}), name, "shape")
        refusal(call(**{key: array[:0]}), name, "shape")
    for key in matrices(arrays):
        for kind in ("int32", "int64", "uint8"):
            refusal(call(**{key: good[key].astype(kind)}), name, kind, "floating point")
        if not (name == "MPSLoss" and key == "embedding1"):
            refusal(call(**{key: good[key].reshape((-1,))}), name, "shape")
    if "label" in good:
        for kind in ("float16", "float64", "bool"):
            refusal(call(label=good["label"].astype(kind)), name, kind, "float32 or int32")
        for kind in ("int32", "int64", "uint8", "int8"):
            np.testing.assert_allclose(call(label=good["label"].astype(kind))().asnumpy(), call()().asnumpy(), rtol=1e-5)
        refusal(call(label=nd.zeros((N, 2))), name, "shape")
    refusal(lambda: loss(*good.values(), *good.values()), name, "got")
    for weight in (nd.ones(N - 1), nd.ones((N, 2)), nd.ones(1), np.ones(N), [1] * N, 2.0):
        refusal(lambda w=weight: loss(*good.values(), sample_weight=w), name, "sample_weight")
    plain = loss(*good.values()).asnumpy()
    if name != "SemiHardTriplet":
        for kind in ("int32", "float64", "float16"):
            weighed = loss(*good.values(), sample_weight=nd.arange(N).astype(kind))
            np.testing.assert_allclose(weighed.asnumpy(), plain * np.arange(N), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_invalid_labels_are_rejected(name):
    loss = build(name)
    arrays = given(loss)
    if "issame" in arrays:
        for wrong in (2, -1, 0.5, np.nan):
            refusal(
                lambda w=wrong: run(loss, {**arrays, "issame": np.where(LABEL == 1, w, 0.0)}), name, "issame must be 1 or 0"
            )
        return
    if "label" not in arrays:
        arrays = {"embedding": arrays["anchor"], "label": LABEL}
    wrong = [-1, 0.5, np.nan, np.inf, -np.inf, *([] if name in GROUPED else [C, 1e9])]
    for hybrid in (False, True):
        loss = build(name, hybrid)
        for value in wrong:
            label = np.where(np.arange(N) == 3, value, LABEL).astype("float32")
            refusal(lambda a={**arrays, "label": label}: run(loss, a), name, f"label {value:g}")  # noqa: B023
    label = np.where(np.arange(N) == 3, -1, LABEL).astype("int32")
    refusal(lambda: run(loss, {**arrays, "label": label}), name, "label -1")


@pytest.mark.parametrize("name", ["CenterLoss", "GitLoss"])
def test_invalid_batches_do_not_move_centers(name):
    loss = build(name)
    before = loss.centers.data().asnumpy()
    x = nd.ones((2, D))
    wide = nd.ones((2, D + 1))
    for embedding, label in [(x, nd.array([0, C])), (x, nd.array([0, -1])), (x, nd.zeros(3)), (wide, nd.zeros(2))]:
        refusal(lambda e=embedding, y=label: loss.step([e], [y]), name)
    np.testing.assert_array_equal(loss.centers.data().asnumpy(), before)


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_nan_and_infinity_reach_the_loss_of_their_sample(name, hybrid):
    loss = build(name, hybrid)
    arrays = given(loss)
    clean, _ = run(loss, arrays)
    assert np.isfinite(clean).all()
    for key in matrices(arrays):
        for bad in (np.nan, np.inf, -np.inf):
            for column in range(arrays[key].shape[1]):
                broken = arrays[key].copy()
                broken[1, column] = bad
                value, _ = run(loss, {**arrays, key: broken})
                assert not np.isfinite(value[1]), (key, bad, column)
                if loss.spec.uses_classifier and name != "GitLoss":
                    np.testing.assert_allclose(np.delete(value, 1), np.delete(clean, 1), rtol=1e-5)


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("label", [np.arange(N), np.zeros(N), np.zeros(1)])
@pytest.mark.parametrize("name", GROUPED)
def test_batches_without_positives_or_without_negatives_are_zero(name, label, hybrid):
    loss = build(name, hybrid)
    arrays = given(loss, label)
    if name == "MPSLoss" and len(set(label)) == len(label) > 1:
        # Of given pairs each is a positive; those formed of a batch are not.
        arrays.pop("embedding1")
    if name == "TripletLoss":
        arrays = {"embedding": arrays["anchor"], "label": np.asarray(label, dtype="float32")}
    value, gradients = run(loss, arrays)
    assert value.shape == (len(label),)
    assert not value.any()
    assert all(not gradient.any() for gradient in gradients)
    for parameter in loss.collect_params().values():
        assert not parameter.grad().asnumpy().any()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GROUPED])
def test_batches_of_one_class_and_of_one_sample_are_finite(name):
    loss = build(name)
    for label in (np.zeros(N), np.zeros(1)):
        value, gradients = run(loss, given(loss, label))
        assert value.shape == label.shape
        assert np.isfinite(value).all()
        assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_two_classes_train_to_finite_losses(name):
    loss = build(name, classes=2)
    arrays = given(loss, LABEL % 2)
    for _ in range(3):
        value, gradients = run(loss, arrays)
        assert np.isfinite(value).all()
        assert all(np.isfinite(gradient).all() for gradient in gradients)
        loss.step()


@pytest.mark.parametrize("name", NAMES)
def test_checks_read_labels_only_and_wait_for_no_computation(name, monkeypatch):
    loss, read = build(name), []
    arrays = given(loss)
    real = nd.NDArray.asnumpy
    monkeypatch.setattr(nd.NDArray, "asnumpy", lambda self: read.append(self.shape) or real(self))
    for method in ("wait_to_read", "asscalar"):
        monkeypatch.setattr(nd.NDArray, method, lambda self: read.append(self.shape))
    with autograd.record():
        loss(*map(nd.array, arrays.values()))
    # Labels alone are read, which come from the loader.
    assert read == [(N,)] * (len(arrays) - len(matrices(arrays)))


def test_a_loss_inside_a_hybridized_block_computes_the_same():
    class Wrapped(gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.loss = get_loss("ArcLoss", classes=C)

        def hybrid_forward(self, F, output, label):
            return self.loss(output, label)

    wrapped = Wrapped()
    arrays = [nd.array(array) for array in given(wrapped.loss).values()]
    wanted = wrapped(*arrays).asnumpy()
    wrapped.hybridize(static_alloc=True, static_shape=True)
    # The graph of a parent has MXNet's operators only, whose losses near 0 are differences of numbers near 64.
    np.testing.assert_allclose(wrapped(*arrays).asnumpy(), wanted, rtol=1e-5, atol=1e-5)

"""The losses on embeddings against the papers' formulas, and in every way they can be run."""

import mxnet as mx
import numpy as np
import pytest
from embedding_formulas import FORMULAS, GROUPED, build, circle, hard, labels, mps, multibatch, run, to_nd
from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.core.mxnet_internals import own_parameters
from gluonfr.loss import get_loss


def numeric_gradient(value, x, step=1e-6):
    gradient = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (value(up) - value(down)) / (2 * step)
    return gradient


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("rows", [5, 10])
def test_value_and_gradient_equal_the_formulas(name, rows):
    _, batch, formula = FORMULAS[name]
    arrays = batch(np.random.RandomState(rows), rows)
    loss = build(name, "float64")
    parameters = {key: own_parameter.data().asnumpy() for key, own_parameter in own_parameters(loss).items()}
    # The weights of the circle loss are those of the embeddings as they are.
    more = (arrays[0],) if formula is circle else ()
    got = run(loss, to_nd(arrays, "float64"))
    np.testing.assert_allclose(got[0], formula(parameters, *arrays), rtol=1e-8, atol=1e-9)
    assert (got[0] != 0).any()
    gradients = iter(got[1:])
    for place, array in enumerate(arrays):
        if array.ndim == 2:
            wanted = numeric_gradient(
                lambda x, place=place: formula(parameters, *arrays[:place], x, *arrays[place + 1 :], *more).sum(), array
            )
            np.testing.assert_allclose(next(gradients), wanted, rtol=1e-4, atol=1e-6)
    for key, own_parameter in own_parameters(loss).items():
        if own_parameter.grad_req != "null":
            wanted = numeric_gradient(lambda v, key=key: formula({**parameters, key: v}, *arrays, *more).sum(), parameters[key])
            np.testing.assert_allclose(own_parameter.grad().asnumpy(), wanted, rtol=1e-4, atol=1e-6)
            assert np.abs(wanted).sum() > 0


@pytest.mark.parametrize("name", FORMULAS)
def test_hybridized_and_exported_equal_imperative_at_any_batch_size(name, tmp_path):
    batch = FORMULAS[name][1]
    loss, fresh = build(name), build(name)
    fresh.hybridize(static_alloc=True, static_shape=True)
    for rows in (10, 5, 10, 7, 1):
        arrays = batch(np.random.RandomState(rows), rows)
        wanted = run(loss, to_nd(arrays))
        assert wanted[0].shape == (rows,)
        for got in (run(fresh, to_nd(arrays)), run(loss, to_nd(arrays, label="int32"))):
            for one, two in zip(got, wanted):
                np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    # The graph is traced anew for integer labels elsewhere; this one keeps those of its trace.
    fresh.export(str(tmp_path / "loss"))
    parameters = str(tmp_path / "loss-0000.params") if own_parameters(loss) else None
    arrays = to_nd(batch(np.random.RandomState(3), 6))
    inputs = [f"data{place}" for place in range(len(arrays))]
    symbol = mx.gluon.SymbolBlock.imports(str(tmp_path / "loss-symbol.json"), inputs, parameters)
    np.testing.assert_allclose(symbol(*arrays).asnumpy(), loss(*arrays).asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_sample_weights_column_labels_and_half_precision_are_supported(name):
    arrays = FORMULAS[name][1](np.random.RandomState(0), 6)
    plain = build(name)(*to_nd(arrays)).asnumpy()
    weighed = build(name, weight=2)(*to_nd(arrays), sample_weight=nd.arange(6))
    np.testing.assert_allclose(weighed.asnumpy(), plain * 2 * np.arange(6), rtol=1e-5)
    columns = [array.reshape((-1, 1)) if array.ndim == 1 else array for array in to_nd(arrays)]
    np.testing.assert_allclose(build(name)(*columns).asnumpy(), plain, rtol=1e-6)
    low = build(name)(*to_nd(arrays, "float16"))
    assert low.dtype == np.float32
    np.testing.assert_allclose(low.asnumpy(), plain, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", [*FORMULAS, "SemiHardTriplet"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_embeddings_give_finite_gradients(name, value):
    if name in FORMULAS:
        arrays, loss = FORMULAS[name][1](np.random.RandomState(0), 6), build(name)
        arrays = [np.full_like(array, value) if array.ndim == 2 else array for array in arrays]
    else:
        arrays, loss = (np.full((6, 4), value), labels(6)), get_loss(name)
    for array in run(loss, to_nd(arrays)):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("name", GROUPED)
@pytest.mark.parametrize("label", [np.arange(6), np.zeros(6), np.zeros(1)])
def test_batches_without_positives_or_of_one_person_give_zero(name, label):
    loss = get_loss(name, margin=50) if "Triplet" in name else get_loss(name)
    loss.initialize()
    x = np.random.RandomState(0).randn(len(label), 8)
    for _ in range(2):
        value, gradient = run(loss, to_nd((x, label)))
        assert value.shape == label.shape
        assert not value.any()
        assert not gradient.any()
        loss.hybridize(static_alloc=True, static_shape=True)
    if name == "MultiBatchLoss":
        assert not loss.theta.grad().asnumpy().any()


def test_mps_and_triplet_form_pairs_from_a_batch():
    rng = np.random.RandomState(1)
    x, label = rng.randn(7, 6), np.array([0, 1, 0, 2, 1, 0, 3])
    # Partners: the next of the person, and the first for the last; the one of person 3 is alone.
    partner = [2, 4, 5, 3, 1, 0, 6]
    single = np.isin(np.arange(7), [3, 6])
    got = run(get_loss("mps", m=0.9, dtype="float64"), to_nd((x, label), "float64"))
    wanted = np.where(single, 0, mps({}, x, x[partner], label))
    np.testing.assert_allclose(got[0], wanted, rtol=1e-7, atol=1e-9)
    gradient = numeric_gradient(lambda v: np.where(single, 0, mps({}, v, v[partner], label)).sum(), x)
    np.testing.assert_allclose(got[1], gradient, rtol=1e-4, atol=1e-6)
    got = run(get_loss("triplet", margin=20, dtype="float64"), to_nd((x, label), "float64"))
    negative = [1, 2, 3, 4, 5, 6, 0]
    hinge = np.maximum(0, ((x - x[partner]) ** 2).sum(axis=1) - ((x - x[negative]) ** 2).sum(axis=1) + 20)
    np.testing.assert_allclose(got[0], np.where(single, 0, hinge), rtol=1e-7, atol=1e-9)


def test_mps_does_not_use_the_pair_itself_as_negative():
    # The other pair scores -1, lower than 0: with 0 or the pair's own score on the diagonal the loss would be 0.5 or 1.5.
    g = nd.array([[1, 0], [-1, 0]])
    np.testing.assert_array_equal(get_loss("mps", m=1.5)(g, g).asnumpy(), [0, 0])


def test_contrastive_uses_the_euclidean_distance():
    a, b = nd.zeros((2, 2)), nd.array([[3, 4], [0.3, 0.4]])
    np.testing.assert_allclose(get_loss("contrastive")(a, b, nd.array([1, 0])).asnumpy(), [12.5, 0.125], rtol=1e-6)
    for kind in ("int32", "bool", "float32"):
        issame = nd.array([1, 0]).astype(kind)
        np.testing.assert_allclose(get_loss("contrastive")(a, b, issame).asnumpy(), [12.5, 0.125], rtol=1e-6)


def test_git_of_one_sample_has_no_pairs():
    arrays = FORMULAS["GitLoss"][1](np.random.RandomState(0), 1)
    with_pairs, without = build("GitLoss"), build("GitLoss", lamda_g=0)
    np.testing.assert_allclose(with_pairs(*to_nd(arrays)).asnumpy(), without(*to_nd(arrays)).asnumpy(), rtol=1e-6)


def test_batch_hard_can_use_the_euclidean_distance():
    x, label = np.random.RandomState(0).randn(8, 4), labels(8)
    got = run(get_loss("BatchHardTriplet", margin=2, squared=False, dtype="float64"), to_nd((x, label), "float64"))
    np.testing.assert_allclose(got[0], hard({}, x, label, root=True), rtol=1e-8)
    wanted = numeric_gradient(lambda v: hard({}, v, label, root=True).sum(), x)
    np.testing.assert_allclose(got[1], wanted, rtol=1e-4, atol=1e-6)


def test_the_mean_of_a_batch_is_the_papers_mean_over_ordered_pairs():
    x, label = np.random.RandomState(0).randn(6, 4), labels(6)
    loss = build("MultiBatchLoss", "float64")
    theta = loss.theta.data().asnumpy()
    pairs = []
    for i in range(6):
        for j in range(6):
            y = 1 if label[i] == label[j] else -1
            pairs += [max(0, 1 - y * (theta[0] - ((x[i] - x[j]) ** 2).sum()))] if i != j else []
    assert len(pairs) == 30
    np.testing.assert_allclose(loss(*to_nd((x, label), "float64")).asnumpy().mean(), np.mean(pairs), rtol=1e-9)
    np.testing.assert_allclose(multibatch({"theta": theta}, x, label).mean(), np.mean(pairs), rtol=1e-9)


def semi_hard(x, label, margin):
    """For each sample, each of its positives: the losses of all semi-hard negatives."""
    d = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    choices = []
    for i in range(len(label)):
        others = [j for j in range(len(label)) if label[j] != label[i]]
        of_pairs = [
            [d[i, p] - d[i, n] + margin for n in others if d[i, p] < d[i, n] < d[i, p] + margin]
            for p in range(len(label))
            if label[p] == label[i] and p != i
        ]
        choices.append([losses for losses in of_pairs if losses])
    return choices


@pytest.mark.parametrize("hybrid", [False, True])
def test_semi_hard_negatives_are_drawn_uniformly(hybrid):
    rng = np.random.RandomState(4)
    x, label, margin = rng.randn(9, 3), labels(9), 1.5
    loss = get_loss("semihard", margin=margin, dtype="float64")
    if hybrid:
        loss.hybridize(static_alloc=True, static_shape=True)
    mx.random.seed(1)
    draws = np.array([loss(*to_nd((x, label), "float64")).asnumpy() for _ in range(300)])
    choices = semi_hard(x, label, margin)
    assert any(len(losses) > 1 for sample in choices for losses in sample)
    assert any(not sample for sample in choices)
    for drawn, sample in zip(draws.T, choices):
        if not sample:
            assert not drawn.any()
            continue
        assert drawn.min() >= np.mean([min(losses) for losses in sample]) - 1e-9
        assert drawn.max() <= np.mean([max(losses) for losses in sample]) + 1e-9
        # Each pair's loss is uniform on its choices: the mean of 300 draws lies within 5 standard errors.
        spread = np.sqrt(sum(np.var(losses) for losses in sample)) / len(sample)
        assert abs(drawn.mean() - np.mean([np.mean(losses) for losses in sample])) <= 5 * spread / np.sqrt(300) + 1e-9
        assert spread == 0 or drawn.std() > spread / 2


def test_the_semi_hard_gradient_of_a_single_candidate_equals_the_formula():
    x, label, margin = np.array([[0.0, 0.1], [1.0, 0.0], [1.3, 0.2], [9.0, 9.0]]), np.array([0, 0, 1, 2]), 1.0
    choices = semi_hard(x, label, margin)
    assert [len(choice) for choice in choices] == [1, 0, 0, 0]
    assert len(choices[0][0]) == 1
    got = run(get_loss("semihard", margin=margin, dtype="float64"), to_nd((x, label), "float64"))
    np.testing.assert_allclose(got[0], [choices[0][0][0], 0, 0, 0], rtol=1e-9)

    def value(v):
        return ((v[0] - v[1]) ** 2).sum() - ((v[0] - v[2]) ** 2).sum() + margin

    np.testing.assert_allclose(got[1], numeric_gradient(value, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["COCOLoss", "LGMLoss", "RangeLoss", "BatchHardTriplet", "PairwiseCircle", "MPSLoss", "TripletLoss"]
)
@pytest.mark.parametrize(
    ("x", "label", "words"),
    [
        (np.zeros((3, 4, 1)), [0, 1, 2], "expected .batch, "),
        (np.zeros((3, 4)), [0, 1], "one label per sample|one row per sample"),
        (np.zeros((3, 4)), [0, -1, 1], "label -1 is"),
        (np.zeros((3, 4)), [0, np.nan, 1], "label nan is"),
        (np.zeros((3, 4), dtype="int32"), [0, 1, 2], "floating point"),
    ],
)
def test_invalid_input_is_rejected(name, x, label, words):
    loss = build(name)
    with pytest.raises(GluonFRError, match=words) as caught:
        loss(nd.array(x, dtype=x.dtype), nd.array(label))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["CenterLoss", "RingLoss", "GitLoss"])
def test_invalid_embeddings_are_rejected(name):
    loss, output, label = build(name), nd.zeros((3, 5)), nd.array([0, 1, 2])
    bad = [
        ((), "third argument"),
        ((nd.zeros((2, 4)),), "one row per sample"),
        ((nd.zeros((3, 4), dtype="int32"),), "floating"),
    ]
    if name != "RingLoss":
        bad.append(((nd.zeros((3, 3)),), "embedding_size = 4"))
    for more, words in bad:
        with pytest.raises(GluonFRError, match=words):
            loss(output, label, *more)
    with pytest.raises(GluonFRError, match="outside 0..4"):
        loss(output, nd.array([0, 5, 1]), nd.zeros((3, 4)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: build("CenterLoss", lamda=-1), "lamda"),
        (lambda: build("CenterLoss", alpha=1.5), "alpha"),
        (lambda: build("COCOLoss", alpha=0), "alpha"),
        (lambda: build("COCOLoss", embedding_size=0), "embedding_size"),
        (lambda: build("RangeLoss", top_k=0), "top_k"),
        (lambda: build("PairwiseCircle", m=1), "m must be a number in"),
        (lambda: build("MPSLoss", m=float("nan")), "m must be a number in"),
        (lambda: get_loss("lgm", classes=3), "embedding_size"),
        (lambda: get_loss("contrastive")(nd.zeros((2, 3)), nd.zeros((2, 3))), "issame"),
        (lambda: get_loss("contrastive")(nd.zeros((2, 3)), nd.zeros((2, 4)), nd.zeros(2)), "embedding"),
        (lambda: get_loss("contrastive")(nd.zeros((2, 3)), nd.zeros((2, 3)), nd.array([0, 0.5])), "1 or 0"),
        (lambda: get_loss("contrastive")(nd.zeros((2, 3)), nd.zeros((2, 3)), nd.array([0, 2])), "1 or 0"),
        (lambda: get_loss("triplet")(nd.zeros((2, 3)), nd.zeros((2, 3)), nd.zeros((2, 4))), "3"),
        (lambda: get_loss("batchhard")(nd.zeros((2, 3)), nd.zeros(2), nd.zeros((2, 3))), "takes .embedding, label."),
        (lambda: get_loss("coco", classes=3, embedding_size=2)(nd.zeros((2, 2)), nd.zeros(2)), "initialize"),
    ],
)
def test_invalid_arguments_are_rejected(call, words):
    with pytest.raises(GluonFRError, match=words):
        call()


def test_aliases_build_the_same_loss_and_specs_declare_its_input():
    for alias, name in [
        ("center", "CenterLoss"),
        ("ring", "RingLoss"),
        ("git", "GitLoss"),
        ("coco", "COCOLoss"),
        ("lgm", "LGMLoss"),
        ("range", "RangeLoss"),
        ("mps", "MPSLoss"),
        ("contrastive", "ContrastiveLoss"),
        ("triplet", "TripletLoss"),
        ("batch-hard", "BatchHardTriplet"),
        ("semi-hard", "SemiHardTriplet"),
        ("multibatch", "MultiBatchLoss"),
        ("pairloss", "MultiBatchLoss"),
    ]:
        loss = get_loss(alias, classes=3, embedding_size=2)
        assert type(loss).__name__ == name
        if name in ("CenterLoss", "RingLoss", "GitLoss"):
            assert loss.spec.input_kind == "logits"
            assert loss.spec.needs_embedding
        else:
            assert not loss.spec.uses_classifier
    assert all(get_loss(name).spec.needs_identities for name in GROUPED)
    assert get_loss("contrastive").spec.input_kind == "pairs"
    assert get_loss("triplet").spec.input_kind == "triplets"

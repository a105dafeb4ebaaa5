"""Distillation: its losses against formulas written out, and runs with a teacher."""

import logging
import os
import shutil
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from test_finetuning import interrupt_after, values

from gluonfr.core import UsageError
from gluonfr.data import FRTrainRecordDataset
from gluonfr.data.dataset.mixed import MixedFaces
from gluonfr.deploy import embed, load_model
from gluonfr.deploy.export import export_onnx
from gluonfr.engine import Run, TrainOptions, train
from gluonfr.engine.distillation import embeddings
from gluonfr.engine.distillation.build import make_reference
from gluonfr.engine.distillation.distiller import Distiller, Reference
from gluonfr.engine.distillation.embeddings import cached_embeddings
from gluonfr.engine.distillation.losses import cosine_loss, l2_loss, logit_loss, relational_loss
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.finetuning import inputs
from gluonfr.engine.recipes import choose_recipe
from gluonfr.weights.saved import load_network

# Another embedding size than the teacher's.
PROJECTED = {"units": [1, 1], "channels": [8, 8, 16], "embedding_size": 12, "stem_stride": 2}
KINDS = ("cosine", "l2", "relational", "logits")


@pytest.fixture
def rows():
    rng = np.random.RandomState(0)
    return rng.randn(5, 6).astype("float32"), rng.randn(5, 6).astype("float32")


def test_the_losses_are_their_formulas(rows):
    student, teacher = rows
    first, second = map(nd.array, rows)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(student, teacher)]
    np.testing.assert_allclose(cosine_loss(first, second).asnumpy(), 1 - np.array(cosines), rtol=1e-5)
    np.testing.assert_allclose(l2_loss(first, second).asnumpy(), [((a - b) ** 2).sum() / 6 for a, b in zip(*rows)], rtol=1e-5)
    means = np.eye(6, dtype="float32")[:4]
    expected = []
    for a, b in zip(student, teacher):
        p, q = (np.exp(8 * (means @ x) / np.linalg.norm(x)) for x in (b, a))
        p, q = p / p.sum(), q / q.sum()
        expected.append((p * np.log(p / q)).sum())
    np.testing.assert_allclose(logit_loss(first, second, nd.array(means), 8.0).asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_relational_loss_compares_distances_and_angles_of_all_triplets(rows):
    def huber(x):
        return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5

    def relations(x):
        n = len(x)
        distances = np.array([[np.linalg.norm(a - b) for b in x] for a in x])
        distances /= distances.sum() / (n * (n - 1))
        angles = np.zeros((n, n, n))
        for i in range(n):
            for j in range(n):
                for k in range(n):
                    u, v = x[j] - x[i], x[k] - x[i]
                    length = np.linalg.norm(u) * np.linalg.norm(v)
                    angles[i, j, k] = u @ v / length if length else 0
        return distances, angles

    (d0, a0), (d1, a1) = map(relations, rows)
    expected = [
        np.mean([huber(x) for x in d0[i] - d1[i]]) + 2 * np.mean([huber(x) for x in (a0[i] - a1[i]).ravel()]) for i in range(5)
    ]
    # The length of a difference has an epsilon of 1e-6 under the root.
    np.testing.assert_allclose(relational_loss(*map(nd.array, rows)).asnumpy(), expected, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_descend_to_the_teacher_and_devices_together_compute_what_one_does(kind, rows):
    student, teacher = rows
    means = np.eye(6, dtype="float32")
    references = [Reference(teacher, kind, 2.0, means=means, scale=8.0)]
    first, second = mx.cpu(0), mx.cpu(1)
    distiller = Distiller(references, 6)
    distiller.initialize(ctx=[first, second])
    x = nd.array(student)
    x.attach_grad()
    losses = []
    for _ in range(60):
        with autograd.record():
            (loss,) = distiller([x], [distiller.batch(np.arange(5))])
        loss.backward()
        losses.append(loss.asnumpy())
        x -= 0.05 * x.grad
    assert np.isfinite(losses).all()
    assert losses[-1].mean() < 0.6 * losses[0].mean()
    both = distiller(
        [nd.array(student[:2], ctx=first), nd.array(student[2:], ctx=second)],
        [nd.array(teacher[:2], ctx=first), nd.array(teacher[2:], ctx=second)],
    )
    np.testing.assert_allclose(np.concatenate([part.asnumpy() for part in both]), losses[0], rtol=1e-5)


def test_embeddings_of_another_size_are_mapped_by_a_layer_that_is_trained(rows):
    distiller = Distiller([Reference(rows[1], "cosine", 1.0)], 4)
    distiller.initialize()
    assert [p.shape for p in distiller.collect_params().values()] == [(6, 4), (6,)]
    assert distiller([nd.ones((5, 4))], [distiller.batch(np.arange(5))])[0].shape == (5,)
    assert not list(Distiller([Reference(rows[1], "relational", 1.0)], 4).collect_params())


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_embeddings_of_all_faces_share_does_not_count(kind, rows):
    teacher = rows[1]
    labels = np.array([0, 1, 1, 2, 0])
    records = SimpleNamespace(labels=labels, num_classes=3)
    options = TrainOptions(dataset="celeb", teacher="dlib_resnet29", distill=kind, distill_weight=1.0)
    losses = []
    for shared in (0.0, 100.0):
        reference = make_reference(options, teacher + np.float32(shared), records)
        distiller = Distiller([reference], 6)
        # The student of 'l2' learns the shared part too, in the unit of the teacher's spread.
        spread = np.sqrt(np.square(teacher - teacher.mean(axis=0)).mean())
        student = rows[0] + shared / spread if kind == "l2" else rows[0]
        losses.append(distiller([nd.array(student)], [distiller.batch(np.arange(5))])[0].asnumpy())
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3, atol=1e-4)
    assert losses[0].max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_a_teacher_with_equal_or_invalid_embeddings_is_refused(kind, rows):
    records = SimpleNamespace(labels=np.array([0, 1, 1, 2, 0]), num_classes=3)
    options = TrainOptions(dataset="celeb", teacher="broken", distill=kind, distill_weight=1.0)
    with pytest.raises(UsageError, match="teacher='broken': its embeddings of all images are equal"):
        make_reference(options, np.repeat(rows[1][:1], 5, axis=0), records)
    for value in (np.nan, np.inf):
        teacher = rows[1].copy()
        teacher[2, 1] = value
        with pytest.raises(UsageError, match="teacher='broken': it has embeddings with NaN or infinite numbers"):
            make_reference(options, teacher, records)
    assert make_reference(options, rows[1] * np.float32(1e-30), records).unit > 0


@pytest.fixture
def options(small_options, tmp_path, monkeypatch):
    """Options of a run with a teacher."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    teacher = os.path.join(train(**dict(small_options, epochs=6, out=str(tmp_path / "teacher"))).folder, "last")
    network_args = dict(small_options["network_args"], dropout=0)
    return dict(small_options, network_args=network_args, teacher=teacher, distill_weight=10.0, epochs=4)


def similarity_of_pairs(model, dataset):
    net, _ = load_model(model)
    rows = embed(net, [dataset.read(i)[0] for i in range(len(dataset))], normalize=False)
    rows = rows - rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows @ rows.T)[np.triu_indices(len(rows), 1)]


# Similarities to the means of six people and the labels together say less about the similarity of two images.
@pytest.mark.parametrize("more", [{"label_weight": 0.0}, {"distill": "logits", "label_weight": 0.0}, {}])
def test_a_student_finds_the_same_images_similar_as_its_teacher(options, more, tmp_path):
    result = train(**dict(options, **{"epochs": 12, **more}))
    dataset = Run(TrainOptions(**dict(options, out=str(tmp_path / "other")))).dataset
    teacher = similarity_of_pairs(options["teacher"], dataset)
    student = similarity_of_pairs(os.path.join(result.folder, "last"), dataset)
    untrained = train(**dict(options, teacher=None, distill_weight=None, steps=1, lr=1e-9, out=str(tmp_path / "untrained")))
    before = similarity_of_pairs(os.path.join(untrained.folder, "last"), dataset)
    after, start = (np.corrcoef(teacher, rows)[0, 1] for rows in (student, before))
    assert 1 - after < 0.7 * (1 - start)


def means(net, dataset):
    """The embeddings of all images, each the mean of those of the image and its mirror image."""
    images = np.stack([dataset.read(i)[0] for i in range(len(dataset))]).transpose(0, 3, 1, 2).astype("float32") / 255
    return (net(nd.array(images)) + net(nd.array(images[..., ::-1]))) / 2


@pytest.mark.parametrize("kind", ["cosine", "logits", "l2"])
@pytest.mark.parametrize("teacher", ["folder", "onnx"])
def test_a_student_that_starts_as_its_teacher_starts_without_loss(options, kind, teacher, tmp_path):
    given = {name: value for name, value in options.items() if name not in ("network", "network_args")}
    if teacher == "onnx":
        net, card = load_network(options["teacher"])
        given["teacher"] = str(tmp_path / "teacher.onnx")
        export_onnx(net, given["teacher"], card.image_size, card)
    run = Run(TrainOptions(**dict(given, distill=kind, label_weight=0.0, pretrained=options["teacher"])))
    items = np.arange(len(run.dataset))
    rows = means(run.net, run.dataset)
    assert run._distiller([rows], [run._distiller.batch(items)])[0].mean().asscalar() < 1e-3
    # Other rows have a loss.
    assert run._distiller([rows], [run._distiller.batch(items[::-1])])[0].mean().asscalar() > 1e-2


def test_the_teacher_s_mean_is_subtracted_from_another_trained_start_too(options, small_options, tmp_path):
    other = os.path.join(train(**dict(small_options, epochs=1, seed=3, out=str(tmp_path / "other"))).folder, "last")
    given = {name: value for name, value in options.items() if name not in ("network", "network_args")}
    run = Run(TrainOptions(**dict(given, label_weight=0.0, pretrained=other)))
    teacher, _ = load_network(options["teacher"])
    own, rows = means(run.net, run.dataset).asnumpy(), means(teacher, run.dataset).asnumpy()
    own, rows = own - rows.mean(axis=0), rows - rows.mean(axis=0)
    cosines = (own * rows).sum(axis=1) / np.linalg.norm(own, axis=1) / np.linalg.norm(rows, axis=1)
    losses = run._distiller([means(run.net, run.dataset)], [run._distiller.batch(np.arange(len(rows)))])[0].asnumpy()
    np.testing.assert_allclose(losses, 10 * (1 - cosines), rtol=0.01, atol=0.01)


def test_the_teacher_embeds_every_image_once(options, caplog, tmp_path):
    with caplog.at_level(logging.INFO):
        Run(TrainOptions(**options))
        assert caplog.text.count("embeddings of 42 images") == 1
        Run(TrainOptions(**dict(options, out=str(tmp_path / "again"))))
        assert caplog.text.count("embeddings of 42 images") == 1
        # Another network has other embeddings.
        start = os.path.join(os.path.dirname(options["teacher"]), "best")
        given = {
            name: value
            for name, value in options.items()
            if name not in ("network", "network_args", "teacher", "distill_weight")
        }
        run = Run(TrainOptions(**dict(given, pretrained=start, stay_close=1.0, out=str(tmp_path / "third"))))
    assert len(os.listdir(tmp_path / "cache" / "gluonfr" / "embeddings")) in (1, 2)
    rows = run._distiller.batch(np.arange(42)).asnumpy()
    expected = embed(load_network(start)[0], [run.dataset.read(i)[0] for i in range(42)])
    # The fused form of the network differs by rounding.
    np.testing.assert_allclose(rows / np.linalg.norm(rows, axis=1, keepdims=True), expected, rtol=1e-3, atol=1e-4)


def test_mixed_faces_are_embedded_again_when_others_are_held_out_or_the_seed_changes(options, tmp_path):
    given = dict(options, mixed=20, val=[], hold_out=0)
    runs = {}
    for name, more in {
        "one": {},
        "again": {},
        "seed": {"seed": 5},
        "held": {"hold_out": 0.4},
        "others": {"hold_out": 0.4, "seed": 5},
    }.items():
        run = Run(TrainOptions(**dict(given, out=str(tmp_path / name), **more)))
        runs[name] = run._distiller.batch(np.arange(len(run.dataset) - 20, len(run.dataset))).asnumpy()
        net, _ = load_network(options["teacher"])
        rows = embed(net, [run.dataset.read(i)[0] for i in range(len(run.dataset))], normalize=False) / 2
        np.testing.assert_allclose(runs[name], (rows - rows.mean(axis=0))[-20:], rtol=1e-3, atol=1e-4)
    assert (runs["one"] == runs["again"]).all()
    # All others are different faces.
    assert len(os.listdir(tmp_path / "cache" / "gluonfr" / "embeddings")) == 1 + 4


def test_fewer_images_than_ranks_are_embedded_by_every_rank(options):
    net, card = load_network(options["teacher"])
    dataset = MixedFaces(Run(TrainOptions(**options)).dataset, 1)
    # `gather` is missing: nothing may be exchanged but whether the cache exists.
    group = SimpleNamespace(rank=0, size=2, gather_values=lambda value: [value, value], beat=lambda: None)
    rows = cached_embeddings(net, card, dataset, [mx.cpu()], group, progress=False)
    np.testing.assert_allclose(rows, embed(net, [dataset.read(0)[0]], normalize=False) / 2, rtol=1e-4, atol=1e-5)


def test_an_onnx_file_teaches_what_the_network_does_that_it_was_exported_from(options, tmp_path):
    net, card = load_network(options["teacher"])
    path = str(tmp_path / "teacher.onnx")
    export_onnx(net, path, card.image_size, card)
    runs = [
        Run(TrainOptions(**dict(options, teacher=teacher, out=str(tmp_path / str(number)))))
        for number, teacher in enumerate((path, options["teacher"]))
    ]
    by_file, by_network = (run._distiller.batch(np.arange(42)).asnumpy() for run in runs)
    # The graph of the file joins BatchNorm and convolutions, which changes the rounding.
    np.testing.assert_allclose(by_file, by_network, rtol=1e-3, atol=1e-4)
    assert len(os.listdir(tmp_path / "cache" / "gluonfr" / "embeddings")) == 2
    students = []
    for run in runs:
        students.append(similarity_of_pairs(os.path.join(run.train().folder, "last"), run.dataset))
    # Twelve steps from the same start with the same images; the two teachers differ by rounding, untrained students by 0.1.
    np.testing.assert_allclose(students[0], students[1], atol=0.02)


@pytest.mark.parametrize("damage", ["cut", "empty", "nan", "shape", "link"])
def test_damaged_cached_embeddings_are_computed_again(options, small_root, tmp_path, damage, caplog):
    net, card = load_model(options["teacher"], [mx.cpu()])
    dataset = FRTrainRecordDataset("blobs", small_root)

    def compute():
        return cached_embeddings(net, card, dataset, [mx.cpu()], Group(), progress=False)

    expected = np.array(compute())
    (path,) = (tmp_path / "cache" / "gluonfr" / "embeddings").iterdir()
    content = path.read_bytes()
    if damage == "link":
        path.unlink()
        path.symlink_to(tmp_path / "missing")
    elif damage in ("nan", "shape"):
        np.save(path, np.full_like(expected, np.nan) if damage == "nan" else expected[1:])
    else:
        path.write_bytes(content[:-5] if damage == "cut" else b"")
    np.testing.assert_array_equal(compute(), expected)
    assert "are computed again" in caplog.text
    caplog.clear()
    np.testing.assert_array_equal(compute(), expected)
    assert not caplog.text


def test_interrupted_embedding_continues_with_the_parts_that_are_missing(options, small_root, tmp_path, monkeypatch):
    net, card = load_model(options["teacher"], [mx.cpu()])
    dataset = FRTrainRecordDataset("blobs", small_root)
    monkeypatch.setattr(embeddings, "_PART", 10)
    embedded = []

    def interrupt(net, images, *args, **kwargs):
        embedded.append(len(images))
        if len(embedded) == 4:
            raise KeyboardInterrupt
        return embed(net, images, *args, **kwargs)

    monkeypatch.setattr(embeddings, "embed", interrupt)

    def compute():
        return cached_embeddings(net, card, dataset, [mx.cpu()], Group(), progress=False)

    with pytest.raises(KeyboardInterrupt):
        compute()
    # One part is damaged, and a part of a run with another number of processes remained.
    folder = tmp_path / "cache" / "gluonfr" / "embeddings"
    parts = sorted(folder.iterdir())
    assert [path.suffix for path in parts] == [".0-10", ".10-20", ".20-30"]
    parts[1].write_bytes(parts[1].read_bytes()[:-1])
    parts[0].with_name(parts[0].name.replace(".0-10", ".0-7")).write_bytes(parts[0].read_bytes())
    rows = compute()
    assert embedded == [10, 10, 10, 10, 10, 10, 2]
    expected = embed(net, [dataset.read(i)[0] for i in range(42)], normalize=False) / 2
    np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-4)
    assert len(list(folder.iterdir())) == 1


def test_without_a_cache_that_can_be_written_embeddings_are_only_computed(options, small_root, tmp_path, monkeypatch, caplog):
    net, card = load_model(options["teacher"], [mx.cpu()])
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(embeddings, "_PART", 10)
    rows = cached_embeddings(net, card, FRTrainRecordDataset("blobs", small_root), [mx.cpu()], Group(), progress=False)
    assert rows.shape == (42, 16)
    # Once for the parts, once for all.
    assert caplog.text.count("XDG_CACHE_HOME") == 2


def test_a_run_with_a_teacher_is_not_resumed_with_another_one(options, small_options, tmp_path):
    # As the best network of a training that continues.
    copy = str(tmp_path / "copy")
    shutil.copytree(options["teacher"], copy)
    given = dict(options, teacher=copy, epochs=1, checkpoint_every=0, checkpoint_steps=1)
    with pytest.raises(KeyboardInterrupt):
        interrupt_after(Run(TrainOptions(**given)), 2).train()
    shutil.rmtree(copy)
    other = train(**dict(small_options, epochs=1, seed=3, out=str(tmp_path / "other"))).folder
    shutil.copytree(os.path.join(other, "last"), copy)
    with pytest.raises(UsageError, match="was written with another network as teacher="):
        train(**given)
    shutil.rmtree(copy)
    shutil.copytree(options["teacher"], copy)
    assert train(**given).steps == 1


def test_similarities_to_one_person_teach_nothing_and_are_refused(options):
    rows = np.random.RandomState(0).rand(4, 3).astype(np.float32)
    records = SimpleNamespace(labels=np.zeros(4, int), num_classes=1, records=SimpleNamespace(path="one.rec"))
    with pytest.raises(UsageError, match=r"one\.rec have one label; use distill='cosine'"):
        make_reference(TrainOptions(**dict(options, distill="logits", distill_weight=1.0)), rows, records)


@pytest.mark.parametrize("more", [{"unlabeled": ["blobs"]}, {"mixed": 42}])
def test_images_without_labels_add_the_teacher_s_embeddings_and_no_class(options, more, small_root, monkeypatch):
    sizes = []
    monkeypatch.setattr(inputs, "choose_recipe", lambda *args: sizes.append(args[2]) or choose_recipe(*args))
    run = Run(TrainOptions(**dict(options, **more)))
    assert len(run.dataset) == 84
    # The number of epochs of a recipe follows from the number of all images.
    assert sizes == [84]
    assert run.head.classifier.weight.shape[0] == 6
    images, labels, items = next(iter(run.loader))
    with run.opened():
        before = run.head.classifier.weight.data().asnumpy()
        run.step(images, nd.full(14, 6), run._distiller.batch(items))
        after = run.head.classifier.weight.data().asnumpy()
    # Without a label in the batch, the classifier changes by its weight decay alone.
    np.testing.assert_allclose(after, before * (1 - 0.1 * 5e-4), rtol=1e-5)
    with pytest.raises(UsageError, match="unlabeled= and mixed= do not work with loss=BatchHardTriplet"):
        Run(TrainOptions(**dict(options, loss="BatchHardTriplet", loss_args={}, **more)))
    # Among the people of a batch, all images without a label would be one person.
    assert run._inputs.records.num_people == 6
    with pytest.raises(UsageError, match="people=7 must be left out"):
        TrainOptions(**dict(options, people=7, **more))


@pytest.mark.parametrize(
    "more",
    [
        {"distill": "l2", "network_args": PROJECTED, "mixed": 14},
        {"distill": "relational", "accumulate": 2, "label_weight": 0.0},
        {"pretrained": "the teacher", "augment_args": {"gray": 0.5}, "optimizer": None, "lr": None, "cpus": 2},
    ],
)
def test_a_distillation_that_is_interrupted_resumes_bit_exact(options, tmp_path, more):
    options = dict(options, **{"checkpoint_every": 0, "checkpoint_steps": 1, "epochs": 1, **more})
    if "pretrained" in more:
        options["pretrained"] = options["teacher"]
    whole = train(**dict(options, out=str(tmp_path / "whole")))
    broken = dict(options, out=str(tmp_path / "broken"))
    run = Run(TrainOptions(**broken))
    with pytest.raises(KeyboardInterrupt):
        interrupt_after(run, 2).train()
    run.checkpoints.finish()
    resumed = train(**broken)
    assert resumed.steps == whole.steps - 2
    a, b = (values(load_network(os.path.join(folder, "last"))[0]) for folder in (whole.folder, resumed.folder))
    assert all((a[path] == b[path]).all() for path in a)


def test_a_divided_classifier_is_distilled_like_a_plain_one(options, tmp_path):
    nets = []
    for more in ({}, {"classifier": "sharded", "cpus": 1}):
        # One step from equal weights of the network; the classifiers begin at the class means.
        given = dict(options, steps=2, init_classifier="means", out=str(tmp_path / str(len(nets))), **more)
        nets.append(values(load_network(os.path.join(train(**given).folder, "last"))[0]))
    for path, value in nets[0].items():
        np.testing.assert_allclose(value, nets[1][path], rtol=1e-3, atol=1e-4, err_msg=path)

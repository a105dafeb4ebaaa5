import os

import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data.pairs.table import write_pair_table
from gluonfr.deploy import RawPixels
from gluonfr.engine.validation import validate
from gluonfr.evaluation.pair_embeddings import write_pair_embeddings
from gluonfr.evaluation.report.networks import network_of_run
from gluonfr.evaluation.verification import evaluate_verification, pair_sources


def test_saved_embeddings_give_the_results_of_the_images(small_root, tmp_path):
    (source,) = pair_sources(["more"], small_root)
    save = str(tmp_path / "more.npz")
    evaluation = evaluate_verification(source, RawPixels(), save=save, progress=False)
    expected = validate(RawPixels(), source.dataset, progress=False)
    assert evaluation.verification.accuracy == expected.accuracy
    assert evaluation.verification.auc == expected.auc
    (stored,) = pair_sources([save], small_root)
    again = evaluate_verification(stored, progress=False)
    np.testing.assert_allclose(again.distances, evaluation.distances, atol=1e-6)
    assert again.intervals == evaluation.intervals
    assert not again.people_known
    assert stored.images is None
    assert stored.name == "more"
    with pytest.raises(GluonFRError, match="more contains images"):
        evaluate_verification(source)


def test_a_table_next_to_the_set_is_used_unless_one_is_given(small_root, tmp_path):
    (source,) = pair_sources(["blobs/val_data"], small_root)
    issame = source.dataset.issame
    people = [f"p{i}" for i in range(40)], [f"p{i if same else 90 + i}" for i, same in enumerate(issame)]
    beside = os.path.join(small_root, "blobs", "val_data.pairs.csv")
    columns = {"identity0": people[0], "identity1": people[1], "light": ["day", "night"] * 20}
    try:
        write_pair_table(beside, issame, columns)
        evaluation = evaluate_verification(
            *pair_sources(["blobs/val_data"], small_root), RawPixels(), replicates=20, progress=False
        )
        assert evaluation.people_known
        assert evaluation.intervals.people == len({*people[0], *people[1]})
        assert [group.value for group in evaluation.groups] == ["day", "night"]
        other = str(tmp_path / "other.csv")
        write_pair_table(other, issame, {"glasses": ["yes"] * 40})
        (source,) = pair_sources(["blobs/val_data"], small_root, table=other)
        assert source.table.people is None
        assert list(source.table.groups) == ["glasses"]
        assert source.people()[1] is False
        with pytest.raises(GluonFRError, match="is the table of one set"):
            pair_sources(["blobs/val_data", "more"], small_root, table=other)
    finally:
        os.unlink(beside)


def test_names_of_sets_are_short_and_unique(small_root, tmp_path):
    paths = []
    for folder in ("a", "b"):
        paths.append(str(tmp_path / folder / "x.npz"))
        rows = np.eye(12, dtype=np.float32)
        write_pair_embeddings(paths[-1], rows, rows, np.ones(12, bool))
    assert [source.name for source in pair_sources([os.path.join(small_root, "more.bin"), paths[0]], small_root)] == [
        "more",
        "x",
    ]
    assert [source.name for source in pair_sources(paths, small_root)] == paths
    with pytest.raises(GluonFRError, match="twice"):
        pair_sources([paths[0], paths[0]], small_root)
    with pytest.raises(GluonFRError, match="no verification set is given"):
        pair_sources([], small_root)


def test_a_run_folder_resolves_to_its_best_network(tmp_path):
    run = tmp_path / "run"
    (run / "last").mkdir(parents=True)
    (run / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    assert network_of_run(str(run)) == (str(run / "last"), [{"step": 1, "loss": 2.0}])
    (run / "best").mkdir()
    assert network_of_run(str(run))[0] == str(run / "best")
    assert network_of_run(str(run / "last")) == (str(run / "last"), [{"step": 1, "loss": 2.0}])
    assert network_of_run("y1") == ("y1", None)

"""Training on several sets as one, and where their verification sets are looked for."""

import os
import shutil

import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data import RecordWriter
from gluonfr.data.dataset.lookup import get_training_set, get_verification_set
from gluonfr.engine import TrainOptions
from gluonfr.engine.distributed.agreement import _data_facts
from gluonfr.engine.run import Run


@pytest.fixture(scope="module")
def root(small_root, tmp_path_factory):
    """`blobs` of six people, and `dots` of two, with pairs of their own."""
    root = tmp_path_factory.mktemp("several")
    (root / "blobs").symlink_to(os.path.join(small_root, "blobs"))
    with RecordWriter(str(root / "dots"), image_size=(32, 32)) as writer:
        for number in range(14):
            writer.add(np.full((32, 32, 3), 16 * number, np.uint8), number // 7)
    for name in ("own", "val_data"):
        shutil.copy(os.path.join(small_root, "more.bin"), str(root / "dots" / f"{name}.bin"))
    return str(root)


def test_a_run_trains_on_several_sets(small_options, root):
    options = {**small_options, "root": root, "dataset": "blobs,dots", "val": ["own"], "steps": 4}
    run = Run(TrainOptions(**options))
    assert run.dataset.num_classes == 8
    assert len(run.dataset) == 56
    labels = np.concatenate([labels.asnumpy() for _, labels in run.loader.epoch(0)])
    assert np.bincount(labels.astype(int)).tolist() == [7] * 8
    result = run.train()
    assert result.steps == 4
    assert list(result.validation) == ["own"]


def test_pairs_are_looked_for_in_each_training_folder_in_turn(root):
    for name, sets, folder in (
        ("own", "blobs,dots", "dots"),
        ("val_data", "blobs,dots", "blobs"),
        ("val_data", ["dots", "blobs"], "dots"),
    ):
        assert get_verification_set(name, root, sets).path == os.path.join(root, folder, name + ".bin")
    with pytest.raises(GluonFRError, match="no data set 'other'"):
        get_verification_set("other", root, "blobs,dots")


def test_ranks_compare_all_sets_and_identities(root, tmp_path):
    def facts(identities=None, dataset="blobs,dots"):
        options = TrainOptions(dataset=dataset, root=root, out=str(tmp_path))
        return dict(_data_facts(options, get_training_set(dataset, root, identities), {}))[f"{dataset} of"]

    rows = [f"{name},{label},{name[0]}{label}\n" for name, count in (("blobs", 6), ("dots", 2)) for label in range(count)]
    (tmp_path / "who.csv").write_text("dataset,label,identity\n" + "".join(rows))
    (tmp_path / "same.csv").write_text("dataset,label,identity\n" + "".join(rows).replace("d1", "b0"))
    size = sum(os.path.getsize(os.path.join(root, name, "train.rec")) for name in ("blobs", "dots"))
    assert facts().startswith(f"{size:,} bytes")
    assert facts() == facts(str(tmp_path / "who.csv")) != facts(str(tmp_path / "same.csv"))

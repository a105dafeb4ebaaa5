import io
import itertools
import zipfile

import numpy as np
import pytest

from gluonfr.core import Card, GluonFRError
from gluonfr.data.pairs.table import PairTable
from gluonfr.evaluation.embedding_files import write_embeddings
from gluonfr.evaluation.pair_embeddings import read_pair_embeddings, write_pair_embeddings


def vectors(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32)


def squared(a, b):
    a, b = (rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True) for rows in (a, b))
    return np.sum((a - b) ** 2, -1)


def test_pairs_people_and_groups_are_read_as_written(tmp_path):
    path, first, second, issame = str(tmp_path / "x.npz"), vectors(20), vectors(20, 1), np.arange(20) % 2 == 0
    people = np.array([[f"p{i}", f"p{i if i % 2 == 0 else i + 1}"] for i in range(20)])
    write_pair_embeddings(path, first, second, issame, PairTable(people, {"age": np.array(["old", "young"] * 10)}))
    read = read_pair_embeddings(path)
    # Embeddings are normalized.
    np.testing.assert_allclose(read.distances, squared(first, second), rtol=1e-5)
    assert read.issame.tolist() == issame.tolist()
    assert read.table.people.tolist() == people.tolist()
    assert {name: values.tolist() for name, values in read.table.groups.items()} == {"age": ["old", "young"] * 10}
    with np.load(path, allow_pickle=False) as stored:
        assert stored["identity0"].dtype.kind == "U"
    np.savez(path, embeddings0=first, embeddings1=second, issame=issame)
    assert read_pair_embeddings(path).table.people is None


def test_all_pairs_of_labeled_embeddings_appear_once_in_random_order(tmp_path):
    path, rows, labels = str(tmp_path / "x.npz"), vectors(30), np.repeat(np.arange(10), 3)
    np.savez(path, embeddings=rows, labels=labels)
    read = read_pair_embeddings(path)
    assert len(read.distances) == 435
    assert read.issame.sum() == 30
    wanted = sorted(float(squared(rows[i], rows[j])) for i, j in itertools.combinations(range(30), 2))
    np.testing.assert_allclose(np.sort(read.distances), wanted, rtol=1e-5)
    assert ((read.table.people[:, 0] == read.table.people[:, 1]) == read.issame).all()
    # Each tenth holds about as many pairs of one person: 30 genuine pairs lie in a row in the order of the rows.
    assert max(read.issame[start : start + 43].sum() for start in range(0, 430, 43)) < 12
    np.testing.assert_array_equal(read.distances, read_pair_embeddings(path).distances)


def test_listed_pairs_are_found_among_embedded_files(tmp_path):
    path, rows = str(tmp_path / "x.npz"), vectors(4)
    write_embeddings(path, rows, ["/photos/anna/1.jpg", "/photos/anna/2.jpg", "/photos/ben/1.jpg", "/photos/ben/3.jpg"], Card())
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("anna/1.jpg,2.jpg,1\nben/1.jpg,photos/anna/1.jpg,0\n")
    read = read_pair_embeddings(path, str(pairs))
    np.testing.assert_allclose(read.distances, squared(rows[[0, 2]], rows[[1, 0]]), rtol=1e-5)
    assert read.issame.tolist() == [True, False]
    # Without names, people are inferred: anna's two photos are one person by the first pair, ben's photo is another.
    assert not read.table.known
    assert read.table.people[0, 0] == read.table.people[0, 1] == read.table.people[1, 1]
    pairs.write_text("first,second,issame,identity0,identity1,light\nanna/1.jpg,2.jpg,1,anna,anna,day\n")
    read = read_pair_embeddings(path, str(pairs))
    assert read.table.known
    assert read.table.people.tolist() == [["anna", "anna"]]
    assert list(read.table.groups) == ["light"]
    np.savez(tmp_path / "pairs.npz", embeddings0=rows, embeddings1=rows, issame=[1, 1, 1, 1])
    with pytest.raises(GluonFRError, match="Remove the list"):
        read_pair_embeddings(str(tmp_path / "pairs.npz"), str(pairs))
    for line, words in (("1.jpg,2.jpg,1", "1.jpg in .* matches 2"), ("9.jpg,2.jpg,1", "9.jpg in .* is not among")):
        pairs.write_text(line)
        with pytest.raises(GluonFRError, match=words):
            read_pair_embeddings(path, str(pairs))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"embeddings0": vectors(3), "embeddings1": vectors(2), "issame": [1, 0, 1]}, "do not match"),
        ({"embeddings0": vectors(3), "embeddings1": vectors(3), "issame": [1, 0]}, "one label per pair"),
        (
            {"embeddings0": np.zeros((3, 2)), "embeddings1": vectors(3)[:, :2], "issame": [1, 0, 1]},
            "embeddings0: row 0 is zero",
        ),
        ({"embeddings0": vectors(1), "embeddings1": vectors(1) * np.nan, "issame": [1]}, "embeddings1: row 0 holds NaN"),
        ({"embeddings": vectors(3), "labels": [1, 2]}, "one label per embedding"),
        ({"embeddings": vectors(3), "files": ["a", "b", "c"]}, "list of pairs"),
        ({"features": vectors(3)}, "contains features"),
        ({"embeddings0": vectors(2), "embeddings1": vectors(2), "issame": 1}, "issame"),
        ({"embeddings0": vectors(2), "embeddings1": vectors(2), "issame": [1, 0], "identity0": ["a", "b"]}, "only one of"),
        ({"embeddings0": vectors(2), "embeddings1": vectors(2), "issame": [1, 0], "age": ["a"]}, "age has shape"),
        ({"embeddings": vectors(2), "labels": [1.0, np.nan]}, "name people by text or whole numbers"),
        ({"embeddings0": vectors(1), "embeddings1": vectors(1), "issame": np.array([True, None], object)}, "without pickles"),
    ],
)
def test_invalid_arrays_are_reported(tmp_path, arrays, words):
    path = str(tmp_path / "bad.npz")
    np.savez(path, **arrays)
    with pytest.raises(GluonFRError, match=words) as caught:
        read_pair_embeddings(path)
    assert "bad.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_archives_and_too_many_pairs_are_reported(tmp_path):
    path = tmp_path / "bad.npz"
    rows = np.arange(4000.0)
    np.savez_compressed(tmp_path / "whole.npz", embeddings=np.random.default_rng(0).normal(size=(99, 9)), labels=np.arange(99))
    whole = (tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "rows.npy", rows)
    lying = io.BytesIO()
    with zipfile.ZipFile(lying, "w") as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 10000), }"
        archive.writestr("embeddings.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    damaged = bytearray(whole)
    damaged[200:260] = b"x" * 60
    for content in (b"PK but no archive", (tmp_path / "rows.npy").read_bytes(), whole[:-50], bytes(damaged), lying.getvalue()):
        path.write_bytes(content)
        with pytest.raises(GluonFRError, match="bad.npz cannot be read") as caught:
            read_pair_embeddings(str(path))
        assert "\n" not in str(caught.value)
    np.savez(path, embeddings=np.ones((15_000, 1), np.float32), labels=np.arange(15_000))
    with pytest.raises(GluonFRError, match="more than 20,000,000"):
        read_pair_embeddings(str(path))

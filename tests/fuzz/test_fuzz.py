"""Mutated files and requests are read or refused in one sentence, within limits of time and memory."""

import io
import json
import os
import random
import warnings
import zipfile

import pytest
from fuzz_run import HERE, NAMES, Fuzzer, support_folders
from fuzz_worker import MOST_MEMORY, Worker, forget_peak, judge, keep_input, own_peak
from mutations import mutate, mutate_folder

from gluonfr.core import DataError

FINDINGS = os.path.join(HERE, "findings")
# Seconds for the mutations of one reader, of which its process needs some to start. `make fuzz` takes hours.
SECONDS = 3


@pytest.fixture
def targets(monkeypatch):
    for folder in support_folders():
        monkeypatch.syspath_prepend(folder)
    from fuzz_targets import TARGETS

    return TARGETS


@pytest.mark.system
@pytest.mark.parametrize("target", NAMES)
def test_mutations_are_read_or_refused(target, tmp_path):
    fuzzer = Fuzzer(target, str(tmp_path / "findings")).run(SECONDS, cases=300)
    assert fuzzer.problems == []
    assert sum(fuzzer.counts.values()) > 0
    assert fuzzer.intact > 0


@pytest.mark.system
def test_a_target_that_does_not_read_its_intact_inputs_has_failed(targets, tmp_path, monkeypatch):
    def seeds(folder):
        os.makedirs(os.path.join(folder, "missing"))

    monkeypatch.chdir(tmp_path)
    with open(tmp_path / "job.json", "w") as file:
        json.dump({"target": "params", "seed": 0, "first": 0, "cases": 1, "seconds": 1, "findings": str(tmp_path)}, file)
    monkeypatch.setitem(targets, "params", targets["params"]._replace(seeds=seeds))
    with pytest.raises(DataError, match="is missing"):
        Worker(str(tmp_path)).run()


@pytest.mark.system
def test_intact_requests_are_answered_by_their_routes(targets, tmp_path, monkeypatch):
    import fuzz_galleries

    monkeypatch.setattr(fuzz_galleries, "PATIENCE", 60)
    targets["requests"].seeds(str(tmp_path / "seeds"))
    server = fuzz_galleries.Server(str(tmp_path))
    answers = {}
    for name in sorted(os.listdir(tmp_path / "seeds")):
        content = (tmp_path / "seeds" / name / "request").read_bytes()
        answers[name] = server.ask(content.replace(b"HOST", b"127.0.0.1:%d" % server.port))
    unknown_photo = {"move", "remove_photo"}
    assert {name for name, answer in answers.items() if not answer.startswith(b"HTTP/1.1 200 ")} == unknown_photo
    assert all(b"Person 2" in answers[name] for name in unknown_photo)


@pytest.mark.system
def test_every_reader_has_a_name(targets):
    assert sorted(NAMES) == sorted(targets)


@pytest.mark.system
@pytest.mark.parametrize("name", sorted(os.listdir(FINDINGS)))
def test_past_findings_are_refused_or_read(name, targets, tmp_path):
    with zipfile.ZipFile(os.path.join(FINDINGS, name)) as archive:
        archive.extractall(tmp_path / "case")
    forget_peak()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert judge(targets[name.rsplit("-", 1)[0]].read, str(tmp_path / "case")) in (("read", ""), ("refused", ""))
    assert own_peak() < MOST_MEMORY
    # NumPy's on comparing an array with a text.
    assert not [one.message for one in caught if issubclass(one.category, FutureWarning)]


def test_mutations_differ_and_are_repeatable():
    content = b'{"network": "mobilefacenet", "image_size": [112, 112]}'
    results = [mutate(random.Random(seed), content) for seed in range(200)]
    assert results == [mutate(random.Random(seed), content) for seed in range(200)]
    assert len(set(results)) > 100
    assert sum(result != content for result in results) > 180


def test_folders_are_mutated_and_the_original_is_kept(tmp_path):
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "a.txt").write_text("one 1\ntwo 2\n")
    with zipfile.ZipFile(tmp_path / "seed" / "b.npz", "w") as archive:
        archive.writestr("x.npy", b"content")
    before = {path.name: path.read_bytes() for path in (tmp_path / "seed").iterdir()}
    changed = set()
    for seed in range(40):
        mutate_folder(random.Random(seed), tmp_path / "seed", tmp_path / str(seed))
        found = {path.name: path.read_bytes() for path in (tmp_path / str(seed)).iterdir()}
        changed |= {name for name in before if found.get(name) != before[name]}
    assert changed == set(before)
    assert {path.name: path.read_bytes() for path in (tmp_path / "seed").iterdir()} == before


def test_errors_of_other_kinds_and_long_messages_are_findings(tmp_path):
    def fail(error):
        def read(_):
            raise error

        return judge(read, str(tmp_path))[0]

    assert judge(lambda _: None, str(tmp_path)) == ("read", "")
    assert fail(DataError("x.rec is damaged; copy it again.")) == "refused"
    assert fail(DataError("first\nsecond")) == fail(KeyError("x")) == fail(MemoryError()) == "finding"
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "x").write_bytes(b"abc")
    keep_input(str(tmp_path / "case"), str(tmp_path / "kept.zip"))
    assert zipfile.ZipFile(io.BytesIO((tmp_path / "kept.zip").read_bytes())).read("x") == b"abc"

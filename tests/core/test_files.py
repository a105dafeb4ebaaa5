import os
import signal
import subprocess
import sys
import textwrap

import pytest

from gluonfr.core import GluonFRError, Registry, atomic_file, atomic_files, atomic_folder, generator


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_file(path, "w") as file:
        file.write("half")
        file.flush()
        assert not path.exists()
    assert path.read_text() == "half"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_failure_leaves_only_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_file(path, "w") as file:
            file.write("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_several_files_are_replaced_together_or_not_at_all(tmp_path):
    paths = [tmp_path / name for name in "abc"]

    def fail():
        with atomic_files(*paths, mode="w") as files:
            files[0].write("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path) == []
    with atomic_files(*paths, mode="w") as files:
        for file in files:
            file.write("x")
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_folder_replaces_the_old_one(tmp_path):
    path = tmp_path / "run"
    for word in ("first", "second"):
        with atomic_folder(path) as folder, open(os.path.join(folder, word), "w") as file:
            file.write(word)
    assert os.listdir(path) == ["second"]
    assert os.listdir(tmp_path) == ["run"]
    with pytest.raises(KeyError), atomic_folder(path) as folder:
        raise KeyError
    assert os.listdir(path) == ["second"]
    assert os.listdir(tmp_path) == ["run"]


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GluonFRError, match="file/a.txt cannot be written"), atomic_file(tmp_path / "file" / "a.txt"):
        pass


def test_folder_below_a_file_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(GluonFRError, match="file/new cannot be written"), atomic_folder(tmp_path / "file" / "new"):
        pass


def test_killed_writer_leaves_no_file_of_that_name(tmp_path):
    code = """
        import os, signal, sys
        from gluonfr.core import atomic_file
        with atomic_file(sys.argv[1]) as file:
            file.write(b"x" * 100000)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    path = tmp_path / "a.bin"
    status = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(path)]).returncode
    assert status == -signal.SIGKILL
    assert not path.exists()


def run_killed(code, *arguments):
    code = "import os, signal, sys\n" + textwrap.dedent(code) + "\nos.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code, *map(str, arguments)]).returncode == -signal.SIGKILL


def test_next_writer_removes_what_a_killed_one_left(tmp_path):
    code = """
        from gluonfr.core import atomic_file, atomic_folder
        file, folder = atomic_file(sys.argv[1]), atomic_folder(sys.argv[2])
        file.__enter__().write(b"x" * 100000)
        open(os.path.join(folder.__enter__(), "part"), "w").close()
    """
    run_killed(code, tmp_path / "a.bin", tmp_path / "model")
    assert {path.name for path in tmp_path.iterdir()} == {".a.bin.0.tmp", ".model.0.tmp"}
    with atomic_file(tmp_path / "a.bin") as file:
        file.write(b"new")
    with atomic_folder(tmp_path / "model"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"a.bin", "model"}
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert list((tmp_path / "model").iterdir()) == []


def test_files_that_are_being_written_are_left_alone(tmp_path):
    with atomic_file(tmp_path / "a") as one, atomic_folder(tmp_path / "b") as folder:
        with atomic_file(tmp_path / "a") as other, atomic_folder(tmp_path / "b") as other_folder:
            other.write(b"second")
            assert other.name != one.name
            assert folder != other_folder
        assert (tmp_path / "a").read_bytes() == b"second"
        assert os.path.exists(one.name)
        assert os.path.isdir(folder)
        one.write(b"first")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_temporary_names_of_others_are_not_followed(tmp_path):
    (tmp_path / "victim").write_text("kept")
    (tmp_path / ".a.0.tmp").symlink_to(tmp_path / "victim")
    (tmp_path / ".b.0.tmp").symlink_to(tmp_path)
    with atomic_file(tmp_path / "a") as file, atomic_folder(tmp_path / "b"):
        file.write(b"new")
    assert (tmp_path / "victim").read_text() == "kept"
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / ".a.0.tmp").is_symlink()


def test_generator_depends_on_its_position_only():
    assert generator(1, 2, 3, 4).random() == generator(1, 2, 3, 4).random()
    seen = {generator(*place).random() for place in [(1,), (2,), (1, 1), (1, 0, 1), (1, 0, 0, 1), (1, 1, 1), (1, 1, 1, 1)]}
    assert len(seen) == 7
    # Neighboring streams must not overlap shifted by a few numbers, as counters that only add the index would.
    a, b = generator(5, 0, 0, 0).random(4096), generator(5, 0, 0, 1).random(4096)
    assert not set(a) & set(b)


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_a_generator_refuses_seeds_that_would_overflow(seed):
    with pytest.raises(GluonFRError, match="seed must be"):
        generator(seed)


def test_the_registry_accepts_any_spelling_and_lists_known_names():
    registry = Registry("thing")
    registry.register("LResNet50E-IR", "r50")(int)
    for name in ("lresnet50e_ir", "LRESNET50EIR", "R50"):
        assert registry.get(name) is int
    assert registry.names() == ["LResNet50E-IR"]
    with pytest.raises(GluonFRError, match="unknown thing 'lresnet51e_ir': did you mean 'LResNet50E-IR'"):
        registry.get("lresnet51e_ir")
    with pytest.raises(GluonFRError, match="known: LResNet50E-IR"):
        registry.get(3)
    with pytest.raises(ValueError, match="is used already"):
        registry.register("R-50")(float)

"""Several processes with real ranks: what they exchange, and what is left of them when something dies."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import mxnet as mx
import numpy as np
import psutil
import pytest
import rank_program
from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.data import FRValDataset
from gluonfr.data.dataset.lookup import get_training_set, get_verification_sets
from gluonfr.deploy import embed_pairs
from gluonfr.engine import TrainOptions, validate
from gluonfr.engine.distributed.agreement import check_agreement, check_devices
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.distributed.heartbeat import HeartbeatServer
from gluonfr.engine.distributed.hosts import check_own_name, parse_hosts
from gluonfr.engine.distributed.launcher import launch

pytestmark = pytest.mark.system

PROGRAM = rank_program.__file__
no_horovod = pytest.mark.skipif(
    importlib.util.find_spec("horovod") is None, reason="Horovod is not installed; `make horovod` builds it"
)
HOROVOD = pytest.param("horovod", marks=no_horovod)
LAUNCHER = (
    "import sys; from gluonfr.engine.distributed import launch;"
    "outcome = launch([sys.executable, *sys.argv[1:4]], 2, sys.argv[4], logs=sys.argv[3] + '/ranks', hang_timeout=60);"
    "print(outcome.message); sys.exit(outcome.status)"
)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("MXNET_OMP_MAX_THREADS", "1")


def start(what, folder, sync, workers=2, **options):
    options = {"hang_timeout": 60, **options}
    return launch([sys.executable, PROGRAM, what, str(folder)], workers, sync, logs=str(folder / "ranks"), **options)


def start_launcher(what, folder, sync):
    return subprocess.Popen([sys.executable, "-c", LAUNCHER, PROGRAM, what, str(folder), sync])


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lines(folder):
    """What every started rank wrote of itself: its process and the ports of the run."""
    return [list(map(int, line.split())) for path in sorted(folder.glob("process-*")) for line in path.read_text().splitlines()]


def alive(folder):
    """Processes of a run that are there, the servers of ps-lite among them."""
    found = []
    for process in psutil.process_iter(["cmdline", "status", "environ"]):
        # Their folder stands in the command of the ranks, and their port in the environment of the servers.
        mine = str(folder) in (process.info["cmdline"] or [])
        ports = {str(port) for line in lines(folder) for port in line[1:]}
        mine |= (process.info["environ"] or {}).get("DMLC_PS_ROOT_PORT") in ports and process.pid != os.getpid()
        if mine and process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            found.append(process.pid)
    return found


def check_nothing_is_left(folder, ranks=2):
    assert len(lines(folder)) >= ranks
    assert not alive(folder)
    for _, *ports in lines(folder):
        for port in ports:
            with socket.socket() as probe:
                # A port of which connections linger is free for whoever asks for it in this way, as servers do.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))


@pytest.mark.parametrize(("sync", "ranks"), [pytest.param("horovod", 3, marks=no_horovod), ("ps", 2)])
def test_ranks_exchange_the_values_that_numpy_computes(tmp_path, sync, ranks):
    assert start("exchange", tmp_path, sync, ranks).status == 0
    counts = {"even": [4] * ranks, "uneven": [1 + 3 * rank for rank in range(ranks)]}
    sums = [
        np.sum(gradients, axis=0, dtype=np.float64)
        for gradients in zip(*(rank_program.gradients(rank) for rank in range(ranks)))
    ]
    for rank in range(ranks):
        found = np.load(tmp_path / f"{rank}.npz")
        assert np.array_equal(found["gathered"], np.concatenate([rank_program.rows(rank) for rank in range(ranks)]))
        assert found["bytes"].tolist() == [value for rank in range(ranks) for value in (rank, 255)]
        for name, count in counts.items():
            total = sum(rank_program.matrix(rank, sum(count)).astype(np.float64) for rank in range(ranks))
            begin = sum(count[:rank])
            np.testing.assert_allclose(found[name], total[begin : begin + count[rank]], rtol=0, atol=1e-6)
        for i, expected in enumerate(sums):
            for step in range(2):
                np.testing.assert_allclose(found[f"sum{step}.{i}"], expected, rtol=0, atol=2e-6)
        for i, expected in enumerate(rank_program.gradients(0)[:2]):
            assert np.array_equal(found[f"broadcast.{i}"], expected)
        assert "row_sparse" in found["sparse"][0]
        said = json.loads((tmp_path / f"{rank}.json").read_text())
        expected = [{"rank": rank, "text": rank_program.text(rank), "third": 1 / 3} for rank in range(ranks)]
        assert said == {"values": expected, "shards": sync == "horovod", "rank": rank, "size": ranks}
    first, last = (np.load(tmp_path / f"{rank}.npz") for rank in (0, ranks - 1))
    # Every rank has the same bits.
    assert all(np.array_equal(first[name], last[name]) for name in first.files if name.startswith("sum"))
    check_nothing_is_left(tmp_path, ranks)


@pytest.mark.parametrize("sync", [HOROVOD, pytest.param("ps", marks=pytest.mark.full)])
def test_all_ranks_restart_after_a_kill_and_stop_on_request(tmp_path, sync):
    def ask():
        wait_for(lambda: all((tmp_path / f"waiting-{rank}").exists() for rank in range(2)))
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    outcome = start("kill, then wait", tmp_path, sync, max_restarts=3)
    asking.join()
    # The second start ended by itself, after it had saved.
    assert (outcome.status, outcome.restarts, outcome.message) == (130, 1, "")
    assert all((tmp_path / f"saved-{rank}").exists() for rank in range(2))
    assert len(lines(tmp_path)) == 4
    check_nothing_is_left(tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("sync", [HOROVOD, "ps"])
def test_restarts_stop_after_the_given_number(tmp_path, sync):
    outcome = start("kill", tmp_path, sync, max_restarts=1)
    assert (outcome.status, outcome.restarts) == (1, 1)
    assert outcome.message.startswith("rank 1 was killed by SIGKILL")
    assert "all ranks were ended" in outcome.message
    check_nothing_is_left(tmp_path)


@pytest.mark.parametrize("sync", [HOROVOD, pytest.param("ps", marks=pytest.mark.full)])
def test_a_stopped_rank_ends_all_ranks_after_the_timeout(tmp_path, sync, capfd):
    began = time.time()
    outcome = start("stop", tmp_path, sync, hang_timeout=8)
    ended = time.time()
    assert outcome.status == 1
    assert "no heartbeat of rank 1 for 8 s" in outcome.message
    stopped = (tmp_path / "ready-1").stat().st_mtime
    assert began < stopped
    assert ended - stopped < 8 + 5
    check_nothing_is_left(tmp_path)


@pytest.mark.parametrize("sync", [HOROVOD, pytest.param("ps", marks=pytest.mark.full)])
def test_nothing_outlives_a_killed_launcher(tmp_path, sync):
    launcher = start_launcher("stop", tmp_path, sync)
    try:
        wait_for(lambda: (tmp_path / "ready-1").exists())
        wait_for(lambda: psutil.Process(lines(tmp_path)[1][0]).status() == psutil.STATUS_STOPPED)
    finally:
        launcher.kill()
        launcher.wait()
    # Neither the rank that runs nor the one that is stopped, nor a server.
    wait_for(lambda: not alive(tmp_path), 5)
    check_nothing_is_left(tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("sync", [HOROVOD, "ps"])
@pytest.mark.parametrize(
    ("what", "said"),
    [("refuse", "this rank does not like it."), ("full", "rank 1: No space left on device; no partial files were left.")],
)
def test_a_refusal_is_printed_once_and_not_retried(tmp_path, sync, what, said):
    outcome = start(what, tmp_path, sync, max_restarts=5)
    assert (outcome.status, outcome.restarts) == (2, 0)
    assert outcome.message.count(said) == 1
    assert "Traceback" not in outcome.message
    check_nothing_is_left(tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("sync", [HOROVOD, "ps"])
def test_a_rank_that_cannot_connect_ends_all(tmp_path, sync):
    began = time.monotonic()
    outcome = start("unconnected", tmp_path, sync, start_timeout=15, hang_timeout=15)
    assert outcome.status == 1
    assert outcome.message
    assert time.monotonic() - began < 40
    check_nothing_is_left(tmp_path)


@pytest.mark.full
@pytest.mark.parametrize(("sync", "ranks"), [pytest.param("horovod", 4, marks=no_horovod), ("ps", 2)])
def test_two_runs_of_the_same_ranks_agree_bit_for_bit_and_with_one_process(tmp_path, sync, ranks):
    runs = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        assert start("repeat", folder, sync, ranks).status == 0
        runs.append([np.load(folder / f"{rank}.npz") for rank in range(ranks)])
    rank_program.repeat(Group(), str(tmp_path))
    alone = np.load(tmp_path / "0.npz")
    for run in runs[0] + runs[1]:
        assert np.array_equal(run["weights"], runs[0][0]["weights"])
        assert np.array_equal(run["losses"], runs[0][0]["losses"])
    np.testing.assert_allclose(runs[0][0]["losses"], alone["losses"], rtol=1e-4)
    np.testing.assert_allclose(runs[0][0]["weights"], alone["weights"], rtol=0, atol=1e-5)


class Recorded(Group):
    """One of several ranks, whose part is noted until those of all are there."""

    def __init__(self, rank, size, parts):
        self.rank, self.size, self.parts, self.beats = rank, size, parts, 0

    def gather(self, array, name):
        self.parts[self.rank] = array
        if len(self.parts) < self.size:
            raise InterruptedError
        return nd.concat(*[self.parts[rank] for rank in range(self.size)], dim=0)

    def beat(self):
        self.beats += 1


@pytest.mark.parametrize(("size", "batch_size"), [(2, 16), (3, 7), (4, 64)])
def test_ranks_share_a_validation(small_root, size, batch_size):
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Conv2D(4, 3, strides=2), mx.gluon.nn.Dense(8))
    net.initialize()
    pairs = FRValDataset("more", root=small_root)
    expected = embed_pairs(net, pairs, batch_size=batch_size)
    parts = {}
    for rank in range(size):
        group = Recorded(rank, size, parts)
        if rank < size - 1:
            with pytest.raises(InterruptedError):
                embed_pairs(net, pairs, batch_size=batch_size, group=group)
    shared = embed_pairs(net, pairs, batch_size=batch_size, group=group)
    # 80 images, in whole batches; who has none sends a row for nothing.
    assert sum(map(len, parts.values())) == 80 + sum(len(digests) == 1 for digests in parts.values())
    assert max(map(len, parts.values())) <= -(-80 // batch_size // size) * batch_size
    assert all(np.array_equal(one, other) for one, other in zip(shared, expected))
    again = validate(net, {"more": pairs}, batch_size=batch_size, group=Recorded(0, size, parts), progress=False)["more"]
    assert again.auc == validate(net, pairs, batch_size=batch_size, progress=False).auc


class Other(Group):
    """A group whose last rank says something else."""

    def __init__(self, size, changed):
        self.size, self.changed = size, changed

    def gather_values(self, value):
        other = [[name, self.changed.get(name, fact)] for name, fact in value if self.changed.get(name, fact) is not None]
        return json.loads(json.dumps([value] * (self.size - 1) + [other]))


def _sets(options):
    training = get_training_set(options.dataset, options.root, options.identities)
    return training, get_verification_sets(options.val, options.root, options.dataset)


@pytest.mark.parametrize(
    ("size", "changed", "options", "words"),
    [
        (2, {"mxnet": "1.8.0", "host": "b"}, {}, r"rank 1 on b has mxnet 1\.8\.0, rank 0 on .* has 1\.9\.1"),
        (3, {"the option lr": 0.2}, {}, r"rank 2 on .* has the option lr 0\.2, rank 0 on .* has 0\.1"),
        (2, {"blobs of": "9 bytes"}, {}, "rank 1 on .* has blobs of 9 bytes, rank 0 on .* has [0-9,]+ bytes, with labels"),
        (2, {"val_data of": None}, {}, "val_data of None"),
        (2, {}, {"cpus": 2}, "each of the 2 processes got 2 devices"),
        (7, {}, {}, "7 processes are more than the 6 identities"),
    ],
)
def test_ranks_with_different_facts_are_refused(small_options, size, changed, options, words):
    options = TrainOptions(**dict(small_options, **options))
    sets = _sets(options)
    with pytest.raises(GluonFRError, match=words):
        check_agreement(Other(size, changed), options, *sets)


def test_ranks_with_equal_facts_are_accepted(small_options):
    options = TrainOptions(**small_options)
    check_agreement(Other(6, {"host": "b"}), options, *_sets(options))


def test_the_heartbeat_server_reports_silent_and_missing_ranks():
    with HeartbeatServer(2, 0.3, 0.5) as server:
        address, token = server.server_address, server.token
        assert server.stuck() is None
        time.sleep(0.6)
        assert server.stuck() == (0, "rank 0 did not start within 0.5 s")
        with socket.create_connection(address) as stranger:
            stranger.sendall(b"wrong 0\n1\n")
            assert stranger.recv(10) == b""
        assert server.stuck()[0] == 0
        with socket.create_connection(address) as rank:
            rank.sendall(f"{token} 0\n1\n".encode())
            assert rank.recv(1) == b"+"
            assert server.stuck() is None
            server.stop_all()
            rank.sendall(b"2\n")
            assert rank.recv(1) == b"-"
            time.sleep(0.4)
            assert server.stuck()[0] == 0
            assert "no heartbeat" in server.stuck()[1]
            server.end()
            assert rank.recv(1) == b""


@pytest.mark.parametrize("text", ["", "a:0", "a:-1", "a b:2", "a:2,a:3", "a:x", "a:2,"])
def test_invalid_hosts_are_rejected(text):
    with pytest.raises(GluonFRError, match="hosts="):
        parse_hosts(text)


@no_horovod
def test_hosts_are_checked_before_anything_starts(tmp_path):
    assert parse_hosts("a:4, b-1.net:2,c") == [("a", 4), ("b-1.net", 2), ("c", 1)]
    for hosts, words in (([("localhost", 2)], "localhost resolves to 127"), ([("no.such.host.invalid", 2)], "no.such")):
        with pytest.raises(GluonFRError, match=words):
            launch(["false"], hosts=hosts, logs=str(tmp_path / "run" / "ranks"))
    assert not (tmp_path / "run").exists()


def test_this_machine_needs_a_name_that_others_can_use(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    with pytest.raises(GluonFRError, match="this machine's name localhost resolves to 127"):
        check_own_name()


def test_every_rank_has_one_device():
    check_devices((), 1, 4)
    check_devices([0, 1], 1, 2)
    for gpus, cpus, ranks in (((), 2, 2), ([0, 1], 1, 4), ([0, 1, 2], 1, 2)):
        with pytest.raises(GluonFRError, match="one"):
            check_devices(gpus, cpus, ranks)

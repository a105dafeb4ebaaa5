"""Several machines, as network namespaces with host names and a link of their own; only ssh is stood in for."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest
import rank_program

MACHINES = {"gluonfr-a": "10.97.31.1", "gluonfr-b": "10.97.31.2"}
LAUNCHER = """
import logging, sys
from gluonfr.core import GluonFRError
from gluonfr.engine.processes import launch
hosts = [("gluonfr-a", 1), ("gluonfr-b", 1)]
try:
    outcome = launch([sys.executable, *sys.argv[1:4]], hosts=hosts, logs=sys.argv[3] + "/ranks", hang_timeout=10)
except GluonFRError as error:
    sys.exit(f"refused: {error}")
print(outcome.message)
sys.exit(outcome.status)
"""
# What ssh starts outlives it, as on a real machine.
SSH = """
    #!/bin/sh
    options() { while :; do case "$1" in -o|-p|-i) shift 2;; *) break;; esac; done; echo $#; }
    shift $(($# - $(options "$@"))); host=$1; shift
    shift $(($# - $(options "$@")))
    setsid -w "$MACHINE" $host sh -c "$*"
"""
MACHINE = """
    #!/bin/sh
    name=$1; shift
    exec ip netns exec $name unshare --uts sh -c 'hostname "$0"; mount --bind "$HOSTS" /etc/hosts; exec "$@"' $name "$@"
"""

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        importlib.util.find_spec("horovod") is None, reason="Horovod is not installed; `make horovod` builds it"
    ),
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "mount"))),
        reason="network namespaces need root and iproute2",
    ),
]


def ip(*arguments, check=True):
    return subprocess.run(["ip", *arguments], check=check, capture_output=True)


@pytest.fixture(scope="module")
def link(tmp_path_factory):
    """Two namespaces with a cable between them, and something that answers where ssh would on the second."""
    listener = None
    try:
        for name in MACHINES:
            ip("netns", "add", name)
        first, second = MACHINES
        # Horovod wants interfaces of one name on all machines.
        ip("link", "add", "eth0", "netns", first, "type", "veth", "peer", "name", "eth0", "netns", second)
        for name, address in MACHINES.items():
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for each in ("lo", "eth0"):
                ip("-n", name, "link", "set", each, "up")
        serve = [sys.executable, "-m", "http.server", "22", "--bind", MACHINES[second]]
        listener = subprocess.Popen(["ip", "netns", "exec", second, *serve], stderr=subprocess.DEVNULL)
        time.sleep(1)
        yield second
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.decode().strip()}")
    finally:
        if listener is not None:
            listener.kill()
            listener.wait()
        for name in MACHINES:
            # What a failed test left there.
            for number in ip("netns", "pids", name, check=False).stdout.split():
                os.kill(int(number), signal.SIGKILL)
            ip("netns", "del", name, check=False)


@pytest.fixture()
def launcher(link, tmp_path, monkeypatch):
    """Start the launcher on the first machine; `launcher(what, names)`, names -> address in place of the right ones."""
    started = []

    def script(name, text):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
        path.chmod(0o755)
        return str(path)

    def start(what, **names):
        addresses = {**MACHINES, **{name.replace("_", "-"): address for name, address in names.items()}}
        (tmp_path / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{ip} {name}\n" for name, ip in addresses.items()))
        script("ssh", SSH)
        own = {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "MACHINE": script("machine", MACHINE),
            "HOSTS": str(tmp_path / "hosts"),
            "MXNET_OMP_MAX_THREADS": "1",
        }
        command = [own["MACHINE"], "gluonfr-a", sys.executable, "-c", LAUNCHER, rank_program.__file__, what, str(tmp_path)]
        started.append(
            subprocess.Popen(
                command, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
            )
        )
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()
        each.stdout.close()


def ranks(folder):
    """Processes of the run that are there, on both machines."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        here = str(folder) in (process.info["cmdline"] or []) and "-c" not in process.info["cmdline"]
        if here and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.info["cmdline"])
    return found


def wait_for(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def running(folder):
    return all((folder / f"ready-{rank}").exists() for rank in range(2))


def test_two_machines_exchange_like_one(launcher, tmp_path):
    run = launcher("exchange")
    output, _ = run.communicate(timeout=150)
    assert run.returncode == 0, output
    assert (tmp_path / "0.json").read_text().replace('"rank": 0, "size"', "") == (tmp_path / "1.json").read_text().replace(
        '"rank": 1, "size"', ""
    )
    assert not ranks(tmp_path)


def test_a_cut_link_ends_both_sides(launcher, link, tmp_path):
    run = launcher("steps")
    wait_for(lambda: running(tmp_path))
    ip("-n", link, "link", "set", "eth0", "down")
    try:
        # The timeout, and what horovodrun takes to give up.
        output, _ = run.communicate(timeout=10 + 25)
        assert run.returncode == 1 and re.search("rank 1 said nothing for 10 s|rank . (ended|was killed)", output), output
        wait_for(lambda: not ranks(tmp_path), 15)
    finally:
        ip("-n", link, "link", "set", "eth0", "up")


def test_a_stopped_rank_on_another_machine_does_not_outlive_a_killed_launcher(launcher, tmp_path):
    run = launcher("stop")
    wait_for(lambda: running(tmp_path))
    run.kill()
    try:
        wait_for(lambda: not ranks(tmp_path), 15)
    except AssertionError:
        raise AssertionError(ranks(tmp_path)) from None


def test_a_rank_that_dies_elsewhere_is_named(launcher, tmp_path):
    run = launcher("kill")
    output, _ = run.communicate(timeout=150)
    assert run.returncode == 1 and "rank 1 was killed by SIGKILL" in output and "Traceback" not in output, output
    assert not ranks(tmp_path)


def test_ranks_elsewhere_are_asked_to_stop(launcher, tmp_path):
    run = launcher("until_asked")
    wait_for(lambda: all((tmp_path / f"waiting-{rank}").exists() for rank in range(2)))
    run.send_signal(signal.SIGTERM)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 2 and output.count("stopped and saved") == 1, output
    assert all((tmp_path / f"saved-{rank}").exists() for rank in range(2))


@pytest.mark.parametrize(
    "names, words",
    [
        ({"gluonfr_b": "10.97.31.77"}, "gluonfr-b .10.97.31.77. does not answer on the ssh port"),
        ({"gluonfr_b": "127.0.1.1"}, "gluonfr-b resolves to 127.0.1.1"),
        ({"gluonfr_a": "127.0.1.1"}, "gluonfr-a resolves to 127.0.1.1"),
    ],
)
def test_hosts_that_cannot_work_are_refused(launcher, tmp_path, names, words):
    output, _ = launcher("exchange", **names).communicate(timeout=60)
    assert re.search(f"refused: .*{words}", output), output
    assert not ranks(tmp_path) and not (tmp_path / "ranks").exists()

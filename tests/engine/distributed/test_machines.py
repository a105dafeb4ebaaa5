"""Several machines, as network namespaces with host names, a link and an ssh server of their own."""

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
SSHD = "/usr/sbin/sshd"
LAUNCHER = """
import logging, sys
from gluonfr.core import GluonFRError
from gluonfr.engine.distributed import launch
hosts = [("gluonfr-a", 1), ("gluonfr-b", 1)]
try:
    outcome = launch([sys.executable, *sys.argv[1:4]], hosts=hosts, logs=sys.argv[3] + "/ranks", hang_timeout=10)
except GluonFRError as error:
    sys.exit(f"refused: {error}")
print(outcome.message)
sys.exit(outcome.status)
"""
# Real OpenSSH, with keys and settings that are not the user's.
SSH = """
    #!/bin/sh
    exec "$REAL_SSH" -F "$SSH_FOLDER/config" "$@"
"""
MACHINE = """
    #!/bin/sh
    name=$1; shift
    exec ip netns exec $name unshare --uts sh -c 'hostname "$0"; mount --bind "$HOSTS" /etc/hosts; exec "$@"' $name "$@"
"""

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("horovod") is None, reason="Horovod is not installed; `make horovod` builds it"
    ),
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "mount", "ssh", SSHD))),
        reason="network namespaces with ssh need root, iproute2 and OpenSSH's client and server",
    ),
]


def locked():
    """Whether nobody gets in as root, whatever his key."""
    with open("/etc/shadow") as file:
        return any(line.startswith("root:!") for line in file)


def ip(*arguments, check=True):
    return subprocess.run(["ip", *arguments], check=check, capture_output=True)


@pytest.fixture(scope="module")
def link(tmp_path_factory):
    """Two namespaces with a cable between them."""
    try:
        for name in MACHINES:
            ip("netns", "add", name)
        first, second = MACHINES
        # Horovod wants interfaces of one name on all machines.
        ip("link", "add", "eth0", "netns", first, "type", "veth", "peer", "name", "eth0", "netns", second)
        for name, address in MACHINES.items():
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", name, "link", "set", device, "up")
        yield second
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.decode().strip()}")
    finally:
        for name in MACHINES:
            # What a failed test left there.
            for number in ip("netns", "pids", name, check=False).stdout.split():
                os.kill(int(number), signal.SIGKILL)
            ip("netns", "del", name, check=False)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder with a key for users and hosts, and the settings of an ssh client and server that know it alone."""
    if locked():
        pytest.skip("root is locked, so that ssh does not let it in; `usermod -p '*' root` lets it in by key")
    folder = tmp_path_factory.mktemp("ssh")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    shutil.copy(folder / "key.pub", folder / "authorized")
    client = ["IdentityFile {0}/key", "UserKnownHostsFile {0}/known", "StrictHostKeyChecking accept-new"]
    server = ["HostKey {0}/key", "AuthorizedKeysFile {0}/authorized", "StrictModes no", "UsePAM no", "PidFile none"]
    server.append("PermitRootLogin prohibit-password")
    for name, settings in {"config": client, "sshd": server}.items():
        (folder / name).write_text("".join(f"{setting}\n".format(folder) for setting in settings))
    # Where the server wants to separate its privileges.
    os.makedirs("/run/sshd", exist_ok=True)
    return folder


@pytest.fixture
def launcher(link, keys, tmp_path):
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
        machine = script("machine", MACHINE)
        own = {
            "HOSTS": str(tmp_path / "hosts"),
            "SSH_FOLDER": str(keys),
            "REAL_SSH": shutil.which("ssh"),
            "MXNET_OMP_MAX_THREADS": "1",
        }
        own["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"

        def on(name, *command):
            process = subprocess.Popen(
                [machine, name, *command],
                env={**os.environ, **own},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
            )
            started.append(process)
            return process

        for name, address in MACHINES.items():
            log = tmp_path / f"sshd-{name}"
            on(name, SSHD, "-D", "-f", str(keys / "sshd"), "-o", f"ListenAddress={address}", "-E", str(log))
            wait_for(lambda log=log: log.exists() and "Server listening" in log.read_text(), 10)
        return on("gluonfr-a", sys.executable, "-c", LAUNCHER, rank_program.__file__, what, str(tmp_path))

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


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


def test_two_machines_exchange_the_values_of_one(launcher, tmp_path):
    run = launcher("exchange")
    output, _ = run.communicate(timeout=150)
    assert run.returncode == 0, output
    assert (tmp_path / "0.json").read_text().replace('"rank": 0, "size"', "") == (tmp_path / "1.json").read_text().replace(
        '"rank": 1, "size"', ""
    )
    assert not ranks(tmp_path)


@pytest.mark.full
def test_a_cut_link_ends_both_sides(launcher, link, tmp_path):
    run = launcher("steps")
    wait_for(lambda: running(tmp_path))
    ip("-n", link, "link", "set", "eth0", "down")
    try:
        # The timeout, and what horovodrun takes to give up.
        output, _ = run.communicate(timeout=10 + 25)
        assert run.returncode == 1, output
        assert re.search("no heartbeat of rank 1 for 10 s|rank . (ended|was killed)", output), output
        wait_for(lambda: not ranks(tmp_path), 15)
    finally:
        ip("-n", link, "link", "set", "eth0", "up")


@pytest.mark.full
def test_a_stopped_rank_on_another_machine_does_not_outlive_a_killed_launcher(launcher, tmp_path):
    run = launcher("stop")
    wait_for(lambda: running(tmp_path))
    run.kill()
    try:
        wait_for(lambda: not ranks(tmp_path), 15)
    except AssertionError:
        raise AssertionError(ranks(tmp_path)) from None


@pytest.mark.full
def test_a_rank_that_dies_on_another_machine_is_named(launcher, tmp_path):
    run = launcher("kill")
    output, _ = run.communicate(timeout=150)
    assert run.returncode == 1, output
    assert "rank 1 was killed by SIGKILL" in output
    assert "Traceback" not in output, output
    assert not ranks(tmp_path)


@pytest.mark.full
def test_ranks_on_other_machines_are_asked_to_stop(launcher, tmp_path):
    run = launcher("until_asked")
    wait_for(lambda: all((tmp_path / f"waiting-{rank}").exists() for rank in range(2)))
    run.send_signal(signal.SIGTERM)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert output.count("stopped and saved") == 1, output
    assert all((tmp_path / f"saved-{rank}").exists() for rank in range(2))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"gluonfr_b": "10.97.31.77"}, "gluonfr-b .10.97.31.77. refuses ssh .ssh: connect to host gluonfr-b port 22: "),
        ({"gluonfr_b": "127.0.1.1"}, "gluonfr-b resolves to 127.0.1.1"),
        ({"gluonfr_a": "127.0.1.1"}, "gluonfr-a resolves to 127.0.1.1"),
    ],
)
def test_unusable_hosts_are_refused(launcher, tmp_path, names, words):
    output, _ = launcher("exchange", **names).communicate(timeout=60)
    assert re.search(f"refused: .*{words}", output), output
    assert not ranks(tmp_path)
    assert not (tmp_path / "ranks").exists()


def test_a_machine_that_refuses_the_login_is_refused(launcher, keys, tmp_path):
    authorized = (keys / "authorized").read_text()
    (keys / "authorized").write_text("")
    try:
        output, _ = launcher("exchange").communicate(timeout=60)
    finally:
        (keys / "authorized").write_text(authorized)
    assert re.fullmatch(r"refused: hosts: gluonfr-b \(10.97.31.2\) refuses ssh \(.*denied.*\); .*\n", output)
    assert not ranks(tmp_path)
    assert not (tmp_path / "ranks").exists()

"""A real Milvus server on this machine, from the wheel `milvus`."""

import ctypes
import os
import signal
import subprocess
import time
import urllib.request

import milvus

# So that a test does not wait longer for the server's clock than for its work.
QUICK = {
    "proxy.timeTickInterval": 50,
    "queryCoord.checkInterval": 100,
    "queryCoord.distPullInterval": 100,
    "log.level": "error",
}


def _die_with_the_tests():
    # Linux's PR_SET_PDEATHSIG: also when the tests are killed.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class MilvusProcess:
    """Its data lie in `folder`; the programs, 450 MB that take long to unpack, in `programs`."""

    def __init__(self, folder, programs):
        self.folder = str(folder)
        os.symlink(programs, os.path.join(self.folder, "bin"))
        config = milvus.MilvusServerConfig(data_dir=self.folder)
        # The server listens on all interfaces whatever this says; but what it tells its own parts to call is this machine.
        for room in ("proxy", "rootCoord", "queryCoord", "queryNode", "indexCoord", "indexNode", "dataCoord", "dataNode"):
            config.set(room + ".ip", "127.0.0.1")
        for name, value in QUICK.items():
            config.set(name, value)
        config.set("etcd_log_level", "error")
        config.resolve()
        self._give_etcd_a_port_of_its_own(config)
        milvus._initialize_data_files(self.folder)
        health, socket = config.resolve_port(9091)
        socket.close()
        self._health = f"http://127.0.0.1:{health}/healthz"
        self.address = f"milvus://127.0.0.1:{config.get('proxy_port')}"
        self._environment = {
            **os.environ,
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(health),
            "MILVUS_RUN_DIR": os.path.join(self.folder, "run"),
            "LD_LIBRARY_PATH": os.path.join(self.folder, "bin"),
        }
        self._process = None

    def start(self, wait=True):
        with open(os.path.join(self.folder, "logs", "said.log"), "ab") as said:
            self._process = subprocess.Popen(
                [os.path.join(self.folder, "bin", "milvus"), "run", "standalone"],
                cwd=self.folder,
                env=self._environment,
                stdout=said,
                stderr=said,
                preexec_fn=_die_with_the_tests,
            )
        end = time.monotonic() + 180
        while wait and not self._healthy():
            assert self._process.poll() is None, "the Milvus server has ended"
            assert time.monotonic() < end, "the Milvus server does not start"
            time.sleep(0.1)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def _give_etcd_a_port_of_its_own(self, config):
        # Otherwise its second port is always 2380, and two servers cannot live on one machine.
        second, socket = config.resolve_port(2480)
        socket.close()
        client, peer = f"http://127.0.0.1:{config.get('etcd_port')}", f"http://127.0.0.1:{second}"
        etcd = os.path.join(self.folder, "configs", "etcd.yaml")
        with open(etcd, "w") as file:
            file.write(f"name: default\nlisten-client-urls: {client}\nadvertise-client-urls: {client}\n")
            file.write(f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\ninitial-cluster: default={peer}\n")
        settings = os.path.join(self.folder, "configs", "milvus.yaml")
        with open(settings) as file:
            text = file.read()
        with open(settings, "w") as file:
            file.write(text.replace("\netcd:\n", f"\netcd:\n  config:\n    path: {etcd}\n", 1))

    def _healthy(self):
        try:
            with urllib.request.urlopen(self._health, timeout=5) as answer:
                return b"OK" in answer.read()
        except OSError:
            return False

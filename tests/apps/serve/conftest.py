"""`gluonfr serve` as a process of its own, and requests to it."""

import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
from urllib.parse import urlencode, urlsplit

import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install '.[serve]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install '.[serve]'")


class Server:
    """A running `gluonfr serve`."""

    def __init__(self, gallery, models, *options):
        words = ["serve", "--gallery", str(gallery), "--models", models, "--port", "0", *options]
        self.gallery, self.output = str(gallery), []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gluonfr", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in self.process.stdout:
            self.output.append(line)
            if "is ready" in line:
                break
        else:
            raise AssertionError("".join(self.output))
        self.url = line.split()[0]
        self.host, self.port = urlsplit(self.url).hostname, urlsplit(self.url).port

    def ask(self, method, path, body=None, headers=None, **parameters):
        """(status, what the JSON says, headers)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request(method, f"{path}?{urlencode(parameters)}", body, headers or {})
            response = connection.getresponse()
            return response.status, json.loads(response.read()), response.headers
        finally:
            connection.close()

    def get(self, path, **parameters):
        status, answer, _ = self.ask("GET", path, **parameters)
        assert status == 200, answer
        return answer

    def end(self, number=signal.SIGTERM):
        """The exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.output += self.process.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode


@pytest.fixture(scope="session")
def models(faces, tmp_path_factory):
    """A store of models with y1 alone."""
    if importlib.util.find_spec("mtcnn") is None:
        pytest.skip("the package mtcnn, whose weights the detector uses, is not installed")
    from gluonfr.weights.store import add_model

    root = str(tmp_path_factory.mktemp("models"))
    add_model("y1", os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json"), root, "mobilefacenet")
    return root


@pytest.fixture(scope="session")
def start(models):
    started = []

    def new(gallery, *options):
        started.append(Server(gallery, models, *options))
        return started[-1]

    yield new
    for server in started:
        server.end()


@pytest.fixture(scope="session")
def server(start, tmp_path_factory):
    """One for all tests that leave the gallery as it was, or begin with their own people."""
    return start(tmp_path_factory.mktemp("served") / "g.db")


@pytest.fixture(scope="session")
def photos(faces):
    """(the group's six people, a list of lists of photos of one person each), as paths."""
    root = os.path.join(faces, "photos", "people")
    folders = [os.path.join(root, name) for name in sorted(os.listdir(root))]
    people = [sorted(os.path.join(folder, file) for file in os.listdir(folder)) for folder in folders]
    return os.path.join(faces, "photos", "group.jpg"), people


@pytest.fixture
def nobody(server):
    """The server with an empty gallery."""
    for person in server.get("/api/people")["people"]:
        assert server.ask("DELETE", "/api/people", name=person["name"])[0] == 200
    return server

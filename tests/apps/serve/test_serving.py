"""How a server starts, whom it lets in, and how it ends."""

import asyncio
import http.client
import io
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.requests import Request

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.gallery.stores.base import Person
from gluonfr.apps.serve import connection, upload
from gluonfr.apps.serve.api.state import ServerState
from gluonfr.apps.serve.app import make_app
from gluonfr.apps.serve.errors import RequestError, as_request_error
from gluonfr.apps.serve.guard import Guard
from gluonfr.apps.serve.server import listen, page_address
from gluonfr.apps.serve.worker import Worker
from gluonfr.cli import main
from gluonfr.core import GluonFRError

TOKEN = "open-sesame-42-twice"


@pytest.fixture(scope="module")
def closed(start, tmp_path_factory):
    """A server that demands a token."""
    return start(tmp_path_factory.mktemp("closed") / "g.db", "--token", TOKEN)


@pytest.mark.system
def test_requests_without_the_token_are_refused(closed):
    wrong = [None, "", TOKEN, f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", "Bearer \xe9"]
    for path in ("/api/gallery", "/api/people", "/openapi.json"):
        for given in wrong:
            headers = {} if given is None else {"Authorization": given}
            status, answer, answered = closed.ask("GET", path, headers=headers, token=TOKEN)
            assert status == 401
            assert "token" in answer["error"]
            assert answered["WWW-Authenticate"] == "Bearer"
        assert closed.ask("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200
    assert closed.ask("DELETE", "/api/people", name="x", headers={"Authorization": "Bearer wrong-token"})[0] == 401
    # Not even with it from another site.
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"}
    assert closed.ask("GET", "/api/people", headers=headers)[0] == 403


@pytest.mark.system
def test_running_requests_are_answered_before_the_server_stops(closed, photos):
    with open(photos[1][0][0], "rb") as file:
        content, answers = file.read(), []

    def ask():
        answers.append(closed.ask("POST", "/api/identify", content, headers={"Authorization": f"Bearer {TOKEN}"})[0])

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    # One of them is worked on and one waits.
    while closed.ask("GET", "/api/gallery")[0] != 401:
        pass
    threading.Event().wait(0.15)
    assert closed.end(signal.SIGTERM) == 0
    for thread in asking:
        thread.join()
    assert answers == [200, 200]
    assert "Traceback" not in "".join(closed.output)
    with Gallery(closed.gallery, create=False) as gallery:
        assert gallery.count() == (0, 0)
        assert not os.path.exists(closed.gallery + ".tmp")


STUCK = """
import threading
import numpy as np
from synthetic_people import CARD, SyntheticEmbedder
from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.serve.server import listen, serve_gallery

class Stuck(SyntheticEmbedder):
    def detect(self, pixels, min_face=None):
        if pixels.shape != (64, 64, 3):
            print("stuck", flush=True)
            threading.Event().wait()
        return super().detect(pixels)

with Gallery({path!r}, CARD) as gallery, listen(port=0) as listening:
    serve_gallery(gallery, Stuck([(40, 40, 140, 160)]), listening, "127.0.0.1", ready=lambda url: print(url, flush=True))
    # As a gallery whose lock a stuck thread holds.
    threading.Event().wait()
"""


@pytest.mark.system
def test_server_ends_after_sigterm_though_its_threads_are_stuck(tmp_path):
    support = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths = os.pathsep.join([support, *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK.format(path=str(tmp_path / "g.db"))],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    with process:
        address = urlsplit(process.stdout.readline().strip())
        file = io.BytesIO()
        Image.new("RGB", (340, 200)).save(file, "PNG")
        connection = http.client.HTTPConnection(address.hostname, address.port)
        connection.request("POST", "/api/identify", file.getvalue())
        assert process.stdout.readline() == "stuck\n"
        process.terminate()
        try:
            # Ten seconds are promised; a busy machine needs longer.
            assert process.wait(120) == -signal.SIGALRM
        finally:
            process.kill()
            connection.close()


@pytest.fixture
def not_served(monkeypatch):
    """What must not start does not run for ever when it does."""
    monkeypatch.delenv("GLUONFR_TOKEN", raising=False)
    monkeypatch.setattr("gluonfr.apps.serve.server.serve_gallery", lambda *_: pytest.fail("served"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "a token is required"),
        (["--host", ""], "a token is required"),
        (["--host", "::"], "a token is required"),
        (["--host", "example.org"], "a token is required"),
        (["--token", "fifteen-letters"], "at least 16"),
        (["--token", "with a space in it, long enough"], "no space"),
        (["--token", "ünlesbar-und-lang-genug"], "ASCII"),
        (["--port", "-1"], "from 0 to 65535"),
        (["--port", "70000"], "from 0 to 65535"),
        (["--host", "203.0.113.7", "--token", TOKEN], "cannot be used"),
        (["--host", "no.such.name.invalid", "--token", TOKEN], "cannot be used"),
    ],
)
def test_invalid_options_are_reported_in_one_sentence(tmp_path, capsys, not_served, options, words):
    assert main(["serve", "--gallery", str(tmp_path / "g.db"), "--port", "0", *options]) == 2
    answer = capsys.readouterr().err.strip()
    assert words in answer
    assert len(answer.splitlines()) == 1
    assert not os.listdir(tmp_path)


def test_used_ports_and_foreign_files_are_refused(tmp_path, capsys, not_served):
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--gallery", str(tmp_path / "g.db"), "--port", port]) == 2
        assert "cannot be used" in capsys.readouterr().err
    (tmp_path / "text.db").write_text("no gallery, but a text of some length")
    for path, words in [(tmp_path, "is a folder"), (tmp_path / "text.db", "is not a gallery")]:
        assert main(["serve", "--gallery", str(path), "--port", "0"]) == 2
        assert words in capsys.readouterr().err


def test_gallery_of_another_network_is_refused_by_the_server(models, tmp_path, capsys, not_served):
    from gluonfr.core import Card

    Gallery(tmp_path / "g.db", Card(network="another", embedding_size=64)).close()
    assert main(["serve", "--gallery", str(tmp_path / "g.db"), "--models", models, "--port", "0"]) == 2
    assert "has embeddings of another" in capsys.readouterr().err


def test_token_of_the_environment_and_page_address(monkeypatch, tmp_path, capsys, not_served):
    monkeypatch.setenv("GLUONFR_TOKEN", "short")
    assert main(["serve", "--gallery", str(tmp_path / "g.db"), "--port", "0"]) == 2
    assert "at least 16" in capsys.readouterr().err
    with listen("0.0.0.0", 0, TOKEN) as listening:
        assert page_address(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}/"
    if socket.has_ipv6:
        try:
            with listen("::1", 0) as listening:
                assert page_address(listening) == f"http://[::1]:{listening.getsockname()[1]}/"
        except GluonFRError:
            pytest.skip("this machine has no IPv6")


def asked(guard, path="/api/people", method="GET", **headers):
    """The status that a guard answers, 200 where it lets through."""
    scope = {"type": "http", "method": method, "path": path, "scheme": "http"}
    scope["headers"] = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(guard(scope, None, send))
    return sent[0]["status"]


async def through(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})


def test_requests_must_name_the_server_as_host():
    guard = Guard(through, "faces.local", TOKEN)
    known = {"authorization": f"Bearer {TOKEN}"}
    for host in ("faces.local:8000", "FACES.local", "localhost", "127.0.0.1:9", "[fe80::1]:8000", "10.0.0.7"):
        assert asked(guard, host=host, **known) == 200, host
        assert asked(guard, host=host, origin=f"http://{host}", sec_fetch_site="same-origin", **known) == 200, host
    for host in (
        "evil.example",
        "faces.local.evil.example",
        "1.2.3.4.evil.example",
        "x@faces.local",
        "[::1",
        "",
        "10.0.0.7.",
        "0x7f.1",
    ):
        assert asked(guard, host=host, **known) == 403, host
        assert asked(guard, "/", host=host) == 403, host
    # A link on another page leads to the page, which holds nothing; to nothing else, nor may it change anything.
    elsewhere = {"host": "localhost", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", **known}
    assert [asked(guard, path, **elsewhere) for path in ("/", "/page/main.js", "/api/people")] == [200, 403, 403]
    assert asked(guard, "/", "POST", **elsewhere) == 403


def test_worker_releases_the_slots_of_failed_requests():
    worker = Worker("test", 2)

    async def work():
        for _ in range(3):
            with pytest.raises(ZeroDivisionError), worker.slot():
                await worker.run(lambda: 1 / 0)
        with worker.slot(), worker.slot(), pytest.raises(RequestError) as caught, worker.slot():
            raise AssertionError
        assert caught.value.status == 429
        with worker.slot():
            return await worker.run(threading.current_thread), await worker.run(threading.current_thread)

    first, second = asyncio.run(work())
    assert first is second is not threading.current_thread()
    worker.close()


def test_slow_uploads_time_out(monkeypatch):
    monkeypatch.setattr(upload, "SECONDS", 0.05)

    async def part(seconds=3600.0):
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": b"x", "more_body": True}

    def never_ends():
        return part(0.001)

    for receive in (part, never_ends):
        scope = {"type": "http", "method": "POST", "headers": []}
        with pytest.raises(RequestError) as caught:
            asyncio.run(upload.read_upload(Request(scope, receive)))
        assert caught.value.status == 408
        assert "send it again" in caught.value.sentence


def test_errors_of_the_server_have_status_5xx():
    def told(cause):
        try:
            raise GluonFRError("g.db: the disk is full.") from cause
        except GluonFRError as error:
            return as_request_error(error).status

    assert told(sqlite3.OperationalError("database or disk is full")) == told(OSError(28, "No space left")) == 503
    assert told(None) == told(ValueError("no cosine")) == 400
    assert as_request_error(MemoryError()).status == 500
    assert "log" in as_request_error(RuntimeError("/secret")).sentence


def test_missing_milvus_server_has_status_503():
    pytest.importorskip("pymilvus", reason="pymilvus is not installed: pip install '.[milvus]'")
    with listen(port=0) as free:
        port = free.getsockname()[1]
    with pytest.raises(GluonFRError) as caught:
        Gallery(f"milvus://127.0.0.1:{port}/people")
    assert as_request_error(caught.value).status == 503


def test_names_are_searched_outside_of_the_event_loop():
    threads = []

    class Name(str):
        def casefold(self):
            threads.append(threading.current_thread())
            return super().casefold()

    class People:
        card = None

        def people(self):
            return [Person(Name("Ann"), 1)]

    state, sent = ServerState(People(), None), []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/api/people", "query_string": b"containing=a", "headers": []}
    asyncio.run(make_app(state)(scope, receive, send))
    state.close()
    assert json.loads(sent[1]["body"])["matching"] == 1
    assert threads
    assert threading.current_thread() not in threads


def test_connections_without_a_complete_request_are_closed(monkeypatch):
    monkeypatch.setattr(connection, "SECONDS", 0.3)

    async def app(scope, receive, send):
        await asyncio.sleep(0.6 if scope["path"] == "/slow" else 0)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    running = uvicorn.Server(uvicorn.Config(app, http=connection.Connection, lifespan="off", log_config=None))
    with listen(port=0) as listening:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()

        def closed_after(*parts):
            """(seconds, what came) of a connection on which parts are sent, each soon after the one before."""
            with socket.create_connection(listening.getsockname(), timeout=20) as client:
                start, came = time.monotonic(), b""
                for part in parts:
                    client.sendall(part)
                    time.sleep(0.1)
                while part := client.recv(65536):
                    came += part
                return time.monotonic() - start, came

        head = b"GET / HTTP/1.1\r\nHost: x\r\n"
        try:
            for parts in [
                (),
                (b"GET / HT",),
                # Slowly, and after a whole request.
                (head, b"A"),
                (head + b"\r\n", head),
                # A body that nobody asked for and that does not come.
                (head + b"Content-Length: 9\r\n\r\n", b"x"),
            ]:
                assert closed_after(*parts)[0] < 2, parts
            # What is being answered takes as long as it takes.
            assert b" 200 " in closed_after(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[1]
        finally:
            running.should_exit = True
            thread.join()


@pytest.mark.full
def test_locked_files_and_full_disks_lose_nothing(start, photos, tmp_path):
    with open(photos[1][0][0], "rb") as file:
        content = file.read()
    server = start(tmp_path / "g.db")
    assert server.ask("POST", "/api/people", content, name="Ann")[0] == 200
    other = sqlite3.connect(server.gallery, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    status, answer, _ = server.ask("POST", "/api/people/rename", name="Ann", new="Bea")
    assert status == 503
    assert "another process is writing" in answer["error"]
    assert server.get("/api/people")["people"] == [{"name": "Ann", "photos": 1}]
    other.execute("ROLLBACK")
    other.close()
    assert server.ask("POST", "/api/people/rename", name="Ann", new="Bea")[0] == 200
    # A file may not grow any more: what a full disk does.
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (os.path.getsize(server.gallery),) * 2)
    with Gallery(server.gallery, create=False) as gallery:
        gallery.enroll_people({f"{i}": (np.random.default_rng(i).normal(size=(9, 128)), None, None) for i in range(40)})
    for path in photos[1][1][:3]:
        with open(path, "rb") as file:
            status, answer, _ = server.ask("POST", "/api/people", file.read(), name="Cleo")
        assert status == 503, answer
        assert "This change was not saved" in answer["error"]
    assert server.get("/api/people", containing="Cleo")["matching"] == 0
    assert server.get("/api/gallery")["people"] == 41
    assert server.end(signal.SIGINT) == 130


@pytest.mark.full
def test_missing_fastapi_is_reported_with_the_command(tmp_path, models):
    program = (
        "import sys; sys.modules['fastapi'] = None; from gluonfr.cli import main; "
        f"sys.exit(main(['serve', '--gallery', {str(tmp_path / 'g.db')!r}, '--port', '0', '--models', {models!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'pip install "gluonfr[serve]"' in done.stderr


def test_missing_detector_weights_create_no_gallery(models, tmp_path, capsys, not_served):
    # This one has none of its own.
    words = ["serve", "--gallery", str(tmp_path / "g.db"), "--models", models, "--port", "0", "--detector", "retinaface"]
    assert main(words) == 2
    assert "weights" in capsys.readouterr().err
    assert not os.listdir(tmp_path)

"""The API of a real server process, asked as anybody might ask it."""

import http.client
import io
import itertools
import json
import os
import socket
import struct
import time
import zlib
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.photos.reading import Photo

pytestmark = pytest.mark.system

DROP = "'; DROP TABLE people; --"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def identify(server, content, **parameters):
    status, answer, _ = server.ask("POST", "/api/identify", content, **parameters)
    assert status == 200, answer
    return answer


def enroll(server, content, **parameters):
    return server.ask("POST", "/api/people", content, **parameters)[:2]


def text_of(box):
    return ",".join(map(str, box))


def png(width, height, color=(128, 128, 128)):
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, "PNG")
    return file.getvalue()


def bomb(width, height):
    """A PNG of some hundred bytes whose header says that it is this large."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_person_is_enrolled_identified_changed_and_erased(nobody, photos):
    server, (group, people) = nobody, photos
    content = read(group)
    found = identify(server, content)
    assert [face["name"] for face in found["faces"]] == [None] * 6
    assert (found["width"], found["height"]) == Photo(content).pixels().shape[1::-1]
    assert found["network"] == "mobilefacenet-y1"
    assert found["threshold"]["basis"] == "none"
    boxes = [face["box"] for face in found["faces"]]
    assert boxes == sorted(boxes)
    # Two of the faces, one of which is called what a careless program would run.
    assert enroll(server, content, name="Ann", box=text_of(boxes[1]), source="group.jpg") == (200, {"name": "Ann", "new": 1})
    assert enroll(server, content, name=DROP, box=text_of(boxes[2]))[0] == 200
    found = identify(server, content)
    assert [face["name"] for face in found["faces"]] == [None, "Ann", DROP, None, None, None]
    best = found["faces"][1]["matches"][0]
    assert best["name"] == "Ann"
    assert best["source"] == "group.jpg"
    assert best["similarity"] == pytest.approx(1, abs=1e-4)
    # The same face again is no new photo, and nobody else's.
    assert enroll(server, content, name=" Ann ", box=text_of(boxes[1])) == (200, {"name": "Ann", "new": 0})
    status, answer = enroll(server, content, name="Bob", box=text_of(boxes[1]))
    assert status == 400
    assert "enrolled as 'Ann'" in answer["error"]
    assert server.get("/api/people")["people"] == [{"name": "Ann", "photos": 1}, {"name": DROP, "photos": 1}]
    # A threshold of one's own, and its meaning.
    named = identify(server, content, similarity=0.9999)
    assert named["threshold"]["basis"] == "given"
    assert {face["name"] for face in named["faces"]} <= {None, "Ann", DROP}
    assert "of 1,000 faces of unknown people, about" in server.get("/api/threshold", similarity=0.4)["meaning"]
    # Three photos of one person make her known on the fourth.
    for path in people[0][:3]:
        assert enroll(server, read(path), name="张伟")[1]["new"] == 1
    assert {face["name"] for face in identify(server, read(people[0][3]))["faces"]} == {"张伟"}

    assert server.ask("POST", "/api/people/rename", name="张伟", new="Ann")[0] == 400
    assert server.ask("POST", "/api/people/rename", name="张伟", new="Zhang Wei")[:2] == (
        200,
        {"photos": 3, "erased": True, "left": ""},
    )
    assert server.ask("POST", "/api/people/merge", name=DROP, into="Ann")[1]["photos"] == 1
    assert server.get("/api/people", containing="ZHANG") == {"people": [{"name": "Zhang Wei", "photos": 3}], "matching": 1}
    assert server.get("/api/people", offset=1, limit=1)["people"] == [{"name": "Zhang Wei", "photos": 3}]
    assert server.ask("DELETE", "/api/people", name="Zhang Wei")[1] == {"photos": 3, "erased": True, "left": ""}
    assert server.ask("DELETE", "/api/people", name="Zhang Wei")[0] == 400
    left = b"".join(read(server.gallery + end) for end in ("", "-wal") if os.path.exists(server.gallery + end))
    assert b"group.jpg" in left
    assert "张伟".encode() not in left
    assert b"Zhang" not in left
    assert b"DROP" not in left


def test_changes_of_other_processes_are_visible(nobody, photos):
    content = read(photos[1][1][0])
    with Gallery(nobody.gallery, create=False) as gallery:
        gallery.enroll("From elsewhere", np.random.default_rng(0).normal(size=(2, 128)))
        version = nobody.get("/api/gallery")["version"]
        assert nobody.get("/api/gallery")["people"] == 1
        assert identify(nobody, content)["faces"][0]["matches"][0]["name"] == "From elsewhere"
        before = nobody.get("/api/gallery")
        gallery.rename("From elsewhere", "Renamed")
        after = nobody.get("/api/gallery")
        assert after["version"] != before["version"] == version
        assert {**after, "version": ""} == {**before, "version": ""}
        assert nobody.get("/api/people")["people"] == [{"name": "Renamed", "photos": 2}]
        assert identify(nobody, content)["faces"][0]["matches"][0]["name"] == "Renamed"
        gallery.remove("Renamed")
        assert identify(nobody, content)["faces"][0]["matches"] == []


def test_two_photos_are_compared(server, photos):
    group, people = photos
    (a, b, *_), (other, *_) = people[0], people[1]

    def compare(first, second):
        status, answer, _ = server.ask("POST", "/api/compare", read(first) + read(second), first=os.path.getsize(first))
        assert status == 200, answer
        return answer

    same, different, many = compare(a, b), compare(a, other), compare(group, a)
    assert all(threshold["accepted"] for threshold in same["thresholds"])
    assert "same person at threshold" in same["meaning"][0]
    assert same["similarity"] > 0.5 > 0.3 > different["similarity"]
    assert "not the same" in different["meaning"][-1]
    assert many["first"]["faces"] == 6
    assert many["first"]["ambiguous"]
    assert not same["first"]["ambiguous"]
    size = os.path.getsize(a)
    for body, first in [(read(a), size), (read(a), size + 9), (read(a) + b"x", size), (read(a) + png(200, 200), size)]:
        status, answer, _ = server.ask("POST", "/api/compare", body, first=first)
        assert 400 <= status < 500, answer
        assert answer["error"].endswith("."), answer


BAD_PHOTOS = {
    "text": (lambda photo: b"no photo", 415, "not a photo"),
    "nothing": (lambda photo: b"", 400, "no photo in the request"),
    "cut off": (lambda photo: photo[: len(photo) // 2], 422, "incomplete"),
    "a wall": (lambda photo: png(300, 300), 422, "no face"),
    "one pixel": (lambda photo: png(1, 1), 422, "too small"),
    "bomb": (lambda photo: bomb(30_000, 30_000), 413, "too large"),
    "smaller bomb": (lambda photo: bomb(8_000, 8_000), 413, "8000 x 8000 pixels"),
    "page": (lambda photo: b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "JPEG, PNG or WebP"),
}


@pytest.mark.parametrize("bad", BAD_PHOTOS)
@pytest.mark.parametrize("path", ["/api/identify", "/api/people"])
def test_invalid_photos_are_reported_in_one_sentence(server, photos, path, bad):
    make, expected, words = BAD_PHOTOS[bad]
    status, answer, headers = server.ask("POST", path, make(read(photos[0])), name="X")
    assert (status, list(answer)) == (expected, ["error"]), answer
    assert words in answer["error"]
    assert headers["Content-Type"] == "application/json"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert server.get("/api/people")["matching"] == len(server.get("/api/people")["people"])


@pytest.mark.parametrize(
    ("method", "path", "parameters", "words"),
    [
        ("POST", "/api/people", {}, "name"),
        ("POST", "/api/people", {"name": "X"}, "several faces (6 of them)"),
        ("POST", "/api/people", {"name": "X", "box": "0,0,40,40"}, "none in that box"),
        ("POST", "/api/people", {"name": "X", "box": "1,2,3"}, "four numbers"),
        ("POST", "/api/people", {"name": "X", "box": "nan,2,3,4"}, "four numbers"),
        ("POST", "/api/people", {"name": "X", "box": "168,397,51,263"}, "none in that box"),
        ("POST", "/api/people", {"name": " ", "box": "0,0,9,9"}, "1 to 200 characters"),
        ("POST", "/api/people", {"name": "x" * 201, "box": "0,0,9,9"}, "201 characters"),
        ("POST", "/api/people", {"name": "a\0b", "box": "0,0,9,9"}, "zero byte"),
        ("POST", "/api/identify", {"top": 0}, "top"),
        ("POST", "/api/identify", {"top": "many"}, "top"),
        ("POST", "/api/identify", {"similarity": 2}, "cosine from -1 to 1"),
        ("POST", "/api/identify", {"similarity": "nan"}, "cosine from -1 to 1"),
        ("POST", "/api/identify", {"fpir": 0}, "at least 1e-09"),
        ("POST", "/api/compare", {}, "Two photos are required"),
        ("POST", "/api/compare", {"first": 10**9}, "Two photos are required"),
        ("POST", "/api/people/rename", {"name": "Nobody", "new": "X"}, "'Nobody' is not enrolled"),
        ("POST", "/api/people/merge", {"name": "Nobody", "into": "X"}, "'Nobody' is not enrolled"),
        ("GET", "/api/people", {"limit": 10**9}, "limit"),
        ("GET", "/api/threshold", {"fpir": "x"}, "fpir"),
        ("GET", "/api/threshold", {"fpir": 9e-10}, "at least 1e-09"),
        ("GET", "/api/threshold", {"fpir": "nan"}, "at least 1e-09"),
        ("GET", "/api/threshold", {"fpir": 1}, "below 1"),
        ("POST", "/api/identify", {"fpir": 1e-320}, "at least 1e-09"),
        ("GET", "/api/none", {}, "nothing at this address"),
        ("PATCH", "/api/people", {}, "method"),
        ("GET", "/docs", {}, "nothing"),
        ("GET", "/page/..%2fapp.py", {}, "nothing"),
    ],
)
def test_invalid_requests_are_reported_in_one_sentence(server, photos, method, path, parameters, words):
    status, answer, _ = server.ask(method, path, read(photos[0]) if method == "POST" else None, **parameters)
    assert 400 <= status < 500, answer
    assert words in answer["error"]
    assert answer["error"].endswith(".")
    assert server.get("/api/gallery")["network"] == "mobilefacenet-y1"


def test_requests_of_other_sites_are_refused(server):
    paths = server.get("/openapi.json")["paths"]
    asked = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(asked) == 12
    port = server.port
    foreign = [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://localhost:{port}"},
        {"Origin": f"https://127.0.0.1:{port}"},
        {"Sec-Fetch-Site": "cross-site"},
        # Another port of this machine is the same site.
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": f"evil.example:{port}"},
        {"Host": f"127.0.0.1.evil.example:{port}"},
        {"Host": f"127.0.0.1@evil.example:{port}"},
        {"Host": ""},
    ]
    for (method, path), headers in itertools.product([*asked, ("GET", "/openapi.json"), ("OPTIONS", "/api/people")], foreign):
        status, answer, given = server.ask(method, path, headers=headers, name="X", new="Y", into="Y", first=1)
        assert (status, list(answer)) == (403, ["error"]), (method, path, headers)
        assert not [name for name in given if name.lower().startswith("access-control")]
    own = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
    assert server.ask("GET", "/api/people", headers=own)[0] == 200
    for host in ("localhost:1", "[::1]:80", "192.168.1.5"):
        assert server.ask("GET", "/api/people", headers={"Host": host})[0] == 200


def upload(server, headers=(), body=b""):
    """A connection on which a request to identify was begun."""
    connection = socket.create_connection((server.host, server.port), timeout=30)
    lines = ["POST /api/identify HTTP/1.1", f"Host: {server.host}:{server.port}", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode() + body)
    return connection


def status_of(connection):
    answer = connection.recv(65536)
    return int(answer.split()[1]) if answer else None


def until(server, content, wanted):
    """What is answered with the status that is wanted: the server may not have read yet what was sent before."""
    for _ in range(100):
        status, answer, headers = server.ask("POST", "/api/identify", content)
        if status == wanted:
            return answer, headers
        time.sleep(0.05)
    raise AssertionError((status, answer))


def test_slow_uploads_are_limited_and_release_their_slots(server, photos):
    content = read(photos[1][0][0])
    part = (f"Content-Length: {len(content)}",), content[:1000]
    # More often than there are places, none of which is lost.
    for _ in range(36):
        upload(server, *part).close()
    assert until(server, content, 200)
    waiting = [upload(server, *part) for _ in range(16)]
    # The network idles, and photos that are there do not wait for those that come.
    time.sleep(0.2)
    assert server.ask("POST", "/api/identify", content)[0] == 200
    waiting += [upload(server, *part) for _ in range(8)]
    answer, headers = until(server, content, 429)
    # Another machine still gets a slot.
    elsewhere = http.client.HTTPConnection(server.host, server.port, 60, ("127.0.0.2", 0))
    elsewhere.request("POST", "/api/identify", content)
    assert elsewhere.getresponse().status == 200
    elsewhere.close()
    assert "try again in a second" in answer["error"]
    assert headers["Retry-After"] == "1"
    # People are listed all the while.
    server.get("/api/people")
    for connection in waiting:
        connection.sendall(content[1000:])
    # Of those that come at once, as many as may wait are answered.
    statuses = [status_of(connection) for connection in waiting]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 8
    for connection in waiting:
        connection.close()
    until(server, content, 200)


def test_idle_connections_of_one_machine_leave_room_for_others(server):
    def ask(source):
        asking = http.client.HTTPConnection(server.host, server.port, 30, (source, 0))
        asking.request("GET", "/api/gallery")
        answer = asking.getresponse()
        return answer.status, json.loads(answer.read())

    with ExitStack() as idle:
        for _ in range(260):
            idle.enter_context(socket.create_connection((server.host, server.port))).sendall(b"GET / HTTP/1.1\r\n")
        assert ask("127.0.0.2")[0] == 200
        status, answer = ask("127.0.0.1")
        assert status == 429
        assert "128 connections" in answer["error"]
    end = time.monotonic() + 10
    while ask("127.0.0.1")[0] != 200:
        assert time.monotonic() < end


def test_uploads_are_limited_in_bytes(server):
    for length in (20_000_001, 10**15):
        with upload(server, (f"Content-Length: {length}",)) as connection:
            assert status_of(connection) == 413
    with upload(server, ("Transfer-Encoding: chunked",)) as connection:
        block = b"100000\r\n" + bytes(0x100000) + b"\r\n"
        for _ in range(20):
            connection.sendall(block)
        assert status_of(connection) == 413
    # A client that sends all of it before it listens hears why.
    status, answer, _ = server.ask("POST", "/api/identify", bytes(20_000_001))
    assert status == 413
    assert "larger than 20 MB" in answer["error"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 100_000,
        b"POST /api/identify HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/identify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /api/people HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"\r\n" * 1000,
    ],
    ids=["tls", "version", "endless line", "negative length", "broken chunk", "websocket", "empty lines"],
)
def test_invalid_http_leaves_the_server_running(server, garbage):
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert server.get("/api/gallery")["file"] == "g.db"


def test_openapi_describes_requests_and_responses(server):
    described = server.get("/openapi.json")
    for path in ("/api/identify", "/api/people", "/api/compare"):
        post = described["paths"][path]["post"]
        assert set(post["requestBody"]["content"]) == {"image/*", "application/octet-stream", "multipart/form-data"}
        assert {"200", "400", "401", "403", "408", "413", "415", "422", "429", "503"} == set(post["responses"])
        assert post["responses"]["429"]["content"]["application/json"]["schema"]["$ref"].endswith("/Error")
    assert {"faces", "threshold", "network"} <= set(described["components"]["schemas"]["IdentifiedPhoto"]["properties"])

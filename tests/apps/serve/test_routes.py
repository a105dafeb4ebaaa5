"""The routes of the API in one process, with synthetic faces in place of networks."""

import asyncio
import io
import json
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from synthetic_people import CARD, SyntheticEmbedder

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.serve.api.state import ServerState
from gluonfr.apps.serve.app import make_app
from gluonfr.apps.serve.errors import RequestError
from gluonfr.apps.serve.upload import parse_form

FACE, OTHER = (40.0, 40.0, 140.0, 160.0), (200.0, 40.0, 300.0, 160.0)


class Client:
    """Asks an application as a server would."""

    def __init__(self, app):
        self._app = app

    def ask(self, method, path, body=b"", headers=(), **parameters):
        """Return (status, JSON)."""
        scope = {"type": "http", "method": method, "path": path, "query_string": urlencode(parameters).encode()}
        scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in dict(headers).items()]
        sent = []

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            sent.append(message)

        asyncio.run(self._app(scope, receive, send))
        return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


@pytest.fixture
def embedder():
    return SyntheticEmbedder([FACE])


@pytest.fixture(scope="module")
def decoder():
    from gluonfr.apps.serve.decoding import PhotoDecoder

    with PhotoDecoder() as decoder:
        yield decoder


@pytest.fixture
def client(path, embedder, decoder):
    with Gallery(path, CARD) as gallery:
        state = ServerState(gallery, embedder, decoder=decoder)
        yield Client(make_app(state))
        state.networks.close()
        state.queries.close()


def photo(seed):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (200, 340, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def form(*parts):
    """Return body and headers of a form with (name, file name or None, content) per part."""
    body = b""
    for name, file_name, content in parts:
        file = f'; filename="{file_name}"' if file_name else ""
        body += f'--boundary\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"
    return body + b"--boundary--\r\n", {"Content-Type": "multipart/form-data; boundary=boundary"}


def test_poor_face_is_enrolled_with_a_warning(client):
    file = io.BytesIO()
    Image.new("RGB", (340, 200), "gray").save(file, "PNG")
    status, done = client.ask("POST", "/api/people", file.getvalue(), name="Ann")
    assert status == 200
    assert done["new"] == 1
    assert done["warning"].startswith("blurred (sharpness 0.00")


def test_person_is_enrolled_and_identified(client):
    assert client.ask("POST", "/api/people", photo(0), name="Ann", source="a.png") == (200, {"name": "Ann", "new": 1})
    assert client.ask("POST", "/api/people", photo(0), name=" Ann ") == (200, {"name": "Ann", "new": 0})
    status, found = client.ask("POST", "/api/identify", photo(0), similarity=0.9)
    assert status == 200
    assert (found["width"], found["height"]) == (340, 200)
    assert [face["name"] for face in found["faces"]] == ["Ann"]
    assert found["faces"][0]["box"] == list(FACE)
    assert client.ask("GET", "/api/people")[1] == {"people": [{"name": "Ann", "photos": 1}], "matching": 1}
    assert client.ask("GET", "/api/gallery")[1]["photos"] == 1
    assert client.ask("GET", "/api/threshold")[1]["basis"] == "none"


def test_photos_can_be_sent_as_a_form(client):
    body, headers = form(("name", None, b"Ann"), ("photo", "ann.png", photo(0)))
    assert client.ask("POST", "/api/people", body, headers) == (200, {"name": "Ann", "new": 1})
    assert client.ask("GET", "/api/people/photos", name="Ann")[1]["photos"][0]["source"] == "ann.png"
    body, headers = form(("photo", "new.png", photo(0)))
    assert client.ask("POST", "/api/identify", body, headers, similarity=0.9)[1]["faces"][0]["name"] == "Ann"


@pytest.mark.parametrize(
    ("parts", "words"),
    [((), "incomplete"), ((("photo", "a", b""),), "no photo"), ((("a", "a", b"x"), ("b", "b", b"x")), "2 photos")],
)
def test_invalid_forms_are_refused(client, parts, words):
    status, answer = client.ask("POST", "/api/identify", *form(*parts))
    assert status == 400
    assert words in answer["error"]


def test_form_contents_may_contain_anything_but_the_boundary():
    content = b"\r\n--bound\r\n\r\n\0\xff" * 3
    body, _ = form(("photo", "\u00e4.png", content))
    upload = parse_form(body, b"boundary")
    assert upload.files == [content]
    assert upload.file_name == "\u00e4.png"
    body, _ = form(("first", "1.png", b"one"), ("second", "2.png", b"two"))
    assert parse_form(body, b"boundary").two_photos(None) == [b"one", b"two"]


def test_single_photos_are_moved_and_removed(client):
    for seed in range(3):
        client.ask("POST", "/api/people", photo(seed), name="Ann", source=f"{seed}.png")
    first, second, third = (entry["id"] for entry in client.ask("GET", "/api/people/photos", name="Ann")[1]["photos"])
    assert client.ask("POST", "/api/people/photos/move", name="Ann", photo=first, into="Bea")[0] == 200
    assert client.ask("DELETE", "/api/people/photos", name="Ann", photo=second) == (
        200,
        {"photos": 1, "erased": True, "left": ""},
    )
    people = client.ask("GET", "/api/people")[1]["people"]
    assert people == [{"name": "Ann", "photos": 1}, {"name": "Bea", "photos": 1}]
    for wrong in (first, second, "xyz", ""):
        assert client.ask("DELETE", "/api/people/photos", name="Ann", photo=wrong)[0] == 400
    assert client.ask("DELETE", "/api/people/photos", name="Ann", photo=third)[0] == 200
    assert client.ask("GET", "/api/people")[1]["people"] == [{"name": "Bea", "photos": 1}]


def test_people_are_renamed_merged_and_removed(client):
    for seed, name in enumerate(("Ann", "Bea", "Cleo")):
        client.ask("POST", "/api/people", photo(seed), name=name)
    assert client.ask("POST", "/api/people/rename", name="Ann", new="Bea")[0] == 400
    assert client.ask("POST", "/api/people/rename", name="Ann", new="Dora")[0] == 200
    assert client.ask("POST", "/api/people/merge", name="Bea", into="Dora")[1]["photos"] == 1
    assert client.ask("DELETE", "/api/people", name="Cleo")[0] == 200
    assert client.ask("GET", "/api/people", containing="DO")[1]["people"] == [{"name": "Dora", "photos": 2}]


@pytest.mark.parametrize(
    ("method", "address", "body", "parameters", "status", "words"),
    [
        ("POST", "/api/identify", b"no photo", {}, 415, "not a photo"),
        ("POST", "/api/identify", b"", {}, 400, "no photo"),
        ("POST", "/api/identify", photo(0), {"top": 0}, 400, "top"),
        ("POST", "/api/identify", photo(0), {"fpir": "nan"}, 400, "fpir"),
        ("POST", "/api/people", photo(0), {}, 400, "name"),
        ("POST", "/api/people", photo(0), {"name": "x" * 201}, 400, "201 characters"),
        ("POST", "/api/people", photo(0), {"name": "Ann", "box": "1,2,3"}, 400, "four numbers"),
        ("POST", "/api/people", photo(0), {"name": "Ann", "box": "0,0,9,9"}, 422, "none in that box"),
        ("POST", "/api/compare", photo(0), {}, 400, "Two photos are required"),
        ("GET", "/api/people/photos", b"", {"name": "Nobody"}, 400, "is not enrolled"),
        ("GET", "/api/none", b"", {}, 404, "nothing at this address"),
    ],
)
def test_invalid_requests_are_refused(client, method, address, body, parameters, status, words):
    found, answer = client.ask(method, address, body, **parameters)
    assert (found, words in answer["error"]) == (status, True), answer


def test_several_faces_require_a_box(client, embedder):
    embedder.boxes = np.array([FACE, OTHER], np.float32)
    assert "several faces (2 of them)" in client.ask("POST", "/api/people", photo(0), name="Ann")[1]["error"]
    box = ",".join(map(str, OTHER))
    assert client.ask("POST", "/api/people", photo(0), name="Ann", box=box)[1]["new"] == 1


def test_long_headers_of_parts_are_refused_before_they_are_parsed():
    # Python's parser would take hours for these 20 MB.
    head = b'--b\r\nContent-Disposition: form-data; name="' + b";" * 20_000_000
    with pytest.raises(RequestError, match="has no name"):
        parse_form(head + b"\r\n\r\nphoto\r\n--b--\r\n", b"b")

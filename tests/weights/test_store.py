"""The model store, and downloads from a real server."""

import hashlib
import http.server
import os
import threading

import numpy as np
import pytest
from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.model_zoo import get_model
from gluonfr.weights.saved import load_network, save_network
from gluonfr.weights.store import add_model, find_stored_model, list_stored_models, remove_model

SMALL = {"units": (1, 1), "channels": (8, 8, 16), "embedding_size": 6}


@pytest.fixture
def trained(tmp_path):
    net = get_model("lresnet10e_ir", **SMALL)
    net.initialize()
    net(nd.zeros((1, 3, 112, 112)))
    folder = tmp_path / "run"
    folder.mkdir()
    save_network(net, str(folder), {"network": "lresnet10e_ir", "arguments": SMALL, "trained_on": "people"})
    return net, folder


def test_models_are_added_found_listed_and_removed(tmp_path, trained):
    net, run = trained
    root = tmp_path / "models"
    assert list_stored_models(root) == {}
    folder = add_model("mine-1.0", run, root)
    assert sorted(os.listdir(folder)) == ["card.json", "network.params"]
    assert find_stored_model("mine-1.0", root) == folder
    card = list_stored_models(root)["mine-1.0"]
    assert (card.network, card.trained_on, len(card.sha256)) == ("lresnet10e_ir", "people", 64)
    x = nd.random.uniform(shape=(1, 3, 112, 112))
    again = get_model("lresnet10e_ir", pretrained="mine-1.0", root=root, **SMALL)
    np.testing.assert_array_equal(again(x).asnumpy(), net(x).asnumpy())
    with pytest.raises(GluonFRError, match="there already"):
        add_model("mine-1.0", run, root)
    with pytest.raises(GluonFRError, match="did you mean 'mine-1.0'"):
        find_stored_model("mine-1", root)
    remove_model("mine-1.0", root)
    assert os.listdir(root) == []
    with pytest.raises(GluonFRError, match="none is stored"):
        remove_model("mine-1.0", root)


def test_names_that_would_leave_the_store(tmp_path, trained):
    (tmp_path / "models").mkdir()
    for name in ("../run", "a/b", "", ".hidden", "/tmp", 3, "a\n"):
        with pytest.raises(GluonFRError, match="a stored model's name"):
            remove_model(name, tmp_path / "models")
    assert (trained[1] / "card.json").exists()


def test_gluons_own_parameters_need_the_networks_name(tmp_path):
    net = get_model("mobilefacenet", embedding_size=32)
    net.initialize()
    x = nd.random.uniform(shape=(1, 3, 112, 112))
    wanted = net(x).asnumpy()
    net.save_parameters(str(tmp_path / "net.params"))
    with pytest.raises(GluonFRError, match="does not tell which network"):
        add_model("mine", tmp_path / "net.params", tmp_path / "models")
    assert not (tmp_path / "models" / "mine").exists()
    folder = add_model("mine", tmp_path / "net.params", tmp_path / "models", network="mobilefacenet")
    again, card = load_network(folder)
    assert card.embedding_size == 32
    np.testing.assert_allclose(again(x).asnumpy(), wanted, rtol=1e-4, atol=1e-6)


def test_y1_is_stored_with_what_is_known_of_it(tmp_path, faces):
    prefix = os.path.join(faces, "weights", "mobilefacenet-y1")
    add_model("y1", prefix + "-symbol.json", tmp_path, network="mobilefacenet")
    card = list_stored_models(tmp_path)["y1"]
    assert "non-commercial" in card.license
    assert card.embedding_size == 128
    assert card.extra["published"] == {"LFW": 0.995}


CONTENT = bytes(range(256)) * 5000
RIGHT = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    class Handler(http.server.BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self):
            Handler.asked += 1
            if self.path == "/missing":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            content = CONTENT[:-1] + b"x" if self.path == "/other" else CONTENT
            self.wfile.write(content[: 100_000 if self.path == "/short" else None])

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}", Handler
    running.shutdown()
    running.server_close()


def test_a_download_appears_whole_and_once(tmp_path, server):
    address, handler = server
    path = tmp_path / "new" / "file"
    assert fetch(address + "/right", RIGHT.upper(), path) == str(path)
    assert path.read_bytes() == CONTENT
    fetch(address + "/right", RIGHT, path)
    assert handler.asked == 1
    path.write_bytes(b"damaged since")
    fetch(address + "/right", RIGHT, path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "words"),
    [("/other", "other bytes than promised"), ("/short", "promised|downloaded"), ("/missing", "cannot be.*Not Found")],
)
def test_a_bad_download_leaves_nothing(tmp_path, server, name, words):
    with pytest.raises(GluonFRError, match=words):
        fetch(server[0] + name, RIGHT, tmp_path / "file")
    assert os.listdir(tmp_path) == []


def test_addresses_that_lead_nowhere(tmp_path, server):
    with pytest.raises(GluonFRError, match="only http"):
        fetch("file:///etc/passwd", RIGHT, tmp_path / "file")
    closed = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    port = closed.server_address[1]
    closed.server_close()
    with pytest.raises(GluonFRError, match="cannot be downloaded"):
        fetch(f"http://127.0.0.1:{port}/x", RIGHT, tmp_path / "file", timeout=5)
    assert os.listdir(tmp_path) == []

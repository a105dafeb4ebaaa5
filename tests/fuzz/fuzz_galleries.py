"""Readers of galleries and of the people to import, and the server's answers to requests."""

import io
import logging
import os
import re
import socket
import sqlite3
import threading
import time

import numpy as np
from fuzz_sets import folder_of, write
from PIL import Image
from synthetic_people import CARD, SyntheticEmbedder, faces_of
from target import Target

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.gallery.import_export import export_gallery, import_gallery

# Seconds without an answer after which a client gives up.
PATIENCE = 0.5
FACE = (40.0, 40.0, 140.0, 160.0)


def _filled(path, people=4):
    with Gallery(path, CARD) as gallery:
        for number in range(people):
            gallery.enroll(f"Person {number}", faces_of(number), sources=[f"{number}/{k}.jpg" for k in range(3)])
        gallery.identify(faces_of(0), threshold=gallery.threshold())


def gallery_seeds(folder):
    path = os.path.join(folder_of(folder, "gallery"), "g.db")
    _filled(path)
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    for name in os.listdir(os.path.dirname(path)):
        if name != "g.db":
            os.unlink(os.path.join(os.path.dirname(path), name))


def read_gallery(folder):
    with Gallery(os.path.join(folder, "g.db")) as gallery:
        people = gallery.people()
        gallery.count()
        for person in people[:3]:
            list(gallery.entries(person.name))
        rows = np.ones((2, gallery.card.embedding_size), np.float32)
        gallery.identify(rows, threshold=gallery.threshold())
        gallery.enroll("New person", rows[:1])
        gallery.remove("New person")


def import_seeds(folder):
    root = folder_of(folder, "exported")
    _filled(os.path.join(root, "g.db"))
    with Gallery(os.path.join(root, "g.db")) as gallery:
        export_gallery(gallery, os.path.join(root, "people.npz"))
    for name in os.listdir(root):
        if name != "people.npz":
            os.unlink(os.path.join(root, name))


def read_import(folder):
    with Gallery(os.path.join(folder, "new.db"), CARD) as gallery:
        import_gallery(gallery, os.path.join(folder, "people.npz"))


def _photo(seed=0):
    file = io.BytesIO()
    Image.fromarray(np.random.RandomState(seed).randint(0, 256, (200, 340, 3), dtype=np.uint8)).save(file, "JPEG", quality=30)
    return file.getvalue()


def request_seeds(folder):
    photo = _photo()
    parts = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nAnn Lee\r\n'
    parts += b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n' + _photo(1) + b"\r\n--b--\r\n"
    form = b"Content-Type: multipart/form-data; boundary=b\r\n"
    requests = {
        "identify": (b"POST /api/identify?top=3&fpir=0.01", b"", photo),
        "enroll": (b"POST /api/people?name=Ann", b"", photo),
        "form": (b"POST /api/people", form, parts),
        "compare": (b"POST /api/compare?first=%d" % len(photo), b"", photo + photo),
        "gallery": (b"GET /api/gallery", b"", b""),
        "threshold": (b"GET /api/threshold?fpir=0.01", b"", b""),
        "people": (b"GET /api/people?limit=5&offset=0&containing=Person", b"", b""),
        "photos": (b"GET /api/people/photos?name=Person%200", b"", b""),
        "rename": (b"POST /api/people/rename?name=Person%200&new=Person%209", b"", b""),
        "merge": (b"POST /api/people/merge?name=Person%201&into=Person%202", b"", b""),
        "remove": (b"DELETE /api/people?name=Person%203", b"", b""),
        "move": (b"POST /api/people/photos/move?name=Person%202&photo=00&into=Bob", b"", b""),
        "remove_photo": (b"DELETE /api/people/photos?name=Person%202&photo=00", b"", b""),
        "page": (b"GET /", b"", b""),
    }
    for name, (line, headers, body) in requests.items():
        headers = b"Host: HOST\r\nConnection: close\r\n" + headers + b"Content-Length: %d\r\n\r\n" % len(body)
        content = line + b" HTTP/1.1\r\n" + headers + body
        write(folder_of(folder, name), "request", content=content)


class Server:
    """The server in a thread of this process, with synthetic faces and a gallery in memory of the disk."""

    def __init__(self, folder):
        import uvicorn

        from gluonfr.apps.serve.api.state import ServerState
        from gluonfr.apps.serve.app import make_app
        from gluonfr.apps.serve.connection import Connection
        from gluonfr.apps.serve.guard import Guard
        from gluonfr.apps.serve.server import listen

        _filled(os.path.join(folder, "g.db"))
        state = ServerState(Gallery(os.path.join(folder, "g.db"), CARD), SyntheticEmbedder([FACE]))
        listening = listen(port=0)
        self.port = listening.getsockname()[1]
        # Causes of answers of status 500.
        self.log = io.StringIO()
        logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(self.log))
        config = uvicorn.Config(
            Guard(make_app(state), "127.0.0.1"),
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
        )
        threading.Thread(target=uvicorn.Server(config).run, kwargs={"sockets": [listening]}, daemon=True).start()

    def ask(self, content):
        """Return what the server sends until it closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            received = b""
            try:
                connection.sendall(content)
                while True:
                    try:
                        part = connection.recv(1 << 16)
                    except socket.timeout:
                        # It waits for the rest of the request, or for another one. A client that ends its side before the
                        # answer has given up on it.
                        connection.settimeout(15)
                        connection.shutdown(socket.SHUT_WR)
                        continue
                    if not part:
                        return received
                    received += part
            except ConnectionError:
                # The server closed the connection first.
                return received


server = None


def ask_server(folder):
    global server
    if server is None:
        import tempfile

        server = Server(tempfile.mkdtemp(dir=os.path.dirname(folder)))
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port), timeout=15).close()
                break
            except OSError:
                time.sleep(0.05)
    path = os.path.join(folder, "request")
    content = b""
    if os.path.exists(path):
        with open(path, "rb") as file:
            content = file.read()
    received = server.ask(content.replace(b"HOST", b"127.0.0.1:%d" % server.port, 1))
    for status in re.findall(rb"(?:\A|\n)HTTP/1\.1 (\d+)", received):
        assert status < b"500", (received[:300], server.log.getvalue()[-2000:])
    assert b"Traceback" not in received


def correct_length(folder):
    """Write the length of the body into its header, as a client would."""
    path = os.path.join(folder, "request")
    if os.path.exists(path):
        with open(path, "rb") as file:
            head, end, body = file.read().partition(b"\r\n\r\n")
        write(path, content=re.sub(rb"(?i)content-length: *-?\d+", b"Content-Length: %d" % len(body), head) + end + body)


TARGETS = {
    "gallery": Target(gallery_seeds, read_gallery),
    "people_import": Target(import_seeds, read_import),
    "requests": Target(request_seeds, ask_server, correct_length),
}

"""Measure `gluonfr serve` under load, with clients on the same machine.

    python benchmarks/serve.py PHOTO_OR_FOLDER [--model MODEL] [--clients 16] [--seconds 60]

Each client sends photos to identify, and every tenth request lists the people instead. A client that gets the status 429
(busy) waits for the time in the response. The gallery contains 1,000 generated people. Any status other than 200 and 429 is
a failure. Every photo is sent once before the measurement, because the networks allocate memory for each new shape.

Measured 2026-11-25 on 2 cores without a GPU, with a load of 13 to 15 from other programs, so only the order of magnitude is
reliable. 168 photos of one or two faces, y1:

    statuses {200: 469, 429: 465}, 0 without a response
    identify     5.8 answers/s, p50  1092 ms, p99  3136 ms
    people       1.4 answers/s, p50    49 ms, p99   175 ms
    resident memory, MB: 513 before the first photo; under load 790 at the start, 791 at the end
"""

import argparse
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

import numpy as np
import psutil

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.deploy import load_model
from gluonfr.photos.find import find_photos
from gluonfr.photos.reading import read_file
from gluonfr.weights.network_identity import network_name

PEOPLE, PHOTOS = 1000, 4
# Seconds between two readings of the memory.
EVERY = 5.0


class Client(threading.Thread):
    """Sends requests until the time is over; collects the `statuses`, and the `seconds` of successful requests by kind."""

    def __init__(self, number, port, photos, until):
        super().__init__()
        self.number, self.port, self.photos, self.until = number, port, photos, until
        self.statuses, self.seconds, self.failed = Counter(), {"identify": [], "people": []}, []

    def run(self):
        connection, turn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60), self.number
        while time.monotonic() < self.until:
            turn += 1
            kind = "people" if turn % 10 == 0 else "identify"
            start = time.perf_counter()
            try:
                status, wait = self.ask(connection, kind, self.photos[turn % len(self.photos)])
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
                continue
            self.statuses[status] += 1
            if status == 200:
                self.seconds[kind].append(time.perf_counter() - start)
            time.sleep(wait)
        connection.close()

    @staticmethod
    def ask(connection, kind, photo):
        if kind == "people":
            connection.request("GET", "/api/people?limit=50")
        else:
            connection.request("POST", "/api/identify", photo)
        response = connection.getresponse()
        response.read()
        return response.status, float(response.headers.get("Retry-After", 0))


def started(folder, model):
    """Start a server with a gallery of generated people; return the process and its port."""
    _, card = load_model(model)
    path = os.path.join(folder, "g.db")
    with Gallery(path, card) as gallery:
        random = np.random.default_rng(0)
        gallery.enroll_people(
            {f"person {i}": (random.normal(size=(PHOTOS, card.embedding_size)), None, None) for i in range(PEOPLE)}
        )
    named = ["--model", model] if model else []
    command = [sys.executable, "-m", "gluonfr", "serve", "--gallery", path, "--port", "0", *named]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "is ready" in line:
            return process, int(line.split()[0].rsplit(":", 1)[1].strip("/")), network_name(card)
    raise SystemExit("the server did not start")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", help="photo with faces, or a folder of photos")
    parser.add_argument("--model", help="network, as for gluonfr serve")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    photos = [read_file(path) for path in find_photos([options.photos])]
    with tempfile.TemporaryDirectory() as folder:
        process, port, network = started(folder, options.model)
        try:
            measure(process, port, network, photos, options)
        finally:
            process.terminate()
            print(f"ended with status {process.wait(30)}")


def measure(process, port, network, photos, options):
    once = Client(0, port, photos, 0)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    fresh = psutil.Process(process.pid).memory_info().rss
    for photo in photos:
        once.ask(connection, "identify", photo)
    connection.close()
    start = time.monotonic()
    clients = [Client(number, port, photos, start + options.seconds) for number in range(options.clients)]
    memory = [psutil.Process(process.pid).memory_info().rss]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        time.sleep(EVERY)
        memory.append(psutil.Process(process.pid).memory_info().rss)
    took = time.monotonic() - start
    statuses = sum((client.statuses for client in clients), Counter())
    failed = [error for client in clients for error in client.failed]
    print(f"{network}; {len(photos)} photos, {options.clients} clients, {took:.0f} s")
    print(f"statuses {dict(statuses)}, {len(failed)} without an answer {failed[:3]}")
    for kind in ("identify", "people"):
        seconds = np.array([second for client in clients for second in client.seconds[kind]])
        p50, p99 = np.percentile(seconds, [50, 99])
        print(f"{kind:9} {len(seconds) / took:6.1f} answers/s, p50 {1000 * p50:5.0f} ms, p99 {1000 * p99:5.0f} ms")
    print(
        f"resident memory, MB: {fresh / 1e6:.0f} before the first photo; from then on "
        + " ".join(f"{size / 1e6:.0f}" for size in memory)
    )
    if failed or set(statuses) - {200, 429}:
        raise SystemExit("something else than 200 and 429 came back")


if __name__ == "__main__":
    main()

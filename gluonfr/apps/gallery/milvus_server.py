"""A Milvus server: its address, what a gallery keeps there, and waiting where it does not answer."""

from __future__ import annotations

import json
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlsplit

from gluonfr.core import Card, GluonFRError, display_path

logger = logging.getLogger(__name__)

SCHEME = "milvus://"
VERSION = 1
# Seconds: to find a server at all, for one answer, and for a server that starts again and loads its collections.
CONNECT, ANSWER, WAIT = 10, 60, 180
# What Milvus takes: bytes of a text field, and gives: rows of an answer.
LONGEST_TEXT, MOST_ROWS = 65535, 16384
_PORT = 19530
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
# What it says while it starts, stops or loads: passing, unlike a wrong question.
_PASSING = re.compile(
    "unavailable|connect|timeout|timed out|deadline|not loaded|not fully loaded|not ready|no available|not available"
    "|shard leader|not healthy|initializing|abnormal|node not found|node offline|not serving|channel|closed|retry",
    re.IGNORECASE,
)


def is_address(where):
    """Whether a gallery's place is the address of a Milvus server and not a file."""
    return isinstance(where, str) and where.startswith(SCHEME)


def name_in(address):
    """The gallery's name in `milvus://[USER:PASSWORD@]HOST[:PORT]/NAME`; GluonFRError where there is none."""
    return _split(address)[2]


class Server:
    """A connection to the server that an address names.

    Attributes
    ----------
    where : str
        The address without its password.
    people, photos : str
        The gallery's two collections.
    """

    def __init__(self, address) -> None:
        pymilvus = _pymilvus()
        uri, account, name, self.where = _split(address)
        self.people, self.photos = f"gluonfr_{name}_people", f"gluonfr_{name}_photos"
        self._type, self._failure = pymilvus.DataType, pymilvus.MilvusException
        try:
            self._client = pymilvus.MilvusClient(uri, *account, timeout=CONNECT)
        except self._failure as error:
            if "auth" in str(error).lower():
                raise GluonFRError(
                    f"{display_path(self.where)}: the server refuses this user and password ({_said(error)})."
                ) from error
            raise GluonFRError(
                f"{display_path(self.where)}: no Milvus server answers there within {CONNECT} s; start it, or correct the address."
            ) from error

    def ask(self, what, *arguments, **named):
        """Call a method of the client, again and again while the server is away or loads; a repeated call must do no harm."""
        return self._patiently(lambda: getattr(self._client, what)(*arguments, timeout=ANSWER, **named))

    def everything(self, collection, which, fields):
        """All rows of a query, however many, by rising key."""
        return self._patiently(lambda: self._pages(collection, which, fields))

    def is_there(self):
        """Whether the gallery is there."""
        return self.ask("has_collection", self.photos)

    def open(self, card, create):
        """The card of the gallery there, which is made when it is missing and may be."""
        if not self.is_there():
            if not create or card is None:
                raise GluonFRError(
                    f"{display_path(self.where)} is missing: name a gallery there, or make one with `gluonfr enroll`."
                )
            self._create(card)
        card = self._card()
        loaded = [self._load_state(each) for each in (self.people, self.photos)]
        if not all(loaded):
            # Both at a time, because the server takes seconds for each.
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(self._load, (self.people, self.photos), ("vector", "embedding")))
        return card

    def close(self) -> None:
        self._client.close()

    def _patiently(self, call):
        start = told = time.monotonic()
        while True:
            try:
                return call()
            except self._failure as error:
                now = time.monotonic()
                if not _PASSING.search(str(error)):
                    raise GluonFRError(f"{display_path(self.where)}: Milvus refuses ({_said(error)}).") from error
                if now - start > WAIT:
                    raise GluonFRError(
                        f"{display_path(self.where)}: Milvus has not answered for {now - start:.0f} s ({_said(error)}); what was "
                        "acknowledged is safe there, so give the same command again when the server is back."
                    ) from error
                if told == start or now - told > 30:
                    logger.warning("%s does not answer; waiting for it (%s)", display_path(self.where), _said(error))
                    told = now
                time.sleep(0.5)

    def _pages(self, collection, which, fields):
        pages = self._client.query_iterator(collection, batch_size=MOST_ROWS, filter=which, output_fields=fields)
        try:
            return [row for page in iter(pages.next, []) for row in page]
        finally:
            pages.close()

    def _create(self, card) -> None:
        kinds = self._type
        self._make(
            self.people,
            "gluonfr",
            ("id", kinds.INT64, {"is_primary": True}),
            ("kind", kinds.INT64, {}),
            ("text", kinds.VARCHAR, {"max_length": LONGEST_TEXT}),
            ("photos", kinds.INT64, {}),
            # A collection cannot be without one.
            ("vector", kinds.FLOAT_VECTOR, {"dim": 2}),
        )
        # With the network in its description: a collection is made at once or not at all, and of two that make it with
        # different networks at the same moment, the second is refused.
        self._make(
            self.photos,
            json.dumps({"gluonfr": VERSION, "card": card.to_dict()}),
            ("digest", kinds.VARCHAR, {"is_primary": True, "max_length": 64}),
            ("part", kinds.INT64, {}),
            ("place", kinds.INT64, {}),
            ("draw", kinds.INT64, {}),
            ("source", kinds.VARCHAR, {"max_length": LONGEST_TEXT}),
            ("embedding", kinds.FLOAT_VECTOR, {"dim": card.embedding_size}),
        )

    def _make(self, collection, description, *fields) -> None:
        schema = self._client.create_schema(auto_id=False, description=description)
        for name, kind, options in fields:
            schema.add_field(name, kind, **options)
        try:
            # One shard: what one request writes is seen at once or not at all.
            self.ask("create_collection", collection, schema=schema, num_shards=1, consistency_level="Bounded")
        except GluonFRError:
            # Another process was quicker; `open` reads what it made.
            if not self.ask("has_collection", collection):
                raise

    def _card(self):
        try:
            kept = json.loads(self.ask("describe_collection", self.photos)["description"])
            version, values = kept["gluonfr"], kept["card"]
        except (ValueError, KeyError, TypeError) as error:
            raise GluonFRError(f"{display_path(self.where)} is a collection, but no gallery; choose another name.") from error
        if version != VERSION:
            raise GluonFRError(
                f"{display_path(self.where)} has format {version} and this gluonfr knows {VERSION}; use the gluonfr that wrote it."
            )
        return Card.from_dict(values, self.where)

    def _load_state(self, collection):
        return self.ask("get_load_state", collection)["state"].name == "Loaded"

    def _load(self, collection, vector) -> None:
        index = self._client.prepare_index_params()
        index.add_index(vector, index_type="FLAT", metric_type="IP")
        self.ask("create_index", collection, index)
        self.ask("load_collection", collection)


def _pymilvus():
    try:
        import pymilvus
    except ImportError as error:
        raise GluonFRError(
            'a gallery on a Milvus server needs the package pymilvus: run `pip install ".[milvus]"` in the checkout.'
        ) from error
    # It reports with a traceback what is told here in one sentence.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus


def _split(address):
    """(uri, (user, password) or (), name, address without the password)."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        host, port = None, None
    if not host or not _NAME.fullmatch(parts.path[1:]) or parts.query or parts.fragment:
        hidden = re.sub(r"//[^/]*@", "//", address)
        raise GluonFRError(
            f"{display_path(hidden)}: write milvus://HOST:PORT/NAME, NAME of up to 100 letters, digits and underscores, a "
            "letter first; with a user, milvus://USER:PASSWORD@HOST:PORT/NAME."
        )
    host = f"[{host}]" if ":" in host else host
    account = (unquote(parts.username), unquote(parts.password or "")) if parts.username else ()
    return f"http://{host}:{port}", account, parts.path[1:], f"{SCHEME}{host}:{port}{parts.path}"


def _said(error):
    return " ".join(str(getattr(error, "message", error)).split())[:200]

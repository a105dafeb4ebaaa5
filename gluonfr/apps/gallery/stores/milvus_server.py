"""The connection to a Milvus server: its address, the collections of a gallery, and retries while it does not answer."""

from __future__ import annotations

import json
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, Callable
from urllib.parse import unquote, urlsplit

from gluonfr.core import Card, DataError, GluonFRError, UsageError, display_path
from gluonfr.core.reading import parse_json

logger = logging.getLogger(__name__)

SCHEME = "milvus://"
VERSION = 1
# Seconds: to connect, for one answer, and for a server that restarts and loads its collections.
CONNECT, ANSWER, WAIT = 10, 60, 180
# Limits of Milvus: bytes of a text field, and rows of an answer.
LONGEST_TEXT, MOST_ROWS = 65535, 16384
_PORT = 19530
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
# Messages of a server that starts, stops or loads: temporary, unlike those about a wrong request.
_TEMPORARY = re.compile(
    "unavailable|connect|timeout|timed out|deadline|not loaded|not fully loaded|not ready|no available|not available"
    "|shard leader|not healthy|initializing|abnormal|node not found|node offline|not serving|channel|closed|retry",
    re.IGNORECASE,
)


def is_address(where: Any) -> bool:
    """Return whether this is the address of a Milvus server, not a path.

    Examples
    --------
    >>> is_address("milvus://10.0.0.5/staff"), is_address("g.db")
    (True, False)
    """
    return isinstance(where, str) and where.startswith(SCHEME)


def gallery_name(address: str) -> str:
    """Return the name of the gallery in an address.

    Raises
    ------
    UsageError
        The address is not `milvus://[USER:PASSWORD@]HOST[:PORT]/NAME`.

    Examples
    --------
    >>> gallery_name("milvus://10.0.0.5:19530/staff")
    'staff'
    """
    return _split(address)[2]


class MilvusServer:
    """A connection to a Milvus server.

    Parameters
    ----------
    address : str
        `milvus://[USER:PASSWORD@]HOST[:PORT]/NAME`.

    Attributes
    ----------
    where : str
        The address without user and password.
    people, photos : str
        Names of the two collections of the gallery.

    Raises
    ------
    GluonFRError
        The address is invalid, no server answers, or pymilvus is not installed.

    Examples
    --------
    >>> MilvusServer("milvus://10.0.0.5/staff").has_gallery()  # doctest: +SKIP
    True
    """

    def __init__(self, address: str) -> None:
        pymilvus = _pymilvus()
        uri, account, name, self.where = _split(address)
        self.people, self.photos = f"gluonfr_{name}_people", f"gluonfr_{name}_photos"
        self._type, self._failure = pymilvus.DataType, pymilvus.MilvusException
        try:
            self._client = pymilvus.MilvusClient(uri, *account, timeout=CONNECT)
        except self._failure as error:
            if "auth" in str(error).lower():
                raise UsageError(
                    f"{display_path(self.where)}: the server refuses this user and password ({_message(error)}); correct them."
                ) from error
            raise DataError(
                f"{display_path(self.where)}: no Milvus server answers within {CONNECT} s; start it or correct the address."
            ) from error

    def __repr__(self) -> str:
        return f"MilvusServer({self.where!r})"

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the client, and repeat it while the server is away or loads; the request must be idempotent."""
        return self._retry(lambda: getattr(self._client, method)(*arguments, timeout=ANSWER, **options))

    def all_rows(self, collection: str, which: str, fields: list[str]) -> list[dict[str, Any]]:
        """Return all rows of a query, in the order of their keys."""
        return self._retry(lambda: self._pages(collection, which, fields))

    def has_gallery(self) -> bool:
        """Return whether the gallery exists."""
        return self.ask("has_collection", self.photos)

    def open(self, card: Card | None, create: bool) -> Card:
        """Load the gallery and return its card; a missing gallery is created if there is a card and `create` is true."""
        if not self.has_gallery():
            if not create or card is None:
                raise DataError(
                    f"{display_path(self.where)} is missing; give the name of a gallery there, or create one with "
                    "`gluonfr enroll`."
                )
            self._create(card)
        card = self._read_card()
        loaded = [self._is_loaded(collection) for collection in (self.people, self.photos)]
        if not all(loaded):
            # Both at the same time, because the server needs seconds for each.
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(self._load, (self.people, self.photos), ("vector", "embedding")))
        return card

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _retry(self, call: Callable[[], Any]) -> Any:
        start = warned = time.monotonic()
        while True:
            try:
                return call()
            except self._failure as error:
                now = time.monotonic()
                if not _TEMPORARY.search(str(error)):
                    raise DataError(
                        f"{display_path(self.where)}: Milvus refuses the request ({_message(error)}); see the server's log."
                    ) from error
                if now - start > WAIT:
                    raise DataError(
                        f"{display_path(self.where)}: Milvus has not answered for {now - start:.0f} s ({_message(error)}). "
                        "Acknowledged changes are safe; repeat the request when the server is back."
                    ) from error
                if warned == start or now - warned > 30:
                    logger.warning("%s does not answer; waiting for it (%s)", display_path(self.where), _message(error))
                    warned = now
                time.sleep(0.5)

    def _pages(self, collection: str, which: str, fields: list[str]) -> list[dict[str, Any]]:
        pages = self._client.query_iterator(collection, batch_size=MOST_ROWS, filter=which, output_fields=fields)
        try:
            return [row for page in iter(pages.next, []) for row in page]
        finally:
            pages.close()

    def _create(self, card: Card) -> None:
        kinds = self._type
        self._make(
            self.people,
            "gluonfr",
            ("id", kinds.INT64, {"is_primary": True}),
            ("kind", kinds.INT64, {}),
            ("text", kinds.VARCHAR, {"max_length": LONGEST_TEXT}),
            ("photos", kinds.INT64, {}),
            # Every collection must have a vector.
            ("vector", kinds.FLOAT_VECTOR, {"dim": 2}),
        )
        # The card is in the description, because creating a collection is atomic: of two processes that create it with
        # different networks at the same moment, the second one is refused.
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

    def _make(self, collection: str, description: str, *fields: tuple[str, Any, dict[str, Any]]) -> None:
        schema = self._client.create_schema(auto_id=False, description=description)
        for name, kind, options in fields:
            schema.add_field(name, kind, **options)
        try:
            # With one shard, the rows of one request become visible together.
            self.ask("create_collection", collection, schema=schema, num_shards=1, consistency_level="Bounded")
        except GluonFRError:
            # Another process was faster; `open` reads what it created.
            if not self.ask("has_collection", collection):
                raise

    def _read_card(self) -> Card:
        try:
            stored = parse_json(self.ask("describe_collection", self.photos)["description"], "its description")
            version, values = stored["gluonfr"], stored["card"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{display_path(self.where)} is a collection but not a gallery; choose another name.") from error
        if version != VERSION:
            raise DataError(
                f"{display_path(self.where)} has format {version}, but this version of gluonfr reads format {VERSION}; use the "
                "version that wrote it."
            )
        return Card.from_dict(values, self.where)

    def _is_loaded(self, collection: str) -> bool:
        return self.ask("get_load_state", collection)["state"].name == "Loaded"

    def _load(self, collection: str, vector: str) -> None:
        index = self._client.prepare_index_params()
        index.add_index(vector, index_type="FLAT", metric_type="IP")
        self.ask("create_index", collection, index)
        self.ask("load_collection", collection)


def _pymilvus() -> ModuleType:
    try:
        import pymilvus
    except ImportError as error:
        raise UsageError(
            'a gallery on a Milvus server requires the package pymilvus; run `pip install "gluonfr[milvus]"`.'
        ) from error
    # It logs tracebacks of errors that are reported here in one sentence.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus


def _split(address: str) -> tuple[str, tuple[str, ...], str, str]:
    """Return (URI, (user, password) or (), name of the gallery, address without user and password)."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        host, port = None, _PORT
    if not host or not _NAME.fullmatch(parts.path[1:]) or parts.query or parts.fragment:
        hidden = re.sub(r"//[^/]*@", "//", address)
        raise UsageError(
            f"{display_path(hidden)}: write milvus://HOST:PORT/NAME or milvus://USER:PASSWORD@HOST:PORT/NAME. NAME has up to "
            "100 letters, digits and underscores and starts with a letter."
        )
    host = f"[{host}]" if ":" in host else host
    account = (unquote(parts.username), unquote(parts.password or "")) if parts.username else ()
    return f"http://{host}:{port}", account, parts.path[1:], f"{SCHEME}{host}:{port}{parts.path}"


def _message(error: Exception) -> str:
    return " ".join(str(getattr(error, "message", error)).split())[:200]

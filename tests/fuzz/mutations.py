"""Seeded mutations of files by their kind: bytes, text, JSON, archives, PNG and SQLite."""

import contextlib
import copy
import io
import json
import os
import re
import shutil
import sqlite3
import struct
import zipfile
import zlib

_NUMBERS = [-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 7, 127, 128, 255, 256, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32, 2**40]
_NUMBERS += [2**53, 2**62, 2**63 - 1, 2**63, 2**64, 10**30]
_TEXTS = [
    "",
    "0",
    "-1",
    "nan",
    "inf",
    "1e999",
    "1" * 5000,
    "a" * 140_000,
    "../../x",
    "/etc/passwd",
    "\0",
    "\u202ename",
    "\ud800",
]
_TEXTS += [
    "name\nline\r\n",
    "\x1b[31m",
    "ﬁ١٢",
    "__class__",
    "None",
    "[" * 2000,
    "null",
    "'; drop table photos; --",
    "%s%n{0}",
    " ",
]
_ENTRIES = ("x.npy", "../x.npy", "embeddings.npy", "labels.npy", "a" * 300, "data.pkl", "\u202e.npy")
_DEEP = "DEEP"
_VALUES = [None, True, False, 1.5, 1e308, -1e308, float("nan"), float("inf"), [], {}, [[]], [0] * 300, {"a": 1}, _DEEP]
_VALUES += [*_NUMBERS, *_TEXTS, 10**4400]
_PNG = b"\x89PNG\r\n\x1a\n"
_NUMBER_IN_TEXT = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def mutate_folder(random, source, target):
    """Copy a folder, with mutations in one or two of its files."""
    shutil.copytree(source, target)
    files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(target) for name in names)
    for path in random.sample(files, min(len(files), random.choice((1, 1, 1, 2)))):
        if random.random() < 0.01:
            os.unlink(path)
            continue
        with open(path, "rb") as file:
            content = file.read()
        if content.startswith(b"SQLite format 3") and random.random() < 0.6:
            _mutate_database(random, path)
            continue
        with open(path, "wb") as file:
            file.write(mutate(random, content))


def mutate(random, content):
    """Return a mutation of the content of a file."""
    if content.startswith(b"PK") and random.random() < 0.7:
        return _mutate_archive(random, content)
    if content[:1] in (b"{", b"[") and random.random() < 0.7:
        with contextlib.suppress(ValueError, RecursionError):
            return _mutate_json(random, content)
    if _is_text(content) and random.random() < 0.7:
        return _mutate_text(random, content)
    content = _mutate_bytes(random, content)
    return _with_png_checksums(content) if content.startswith(_PNG) and random.random() < 0.7 else content


def _few(random):
    return 1 + min(7, int(random.expovariate(0.8)))


def _mutate_bytes(random, content):
    for _ in range(_few(random)):
        content = _mutate_bytes_once(random, bytearray(content))
    return content


def _mutate_bytes_once(random, data):
    # Most formats decide at their beginning what follows.
    reach = len(data) if random.random() < 0.6 else min(len(data), 300)
    place, kind = random.randrange(max(1, reach)), random.randrange(9)
    length = min(random.choice((1, 2, 4, 8, 16, 64, 300, 4000)), len(data) - place)
    if not data:
        return b"abcde"
    if kind == 0:
        data[place] ^= 1 << random.randrange(8)
    elif kind == 1:
        data[place] = random.randrange(256)
    elif kind in (2, 3):
        size = random.choice((1, 2, 4, 8))
        number = random.choice(_NUMBERS) % (1 << 8 * size)
        data[place : place + size] = number.to_bytes(size, random.choice(("little", "big")))
    elif kind == 4:
        del data[place : place + length]
    elif kind == 5:
        start = random.randrange(len(data))
        data[place:place] = data[start : start + length] * random.choice((1, 1, 2, 50))
    elif kind == 6:
        start = random.randrange(len(data))
        data[place : place + length] = data[start : start + length]
    elif kind == 7:
        data[place : place + length] = random.choice((b"\0", b"\xff")) * length
    elif random.random() < 0.5:
        del data[place:]
    else:
        data[place:place] = bytes(random.randrange(256) for _ in range(min(length, 16)))
    return bytes(data)


def _is_text(content):
    return b"\0" not in content[:2000] and sum(byte > 126 for byte in content[:200]) < 20


def _mutate_text(random, content):
    for _ in range(_few(random)):
        kind, lines = random.randrange(7), content.split(b"\n")
        line = random.randrange(len(lines))
        if kind in (0, 1):
            found = list(_NUMBER_IN_TEXT.finditer(content))
            if found:
                match = random.choice(found)
                content = content[: match.start()] + str(random.choice(_NUMBERS)).encode() + content[match.end() :]
        elif kind == 2:
            words = re.split(rb"([\s,;:]+)", content)
            words[random.randrange(len(words))] = random.choice(_TEXTS).encode("utf-8", "surrogatepass")
            content = b"".join(words)
        elif kind == 3:
            lines.insert(line, lines[random.randrange(len(lines))])
            content = b"\n".join(lines)
        elif kind == 4:
            del lines[line]
            content = b"\n".join(lines)
        elif kind == 5:
            mark, other = random.choice((b",", b" ", b"\t", b":")), random.choice((b"", b",,", b"\t", b";", b'"', b"\r"))
            lines[line] = lines[line].replace(mark, other)
            content = b"\n".join(lines)
        else:
            content = _mutate_bytes_once(random, bytearray(content))
    return content


def _mutate_json(random, content):
    root = [json.loads(content)]
    for _ in range(_few(random)):
        places = []
        waiting = [root]
        while waiting:
            holder = waiting.pop()
            keys = range(len(holder)) if isinstance(holder, list) else list(holder)
            places += [(holder, key) for key in keys]
            waiting += [holder[key] for key in keys if isinstance(holder[key], (list, dict))]
        holder, key = random.choice(places)
        kind = random.randrange(8)
        if kind < 4 or holder is root:
            # A copy: a list that stands at two places could get into itself, and walking it would not end.
            holder[key] = copy.deepcopy(random.choice(_VALUES))
        elif kind == 4:
            del holder[key]
        elif kind == 5:
            other, name = random.choice(places)
            if isinstance(other, dict) or name < len(other):
                # A copy, because a value inside itself could not be written.
                holder[key] = json.loads(json.dumps(other.get(name) if isinstance(other, dict) else other[name]))
        elif isinstance(holder, dict):
            holder[random.choice(_TEXTS)] = holder.pop(key)
        else:
            holder.insert(key, json.loads(json.dumps(holder[key])))
        if not root:
            break
    text = json.dumps(root[0] if root else None)
    return text.replace(f'"{_DEEP}"', "[" * 3000 + "]" * 3000).encode()


def _mutate_archive(random, content):
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    except Exception:
        return _mutate_bytes(random, content)
    for _ in range(_few(random)):
        place, kind = random.randrange(len(entries)), random.randrange(10)
        name, inside = entries[place]
        if kind < 6:
            entries[place] = name, _mutate_array(random, inside) if inside.startswith(b"\x93NUMPY") else mutate(random, inside)
        elif kind == 6 and len(entries) > 1:
            del entries[place]
        elif kind == 7:
            entries.append((name, entries[random.randrange(len(entries))][1]))
        elif kind == 8:
            entries[place] = name, entries[random.randrange(len(entries))][1]
        else:
            entries[place] = random.choice((*_ENTRIES, name.rsplit(".", 1)[0])), inside
    result = io.BytesIO()
    compressions = (zipfile.ZIP_STORED,) * 4 + (zipfile.ZIP_DEFLATED,) * 3 + (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(result, "w", random.choice(compressions)) as archive:
        for name, inside in entries:
            with contextlib.suppress(ValueError), _quiet():
                archive.writestr(name, inside)
    content = result.getvalue()
    return _mutate_zip_header(random, content) if random.random() < 0.15 else content


def _mutate_zip_header(random, content):
    """Change a field of a local or central header: version, flags (encryption), method, sizes or checksum."""
    data = bytearray(content)
    found = [(match.start(), match.group()) for match in re.finditer(rb"PK\x03\x04|PK\x01\x02", content)]
    place, mark = random.choice(found)
    place += random.choice((4, 6, 8, 14, 18, 22, 26, 28)) + 2 * (mark == b"PK\x01\x02")
    data[place : place + 2] = random.choice((1, 8, 9, 0x41, 0x801, 12, 14, 93, 99, 0xFFFF, 0)).to_bytes(2, "little")
    return bytes(data)


def _mutate_array(random, content):
    """Mutate a .npy so that its values or its type change and its header often stays consistent."""
    import numpy as np

    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception:
        return _mutate_bytes(random, content)
    kind = random.randrange(6)
    if kind == 0:
        return _mutate_bytes(random, content)
    with np.errstate(all="ignore"):
        if kind == 1 and array.size and array.dtype.kind in "iuf":
            array = array.copy()
            values = (np.nan, np.inf, -1, 0, 1e38) if array.dtype.kind == "f" else (0, 1, 127)
            array.flat[random.randrange(array.size)] = random.choice(values)
        elif kind == 2:
            array = array[: random.randrange(len(array) + 1)] if array.ndim else array[None]
        elif kind == 3:
            array = np.concatenate([array, array]) if array.ndim else np.array([array, array])
        elif kind == 4:
            array = array.reshape(random.choice(((-1,), (1, *array.shape), (*array.shape, 1))))
        elif array.dtype.kind in "biuf":
            # NumPy crashes when it converts damaged arrays of some other kinds, such as text beyond Unicode.
            types = ("f4", "f8", "f2", "i8", "u1", "?", "c8", "S3", "U3", "M8[s]", "i1", [("a", "f4"), ("b", "f4")])
            with contextlib.suppress(ValueError, TypeError):
                array = array.astype(random.choice(types))
    result = io.BytesIO()
    np.save(result, array, allow_pickle=False)
    return result.getvalue()


@contextlib.contextmanager
def _quiet():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _with_png_checksums(content):
    data, place = bytearray(content), len(_PNG)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(data)


def _mutate_database(random, path):
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        for _ in range(_few(random)):
            table = random.choice(tables)
            columns = [row[1] for row in connection.execute(f'pragma table_info("{table}")')]
            with contextlib.suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
                _mutate_table(random, connection, table, random.choice(columns) if columns else "rowid")
    finally:
        connection.close()


def _mutate_table(random, connection, table, column):
    kind = random.randrange(9)
    values = [value for value in _VALUES if value is None or isinstance(value, (int, float, str))]
    values += [b"", b"abc", bytes(64), bytes(4096)]
    if kind < 4:
        connection.execute("pragma ignore_check_constraints = on")
        rows = [row for (row,) in connection.execute(f'select rowid from "{table}"')]
        which = f"rowid = {random.choice(rows)}" if rows and random.random() < 0.7 else "1"
        connection.execute(f'update "{table}" set "{column}" = ? where {which}', (random.choice(values),))
    elif kind == 4:
        connection.execute(f'delete from "{table}" where rowid % {random.randrange(1, 4)} = 0')
    elif kind == 5:
        connection.execute(f"pragma {random.choice(('user_version', 'application_id'))} = {random.choice(_NUMBERS[:16])}")
    elif kind == 6:
        connection.execute(random.choice((f'drop table "{table}"', f'alter table "{table}" rename to other')))
    elif kind == 7:
        connection.execute(f'alter table "{table}" {random.choice((f"rename column {column} to other", "add column other"))}')
    else:
        _add_to_schema(random, connection, table)


def _add_to_schema(random, connection, table):
    """Add a trigger, a view or a generated column, also hidden under the name of a table of SQLite itself."""
    trigger = f'create trigger t after insert on "{table}" begin delete from "{table}"; end'
    endless = "create view v as with recursive c(n) as (select 1 union all select n + 1 from c) select n from c"
    kind = random.randrange(5)
    if kind == 0:
        connection.execute(trigger)
    elif kind == 1:
        connection.execute(endless)
    elif kind == 2:
        connection.execute(f'alter table "{table}" add column g integer generated always as (1 + 1) virtual')
    else:
        connection.execute("pragma writable_schema = on")
        row = ("table", random.choice(("sqlite_stat1", "sqlite_stat4", table)), table, 0, trigger if kind == 3 else endless)
        connection.execute("insert into sqlite_master values (?, ?, ?, ?, ?)", row)

"""QuickTime files of JPEG frames with a duration for each frame and a rotation of the picture, without an encoder."""

import struct

ONE = 1 << 16


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def integers(*values):
    return struct.pack(f">{len(values)}I", *(value & 0xFFFFFFFF for value in values))


def write_mov(path, frames, durations, size, rotation=0):
    """Write `frames` (JPEG bytes) with `durations` in milliseconds; `size`: (width, height) as stored."""
    width, height = size
    matrix = {
        0: (ONE, 0, 0, 0, ONE, 0, 0, 0),
        90: (0, ONE, 0, -ONE, 0, 0, height * ONE, 0),
        180: (-ONE, 0, 0, 0, -ONE, 0, width * ONE, height * ONE),
        270: (0, -ONE, 0, ONE, 0, 0, 0, width * ONE),
    }[rotation]
    identity, matrix, total = integers(ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), integers(*matrix, 1 << 30), sum(durations)
    entry = box(
        b"jpeg",
        bytes(6) + struct.pack(">H", 1) + bytes(16),
        struct.pack(">HHIIIH", width, height, 72 << 16, 72 << 16, 0, 1),
        bytes(32) + struct.pack(">Hh", 24, -1),
    )
    tables = [
        box(b"stsd", integers(0, 1), entry),
        box(b"stts", integers(0, len(durations)), *(integers(1, duration) for duration in durations)),
        box(b"stsc", integers(0, 1, 1, len(frames), 1)),
        box(b"stsz", integers(0, 0, len(frames)), *(integers(len(frame)) for frame in frames)),
    ]

    def moov(offset):
        stbl = box(b"stbl", *tables, box(b"stco", integers(0, 1, offset)))
        dinf = box(b"dinf", box(b"dref", integers(0, 1), box(b"url ", integers(1))))
        vmhd = box(b"vmhd", integers(1) + bytes(8))
        hdlr = box(b"hdlr", bytes(4) + b"mhlrvide" + bytes(12) + b"\0")
        mdhd = box(b"mdhd", integers(0, 0, 0, 1000, total, 0))
        mdia = box(b"mdia", mdhd, hdlr, box(b"minf", vmhd, dinf, stbl))
        tkhd = box(b"tkhd", integers(7, 0, 0, 1, 0, total) + bytes(16) + matrix + integers(width << 16, height << 16))
        mvhd = box(b"mvhd", integers(0, 0, 0, 1000, total, ONE) + bytes(12) + identity + bytes(24) + integers(2))
        return box(b"moov", mvhd, box(b"trak", tkhd, mdia))

    # The index comes first, so that a truncated file can still be opened.
    ftyp = box(b"ftyp", b"qt  ", integers(512), b"qt  ")
    offset = len(ftyp) + len(moov(0)) + 8
    with open(path, "wb") as file:
        file.write(ftyp + moov(offset) + box(b"mdat", *frames))

"""Read a training set by the rules of InsightFace's reader, with MXNet's RecordIO and without this package."""

import os

import mxnet as mx


def read_by_the_rules(folder):
    """Return {label: [payload, ...]} of FOLDER/train.rec by its header records, and assert every rule of the layout."""
    path = os.path.join(str(folder), "train.rec")
    with open(path[:-3] + "idx") as file:
        rows = [tuple(map(int, line.rstrip("\n").split("\t"))) for line in file]
    # Record 0 is written last, so it is the last line, and offsets increase from line to line.
    assert [key for key, _ in rows] == [*range(1, len(rows)), 0]
    assert [offset for _, offset in rows] == sorted({offset for _, offset in rows})
    assert rows[0][1] == 0
    record = mx.recordio.MXIndexedRecordIO(path[:-3] + "idx", path, "r")
    header, payload = mx.recordio.unpack(record.read_idx(0))
    assert header.flag == 2
    assert payload == b""
    first, end = (int(number) for number in header.label)
    images, people = first - 1, end - first
    assert end == images + people + 1 == len(rows)
    found, next_image = {}, 1
    for identity in range(first, end):
        header, payload = mx.recordio.unpack(record.read_idx(identity))
        assert header.flag == 2
        assert payload == b""
        begin, stop = (int(number) for number in header.label)
        assert begin == next_image < stop
        next_image = stop
        for number in range(begin, stop):
            header, payload = mx.recordio.unpack(record.read_idx(number))
            assert header.flag == 0
            assert payload
            assert float(header.label) == int(header.label)
            found.setdefault(int(header.label), []).append(payload)
        # All images of a range are of one person, who is in no other range.
        assert len(found[int(header.label)]) == stop - begin
    assert next_image == images + 1
    with open(os.path.join(str(folder), "property")) as file:
        classes, height, width = map(int, file.readline().split(","))
    assert classes == max(found) + 1
    decoded = mx.image.imdecode(found[0][0]).shape if 0 in found else (height, width, 3)
    assert decoded == (height, width, 3)
    record.close()
    return found

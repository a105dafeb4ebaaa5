"""Photos are decoded in a process that can be ended."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from gluonfr.apps.serve.decoding import PhotoDecoder
from gluonfr.apps.serve.errors import RequestError
from gluonfr.apps.serve.worker import Slots, Worker
from gluonfr.photos.reading import PhotoError


@pytest.fixture(scope="module")
def decoder():
    with PhotoDecoder() as decoder:
        yield decoder


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_decoded_pixels_equal_those_of_the_file(decoder):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decoder.decode(png(pixels)), pixels)


@pytest.mark.parametrize(("content", "reason"), [(b"no photo", "no image"), (png(np.zeros((4, 4, 3), np.uint8)), "too small")])
def test_invalid_photos_raise_their_reason(decoder, content, reason):
    with pytest.raises(PhotoError) as caught:
        decoder.decode(content)
    assert caught.value.reason == reason


def test_ended_process_is_started_again(decoder):
    pixels = np.full((20, 20, 3), 7, np.uint8)
    decoder.decode(png(pixels))
    decoder._process.kill()
    decoder._process.wait()
    np.testing.assert_array_equal(decoder.decode(png(pixels)), pixels)


@pytest.mark.parametrize("limits", [{"cpu_seconds": 0.02}, {"seconds": 0.02}])
def test_photo_that_takes_too_long_ends_only_its_process(limits):
    # 48 megapixels cannot be decoded in a fiftieth of a second.
    slow = png(np.zeros((6000, 8000), np.uint8))
    with PhotoDecoder(**limits) as decoder:
        with pytest.raises(PhotoError, match="more than") as caught:
            decoder.decode(slow)
        assert caught.value.reason == "too slow"
        assert decoder._process is None


def test_closed_decoder_refuses_photos():
    decoder = PhotoDecoder()
    decoder.close()
    with pytest.raises(PhotoError, match="stopping"):
        decoder.decode(b"")


def test_one_client_cannot_use_all_slots():
    slots = Slots(3, 2)
    with slots.slot("a"), slots.slot("a"):
        with pytest.raises(RequestError) as caught, slots.slot("a"):
            raise AssertionError
        assert caught.value.status == 429
        with slots.slot("b"), pytest.raises(RequestError), slots.slot("c"):
            raise AssertionError
    with slots.slot("a"):
        pass


def test_worker_closes_while_its_work_does_not_end():
    release = threading.Event()
    worker = Worker("stuck", 1)
    future = worker._submit(release.wait, ())
    worker.close(0.01)
    assert not future.done()
    release.set()
    assert future.result(timeout=60)

import pytest
from made_up import CARD

from gluonfr.gallery import Gallery


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "g.db")


# Every engine is held to the same tests: a function that opens a gallery again, whatever keeps it.
@pytest.fixture(params=["sqlite"])
def open_gallery(request, path):
    opened = []

    def again(card=CARD):
        opened.append(Gallery(path, card))
        return opened[-1]

    yield again
    for each in opened:
        each.close()

import importlib.util
import itertools
import shutil

import pytest
from synthetic_people import CARD

from gluonfr.apps.gallery.gallery import Gallery

# Each change on a Milvus server waits for its clock: only the most informative tests run there outside of `full`.
QUICK_ON_MILVUS = {
    "test_single_photos_are_found_moved_and_removed",
    "test_search_equals_an_exhaustive_search",
    "test_enrolled_photos_are_skipped_and_foreign_photos_refused",
    "test_rename_merge_and_remove",
    "test_any_text_is_a_valid_name[milvus-0]",
}
NUMBERS = itertools.count()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        on_milvus = getattr(item, "callspec", None) and item.callspec.params.get("where") == "milvus"
        if on_milvus:
            quick = {item.name, item.originalname} & QUICK_ON_MILVUS
            item.add_marker(pytest.mark.system if quick else pytest.mark.full)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "g.db")


@pytest.fixture(scope="session")
def new_milvus_server(request, tmp_path_factory):
    """A function that starts a Milvus server, which takes some seconds, and a quarter of a minute more the first time."""
    for package in ("milvus", "pymilvus"):
        if not importlib.util.find_spec(package):
            pytest.skip(f"{package} is not installed")
    from milvus_process import MilvusProcess

    cache, started = getattr(request.config, "cache", None), []

    def new():
        programs = cache.mkdir("milvus-programs") if cache else tmp_path_factory.mktemp("milvus-programs")
        started.append(MilvusProcess(tmp_path_factory.mktemp("milvus"), programs))
        started[-1].start()
        return started[-1]

    yield new
    for server in started:
        server.kill()
        shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def milvus_server(new_milvus_server):
    """The Milvus server of most tests."""
    return new_milvus_server()


# The same tests run with every store: the path or address of a gallery that does not exist yet.
@pytest.fixture(params=["sqlite", "milvus"])
def where(request, path):
    if request.param == "sqlite":
        return path
    return f"{request.getfixturevalue('milvus_server').address}/test{next(NUMBERS)}"


@pytest.fixture
def open_gallery(where):
    """A function that opens the gallery, again and again."""
    opened = []

    def again(card=CARD):
        opened.append(Gallery(where, card))
        return opened[-1]

    yield again
    for gallery in opened:
        gallery.close()

import os

import pytest

import gluonfr.deploy

_NETWORKS = {}


@pytest.fixture(scope="module", autouse=True)
def networks_are_loaded_once():
    """Share the embedders of the real network between the commands of all tests."""
    load = gluonfr.deploy.Embedder

    def cached(model=None, **options):
        if model is None or "mobilefacenet-y1" not in str(model):
            return load(model, **options)
        key = (str(model), *(str(options.get(name)) for name in ("flip", "backend", "detector")))
        if key not in _NETWORKS:
            _NETWORKS[key] = load(model, **options)
        return _NETWORKS[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gluonfr.deploy, "Embedder", cached)
        yield


@pytest.fixture(scope="session")
def y1(faces):
    """Path of InsightFace's MobileFaceNet y1."""
    return os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json")

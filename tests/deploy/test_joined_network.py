"""Several networks as one, against the members' own embeddings."""

from dataclasses import replace

import numpy as np
import pytest
from random_networks import embedding, images, randomized

from gluonfr.cli import main
from gluonfr.core import Card, UsageError
from gluonfr.deploy import RawPixels, load_model
from gluonfr.deploy.export import export_onnx, export_symbol
from gluonfr.deploy.joined_network import load_joined
from gluonfr.model_zoo import get_model
from gluonfr.weights.saved import save_network


@pytest.fixture
def models(tmp_path):
    folders = []
    for size, license in ((8, "mine"), (16, "CC0-1.0")):
        arguments = {"embedding_size": size, "width": 0.25}
        net = randomized(get_model("mobilefacenet", **arguments))
        folder = tmp_path / str(size)
        folder.mkdir()
        save_network(net, str(folder), Card(network="mobilefacenet", arguments=arguments, license=license, trained_on="celeb"))
        folders.append(str(folder))
    return folders


@pytest.mark.parametrize("name", ["joined", "joined.onnx"])
def test_the_cosine_of_joined_embeddings_is_the_mean_of_the_members_cosines(models, name, tmp_path):
    out = str(tmp_path / name)
    assert main(["export", "--model", ",".join(models), "--out", out]) == 0
    net, card = load_model(out)
    x = images(4)
    rows = embedding(net, x)
    members = [embedding(load_model(model)[0], x) for model in models]
    units = [member / np.linalg.norm(member, axis=1, keepdims=True) for member in members]
    np.testing.assert_allclose(rows, np.concatenate(units, axis=1), atol=1e-5)
    cosines = rows @ rows.T / np.linalg.norm(rows, axis=1) / np.linalg.norm(rows, axis=1)[:, None]
    np.testing.assert_allclose(cosines, (units[0] @ units[0].T + units[1] @ units[1].T) / 2, atol=1e-5)
    assert (card.embedding_size, card.distance, card.thresholds) == (24, "cosine", [])
    assert (card.license, card.trained_on) == ("mine; CC0-1.0", "celeb")


def test_models_that_do_not_fit_together_are_refused(models, tmp_path, capsys):
    net, card = load_model(models[0])
    others = {
        "needs crops with template='insightface_96'": {"template": "insightface_96"},
        r"needs crops with image_size=\(8, 8\)": {"image_size": (8, 8)},
        "is compared by the euclidean distance": {"distance": "euclidean"},
    }
    for number, (words, change) in enumerate(others.items()):
        prefix = str(tmp_path / f"other{number}")
        changed = replace(card, **change)
        export_symbol(net if changed.image_size == card.image_size else RawPixels(), prefix, changed.image_size, changed)
        with pytest.raises(UsageError, match=words):
            load_joined([models[0], prefix])
    export_onnx(net, str(tmp_path / "x.onnx"), card=card)
    assert main(["export", "--model", f"{models[0]},{tmp_path / 'x.onnx'}", "--out", str(tmp_path / "out")]) == 2
    assert "cannot be joined" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))

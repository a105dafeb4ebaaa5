import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from html_tree import parse

from gluonfr.core import GluonFRError
from gluonfr.evaluation.report import write
from gluonfr.evaluation.report.entry import ReportEntry
from gluonfr.evaluation.report.file_names import FileNames
from gluonfr.evaluation.report.threshold_steps import threshold_steps
from gluonfr.evaluation.report.write import write_report
from gluonfr.metrics import evaluate_pairs

IMG = "<img src=x onerror=alert(1)>"
DROP = "'; DROP TABLE models; --"
SCRIPT = "</script><script>alert(2)</script>"


def pairs(seed=0, n=3000, shift=0.8, genuine=0.5):
    random = np.random.default_rng(seed)
    issame = random.random(n) < genuine
    return np.clip(random.normal(1.9 - shift * issame, 0.25), 0, 4).astype(np.float32), issame


def evaluation(seed=0, n=3000, shift=0.8, genuine=0.5, **options):
    return evaluate_pairs(*pairs(seed, n, shift, genuine), **{"replicates": 0, **options})


def with_people(seed=0, n=600, shift=0.8, replicates=60, **options):
    distances, issame = pairs(seed, n, shift)
    random = np.random.default_rng(seed)
    first = random.integers(0, 40, n)
    people = np.stack([first, np.where(issame, first, (first + random.integers(1, 40, n)) % 40)], axis=1)
    return evaluate_pairs(distances, issame, people, replicates=replicates, **options)


def images(i):
    """Return two single-colored images whose colors depend on the pair and the position."""
    color = (i % 200 + 20, i // 200 * 10 + 20)
    return tuple(np.full((112, 112, 3), (*color, level), np.uint8) for level in (60, 200))


_DRAWN = {}


@pytest.fixture
def one_figure(monkeypatch):
    """Draw each kind of figure only once, for tests of the page that do not depend on the figures."""

    def once(name):
        draw = getattr(write, name)

        def draw_once(*arguments):
            if name not in _DRAWN:
                _DRAWN[name] = draw(*arguments)
            return _DRAWN[name]

        monkeypatch.setattr(write, name, draw_once)

    once("draw_roc")
    once("draw_scores")


def written(folder, entries, **options):
    path = write_report(str(folder), entries, **options)
    assert path == str(Path(folder) / "report.html")
    return parse(Path(path).read_text(encoding="utf-8"))


def strictly(text):
    """Parse JSON; reject NaN and infinity."""

    def refuse(name):
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


def faces_of(node):
    for image in node.all("img"):
        kind, data = image.attributes["src"].split(";base64,")
        assert kind == "data:image/jpeg"
        yield cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def test_the_summary_shows_the_metrics_of_each_evaluation(one_figure, tmp_path):
    strong, weak = with_people(shift=1.0), evaluation(1, n=600, shift=0.3)
    page = written(tmp_path, [ReportEntry("strong", "lfw", strong), ReportEntry("weak", "lfw", weak)])
    rows = page.one("table", _class="summary").rows()
    assert rows[2] == ["lfw"]
    for row, model, evaluated in [(rows[3], "strong", strong), (rows[4], "weak", weak)]:
        result = evaluated.verification
        known = evaluated.intervals.values if evaluated.intervals else {}
        assert row[0] == model
        assert row[1] == "600"

        def cell(text, name, write, known=known):
            low, high = known.get(name, (np.nan, np.nan))
            return re.compile(
                re.escape(text) + r"( \(best\))?" + re.escape(f"{write(low)} – {write(high)}" if low < high else "")
            )

        expected = [
            cell(f"{100 * result.accuracy:.2f} ± {100 * result.accuracy_std:.2f}", "accuracy", lambda v: f"{100 * v:.2f}")
        ]
        for at in result.tar_at_far:
            resolved = result.impostors * at.target >= 1
            expected.append(cell(f"{100 * at.tar:.2f}" if resolved else "–", "", str))
        expected.append(cell(f"{result.auc:.5f}", "auc", lambda v: f"{v:.4f}"))
        expected.append(cell(f"{100 * result.eer:.2f}", "eer", lambda v: f"{100 * v:.2f}"))
        expected.append(cell(f"{result.dprime:.2f}", "", str))
        assert len(row) == 2 + len(expected) == 12
        for text, pattern in zip(row[2:], expected):
            assert pattern.fullmatch(text), (text, pattern)
    # 300 impostor pairs resolve the rates 0.1 and 0.01, but not the four lower ones.
    assert [text == "–" for text in rows[3][3:9]] == [False, False, True, True, True, True]
    notes = page.one(id="summary").text
    assert "40 people, as the set names them; 60 bootstrap samples" in notes
    assert "No confidence intervals" in notes


def test_inferred_people_are_noted(one_figure, tmp_path):
    page = written(tmp_path, [ReportEntry("m", "lfw", with_people(people_known=False))])
    assert "inferred from the images that pairs share" in page.one(id="summary").text


def test_the_best_of_a_column_is_marked_within_each_set(one_figure, tmp_path):
    first, second = evaluation(0, shift=1.0), evaluation(1, shift=0.4)
    entries = [
        ReportEntry("a", "x", first),
        ReportEntry("b", "x", second),
        ReportEntry("b", "y", first),
        ReportEntry("a", "y", second),
    ]
    table = written(tmp_path / "two", entries).one("table", _class="summary")
    rows = {row.text.split()[0] + str(place): row for place, row in enumerate(table.all("tr")[2:])}
    for key, best in {"a1": True, "b2": False, "b4": True, "a5": False}.items():
        marked = rows[key].all("td", _class="best")
        # accuracy, TAR at 0.1, 0.01 and 0.001, AUC, EER (though smaller) and d'
        assert len(marked) == (7 if best else 0), key
    alone = written(tmp_path / "one", entries[:1]).one("table", _class="summary")
    assert not alone.all("td", _class="best")
    same = written(tmp_path / "same", [ReportEntry("a", "x", first), ReportEntry("b", "x", first)])
    assert not same.one("table", _class="summary").all("td", _class="best")


def test_thresholds_are_those_of_the_points(one_figure, tmp_path):
    evaluated = with_people(n=3000, production_far=0.002)
    page = written(tmp_path, [ReportEntry("m", "lfw", evaluated)])
    (table,) = [table for table in page.all("table") if table.rows()[0][0] == "Target FAR"]
    rows = table.rows()[1:]
    # The production rate is inserted among the listed ones.
    assert [row[0] for row in rows] == ["10−1", "10−2", "0.002 production", "10−3", "10−4", "10−5", "10−6"]
    points = sorted([*evaluated.points, evaluated.production], key=lambda point: -point.target)
    impostors = int((~evaluated.issame).sum())
    for row, point in zip(rows, points):
        if point.target < 1 / impostors:
            needed = round(1 / point.target)
            assert row[1:] == [f"{impostors:,} pairs of different people; this rate needs at least {needed:,}."]
            continue
        accepted = evaluated.distances < point.threshold
        true, false = int((accepted & evaluated.issame).sum()), int((accepted & ~evaluated.issame).sum())
        assert row[1] == f"{point.similarity:.4f}"
        assert row[2] == f"{point.threshold:.4f}"
        assert row[3].startswith(f"{100 * true / evaluated.issame.sum():.2f}")
        assert row[4] == f"{true:,} of {int(evaluated.issame.sum()):,}"
        assert row[5].startswith(f"{100 * false / impostors:.3f}")
        assert row[6] == f"{false:,} of {impostors:,}"
    low, high = evaluated.intervals.values["tar@far=0.01"]
    assert rows[1][3].endswith(f"{100 * low:.2f} – {100 * high:.2f}")


def test_decisions_are_shown_at_the_production_threshold(one_figure, tmp_path):
    evaluated = evaluation()
    page = written(tmp_path, [ReportEntry("m", "lfw", evaluated)])
    assert page.one("div", _class="callout").one("p").text == evaluated.explain("lfw")
    section = page.one("section", _class="decisions")
    accepted = evaluated.distances < evaluated.production.threshold
    shown = {node.attributes["data-show"]: node.text for node in section.walk() if "data-show" in node.attributes}
    assert shown["true_accepts"] == f"{(accepted & evaluated.issame).sum():,}"
    assert shown["false_rejects"] == f"{(~accepted & evaluated.issame).sum():,}"
    assert shown["false_accepts"] == f"{(accepted & ~evaluated.issame).sum():,}"
    assert shown["true_rejects"] == f"{(~accepted & ~evaluated.issame).sum():,}"
    assert shown["accuracy"] == f"{100 * np.mean(accepted == evaluated.issame):.2f} %"
    assert float(shown["similarity"]) == pytest.approx(evaluated.production.similarity, abs=1e-4)
    assert ((evaluated.distances < np.float32(shown["distance"])) == accepted).all()
    # The slider needs JavaScript, so it is hidden without it.
    assert "hidden" in section.one("div", _class="control").attributes


CLOSE = np.repeat([0.5, 0.50001, 0.50002, 0.50003], 25)


@pytest.mark.parametrize(
    "evaluated",
    [
        evaluation(),
        evaluation(2, n=20000, shift=0.3),
        evaluation(n=400, shift=0.0),
        evaluate_pairs(pairs()[0].astype(np.float64) / 2, pairs()[1], replicates=0, dist_type=1),
        evaluate_pairs(np.round(pairs()[0], 1), pairs()[1], replicates=0),
        evaluate_pairs(CLOSE, np.tile([1, 1, 1, 0], 25), replicates=0, production_far=0.1),
        evaluate_pairs(np.ones(40, np.float32), np.arange(40) < 20, replicates=0),
        evaluate_pairs(np.zeros(40), np.arange(40) < 20, replicates=0),
        evaluate_pairs(np.arange(40.0) * 100, np.arange(40) < 20, replicates=0),
        evaluation(genuine=1.1),
        evaluation(genuine=-0.1),
    ],
)
def test_the_counts_of_every_slider_step_match_its_threshold(evaluated):
    steps = threshold_steps(evaluated)
    assert 2 <= len(steps.distance) <= 600
    values = np.array(steps.distance, dtype=np.float64)
    assert (np.diff(values) > 0).all()
    for distance, true, false in zip(values.tolist(), steps.true_accepts, steps.false_accepts):
        accepted = evaluated.distances < evaluated.distances.dtype.type(distance)
        assert (true, false) == ((accepted & evaluated.issame).sum(), (accepted & ~evaluated.issame).sum())
    cosine = 1 - values / (2 if evaluated.dist_type == 0 else 1)
    np.testing.assert_allclose(np.array(steps.similarity, dtype=np.float64), cosine, atol=1e-4)
    assert (steps.true_accepts[0], steps.false_accepts[0]) == (0, 0)
    assert (steps.true_accepts[-1], steps.false_accepts[-1]) == (evaluated.issame.sum(), (~evaluated.issame).sum())
    decided = evaluated.confusion(None if evaluated.production else evaluated.verification.threshold)
    assert steps.true_accepts[steps.start] == decided["true_accepts"]
    assert steps.false_accepts[steps.start] == decided["false_accepts"]
    threshold = (evaluated.production or evaluated.verification).threshold
    assert float(steps.distance[steps.start]) == pytest.approx(threshold, abs=1e-4)


def test_the_json_contains_every_number_and_the_file_names(tmp_path):
    entries = [
        ReportEntry("m/1", "lfw", with_people(), images, {"license": "CC0"}),
        ReportEntry("m/1", "one kind", evaluation(genuine=1.1)),
    ]
    written(tmp_path, entries, title="Both")
    report = strictly((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["title"] == "Both"
    assert report["models"] == {"m/1": {"license": "CC0"}}
    for entry in entries:
        expected = strictly(json.dumps(entry.evaluation.to_dict()))
        assert report["evaluations"][entry.model][entry.set] == expected
    assert report["evaluations"]["m/1"]["one kind"]["verification"]["auc"] is None
    named = {"report.html", "report.json", *report["roc_pictures"].values()}
    for sets in report["pictures"].values():
        for files in sets.values():
            named |= set(files.values())
    assert named == {path.name for path in tmp_path.iterdir()}
    assert list(report["roc_pictures"]) == ["lfw"]
    assert set(report["pictures"]["m/1"]["lfw"]) == {"scores", "false_accepts", "false_rejects"}
    assert set(report["pictures"]["m/1"]["one kind"]) == {"scores"}
    for name in named:
        assert not name.endswith(".png") or cv2.imread(str(tmp_path / name)).std() > 3
    hardest = report["hardest"]["m/1"]["lfw"]["false_accepts"]
    distances, issame = entries[0].evaluation.distances, entries[0].evaluation.issame
    impostors = np.flatnonzero(~issame)
    assert [pair["pair"] for pair in hardest] == impostors[np.argsort(distances[impostors])][:12].tolist()


def test_names_are_escaped(tmp_path):
    entries = [
        ReportEntry(IMG, SCRIPT, evaluation(groups={IMG: np.repeat([SCRIPT, DROP], 1500)}), images, {SCRIPT: IMG}),
        ReportEntry(DROP, SCRIPT, evaluation(1), facts={"x": "\x00\u202e{{ 7 * 7 }}"}),
        ReportEntry("$\\frac{_", "_\ud800\n\x07", evaluation(2)),
    ]
    picture = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    rows = [{"step": step, "loss": 1.0, f"{IMG}/accuracy": 0.5} for step in range(3)]
    page = written(tmp_path, entries, title=SCRIPT, pictures={IMG: picture}, curves=rows)
    assert [node.text for node in page.all("h1")] == [SCRIPT]
    assert page.one("title").text == SCRIPT
    assert [node.text for node in page.one(id="models").all("h3")] == [IMG, DROP, "$\\frac{_"]
    assert f"By {IMG}" in [node.text for node in page.all("h4")]
    assert len(page.all("script")) == 2
    assert all("onerror" not in node.attributes for node in page.walk())
    assert all(node.attributes["src"].startswith("data:image/") for node in page.all("img"))
    assert "{{ 7 * 7 }}" in page.one(id="models").text
    steps = strictly(page.one("script", id="steps").children[0])
    assert sorted(figure["name"] for figure in steps.values())[-1] == f"{IMG}, {SCRIPT}"
    for node in page.all("img"):
        if node.attributes["src"].startswith("data:image/svg"):
            svg = base64.b64decode(node.attributes["src"].split(",")[1]).decode()
            assert not re.search("[\x00-\x08]|<script|<img", svg)


def test_file_names_are_safe_and_unique(one_figure, tmp_path):
    names = [
        "a/b",
        "a_b",
        "../../etc/passwd",
        "..",
        "",
        "Ünïcode",
        "unicode",
        "UNICODE",
        "王小明",
        "😀",
        ".hidden",
        "a" * 500,
        "CON",
    ]
    names += ["a\x00b", "-rf", "C:\\x", "a_b ", "x" * 499 + "y"]
    give = FileNames()
    files = [give("scores", name, "set") for name in names] + [give("scores", "a", "b_set"), give("scores", "a_b", "set")]
    assert len({file.lower() for file in files}) == len(files)
    for file in files:
        assert re.fullmatch(r"scores_[A-Za-z0-9._-]+\.png", file)
        assert len(file) < 200
        assert ".." not in file.replace("...", "")
    models = ["../up", "a/b", "a_b", "..", "王"]
    folder = tmp_path / "report"
    written(folder, [ReportEntry(model, "../s", evaluation(seed, n=60)) for seed, model in enumerate(models)])
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert len(list(folder.glob("scores_*.png"))) == len(models)
    report = strictly((folder / "report.json").read_text())
    assert len({report["pictures"][model]["../s"]["scores"] for model in models}) == len(models)


@pytest.mark.parametrize(
    ("evaluated", "missing"),
    [
        (evaluation(genuine=1.1), "the same person"),
        (evaluation(genuine=-0.1), "different people"),
        (evaluate_pairs(np.ones(30), np.ones(30), replicates=0), "the same person"),
    ],
)
def test_sets_with_one_kind_of_pairs_are_explained(tmp_path, evaluated, missing):
    page = written(tmp_path, [ReportEntry("m", "odd", evaluated, images)])
    assert "nan" not in re.sub("[A-Za-z0-9+/]{200,}", "", (tmp_path / "report.html").read_text()).lower()
    other = {"the same person": "different people", "different people": "the same person"}[missing]
    assert f"There is no ROC: odd has no pairs of {other}." in page.text
    assert not list(tmp_path.glob("roc*"))
    assert len(list(tmp_path.glob("scores*"))) == 1
    row = page.one("table", _class="summary").rows()[3]
    assert row[3:] == ["–"] * 9
    assert "±" in row[2]
    assert page.one("div", _class="callout").one("p").text == evaluated.explain("odd")
    assert "too few to determine a threshold" in page.text
    assert "best accuracy" in page.one("section", _class="decisions").text
    assert f"There are no pairs of {other}." in page.text
    confusion = page.one("table", _class="confusion").text
    assert "–" in confusion
    assert f"{len(evaluated.issame):,}" in confusion


def test_too_few_impostors_leave_no_production_threshold(one_figure, tmp_path):
    evaluated = evaluation(n=20, production_far=0.01, far_target=[1e-3])
    assert evaluated.production is None
    page = written(tmp_path, [ReportEntry("m", "small", evaluated, images)])
    assert evaluated.explain("small") in page.text
    assert not page.all("p", _class="verdict")
    assert len(page.all("div", _class="faces")) == 20
    confusion = evaluated.confusion(evaluated.verification.threshold)
    assert page.one(data_show="true_accepts").text == str(confusion["true_accepts"])


def test_hardest_pairs_show_their_images_and_decisions(one_figure, tmp_path):
    evaluated = evaluation(n=600, shift=0.6)
    page = written(tmp_path, [ReportEntry("m", "lfw", evaluated, images)])
    accepts, rejects = page.all("ol", _class="pairs")
    for node, issame in [(accepts, False), (rejects, True)]:
        own = np.flatnonzero(evaluated.issame == issame)
        expected = own[np.argsort(evaluated.distances[own] * (-1 if issame else 1), kind="stable")][:12]
        items = node.all("li")
        assert len(items) == 12
        for item, number in zip(items, expected.tolist()):
            assert item.all("p")[0].text == f"{1 - evaluated.distances[number] / 2:.4f} pair {number}"
            for face, original in zip(faces_of(item), images(number)):
                assert face.shape == (112, 112, 3)
                np.testing.assert_allclose(face.mean(axis=(0, 1)), original[0, 0], atol=3)
            accepted = evaluated.distances[number] < evaluated.production.threshold
            verdict = f"{'accepted' if accepted else 'rejected'}, {'right' if accepted == issame else 'wrong'}"
            assert item.one("p", _class="verdict").text == verdict
    assert {item.one("p", _class="verdict").text for item in accepts.all("li")} == {"accepted, wrong", "rejected, right"}
    sheet = cv2.imread(str(tmp_path / "false_rejects_m_lfw.png"))
    assert sheet.shape[0] > 4 * 128
    assert sheet.shape[1] > 6 * 128
    tile = sheet[20:120, 20:120, ::-1].reshape(-1, 3)
    assert (tile == images(evaluated.hardest(True, 1)[0])[0][0, 0]).all()


def test_unreadable_images_do_not_stop_the_report(one_figure, tmp_path, caplog):
    evaluated = evaluation(n=200)
    first, second, third = evaluated.hardest(False, 3).tolist()

    def damaged(i):
        if i == first:
            raise GluonFRError("image 0 is damaged")
        if i == second:
            return np.zeros((4, 4), np.float32), None
        return images(i) if i != third else (np.full((300, 200, 3), 7, np.uint8), images(i)[1])

    page = written(tmp_path, [ReportEntry("m", "lfw", evaluated, damaged)])
    items = page.all("ol", _class="pairs")[0].all("li")
    assert [item.one("div", _class="faces").text for item in items[:3]] == ["The images of this pair cannot be read."] * 2 + [
        ""
    ]
    assert [face.shape for face in faces_of(items[2])] == [(160, 107, 3), (112, 112, 3)]
    assert "image 0 is damaged" in caplog.text
    assert f"pair {second}" in caplog.text


def test_pairs_without_images_are_listed(one_figure, tmp_path):
    page = written(tmp_path, [ReportEntry("m", "lfw", evaluation(n=200))])
    assert page.text.count("Images are not shown, because only the embeddings of these pairs are known.") == 2
    assert len(page.all("li")) > 24
    assert not list(tmp_path.glob("false_*"))


def test_groups_show_their_metrics_and_bars(one_figure, tmp_path):
    column = np.random.default_rng(0).choice(["0-5", "6-10", "20+"], 3000)
    evaluated = evaluation(groups={"age gap": column, "kind": np.where(evaluation().issame, "same", "other")})
    page = written(tmp_path, [ReportEntry("m", "lfw", evaluated)])
    ages, kinds = [table for table in page.all("table") if table.rows()[0][0] in ("age gap", "kind")]
    accepted = evaluated.distances < evaluated.production.threshold
    errors = {value: np.mean((accepted != evaluated.issame)[column == value]) for value in np.unique(column)}
    assert [row[0] for row in ages.rows()[1:]] == ["0-5", "20+", "6-10"]
    for row, node in zip(ages.rows()[1:], ages.all("tr")[1:]):
        own = column == row[0]
        assert row[1] == f"{own.sum():,}"
        assert row[4] == f"{100 * (1 - errors[row[0]]):.2f}"
        assert row[5] == f"{100 * errors[row[0]]:.2f}"
        assert row[6] == f"{100 * np.mean(accepted[own & evaluated.issame]):.2f}"
        (bar,) = [span for span in node.all("span") if "style" in span.attributes]
        width = float(re.fullmatch(r"width:([\d.]+)%", bar.attributes["style"])[1])
        assert width == pytest.approx(100 * errors[row[0]] / max(errors.values()), abs=0.06)
    (same,) = [row for row in kinds.rows() if row[0] == "same"]
    assert same[3] == "0"
    assert same[7:] == ["–"] * 3


def test_the_page_requests_no_other_files(tmp_path):
    rows = [{"step": step, "loss": 1.0} for step in range(3)]
    page = written(tmp_path, [ReportEntry("m", "lfw", evaluation(), images, {"license": "https://example.org/x"})], curves=rows)
    for node in page.walk():
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert node.attributes.get(name, "#").startswith(("#", "data:")), node.attributes
        assert not any(name.startswith("on") for name in node.attributes)
        assert "url(" not in node.attributes.get("style", "")
    assert not re.search(r"url\(|@import|https?:", page.one("style").text + page.all("script")[1].text)
    policy = page.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == 1
    assert all(node.attributes["alt"] for node in page.all("img"))
    assert all("scope" in node.attributes for node in page.all("th"))
    identifiers = [node.attributes["id"] for node in page.walk() if "id" in node.attributes]
    assert len(set(identifiers)) == len(identifiers)
    for node in page.walk():
        for name in ("aria-labelledby", "aria-controls"):
            assert node.attributes.get(name, identifiers[0]) in identifiers
        if node.tag == "a":
            assert node.attributes["href"][1:] in identifiers


def test_curves_and_pictures_are_embedded(tmp_path):
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 9)]
    data = cv2.imencode(".png", np.full((30, 50, 3), 99, np.uint8))[1].tobytes()
    entries = [ReportEntry("m", "lfw", evaluation(n=100))]
    page = written(tmp_path / "a", entries, curves=rows, pictures={"Embeddings, t-SNE": data})
    assert cv2.imread(str(tmp_path / "a" / "curves.png")).std() > 3
    assert page.one(id="training").all("img")
    image = page.one(id="pictures").one("img")
    assert base64.b64decode(image.attributes["src"].split(",")[1]) == data
    assert (image.attributes["width"], image.attributes["height"]) == ("50", "30")
    assert page.one(id="pictures").one("figcaption").text == "Embeddings, t-SNE"
    page = written(tmp_path / "b", entries, curves=[])
    assert "nothing to draw" in page.one(id="training").text
    assert not (tmp_path / "b" / "curves.png").exists()
    page = written(tmp_path / "c", entries)
    assert not page.all(id="training")
    assert not page.all(id="pictures")


def test_many_entries_show_fewer_pairs_per_entry(one_figure, tmp_path):
    evaluated = evaluation(n=200)
    random = np.random.default_rng(0)
    noise = [tuple(random.integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)) for _ in range(200)]
    entries = [ReportEntry(f"model {m}", f"set {s}", evaluated, lambda i: noise[i]) for s in range(3) for m in range(3)]
    page = written(tmp_path, entries)
    assert [len(node.all("li")) for node in page.all("ol", _class="pairs")] == [8] * 18
    assert len(page.one("table", _class="summary").all("tbody")) == 3
    assert len({node.attributes["id"] for node in page.all("article")}) == 9


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "at least one entry"),
        ([ReportEntry("m", "lfw", evaluation(n=60))] * 2, "m on lfw is given twice"),
        ([ReportEntry(" ", "lfw", evaluation(n=60))], "the model of an entry must be a name, got ' '"),
        ([ReportEntry("m", None, evaluation(n=60))], "the set of an entry must be a name, got None"),
        ([ReportEntry("m", "lfw", evaluation(n=60).verification)], "got VerificationResult"),
        ([ReportEntry("m", "lfw", evaluation(n=60), [1, 2])], "images must be a function"),
    ],
)
def test_invalid_entries_are_rejected(tmp_path, entries, words):
    with pytest.raises(GluonFRError, match=words):
        write_report(tmp_path / "new", entries)
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_existing_files_unchanged(one_figure, tmp_path):
    entries = [ReportEntry("m", "lfw", evaluation(n=60), images)]
    write_report(tmp_path / "r", entries)
    (tmp_path / "r" / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    with pytest.raises(GluonFRError, match="'scatter' is not a PNG"):
        write_report(tmp_path / "r", entries, pictures={"scatter": b"\x89PNG\r\n\x1a\n cut off"})

    def interrupted(i):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path / "r", [ReportEntry("m", "lfw", evaluation(3, n=60), interrupted)])
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    (tmp_path / "file").write_text("")
    with pytest.raises(GluonFRError, match="cannot be written"):
        write_report(tmp_path / "file", entries)
    write_report(tmp_path / "r", entries, title="Again")
    assert (tmp_path / "r" / "notes.txt").read_text() == "mine"
    assert "Again" in (tmp_path / "r" / "report.html").read_text()


def test_a_built_package_contains_the_html_files(tmp_path):
    root = Path(__file__).resolve().parents[2]
    build = ["egg_info", "--egg-base", str(tmp_path), "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run([sys.executable, "setup.py", "--quiet", *build], cwd=root, check=True, capture_output=True)
    source = root / "gluonfr/evaluation/report/html"
    built = tmp_path / "lib/gluonfr/evaluation/report/html"
    assert sorted(path.name for path in built.iterdir()) == sorted(path.name for path in source.iterdir())

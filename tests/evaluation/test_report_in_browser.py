"""The report in a real browser: it loads nothing, fits the screen, and its slider tells the truth."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from gluonfr.evaluation.report.entry import ReportEntry
from gluonfr.evaluation.report.write import write_report
from gluonfr.metrics import evaluate_pairs

pytestmark = pytest.mark.system

selenium = pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)", allow_module_level=True)

from selenium.common.exceptions import NoAlertPresentException  # noqa: E402
from selenium.webdriver import Chrome, ChromeOptions  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

IMG = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(2)</script>"
LONG = "/a/path/of/folders" * 12 + "/best"
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def evaluation(seed, shift, n=2000, genuine=0.5, **options):
    random = np.random.default_rng(seed)
    issame = random.random(n) < genuine
    distances = np.clip(random.normal(1.9 - shift * issame, 0.25), 0, 4).astype(np.float32)
    return evaluate_pairs(distances, issame, replicates=0, **options)


def images(i):
    return tuple(np.random.default_rng([i, place]).integers(0, 256, (112, 112, 3), dtype=np.uint8) for place in (0, 1))


@pytest.fixture(scope="module")
def entries():
    groups = {IMG: np.resize([SCRIPT, "20+", LONG], 2000)}
    return [
        ReportEntry(IMG, SCRIPT, evaluation(0, 0.9, groups=groups), images, {"license": LONG, IMG: SCRIPT}),
        ReportEntry(LONG, SCRIPT, evaluation(1, 0.4)),
        ReportEntry(IMG, "one kind", evaluation(2, 0.4, genuine=1.1), images),
    ]


@pytest.fixture(scope="module")
def page(entries, tmp_path_factory):
    rows = [{"step": step, "loss": 1 / step, "lr": 0.1, f"{SCRIPT}/accuracy": 0.9} for step in range(1, 50)]
    picture = cv2.imencode(".png", np.full((400, 1600, 3), 180, np.uint8))[1].tobytes()
    path = write_report(tmp_path_factory.mktemp("report"), entries, SCRIPT + LONG, rows, {IMG: picture})
    return "file://" + path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in [*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def open_at(browser, page, width=1280, scheme="light"):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 2, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(page)


def requested(browser):
    messages = [json.loads(row["message"])["message"] for row in browser.get_log("performance")]
    return [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_requests_nothing_and_fits_the_screen(browser, page, width, scheme):
    open_at(browser, page, width, scheme)
    with pytest.raises(NoAlertPresentException):
        browser.switch_to.alert.text  # noqa: B018
    assert browser.get_log("browser") == []
    assert [url for url in requested(browser) if not url.startswith("data:")] == [page]
    shown = browser.execute_script(
        "return [...document.images].map(image => [image.naturalWidth, image.getBoundingClientRect().width, image.currentSrc])"
    )
    # One ROC, three histograms, the training curves, a picture, and the faces of twelve pairs of three kinds.
    assert len(shown) == 1 + 3 + 1 + 1 + 3 * 12 * 2
    assert all(natural > 0 and drawn > 0 for natural, drawn, _ in shown)
    sizes = "const page = document.documentElement; return [innerWidth, page.scrollWidth - page.clientWidth]"
    assert browser.execute_script(sizes) == [width, 0]
    # Nothing sticks out of its box either, other than what scrolls inside it.
    outside = browser.execute_script(
        "return [...document.querySelectorAll('main *')].filter(element => !element.closest('.scroll, .hidden')"
        " && element.getBoundingClientRect().right > innerWidth).map(element => element.outerHTML.slice(0, 200))"
    )
    assert outside == []
    assert browser.title == SCRIPT + LONG


def test_a_dark_screen_has_a_dark_page_and_pictures(browser, page):
    script = """
        const picture = document.querySelector('.chart img'), canvas = document.createElement('canvas');
        canvas.getContext('2d').drawImage(picture, 0, 0);
        return [getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number),
            [...canvas.getContext('2d').getImageData(1, 1, 1, 1).data].slice(0, 3)];
    """
    for scheme in ("light", "dark"):
        open_at(browser, page, scheme=scheme)
        for ground in browser.execute_script(script):
            assert max(ground) < 40 if scheme == "dark" else min(ground) > 230


def decisions(section):
    script = (
        "return [...arguments[0].querySelectorAll('[data-show]')].map(element => [element.dataset.show, element.textContent])"
    )
    cells = dict(section.parent.execute_script(script, section))
    names = ("true_accepts", "false_rejects", "false_accepts", "true_rejects")
    return {name: int(cells[name].replace(",", "")) for name in names}, cells


def counted(evaluation, threshold):
    accepted = evaluation.distances < np.float32(threshold)
    same = evaluation.issame
    kinds = (accepted & same, ~accepted & same, accepted & ~same, ~accepted & ~same)
    return dict(zip(("true_accepts", "false_rejects", "false_accepts", "true_rejects"), (int(kind.sum()) for kind in kinds)))


def test_the_slider_shows_the_counts_of_its_threshold(browser, page, entries):
    open_at(browser, page)
    sections = browser.find_elements(By.CSS_SELECTOR, "[data-entry]")
    assert len(sections) == len(entries)
    for section, entry in zip(sections, entries):
        evaluated = entry.evaluation
        slider = section.find_element(By.CSS_SELECTOR, "input[type=range]")
        assert slider.accessible_name == f"Threshold of {entry.model} on {entry.set}"
        assert slider.aria_role == "slider"
        start, first = decisions(section)
        assert start == evaluated.confusion(None if evaluated.production else evaluated.verification.threshold)
        seen = {json.dumps(start)}
        keys = [Keys.ARROW_RIGHT] * 2 + [Keys.HOME] + [Keys.PAGE_UP] * 9 + [Keys.END] + [Keys.ARROW_LEFT] * 3
        for key in keys:
            slider.send_keys(key)
            found, cells = decisions(section)
            assert found == counted(evaluated, cells["distance"])
            similarity = 1 - float(cells["distance"]) / 2
            assert float(cells["similarity"]) == pytest.approx(similarity, abs=6e-5)
            accuracy = 100 * (found["true_accepts"] + found["true_rejects"]) / len(evaluated.issame)
            assert float(cells["accuracy"][:-2]) == pytest.approx(accuracy, abs=0.006)
            for name, total in [("true_accepts", evaluated.issame.sum()), ("false_accepts", (~evaluated.issame).sum())]:
                share = cells[f"{name}_share"]
                assert share == "–" if not total else float(share[:-2]) == pytest.approx(100 * found[name] / total, abs=0.006)
            spoken = slider.get_attribute("aria-valuetext")
            assert cells["similarity"] in spoken
            assert f"{found['false_accepts']} false accepts" in spoken
            seen.add(json.dumps(found))
        assert len(seen) > 8
        mark = section.find_element(By.XPATH, "..").find_element(By.CSS_SELECTOR, ".mark")
        area = mark.find_element(By.XPATH, "..").rect
        low, high = json.loads(browser.execute_script("return document.getElementById('steps').textContent"))[
            section.get_attribute("data-entry")
        ]["limits"]
        assert mark.is_displayed()
        expected = area["x"] + area["width"] * (float(cells["distance"]) - low) / (high - low)
        assert mark.rect["x"] + mark.rect["width"] / 2 == pytest.approx(expected, abs=1.5)
        button = section.find_element(By.TAG_NAME, "button")
        button.send_keys(Keys.ENTER)
        assert decisions(section) == (start, first)
        assert not mark.is_displayed()
    assert browser.get_log("browser") == []


def test_the_mark_lies_on_the_axes_of_the_picture(browser, page):
    # The dashed line of the picture and the mark above it must agree, or the slider would point at another distance.
    open_at(browser, page)
    script = """
        const frame = document.querySelector('.frame'), picture = frame.querySelector('img');
        const inside = frame.querySelector('.area').getBoundingClientRect(), outside = picture.getBoundingClientRect();
        return [atob(picture.currentSrc.split(',')[1]), [outside.width, outside.height],
            [inside.left - outside.left, inside.bottom - outside.top, inside.right - outside.left, inside.top - outside.top]];
    """
    svg, size, placed = browser.execute_script(script)
    box = [float(number) for number in re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups()]
    # Matplotlib's ground of the axes: lower left, lower right, upper right.
    ground = re.search(r'<g id="patch_2">\s*<path d="M (\S+) (\S+)\s*L (\S+) \S+\s*L \S+ (\S+)', svg)
    drawn = [float(number) for number in ground.groups()]
    scale = [size[0] / box[0], size[1] / box[1]]
    np.testing.assert_allclose(placed, [value * scale[place % 2] for place, value in enumerate(drawn)], atol=1.0)


def test_without_javascript_the_page_is_complete(browser, page, entries):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_at(browser, page)
        for section, entry in zip(browser.find_elements(By.CSS_SELECTOR, "[data-entry]"), entries):
            evaluated = entry.evaluation
            assert decisions(section)[0] == evaluated.confusion(
                None if evaluated.production else evaluated.verification.threshold
            )
            assert not section.find_element(By.TAG_NAME, "input").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})

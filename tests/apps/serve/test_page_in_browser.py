"""The page in a real browser: what people do with it, by mouse and by keyboard, on a desk and on a phone."""

import json
import shutil
import time

import cv2
import numpy as np
import pytest

from gluonfr.apps.gallery.gallery import Gallery

pytestmark = pytest.mark.system

selenium = pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)", allow_module_level=True)

from selenium.common.exceptions import NoAlertPresentException  # noqa: E402
from selenium.webdriver import ActionChains, Chrome, ChromeOptions  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

IMG, DROP = "<img src=x onerror=alert(1)>", "'; DROP TABLE person; --"
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


class Page:
    """The page, and what a person sees and does on it."""

    def __init__(self, folder, film=None):
        options = ChromeOptions()
        options.binary_location = CHROMIUM
        filmed = [f"--use-file-for-fake-video-capture={film}"] if film else []
        for argument in [*ARGUMENTS, *filmed, f"--user-data-dir={folder}"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = Chrome(options=options, service=Service(DRIVER))

    def open(self, url, width=1280, scheme="light"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        self.driver.get_log("browser"), self.driver.get_log("performance")
        self.driver.get(url)
        self.until(lambda: all(map(self.text, ("#state", "#people-status", "#threshold-means"))))
        return self

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not (result := condition()):
            seen = {selector: self.text(selector) for selector in ("#look-status", "#look-error", "#people-status", "#trouble")}
            assert time.monotonic() < end, seen
            time.sleep(0.05)
        return result

    def wait_for_message(self, part, words):
        self.until(lambda: words in self.text(f"#{part}-status") + self.text(f"#{part}-error"))

    def names(self):
        return self.run("return [...document.querySelectorAll('#faces h3 bdi')].map(element => element.textContent)")

    def people(self):
        return self.run("return [...document.querySelectorAll('#people-list bdi')].map(element => element.textContent)")

    def look(self, path):
        self.one("#photo").send_keys(path)
        self.wait_for_message("look", "known (")

    def enroll(self, face, name):
        box = self.one(f"#enroll-{face}")
        box.clear()
        box.send_keys(name, Keys.ENTER)
        self.wait_for_message("look", "enrolled with this photo")

    def press(self, *keys):
        """Keys on whatever has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self):
        return self.driver.switch_to.active_element

    def is_quiet(self):
        """No script of a name ran, nothing failed, and nothing came from anywhere else."""
        with pytest.raises(NoAlertPresentException):
            self.driver.switch_to.alert.text  # noqa: B018
        messages = [json.loads(row["message"])["message"] for row in self.driver.get_log("performance")]
        asked = [
            message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
        ]
        here = self.run("return location.origin")
        assert [url for url in asked if not url.startswith((here, f"blob:{here}", "about:"))] == []
        # A refusal of the server is logged by the browser as well.
        wrong = [row["message"] for row in self.driver.get_log("browser") if row["level"] in ("SEVERE", "WARNING")]
        return [url for url in wrong if "/api/" not in url] == []

    def fits(self, width):
        script = """
            const page = document.documentElement;
            const outside = [...document.querySelectorAll('body *')].filter(
                (element) => !element.closest('.frame, .hidden, .skip, datalist, dialog:not([open])')
                    && element.getBoundingClientRect().right > innerWidth + 1);
            return [innerWidth, page.scrollWidth - page.clientWidth, outside.map((element) => element.outerHTML.slice(0, 120))];
        """
        return self.run(script) == [width, 0, []]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    page = Page(tmp_path_factory.mktemp("profile"))
    yield page
    page.driver.quit()


def test_faces_are_enrolled_and_names_stay_text(page, nobody, photos):
    page.open(nobody.url)
    assert "Network mobilefacenet-y1; 0 people with 0 photos in g.db." in page.text("#state")
    assert "the gallery is empty" in page.text("#threshold-means")
    assert "The gallery is empty" in page.text("#people-status")
    page.look(photos[0])
    assert page.names() == ["Unknown"] * 6
    assert len(page.all("#boxes .box")) == 6
    # Boxes lie on the faces: where the API says, on the picture as it is drawn.
    with open(photos[0], "rb") as file:
        _, answer, _ = nobody.ask("POST", "/api/identify", file.read())
    frame = page.one("#picture .frame").rect
    for box, face in zip(page.all("#boxes .box"), answer["faces"]):
        scale = frame["width"] / answer["width"]
        drawn = [box.rect["x"] - frame["x"], box.rect["y"] - frame["y"], box.rect["width"], box.rect["height"]]
        x0, y0, x1, y1 = face["box"]
        np.testing.assert_allclose(drawn, [scale * number for number in (x0, y0, x1 - x0, y1 - y0)], atol=1.5)
    page.enroll(1, IMG)
    assert page.names()[1] == IMG
    assert page.names()[0] == "Unknown"
    assert page.focused().tag_name == "li"
    assert page.focused().get_attribute("class") == "card known"
    page.enroll(2, DROP)
    assert page.names()[:3] == ["Unknown", IMG, DROP]
    assert page.people() == [IMG, DROP]
    assert page.text("#boxes .box:nth-child(2)") == f"2 {IMG}"
    # The same face as somebody else.
    page.one("#enroll-2").clear()
    page.one("#enroll-2").send_keys("Bob", Keys.ENTER)
    page.wait_for_message("look", f"is enrolled as '{DROP}'")
    assert page.run("return document.querySelectorAll('#faces img, #people-list img').length") == 0
    assert page.is_quiet()


def test_invalid_photos_are_reported(page, server, tmp_path):
    page.open(server.url)
    wrong = tmp_path / "wrong.jpg"
    wrong.write_text("no photo at all")
    page.one("#photo").send_keys(str(wrong))
    page.wait_for_message("look", "is not a photo that can be read")
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((300, 300, 3), 128, np.uint8))
    page.one("#photo").send_keys(str(tmp_path / "wall.png"))
    page.wait_for_message("look", "shows no face")
    assert page.text("#look-status") == ""
    assert not page.all("#faces li")
    (tmp_path / "large.jpg").write_bytes(bytes(20_000_001))
    page.one("#photo").send_keys(str(tmp_path / "large.jpg"))
    page.wait_for_message("look", "larger than 20 MB")
    assert page.one("#look-error").get_attribute("role") == "alert"
    assert page.is_quiet()


def test_people_are_changed_with_the_keyboard(page, nobody, photos):
    """From the top of the page with Tab, Enter, Escape and letters: enroll, rename, merge, delete."""
    for name, path in [("Ann", photos[1][0][0]), ("A. Lee", photos[1][0][1]), (DROP, photos[1][1][0])]:
        with open(path, "rb") as file:
            assert nobody.ask("POST", "/api/people", file.read(), name=name)[0] == 200
    page.open(nobody.url)
    page.until(lambda: len(page.people()) == 3)

    def tab_to(label):
        for _ in range(60):
            page.press(Keys.TAB)
            outline = page.run(
                "const it = document.activeElement, seen = getComputedStyle(it.closest('label.button') ?? it);"
                "return [seen.outlineStyle, parseFloat(seen.outlineWidth)]"
            )
            # Where one is can be seen at every step.
            assert outline[0] != "none", page.focused().get_attribute("outerHTML")
            assert outline[1] >= 2, page.focused().get_attribute("outerHTML")
            if page.focused().accessible_name == label:
                return
        raise AssertionError(f"{label} is not reached")

    tab_to("To the photo")
    tab_to("Rename Ann")
    page.press(Keys.ENTER)
    # The old name is marked, so that letters replace it.
    assert page.focused().accessible_name == "New name"
    assert page.one("#dialog").get_attribute("open")
    # Escape leaves all as it was, and the focus where it came from.
    page.press(Keys.ESCAPE)
    page.until(lambda: page.focused().accessible_name == "Rename Ann")
    page.press(Keys.ENTER)
    page.press(DROP, Keys.ENTER)
    page.until(lambda: "enrolled already" in page.text("#dialog-error"))
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).perform()
    page.press(IMG, Keys.ENTER)
    page.wait_for_message("people", f"Ann is now {IMG}")
    assert page.people() == [IMG, "A. Lee", DROP]
    assert page.focused().get_attribute("id") == "people-title"
    tab_to("Merge A. Lee")
    page.press(Keys.ENTER)
    page.press(IMG, Keys.ENTER)
    page.wait_for_message("people", f"1 photo of A. Lee moved to {IMG}")
    tab_to(f"Delete {DROP}")
    page.press(Keys.ENTER)
    # What is erased for good is not what Enter does by itself.
    assert page.focused().text == "Cancel"
    page.press(Keys.TAB)
    page.press(Keys.ENTER)
    page.wait_for_message("people", f"{DROP} is deleted")
    assert nobody.get("/api/people")["people"] == [{"name": IMG, "photos": 2}]
    assert page.people() == [IMG]
    assert page.is_quiet()


def test_threshold_is_explained_and_applied(page, nobody, photos):
    content = []
    for path in (photos[1][0][0], photos[1][0][3]):
        with open(path, "rb") as file:
            content.append(file.read())
    assert nobody.ask("POST", "/api/people", content[0], name="Ann")[0] == 200
    page.open(nobody.url).look(photos[1][0][3])
    assert page.names() == ["Ann"]
    slider, best = page.one("#threshold"), nobody.ask("POST", "/api/identify", content[1])[1]["faces"][0]["matches"][0]
    assert slider.accessible_name == "Names above similarity"
    assert slider.aria_role == "slider"
    suited = page.text("#threshold-value")
    slider.send_keys(Keys.END)
    assert float(slider.get_attribute("value")) > best["similarity"]
    assert page.names() == ["Unknown"]
    assert "1 face, unknown (" in page.text("#look-status")
    page.until(lambda: f"above similarity {float(page.text('#threshold-value')):.4f}, given" in page.text("#threshold-means"))
    slider.send_keys(Keys.HOME)
    assert page.names() == ["Ann"]
    answer = nobody.get("/api/threshold", similarity=slider.get_attribute("value"))["meaning"]
    page.until(lambda: answer[1:] in page.text("#threshold-means"))
    assert "faces of unknown people, about" in answer
    page.one("#threshold-back").send_keys(Keys.ENTER)
    page.until(lambda: page.text("#threshold-value") == suited)
    assert page.names() == ["Ann"]


@pytest.mark.full
def test_changes_of_other_programs_appear_on_the_page(page, nobody, photos):
    page.open(nobody.url).look(photos[1][0][0])
    with Gallery(nobody.gallery, create=False) as gallery:
        gallery.enroll("From elsewhere", np.random.default_rng(0).normal(size=128))
        page.until(lambda: page.people() == ["From elsewhere"])
        # As many people and photos as before.
        gallery.rename("From elsewhere", "Renamed")
    page.until(lambda: page.people() == ["Renamed"])
    assert "1 person with 1 photo" in page.text("#state")


@pytest.mark.full
def test_two_photos_are_compared_side_by_side(page, server, photos):
    page.open(server.url)
    page.one("#first").send_keys(photos[1][0][0])
    page.one("#second").send_keys(photos[0])
    page.one("#compare-form button").send_keys(Keys.ENTER)
    page.wait_for_message("compare", ": not the same person (mobilefacenet-y1).")
    assert len(page.all("#compare .mark")) == 2
    assert len(page.all("#compare-means li")) == 3
    assert "Of 6 faces the marked one was used; another face could be meant." in page.text(
        "#second ~ *, .slot:nth-child(2) figcaption"
    )
    page.one("#second").send_keys(photos[1][0][1])
    page.one("#compare-form button").send_keys(Keys.ENTER)
    page.wait_for_message("compare", ": the same person (mobilefacenet-y1).")
    assert page.is_quiet()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (390, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.full),
        pytest.param(390, "light", marks=pytest.mark.full),
    ],
)
def test_page_fits_the_screen_in_light_and_dark(page, nobody, photos, width, scheme):
    with open(photos[1][0][0], "rb") as file:
        assert nobody.ask("POST", "/api/people", file.read(), name="W" * 200)[0] == 200
    page.open(nobody.url, width, scheme).look(photos[0])
    page.enroll(1, DROP)
    assert page.fits(width)
    ground = page.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert max(ground) < 40 if scheme == "dark" else min(ground) > 230
    page.one("#people-list li:first-child button:nth-child(2)").send_keys(Keys.ENTER)
    assert page.fits(width)
    assert page.focused().accessible_name == "New name"
    # Fingers need room.
    low = page.run(
        "return [...document.querySelectorAll('button:not(.box), .button, input')].filter((element) => {"
        "const box = element.getBoundingClientRect(); return box.width && !element.matches('.hidden') && box.height < 32"
        "}).map((element) => element.outerHTML)"
    )
    assert low == []


@pytest.mark.full
def test_photo_from_the_camera_is_identified(server, photos, tmp_path):
    # A film of one frame: the group, as raw YUV 4:2:0.
    photo = cv2.resize(cv2.imread(photos[0]), (1280, 720))
    with open(tmp_path / "film.y4m", "wb") as film:
        film.write(b"YUV4MPEG2 W1280 H720 F10:1 Ip A1:1 C420jpeg\n")
        for _ in range(10):
            film.write(b"FRAME\n" + cv2.cvtColor(photo, cv2.COLOR_BGR2YUV_I420).tobytes())
    page = Page(tmp_path / "profile", tmp_path / "film.y4m")
    try:
        page.open(server.url)
        page.one("#camera-start").send_keys(Keys.ENTER)
        page.until(lambda: page.one("#camera").is_displayed() and page.run("return document.querySelector('video').videoWidth"))
        assert page.focused().text == "Take the photo"
        time.sleep(0.5)
        page.press(Keys.ENTER)
        page.wait_for_message("look", "known (")
        assert len(page.names()) == 6
        assert not page.one("#camera").is_displayed()
        assert page.is_quiet()
    finally:
        page.driver.quit()


@pytest.mark.full
def test_page_asks_for_the_token_once(page, start, photos, tmp_path):
    server = start(tmp_path / "g.db", "--token", "open-sesame-42-twice")
    page.driver.get(server.url)
    page.until(lambda: page.one("#door").is_displayed() and page.focused().get_attribute("id") == "token")
    page.press("wrong-sesame-for-this-server", Keys.ENTER)
    page.until(lambda: "another token" in page.text("#door-why"))
    page.press("open-sesame-42-twice", Keys.ENTER)
    page.until(lambda: "Network" in page.text("#state"))
    page.look(photos[0])
    page.driver.refresh()
    page.until(lambda: "Network" in page.text("#state"))
    assert not page.one("#door").is_displayed()
    page.run("sessionStorage.clear()")
    page.driver.get("about:blank")
    page.driver.get(f"{server.url}#token=open-sesame-42-twice")
    page.until(lambda: "Network" in page.text("#state"))
    assert "sesame" not in page.driver.current_url
    assert server.end() == 0
    page.until(lambda: "does not answer" in page.text("#trouble"))


def test_single_photos_are_removed_and_hidden_characters_are_shown(page, nobody, photos):
    for path in photos[1][0][:2]:
        with open(path, "rb") as file:
            assert nobody.ask("POST", "/api/people", file.read(), name="Ann\u202eLee", source=path[-5:])[0] == 200
    page.open(nobody.url)
    page.until(lambda: page.people() == ["Ann\\u{202e}Lee"])
    page.one("#people-list button").send_keys(Keys.ENTER)
    page.until(lambda: len(page.all("#people-list .photos li")) == 2)
    page.all("#people-list .photos li button")[1].send_keys(Keys.ENTER)
    page.one("#dialog-do").send_keys(Keys.ENTER)
    page.wait_for_message("people", "is removed")
    assert nobody.get("/api/people")["people"] == [{"name": "Ann\u202eLee", "photos": 1}]
    assert page.is_quiet()

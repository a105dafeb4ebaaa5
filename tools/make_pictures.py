"""Make the pictures of the documentation from rendered faces, with the commands that its pages show.

    python tools/make_pictures.py --model y1 --roc runs/demo/run/roc.png

needs the extras `align` and `serve`, selenium, and Chromium with its driver.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from gluonfr.data.synthetic import render

IMAGES = Path(__file__).parent.parent / "docs" / "images"
PEOPLE = {3: "Ann Lee", 8: "Bea Novak", 15: "Cleo Adeyemi", 21: "Dan Weiss", 34: "Eve Rossi", 40: "Finn Olsen"}
# The last one is in no gallery.
GROUP = (3, 8, 15, 21, 34, 52)
# Rendered faces are more similar to each other than real ones.
THRESHOLD = 0.6


def photo(person: int, image: int) -> np.ndarray:
    """Render a photo: the face with a border around it."""
    return cv2.copyMakeBorder(render(person, image, size=220), 30, 30, 30, 30, cv2.BORDER_REPLICATE)


def write_photos(folder: Path) -> None:
    """Write people/NAME/N.jpg and group.jpg."""
    for person, name in PEOPLE.items():
        (folder / "people" / name).mkdir(parents=True)
        for image in range(10, 18):
            cv2.imwrite(str(folder / "people" / name / f"{image}.jpg"), photo(person, image)[:, :, ::-1])
    tiles = [photo(person, 0) for person in GROUP]
    cv2.imwrite(str(folder / "group.jpg"), np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:])])[:, :, ::-1])


def gluonfr(folder: Path, *words: str, statuses: tuple = (0, 1)) -> None:
    """Run a command in a folder."""
    done = subprocess.run([sys.executable, "-m", "gluonfr", *words], cwd=folder)
    if done.returncode not in statuses:
        raise SystemExit(f"{' '.join(words)} ended with status {done.returncode}")


@contextlib.contextmanager
def served(folder: Path, model: str):
    """Serve the gallery, and yield the address."""
    words = [sys.executable, "-m", "gluonfr", "serve", "--gallery", "g.db", "--model", model, "--port", "0"]
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        yield next(line.split()[0] for line in process.stdout if "is ready" in line)
    finally:
        process.terminate()
        process.wait(30)


def screenshots(folder: Path, address: str) -> None:
    """Write page.png and page-phone.png: the page with the group photo."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    for name, width, height in (("page", 1280, 1000), ("page-phone", 390, 1200)):
        options = ChromeOptions()
        for word in ("--headless=new", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={folder}/{name}"):
            options.add_argument(word)
        browser = Chrome(options)
        try:
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.get(address)
            browser.find_element(By.ID, "photo").send_keys(str(folder / "group.jpg"))
            WebDriverWait(browser, 120).until(
                lambda page: len(page.find_elements(By.CSS_SELECTOR, "#faces > li")) == len(GROUP)
            )
            browser.execute_script(
                "const t = document.querySelector('#threshold'); t.value = arguments[0];"
                "t.dispatchEvent(new Event('input', {bubbles: true})); t.dispatchEvent(new Event('change', {bubbles: true}));"
                "window.scrollTo(0, 0);",
                THRESHOLD,
            )
            browser.implicitly_wait(1)
            browser.find_elements(By.CSS_SELECTOR, "#nothing")
            browser.save_screenshot(str(folder / f"{name}.png"))
        finally:
            browser.quit()


def overview(pictures: list, height: int = 420) -> np.ndarray:
    """Place pictures of one height beside each other."""
    parts = []
    for picture in pictures:
        width = round(picture.shape[1] * height / picture.shape[0])
        parts += [cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.full((height, 16, 3), 255, np.uint8)]
    return np.hstack(parts[:-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="network, as for `gluonfr identify`")
    parser.add_argument("--roc", required=True, help="ROC of a demo")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder)
        gluonfr(folder, "enroll", "people/", "--gallery", "g.db", "--model", arguments.model, "--keep-poor")
        named = ("--model", arguments.model, "--threshold", str(THRESHOLD), "--out", "named.png")
        gluonfr(folder, "identify", "group.jpg", "--gallery", "g.db", *named)
        with served(folder, arguments.model) as address:
            screenshots(folder, address)
        found = {path.stem: cv2.imread(str(path)) for path in folder.glob("*.png")}
    IMAGES.mkdir(exist_ok=True)
    for stem, file in (("page", "serve.png"), ("page-phone", "serve-phone.png")):
        cv2.imwrite(str(IMAGES / file), found[stem], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    cv2.imwrite(str(IMAGES / "named.jpg"), found["named"], [cv2.IMWRITE_JPEG_QUALITY, 85])
    picture = overview([found["named"], cv2.imread(arguments.roc), found["page"]])
    cv2.imwrite(str(IMAGES / "overview.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()

"""Write the badges of the README as SVG files: `python tools/make_badges.py [COVERAGE_IN_PERCENT]`."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
GREEN, BLUE = "#3a7d44", "#2f5fa7"


def badge(name: str, value: str, color: str) -> str:
    left, right = (round(6.6 * len(text)) + 14 for text in (name, value))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{name}: {value}">'
        f'<rect width="{left}" height="20" fill="#444"/><rect x="{left}" width="{right}" height="20" fill="{color}"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11">'
        f'<text x="{left / 2}" y="14">{name}</text><text x="{left + right / 2}" y="14">{value}</text></g></svg>\n'
    )


def main() -> None:
    low, above = re.search(r'python_requires=">=([\d.]+),<3\.(\d+)"', (ROOT / "setup.py").read_text(encoding="utf-8")).groups()
    badges = {
        "python": badge("Python", f"{low} to 3.{int(above) - 1}", BLUE),
        "license": badge("license", "Apache-2.0", BLUE),
        "typed": badge("typed", "mypy", GREEN),
    }
    if len(sys.argv) > 1:
        badges["coverage"] = badge("coverage", f"{float(sys.argv[1]):.0f} %", GREEN)
    for name, text in badges.items():
        (ROOT / "docs" / "images" / f"badge-{name}.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

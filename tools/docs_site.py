"""Hooks of the documentation site: pages per loss, network and package, formulas as MathML."""

from __future__ import annotations

import html
import inspect
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import griffe
from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

# Packages with their own page, in the order of the navigation.
PACKAGES = {
    "gluonfr": "Top level",
    "gluonfr.data": "Data sets",
    "gluonfr.loss": "Losses",
    "gluonfr.model_zoo": "Networks",
    "gluonfr.metrics": "Metrics",
    "gluonfr.align": "Alignment",
    "gluonfr.detection": "Detection",
    "gluonfr.photos": "Photos",
    "gluonfr.weights": "Weights",
    "gluonfr.deploy": "Deployment",
    "gluonfr.engine": "Training",
    "gluonfr.evaluation": "Evaluation",
    "gluonfr.viz": "Figures",
    "gluonfr.apps.gallery": "Galleries",
    "gluonfr.core": "Errors and foundations",
}


class RstMath(griffe.Extension):
    """Turns the formulas of docstrings, written for Sphinx, into Markdown with TeX between dollars."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = _inputs_as_section(markdown_math(obj.docstring.value))


def _inputs_as_section(text: str) -> str:
    """Make a section of the lines "Inputs:" and "Outputs:", which Gluon's docstrings have below the parameters."""

    def section(found: Any) -> str:
        lines = found[0].splitlines()
        return "\n".join(["Notes", "-----", *(f"\n**{line[:-1]}**\n" if line[:1].strip() else line.strip() for line in lines)])

    return re.sub(r"^(?:Inputs|Outputs):\n(?:(?: +.*|Outputs:)\n?)*", section, text, flags=re.MULTILINE)


def markdown_math(text: str) -> str:
    r"""Replace `.. math::` blocks and `:math:` roles by TeX between dollars.

    Examples
    --------
    >>> print(markdown_math(".. math:: a\n    + b\n\nWith :math:`c`."))
    $$a + b$$
    <BLANKLINE>
    With $c$.
    """
    block = re.compile(r"^( *)\.\. math::(.*(?:\n\1 +\S.*)*)", re.MULTILINE)
    text = block.sub(lambda found: f"{found[1]}$${' '.join(found[2].split())}$$", text)
    text = re.sub(r":(?:class|meth|func|mod|obj):`~?([^`]+)`", r"`\1`", text)
    return re.sub(r":math:`([^`]+)`", lambda found: f"${' '.join(found[1].split())}$", text)


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    pages = {"changelog.md": changelog, "reference/index.md": _index(), **_losses(files, config), **_networks(), **_packages()}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_config(config: Any) -> Any:
    """Add the generated pages to the navigation."""
    from gluonfr.loss import list_losses

    reference = [
        "reference/index.md",
        {"Losses": ["reference/losses/index.md", *(f"reference/losses/{name}.md" for name in list_losses())]},
        {"Networks": ["reference/networks/index.md", *(f"reference/networks/{name}.md" for name in _families())]},
        {"Python": [{title: f"reference/python/{name}.md"} for name, title in PACKAGES.items()]},
        {"Architecture": "architecture.md"},
    ]
    sections = {title: pages for section in config.nav for title, pages in section.items()}
    sections["Reference"] += reference
    # Pages that mkdocs.yml does not place: on other toolkits, and further how-tos.
    placed = set(re.findall(r"[\w/.-]+\.md", str(config.nav)))
    for path in sorted((ROOT / "docs").glob("*.md")):
        if path.name not in placed:
            sections["From other toolkits" if path.name.startswith("from_") else "How-to"].append(path.name)
    config.nav = [section for section in config.nav if list(section.values()) != [[]]]
    return config


def on_page_content(page_html: str, **_: Any) -> str:
    """Turn TeX, which the Markdown extension marked, into MathML, which browsers show without a script."""
    return re.sub(r'<(span|div) class="arithmatex">\\[([](.*?)\\[)\]]</\1>', _mathml, page_html, flags=re.DOTALL)


def _mathml(found: Any) -> str:
    display = "block" if found[1] == "div" else "inline"
    formula = convert(html.unescape(found[2]), display=display)
    return f'<div class="formula">{formula}</div>' if display == "block" else formula


def _index() -> str:
    return (
        "# Reference\n\n- [Losses](losses/index.md): formula, picture, example and measured accuracy of each\n"
        "- [Networks](networks/index.md): size and cost of each\n- Python: the packages, generated from their docstrings\n"
    )


def _losses(files: Any, config: Any) -> dict[str, str]:
    import matplotlib.pyplot as plt

    from gluonfr.loss import MarginLoss, get_loss, list_losses
    from gluonfr.loss.registry import LOSSES
    from gluonfr.viz import plot_margins

    folder = Path(tempfile.mkdtemp(prefix="gluonfr-docs-"))
    results = _results()
    rows, pages = [], {}
    for name in list_losses():
        loss = get_loss(name, classes=10, embedding_size=8)
        cls = type(loss)
        also = ", ".join(f"`{alias}`" for alias in LOSSES.aliases(name))
        picture = ""
        if isinstance(loss, MarginLoss):
            loss.initialize()
            plot_margins({name: loss}, str(folder / f"{name}.png"))
            plt.close("all")
            content = (folder / f"{name}.png").read_bytes()
            files.append(File.generated(config, f"reference/losses/{name}.png", content=content))
            picture = f"![Target logit of {name} by angle]({name}.png){{ .figure }}\n\n"
        numbers = results.get(name, "")
        pages[f"reference/losses/{name}.md"] = (
            f"# {name}\n\nAlso: {also}. Input: {loss.spec.input_kind}.\n\n{picture}{numbers}"
            f"::: {cls.__module__}.{cls.__qualname__}\n    options:\n      show_root_heading: false\n"
            "      show_root_toc_entry: false\n      members: []\n"
        )
        summary = inspect.getdoc(cls).splitlines()[0]
        rows.append(f"| [{name}]({name}.md) | {loss.spec.input_kind} | {summary} |")
    pages["reference/losses/index.md"] = "\n".join(
        ["# Losses", "", "[Which loss to choose](../../losses.md), and [results on real faces](../../losses_results.md).", ""]
        + ["| loss | input | |", "|---|---|---|", *rows, ""]
    )
    return pages


def _results() -> dict[str, str]:
    """Return a table with the measured accuracy of each loss."""
    lines = (ROOT / "docs" / "losses_results.md").read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("| loss | settings | seeds"))
    found = {}
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        name = line.split("|")[1].strip()
        where = "Measured on [293 people and LFW, at a fixed small budget](../../losses_results.md):"
        found[name] = f"{where}\n\n{lines[begin]}\n{lines[begin + 1]}\n{line}\n\n"
    return found


def _families() -> list[str]:
    from gluonfr.model_zoo.registry import NETWORKS

    return sorted({NETWORKS.get(name).__module__.rsplit(".", 1)[1] for name in NETWORKS.names()})


def _networks() -> dict[str, str]:
    from gluonfr.model_zoo import get_model, list_models
    from gluonfr.model_zoo.complexity import complexity
    from gluonfr.model_zoo.registry import NETWORKS

    families: dict[str, list[str]] = {}
    header = ["| network | input | parameters | multiply-adds |", "|---|---|---|---|"]
    rows = []
    for name in list_models():
        net = get_model(name)
        size = getattr(net, "image_size", (112, 112))
        counts = complexity(net, size)
        family = NETWORKS.get(name).__module__.rsplit(".", 1)[1]
        cells = f"{size[0]}x{size[1]} | {counts.parameters / 1e6:.2f} M | {counts.multiply_adds / 1e9:.3f} G |"
        families.setdefault(family, []).append(f"| `{name}` | {cells}")
        rows.append(f"| [{name}]({family}.md) | {cells}")
    pages = {
        f"reference/networks/{family}.md": "\n".join(
            [f"# {family}", "", "Without a classifier, with the default embedding:", "", *header, *networks, ""]
            + [f"::: gluonfr.model_zoo.{family}", "    options:", "      show_root_heading: false", ""]
        )
        for family, networks in families.items()
    }
    pages["reference/networks/index.md"] = "\n".join(
        ["# Networks", "", "[Weights and embeddings](../../models.md). Without a classifier, with the default embedding:", ""]
        + [*header, *rows, ""]
    )
    return pages


def _packages() -> dict[str, str]:
    return {
        f"reference/python/{name}.md": f"# {title}\n\n::: {name}\n    options:\n      show_root_heading: false\n"
        for name, title in PACKAGES.items()
    }

"""Figures of embeddings with two numbers, one loss in each panel."""

from itertools import groupby

import numpy as np
from matplotlib.patches import Circle, Ellipse

from gluonfr.loss import get_loss
from gluonfr.viz.figure import new_figure, save

# Families of losses in the order of the figure, by their folder in gluonfr.loss.
FAMILIES = {
    "softmax": (0, "Softmax and its scale"),
    "margin": (1, "Margins"),
    "centers": (2, "Centers and lengths of embeddings"),
    "pairs": (3, "Pairs and triplets"),
}


def draw(axes, result, size=5, points=2000):
    """Plot embeddings; for losses on cosines their directions as a ring, with those of the classes as rays."""
    x, labels, weight = result["embeddings"][:points], result["labels"][:points], result["weight"]
    if result["angular"]:
        x = x * np.random.RandomState(0).uniform(0.85, 1.15, (len(x), 1))
        for row, color in zip(weight, np.repeat(range(10), len(weight) // 10)):
            axes.plot(*np.stack([0 * row, 0.8 * row / np.linalg.norm(row)], axis=1), color=f"C{color}", linewidth=1)
    else:
        axes.scatter(*result["centers"].T, s=25, marker="x", c="black", linewidths=0.8, zorder=3)
        for center, deviation in zip(result["centers"], result["deviations"]):
            axes.add_patch(Ellipse(center, *(4 * deviation), fill=False, color="black", linewidth=0.8))
        for radius in result["radius"]:
            axes.add_patch(Circle((0, 0), radius, fill=False, color="grey", linestyle="--", linewidth=0.8))
    axes.scatter(*x.T, s=size, c=[f"C{int(digit)}" for digit in labels], linewidths=0, alpha=0.6)
    for digit in range(10):
        axes.text(*np.median(x[labels == digit], axis=0), str(digit), fontsize=8, ha="center", va="center")
    axes.set_aspect("equal", adjustable="datalim")
    axes.update_datalim([(-1.2, -1.2), (1.2, 1.2)] if result["angular"] else x)
    axes.set_axis_off()
    axes.set_title(f"{result['name']}  {100 * result['accuracy']:.1f} %", fontsize=9)


def family(result):
    """Return the place and the title of a loss's family, which is its folder in gluonfr.loss."""
    loss = get_loss(str(result["name"]), classes=10, embedding_size=2)
    folder = type(loss).__module__.split(".")[2]
    return FAMILIES.get(folder, FAMILIES["softmax"])


def draw_all(results, path):
    """Plot all results in one figure, a family of losses after the other, each in rows of its own."""
    rows = []
    for (_, title), members in groupby(sorted(results, key=family), key=family):
        members = list(members)
        rows += [(title if start == 0 else "", members[start : start + 6]) for start in range(0, len(members), 6)]
    columns = max(len(members) for _, members in rows)
    figure, axes = new_figure(len(rows), columns, width=2 * columns, height=2.2 * len(rows))
    for row, (title, members) in zip(axes, rows):
        for panel, result in zip(row, members):
            draw(panel, result, size=1.5, points=1000)
            # Two empty lines make room for the title of the family.
            panel.set_title(("\n\n" if title else "") + panel.get_title(), fontsize=9)
        for panel in row[len(members) :]:
            panel.set_visible(False)
        heading = row[0].text(0, 1.24, title, transform=row[0].transAxes, fontsize=11, fontweight="bold")
        # It may be wider than its column.
        heading.set_in_layout(False)
    save(figure, path)

"""Slow, literal implementations of the 1:N protocols in float64, one probe at a time: the reference of the tests."""

import numpy as np


def unit(rows):
    rows = np.asarray(rows, dtype=np.float32).astype(np.float64)
    # Divided in float32, as the toolkit does, so that exact ties stay ties.
    norms = np.sqrt((rows * rows).sum(1)).astype(np.float32)
    near = np.abs((rows * rows).sum(1) - 1).max() < 1e-6
    return rows if near else (rows.astype(np.float32) / norms[:, None]).astype(np.float64)


def score(a, b):
    return float((a * b).sum())


def lowest_threshold(strangers, rate, total):
    """Return the lowest score that at most `rate` of `total` scores exceed."""
    for threshold in sorted({-np.inf, *strangers}):
        if sum(value > threshold for value in strangers) <= rate * total + 1e-9:
            return threshold
    raise RuntimeError("none exceeds the largest")


def identify(gallery, gallery_ids, probes, probe_ids, ranks, rates):
    """Return CMC, DIR at each rate (NaN where it is not resolvable), and the ranks of the mates."""
    gallery, probes = unit(gallery), unit(probes)
    found, strangers = [], []
    for probe, person in zip(probes, probe_ids):
        best = {}
        for row, owner in zip(gallery, gallery_ids):
            best[owner] = max(best.get(owner, -2), score(probe, row))
        if person in best:
            found.append((1 + sum(best[other] >= best[person] for other in best if other != person), best[person]))
        else:
            strangers.append(max(best.values()))
    cmc = [np.mean([rank <= limit for rank, _ in found]) if found else np.nan for limit in ranks]
    dirs = []
    for rate in rates:
        if not found or len(strangers) * rate < 1 - 1e-9:
            dirs.append(np.nan)
            continue
        threshold = lowest_threshold(strangers, rate, len(strangers))
        dirs.append(np.mean([rank == 1 and mate > threshold for rank, mate in found]))
    return cmc, dirs, [rank for rank, _ in found]


def megaface(probes, ids, distractors, away, ranks, rates):
    """Return CMC and TAR at each FAR with all distractors; those in `away` are never found but count in the totals."""
    probes, distractors = unit(probes), unit(distractors)
    impostors = [score(probe, row) for probe in probes for row, gone in zip(distractors, away) if not gone]
    genuine, places = [], []
    for i, probe in enumerate(probes):
        others = [score(probe, row) for row, gone in zip(distractors, away) if not gone]
        for j, mate in enumerate(probes):
            if i != j and ids[i] == ids[j]:
                genuine.append(score(probe, mate))
                places.append(1 + sum(value >= genuine[-1] for value in others))
    total = len(probes) * len(distractors)
    tars = []
    for rate in rates:
        threshold = lowest_threshold(impostors, rate, total) if total * rate >= 1 - 1e-9 else None
        tars.append(np.nan if threshold is None else np.mean([value > threshold for value in genuine]))
    return [np.mean([place <= rank for place in places]) for rank in ranks], tars

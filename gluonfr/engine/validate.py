from __future__ import annotations

from gluonfr.deploy import embed_pairs
from gluonfr.metrics import FaceVerification, operating_point

FAR_TARGETS = (1e-1, 1e-2, 1e-3)


def validate(
    net, sets, contexts=None, batch_size=64, flip=True, far_target=FAR_TARGETS, image_size=None, progress=True, group=None
):
    """1:1 verification of a network on one or several sets, by the protocol of `FaceVerification`.

    Parameters
    ----------
    net : HybridBlock
        Images in [0, 1] to embeddings (or a tuple that begins with them), initialized on `contexts`.
    sets : FRValDataset, or dict of name to FRValDataset
    contexts : list of Context, default [mx.cpu()]
    batch_size : int, default 64
    flip : bool, default True
        Embedding = f(x) + f(mirrored x), as the protocol has it.
    far_target : float or list of float, default 0.1, 0.01, 0.001
    image_size : (H, W), optional
        What the network takes; the sets' images of another size are resized to it, or refused. Their own size otherwise.
    progress : bool, default True
        Show a progress bar on a terminal.
    group : Group, optional
        Processes that share the work, each with this network; all get the results.

    Returns
    -------
    VerificationResult, or dict of name to VerificationResult
    """
    if not isinstance(sets, dict):
        return validate(net, {"pairs": sets}, contexts, batch_size, flip, far_target, image_size, progress, group)["pairs"]
    results = {}
    for name, dataset in sets.items():
        first, second = embed_pairs(
            net, dataset, contexts, batch_size, flip, name if progress else None, image_size, group=group
        )
        metric = FaceVerification(far_target=list(far_target) if isinstance(far_target, (tuple, list)) else far_target)
        metric.update(dataset.issame, first, second)
        results[name] = metric.result()
    return results


def card_thresholds(results):
    """What a network's card says of thresholds: `far`, `similarity` and `measured_on` of every rate that a set resolves.

    Parameters
    ----------
    results : dict of name to VerificationResult
        Of squared distances between embeddings of norm 1.
    """
    points = [(name, operating_point(result.roc, at.target)) for name, result in results.items() for at in result.tar_at_far]
    return [
        {"far": point.target, "similarity": round(point.similarity, 4), "measured_on": name}
        for name, point in points
        if point.resolvable
    ]

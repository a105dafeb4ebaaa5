"""A slow, literal implementation of the 10-fold 1:1 protocol, the reference of the tests and of the benchmark."""

import numpy as np
from sklearn.model_selection import KFold


def squared_distances(embeddings0, embeddings1):
    return np.sum(np.square(embeddings0 - embeddings1), 1)


def count_decisions(threshold, distances, issame):
    accepted = distances < threshold
    true_accepts = np.sum(accepted & issame)
    false_accepts = np.sum(accepted & ~issame)
    return int(true_accepts), int(false_accepts), int(np.sum(issame)), int(np.sum(~issame))


def accuracy_and_rates(threshold, distances, issame):
    true_accepts, false_accepts, genuine, impostors = count_decisions(threshold, distances, issame)
    tpr = true_accepts / genuine if genuine else 0.0
    fpr = false_accepts / impostors if impostors else 0.0
    return tpr, fpr, (true_accepts + impostors - false_accepts) / len(distances)


def threshold_for(target, thresholds, distances, issame):
    fars = []
    for threshold in thresholds:
        _, false_accepts, _, impostors = count_decisions(threshold, distances, issame)
        fars.append(false_accepts / impostors if impostors else 0.0)
    if max(fars) < target:
        return 0.0
    below = (0.0, 0.0)
    for far, threshold in zip(fars, thresholds):
        if far == target:
            return threshold
        if far > target:
            return below[1] + (threshold - below[1]) / (far - below[0]) * (target - below[0])
        below = (far, threshold)
    raise RuntimeError("the largest rate reaches the target, so one of them does")


def accuracy_over_folds(distances, issame, nfolds, thresholds):
    """Return TPR and FPR (means over the folds, one per threshold), accuracy on each held-out fold, and its threshold."""
    tprs, fprs, accuracies, chosen = [], [], [], []
    for train, held in KFold(nfolds, shuffle=False).split(distances):
        training = [accuracy_and_rates(t, distances[train], issame[train])[2] for t in thresholds]
        best = thresholds[int(np.argmax(training))]
        rates = [accuracy_and_rates(t, distances[held], issame[held]) for t in thresholds]
        tprs.append([tpr for tpr, _, _ in rates])
        fprs.append([fpr for _, fpr, _ in rates])
        accuracies.append(accuracy_and_rates(best, distances[held], issame[held])[2])
        chosen.append(best)
    return np.mean(tprs, 0), np.mean(fprs, 0), np.array(accuracies), np.array(chosen)


def tar_over_folds(distances, issame, nfolds, thresholds, target):
    """Return TAR and FAR on each held-out fold (NaN without such pairs), and the threshold of each fold."""
    tars, fars, chosen = [], [], []
    for train, held in KFold(nfolds, shuffle=False).split(distances):
        threshold = threshold_for(target, thresholds, distances[train], issame[train])
        true_accepts, false_accepts, genuine, impostors = count_decisions(threshold, distances[held], issame[held])
        tars.append(true_accepts / genuine if genuine else np.nan)
        fars.append(false_accepts / impostors if impostors else np.nan)
        chosen.append(threshold)
    return np.array(tars), np.array(fars), np.array(chosen)


def seven_values(distances, issame, nfolds=10, thresholds=None, target=1e-3):
    """Return tpr, fpr, accuracy, val, val_std, far, accuracy_std."""
    grid = np.arange(0, 4, 0.01) if thresholds is None else thresholds
    fine = np.arange(0, 4, 0.001) if thresholds is None else thresholds
    tpr, fpr, accuracies, _ = accuracy_over_folds(distances, issame, nfolds, grid)
    tars, fars, _ = tar_over_folds(distances, issame, nfolds, fine, target)
    tars, fars = tars[~np.isnan(tars)], fars[~np.isnan(fars)]
    return tpr, fpr, np.mean(accuracies), np.mean(tars), np.std(tars), np.mean(fars), np.std(accuracies)

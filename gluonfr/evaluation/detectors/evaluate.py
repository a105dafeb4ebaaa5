"""Measure face detectors on annotated photos: average precision, recall by size, landmarks and speed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from gluonfr.core import UsageError
from gluonfr.data.detection import DetectionFolder
from gluonfr.detection import Detections, Detector
from gluonfr.metrics.detection import DetectionResult, PhotoMatches, average_precision, landmark_error, match_detections

# Limits of the sizes by which recall is reported, in pixels of the longer side of a face.
SIZES = (0, 16, 32, 64, 128, 256, 100_000)


class Mistake(NamedTuple):
    """A face that was missed, or a false alarm.

    Attributes
    ----------
    photo : int
        Number of the photo.
    box : np.ndarray, (4,)
    score : float
        Of the false alarm; for a missed face the largest score of a detection that touches it, 0 without one.

    Examples
    --------
    >>> Mistake(0, np.array([0, 0, 10, 10]), 0.9).score
    0.9
    """

    photo: int
    box: np.ndarray
    score: float


@dataclass
class DetectorEvaluation:
    """The results of one detector.

    Attributes
    ----------
    name : str
    results : dict of str to DetectionResult
        By subset: easy, medium and hard, or all.
    recall_by_size : list of (int, int, int, float)
        From and to in pixels, number of faces, and the part of them that is found at the threshold.
    landmark_error : float
        Mean distance of landmarks relative to the distance between the eyes, over the faces found; NaN without landmarks.
    threshold : float
        Score at which recall and mistakes are counted: that of the largest F1 on the last subset.
    milliseconds : float
        Median time per photo.
    misses, false_alarms : list of Mistake
        The worst first: large faces that were missed, and false alarms of high score.

    Examples
    --------
    >>> evaluation = evaluate_detector(detector, folder)  # doctest: +SKIP
    >>> evaluation.results["easy"].ap  # doctest: +SKIP
    0.87
    """

    name: str
    results: dict[str, DetectionResult]
    recall_by_size: list[tuple[int, int, int, float]]
    landmark_error: float
    threshold: float
    milliseconds: float
    misses: list[Mistake]
    false_alarms: list[Mistake]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain Python values, for JSON."""
        return {
            "name": self.name,
            "ap": {name: result.ap for name, result in self.results.items()},
            "faces": {name: result.faces for name, result in self.results.items()},
            "recall_by_size": [
                {"from": low, "to": high, "faces": count, "recall": recall} for low, high, count, recall in self.recall_by_size
            ],
            "landmark_error": None if np.isnan(self.landmark_error) else self.landmark_error,
            "threshold": self.threshold,
            "milliseconds": self.milliseconds,
        }


def evaluate_detector(
    detector: Detector,
    folder: DetectionFolder,
    name: str = "detector",
    progress: bool = True,
) -> DetectorEvaluation:
    """Measure a detector on annotated photos.

    Detections are matched with faces by an intersection over union of at least 0.5, as in WIDER FACE's evaluation
    (http://shuoyang1213.me/WIDERFACE). The detector should report detections of low scores too: its threshold should be about
    0.02, because average precision counts all of them.

    Parameters
    ----------
    detector : Detector
    folder : DetectionFolder
        From `read_detection_folder`.
    name : str, default 'detector'
    progress : bool, default True
        Show a progress bar on a terminal.

    Returns
    -------
    DetectorEvaluation

    Examples
    --------
    >>> evaluate_detector(get_detector("mtcnn"), read_detection_folder("wider/val"))  # doctest: +SKIP
    """
    if not folder.faces:
        raise UsageError("folder: has no photos.")
    found, matches, seconds = [], [], []
    for number, faces in enumerate(tqdm(folder.faces, name, unit="photo", disable=None if progress else True)):
        photo = folder.read(number)
        start = time.perf_counter()
        detections = Detections(*(np.asarray(array) for array in detector.detect(photo)))
        seconds.append(time.perf_counter() - start)
        found.append(detections)
        matches.append(match_detections(detections.boxes, detections.scores, faces.boxes))
    results = {subset: average_precision(matches, counts) for subset, counts in folder.subsets.items()}
    last = list(folder.subsets)[-1]
    threshold = results[last].best_threshold()
    counts = folder.subsets[last]
    return DetectorEvaluation(
        name,
        results,
        _recall_by_size(folder, matches, counts, threshold),
        _landmark_error(folder, found, matches, threshold),
        threshold,
        float(np.median(seconds) * 1000),
        _misses(folder, matches, counts, threshold),
        _false_alarms(found, matches, threshold),
    )


def _is_found(matches: PhotoMatches, faces: int, threshold: float) -> np.ndarray:
    found = np.zeros(faces, bool)
    hits = matches.faces[(matches.scores >= threshold) & matches.first]
    found[hits] = True
    return found


def _recall_by_size(
    folder: DetectionFolder, matches: list[PhotoMatches], counts: list[np.ndarray], threshold: float
) -> list[tuple[int, int, int, float]]:
    sides = np.concatenate([(faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1, initial=0) for faces in folder.faces])
    found = np.concatenate([_is_found(match, len(faces.boxes), threshold) for match, faces in zip(matches, folder.faces)])
    counting = np.concatenate(counts)
    rows = []
    for low, high in zip(SIZES, SIZES[1:]):
        inside = counting & (sides >= low) & (sides < high)
        if inside.any():
            rows.append((low, high, int(inside.sum()), float(found[inside].mean())))
    return rows


def _landmark_error(folder: DetectionFolder, found: list[Detections], matches: list[PhotoMatches], threshold: float) -> float:
    errors = []
    for faces, detections, match in zip(folder.faces, found, matches):
        hit = match.first & (match.scores >= threshold)
        errors.append(landmark_error(detections.landmarks[match.order[hit]], faces.landmarks[match.faces[hit]]))
    joined = np.concatenate(errors)
    joined = joined[np.isfinite(joined)]
    return float(joined.mean()) if len(joined) else float("nan")


def _misses(
    folder: DetectionFolder,
    matches: list[PhotoMatches],
    counts: list[np.ndarray],
    threshold: float,
) -> list[Mistake]:
    mistakes = []
    for number, (faces, match, counting) in enumerate(zip(folder.faces, matches, counts)):
        for face in np.flatnonzero(counting & ~_is_found(match, len(faces.boxes), threshold)):
            scores = match.scores[match.faces == face]
            mistakes.append(Mistake(number, faces.boxes[face], float(scores.max(initial=0))))
    return sorted(mistakes, key=lambda mistake: -float(np.prod(mistake.box[2:] - mistake.box[:2])))


def _false_alarms(found: list[Detections], matches: list[PhotoMatches], threshold: float) -> list[Mistake]:
    mistakes = []
    for number, (detections, match) in enumerate(zip(found, matches)):
        wrong = (match.faces < 0) & (match.scores >= threshold)
        mistakes += [
            Mistake(number, detections.boxes[order], float(score))
            for order, score in zip(match.order[wrong], match.scores[wrong])
        ]
    return sorted(mistakes, key=lambda mistake: -mistake.score)

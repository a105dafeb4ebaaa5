"""Published files of weights by the SHA-256 of the original, with facts about them that the files do not contain."""

from __future__ import annotations

import copy
from typing import Any

_INSIGHTFACE = "InsightFace's terms: non-commercial research use only"

KNOWN_FILES: dict[str, dict[str, Any]] = {
    # mobilefacenet-y1-0000.params
    "b151f97e392e68cb540fb9710a91a574a4187d491eeda77d1c1799ae6dc3b82b": {
        "name": "mobilefacenet-y1",
        "license": _INSIGHTFACE,
        "trained_on": "MS1M",
        "published": {"LFW": 0.9950},
        # Measured by this toolkit with the flip sum on LFW, 3,000 impostor pairs.
        "thresholds": [
            {"far": 0.1, "similarity": 0.145, "measured_on": "lfw"},
            {"far": 0.01, "similarity": 0.252, "measured_on": "lfw"},
            {"far": 0.001, "similarity": 0.345, "measured_on": "lfw"},
        ],
    },
    # dlib_face_recognition_resnet_model_v1.dat
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30": {
        "name": "dlib-resnet29",
        "license": "CC0-1.0 (public domain)",
        "trained_on": "about 3 million faces of 7,485 people: FaceScrub, VGG Face and others",
        "published": {"LFW": 0.9938},
        # Measured by this toolkit with the flip sum on LFW, 3,000 impostor pairs. Crops of 112x112 were re-aligned to
        # 150x150, so they lack the margin of crops from photos. All embeddings of this network are close to each other.
        "thresholds": [
            {"far": 0.1, "similarity": 0.908, "measured_on": "lfw"},
            {"far": 0.01, "similarity": 0.934, "measured_on": "lfw"},
            {"far": 0.001, "similarity": 0.949, "measured_on": "lfw"},
        ],
    },
}


def known_card_fields(sha256: str) -> dict[str, Any]:
    """Return the fields of the card of a published file; empty for an unknown file.

    Parameters
    ----------
    sha256 : str
        SHA-256 of the original file.

    Returns
    -------
    dict
        Names and values of `Card`. `extra` has `name` and `published` (accuracy by test set, as stated by the authors).

    Examples
    --------
    >>> known_card_fields("0" * 64)
    {}
    >>> known_card_fields("55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30")["license"]
    'CC0-1.0 (public domain)'
    """
    known = copy.deepcopy(KNOWN_FILES.get(sha256, {}))
    extra = {key: known.pop(key) for key in ("name", "published") if key in known}
    return {**known, "extra": extra} if known else {}

"""Published files of weights by the SHA-256 of the original, with what is known of them but does not stand in the file."""

from __future__ import annotations

import copy

_INSIGHTFACE = "InsightFace's terms: non-commercial research use only"

KNOWN = {
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
        # Measured by this toolkit with the flip sum on LFW, 3,000 impostor pairs; crops of 112x112 were cut again to
        # 150x150, so that they lack the margin of faces cut out of photos. Embeddings of this network all lie near each other.
        "thresholds": [
            {"far": 0.1, "similarity": 0.908, "measured_on": "lfw"},
            {"far": 0.01, "similarity": 0.934, "measured_on": "lfw"},
            {"far": 0.001, "similarity": 0.949, "measured_on": "lfw"},
        ],
    },
}


def facts(sha256):
    """What the card of a file with this hash should say: a dict of `Card`'s names; empty when the file is not known.

    `name` and `published` (accuracy by test set, as its authors state it) go into the card's `extra`.
    """
    known = copy.deepcopy(KNOWN.get(sha256, {}))
    extra = {key: known.pop(key) for key in ("name", "published") if key in known}
    return {**known, "extra": extra} if known else {}

"""Routes that receive photos: identify, enroll and compare."""

# FastAPI evaluates the annotations of routes, also on Python 3.8.
# ruff: noqa: UP045
from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
from fastapi import FastAPI, Query, Request

from gluonfr.apps.gallery.enrolling import enroll_photo
from gluonfr.apps.gallery.face_choice import select_face
from gluonfr.apps.gallery.identifying import identify_faces
from gluonfr.apps.gallery.names import person_name
from gluonfr.apps.gallery.unknown import check_fpir
from gluonfr.apps.serve.api import responses
from gluonfr.apps.serve.api.problems import PHOTO_PROBLEMS, PROBLEMS, problems
from gluonfr.apps.serve.api.state import ServerState
from gluonfr.apps.serve.errors import RequestError
from gluonfr.apps.serve.upload import MOST_BYTES
from gluonfr.core import display_path
from gluonfr.evaluation.face_comparison import compare_faces
from gluonfr.weights.network_identity import network_name

_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_FORM = {"schema": {"type": "object", "properties": {"photo": {"type": "string", "format": "binary"}}}}
_CONTENT = {"image/*": _IMAGE, "application/octet-stream": _IMAGE, "multipart/form-data": _FORM}
_BODY = {"requestBody": {"required": True, "content": _CONTENT}}


def add_photo_routes(app: FastAPI, state: ServerState) -> None:
    """Add the routes that receive photos.

    Examples
    --------
    >>> add_photo_routes(FastAPI(), ServerState(gallery, embedder))  # doctest: +SKIP
    """
    options: dict[str, Any] = {"responses": problems(PROBLEMS, PHOTO_PROBLEMS), "openapi_extra": _BODY}
    how = (state.aligned, state.min_face)

    @app.post("/api/identify", **options)
    async def identify(
        request: Request,
        similarity: Optional[float] = Query(None, description="cosine above which a face gets a name, instead of fpir"),
        fpir: float = Query(0.01, description="fraction of faces of unknown people that may get a name"),
        top: int = Query(3, ge=1, le=20, description="number of candidates per face"),
    ) -> responses.IdentifiedPhoto:
        """Identify the faces of a photo, which is the body or a file of a form."""
        check_fpir(fpir)

        def work(pixels: np.ndarray) -> dict[str, Any]:
            threshold = state.gallery.threshold(fpir, similarity)
            faces = identify_faces(state.gallery, state.embedder, pixels, threshold, top, *how)
            return {"faces": [face.to_dict() for face in faces], "threshold": threshold.to_dict(), **_size(pixels)}

        upload = await state.receive(request)
        found = await state.process(work, upload.photo())
        if not found["faces"]:
            raise RequestError(422, "The photo shows no face; take another photo, nearer and from the front.")
        return responses.IdentifiedPhoto(network=network_name(state.gallery.card), **found)

    @app.post("/api/people", response_model_exclude_none=True, **options)
    async def enroll(
        request: Request,
        name: Optional[str] = Query(None, description="name of a new or enrolled person; may be a field of the form"),
        box: Optional[str] = Query(None, description="x0,y0,x1,y1 of the face; required if the photo shows several faces"),
        source: str = Query("", max_length=1000, description="origin of the photo, such as the name of its file"),
    ) -> responses.Enrollment:
        """Enroll a face of a photo, which is the body or a file of a form."""
        if name is not None:
            person_name(name)
        _corners(box)
        upload = await state.receive(request)
        person = person_name(upload.field("name", name))
        corners = _corners(upload.fields.get("box", box))
        origin = upload.fields.get("source", source) or upload.file_name
        content = upload.photo()

        warnings: list[str] = []

        def work(pixels: np.ndarray) -> int:
            where = corners, origin[:1000]
            return enroll_photo(state.gallery, state.embedder, person, content, pixels, *where, *how, warnings.append)

        return responses.Enrollment(name=person, new=await state.process(work, content), warning=next(iter(warnings), None))

    @app.post("/api/compare", **options)
    async def compare(
        request: Request,
        first: Optional[int] = Query(None, ge=1, description="bytes of the first photo, if the body is both photos"),
    ) -> responses.Comparison:
        """Compare the faces of two photos; of several faces the large one nearest the middle is used."""

        def work(*photos: np.ndarray) -> dict[str, Any]:
            chosen = [select_face(state.embedder, pixels, None, *how) for pixels in photos]
            first_crop, second_crop = (face.face.crop for face in chosen)
            result = compare_faces(state.embedder, first_crop, second_crop, aligned=True)
            used = [
                {"box": face.face.box, "faces": face.faces, "ambiguous": face.ambiguous, **_size(pixels)}
                for face, pixels in zip(chosen, photos)
            ]
            values = {"network": result.model, "similarity": result.similarity, "thresholds": result.thresholds}
            return {**values, "meaning": str(result).splitlines()[1:], "first": used[0], "second": used[1]}

        upload = await state.receive(request, 2 * MOST_BYTES)
        return responses.Comparison(**await state.process(work, *upload.two_photos(first)))


def _size(pixels: np.ndarray) -> dict[str, int]:
    return {"width": pixels.shape[1], "height": pixels.shape[0]}


def _corners(box: str | None) -> list[float] | None:
    if not box:
        return None
    try:
        corners = [float(number) for number in box.split(",")]
    except ValueError:
        corners = []
    if len(corners) != 4 or not all(map(math.isfinite, corners)):
        raise RequestError(400, f"box must be four numbers x0,y0,x1,y1, got '{display_path(box[:60])}'.")
    return corners

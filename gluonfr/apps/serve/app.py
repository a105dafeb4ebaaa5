"""The addresses of the API and of the page."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from typing import Optional

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from gluonfr.apps.gallery.enrolling import enroll_photo
from gluonfr.apps.gallery.face_choice import select_face
from gluonfr.apps.gallery.identifying import identify_faces
from gluonfr.apps.gallery.names import person_name
from gluonfr.apps.serve import answers
from gluonfr.apps.serve.errors import RequestError, answer_problems
from gluonfr.apps.serve.upload import MOST_BYTES, MOST_PIXELS, pixels_of, read_body
from gluonfr.apps.serve.worker import Places, Worker
from gluonfr.core import display_path
from gluonfr.evaluation.face_comparison import compare_faces
from gluonfr.photos.faces import MIN_FACE
from gluonfr.version import __version__
from gluonfr.weights.network_identity import network_name

PAGE = os.path.join(os.path.dirname(__file__), "page")
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Requests that wait: photos take a quarter of a second each, everything else milliseconds.
_PHOTOS, _OTHERS = 8, 64
# Photos that arrive, which may be slow and keep no place of those that wait; all of these bound the memory.
_UPLOADS = 32
# Nothing is known of rates lower than this one.
_LEAST_FPIR = 1e-9

_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_PHOTO = {"requestBody": {"required": True, "content": {"image/*": _IMAGE, "application/octet-stream": _IMAGE}}}
_PROBLEMS = {
    400: "A parameter or the state of the gallery does not allow it",
    401: "The token is missing or wrong",
    403: "Another site's page asks",
    429: "Too many requests wait; `Retry-After` says when to try again",
    503: "The gallery is locked, read-only, or its disk is full",
}
_OF_PHOTOS = {
    408: "The photo did not arrive in time",
    413: "The photo has too many bytes or pixels",
    415: "The file is no photo",
    422: "The photo is damaged, or shows no face or not the one that is meant",
}


@dataclass
class Desk:
    """What all addresses share. The network runs in one thread, the gallery is asked in another."""

    gallery: object
    embedder: object
    aligned: Optional[bool] = None
    min_face: int = MIN_FACE

    def __post_init__(self):
        self.photos, self.others = Worker("network", _PHOTOS), Worker("gallery", _OTHERS)
        self.uploads = Places(_UPLOADS)

    def close(self) -> None:
        self.photos.close()
        self.others.close()

    async def ask(self, function, *arguments):
        with self.others.place():
            return await self.others.run(function, *arguments)

    async def upload(self, request, most=MOST_BYTES):
        with self.uploads.place():
            return await read_body(request, most)

    async def look(self, function, *arguments):
        with self.photos.place():
            return await self.photos.run(function, *arguments)


def make_app(desk):
    """The FastAPI application of a `Desk`, without what guards it."""
    app = FastAPI(
        title="gluonfr", version=__version__, description="Who is on a photo, by a gallery.", docs_url=None, redoc_url=None
    )
    answer_problems(app)
    _add_page(app)
    _add_photos(app, desk)
    _add_people(app, desk)
    return app


def _problems(*kinds):
    texts = {status: text for kind in kinds for status, text in kind.items()}
    return {status: {"model": answers.Error, "description": text} for status, text in texts.items()}


def _add_page(app) -> None:
    def answer(content, kind):
        # A newer version of the page is taken at once.
        return lambda: Response(content, media_type=kind)

    for name in sorted(os.listdir(PAGE)):
        kind = _KINDS.get(os.path.splitext(name)[1])
        if kind:
            with open(os.path.join(PAGE, name), "rb") as file:
                address = "/" if name == "index.html" else f"/page/{name}"
                app.add_api_route(address, answer(file.read(), kind), methods=["GET"], include_in_schema=False)


def _add_photos(app, desk) -> None:
    gallery, embedder, how = desk.gallery, desk.embedder, (desk.aligned, desk.min_face)

    @app.post("/api/identify", responses=_problems(_PROBLEMS, _OF_PHOTOS), openapi_extra=_PHOTO)
    async def identify(
        request: Request,
        similarity: Optional[float] = Query(None, description="Name somebody above this cosine, in place of fpir"),
        fpir: float = Query(0.01, description="The share of strangers that may be named"),
        top: int = Query(3, ge=1, le=20, description="People to give as candidates"),
    ) -> answers.Identified:
        """Everybody on a photo, which is the body."""
        _need_rate(fpir)

        def work(content):
            threshold = gallery.threshold(fpir, similarity)
            pixels = pixels_of(content)
            faces = identify_faces(gallery, embedder, pixels, threshold, top, *how)
            return {"faces": [face.to_dict() for face in faces], "threshold": threshold.to_dict(), **_size(pixels)}

        found = await desk.look(work, await desk.upload(request))
        if not found["faces"]:
            raise RequestError(422, "The photo shows no face; take another one, nearer and from the front.")
        return answers.Identified(network=network_name(gallery.card), **found)

    @app.post("/api/people", responses=_problems(_PROBLEMS, _OF_PHOTOS), openapi_extra=_PHOTO)
    async def enroll(
        request: Request,
        name: str = Query(description="Of the person, who may be enrolled already"),
        box: Optional[str] = Query(None, description="x0,y0,x1,y1 of the face that is meant, where the photo shows several"),
        source: str = Query("", max_length=1000, description="Where the photo comes from, such as its file's name"),
    ) -> answers.Enrolled:
        """Enroll a face of a photo, which is the body."""
        corners, name = _corners(box), person_name(name)

        def work(content):
            return enroll_photo(gallery, embedder, name, content, pixels_of(content), corners, source, *how)

        return answers.Enrolled(name=name, new=await desk.look(work, await desk.upload(request)))

    @app.post("/api/compare", responses=_problems(_PROBLEMS, _OF_PHOTOS), openapi_extra=_PHOTO)
    async def compare_two(
        request: Request,
        first: int = Query(ge=1, description="Bytes of the first photo: the body is both, one after the other"),
    ) -> answers.Compared:
        """How alike the faces of two photos are: of several, the large one in the middle of each."""

        def work(content):
            crops, taken = [], []
            for part in (content[:first], content[first:]):
                pixels = pixels_of(part)
                chosen = select_face(embedder, pixels, None, *how)
                crops.append(chosen.face.crop)
                taken.append({"box": chosen.face.box, "faces": chosen.faces, "ambiguous": chosen.ambiguous, **_size(pixels)})
            verdict = compare_faces(embedder, *crops, aligned=True)
            said = {"network": verdict.model, "similarity": verdict.similarity, "thresholds": verdict.thresholds}
            return {**said, "meaning": str(verdict).splitlines()[1:], "first": taken[0], "second": taken[1]}

        content = await desk.upload(request, 2 * MOST_BYTES)
        if first >= len(content):
            raise RequestError(400, f"The first photo has {first} bytes and both have {len(content)}; send the second as well.")
        return answers.Compared(**await desk.look(work, content))


def _add_people(app, desk) -> None:
    gallery, problems = desk.gallery, _problems(_PROBLEMS)

    @app.get("/api/gallery", responses=problems)
    async def state() -> answers.State:
        """Which gallery and which network answer, and how many people there are."""

        def work():
            people, photos = gallery.count()
            # Counts stay the same when somebody is renamed, or when one goes and another one comes.
            version = hashlib.sha256(json.dumps([(each.name, each.photos) for each in gallery.people()]).encode()).hexdigest()
            return {"people": people, "photos": photos, "version": version[:16]}

        return answers.State(
            file=display_path(os.path.basename(gallery.where)),
            network=network_name(gallery.card),
            license=gallery.card.license,
            **await desk.ask(work),
            most_bytes=MOST_BYTES,
            most_pixels=MOST_PIXELS,
        )

    @app.get("/api/threshold", responses=problems)
    async def threshold(
        fpir: float = Query(0.01, description="The share of strangers that may be named"),
        similarity: Optional[float] = Query(None, description="A threshold of your own, of which the share is told"),
    ) -> answers.Threshold:
        """From which similarity on somebody is named, and what that means in this gallery."""
        _need_rate(fpir)
        return answers.Threshold(**(await desk.ask(gallery.threshold, fpir, similarity)).to_dict())

    @app.get("/api/people", responses=problems)
    async def people(
        containing: str = Query("", description="A part of the name, in any case"),
        offset: int = Query(0, ge=0),
        limit: int = Query(200, ge=1, le=10_000),
    ) -> answers.People:
        """Who is enrolled."""

        def work():
            part = containing.casefold()
            found = [each for each in gallery.people() if part in each.name.casefold()]
            some = [answers.Person(**vars(each)) for each in found[offset : offset + limit]]
            return answers.People(people=some, matching=len(found))

        return await desk.ask(work)

    @app.post("/api/people/rename", responses=problems)
    async def rename(name: str, new: str = Query(description="The name that nobody has yet")) -> answers.Changed:
        """Give a person another name."""
        return answers.Changed(**vars(await desk.ask(gallery.rename, name, new)))

    @app.post("/api/people/merge", responses=problems)
    async def merge(name: str, into: str = Query(description="The same person's other name")) -> answers.Changed:
        """Give all photos of a person to another one, who is the same."""
        return answers.Changed(**vars(await desk.ask(gallery.merge, name, into)))

    @app.delete("/api/people", responses=problems)
    async def remove(name: str) -> answers.Changed:
        """Take a person away, with every byte of the name and the embeddings."""
        return answers.Changed(**vars(await desk.ask(gallery.remove, name)))


def _size(pixels):
    return {"width": pixels.shape[1], "height": pixels.shape[0]}


def _need_rate(fpir) -> None:
    if not fpir >= _LEAST_FPIR:
        raise RequestError(400, f"fpir must be at least {_LEAST_FPIR:g} and below 1, got {fpir}.")


def _corners(box):
    if box is None:
        return None
    try:
        corners = [float(each) for each in box.split(",")]
    except ValueError:
        corners = []
    if len(corners) != 4 or not all(map(math.isfinite, corners)):
        raise RequestError(400, f"box must be four numbers x0,y0,x1,y1, got {display_path(box[:60])!r}.")
    return corners

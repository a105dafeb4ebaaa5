"""Routes of the gallery: its state, its threshold and its people."""

# FastAPI evaluates the annotations of routes, also on Python 3.8.
# ruff: noqa: UP045
from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Optional

from fastapi import FastAPI, Query

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.gallery.unknown import check_fpir
from gluonfr.apps.serve.api import responses
from gluonfr.apps.serve.api.problems import PROBLEMS, problems
from gluonfr.apps.serve.api.state import ServerState
from gluonfr.apps.serve.errors import RequestError
from gluonfr.apps.serve.upload import MOST_BYTES, MOST_PIXELS
from gluonfr.core import display_path
from gluonfr.weights.network_identity import network_name

_PHOTO_ID = Query(description="id of the photo, from the list of the person's photos")


def add_people_routes(app: FastAPI, state: ServerState) -> None:
    """Add the routes that read and change people.

    Examples
    --------
    >>> add_people_routes(FastAPI(), ServerState(gallery, embedder))  # doctest: +SKIP
    """
    _add_state(app, state)
    _add_list(app, state)
    _add_changes(app, state)
    _add_photo_changes(app, state)


def _add_state(app: FastAPI, state: ServerState) -> None:
    gallery = state.gallery

    @app.get("/api/gallery", responses=problems(PROBLEMS))
    async def read_state() -> responses.State:
        """Return the gallery, its network and its size."""
        return responses.State(
            file=display_path(os.path.basename(gallery.where)),
            network=network_name(gallery.card),
            license=gallery.card.license,
            **await state.query(_counts, gallery),
            most_bytes=MOST_BYTES,
            most_pixels=MOST_PIXELS,
        )

    @app.get("/api/threshold", responses=problems(PROBLEMS))
    async def read_threshold(
        fpir: float = Query(0.01, description="fraction of faces of unknown people that may get a name"),
        similarity: Optional[float] = Query(None, description="estimate the rate of this threshold instead"),
    ) -> responses.Threshold:
        """Return the similarity above which a face gets a name, and what it means for this gallery."""
        check_fpir(fpir)
        return responses.Threshold(**(await state.query(gallery.threshold, fpir, similarity)).to_dict())


def _add_list(app: FastAPI, state: ServerState) -> None:
    gallery = state.gallery

    @app.get("/api/people", responses=problems(PROBLEMS))
    async def list_people(
        containing: str = Query("", description="part of the name; case is ignored"),
        offset: int = Query(0, ge=0),
        limit: int = Query(200, ge=1, le=10_000),
    ) -> responses.People:
        """List the enrolled people."""

        def work() -> responses.People:
            part = containing.casefold()
            found = [person for person in gallery.people() if part in person.name.casefold()]
            shown = [responses.Person(**vars(person)) for person in found[offset : offset + limit]]
            return responses.People(people=shown, matching=len(found))

        return await state.query(work)

    @app.get("/api/people/photos", responses=problems(PROBLEMS))
    async def list_photos(name: str) -> responses.PhotosOfPerson:
        """List the photos of a person."""

        def work() -> list[responses.EnrolledPhoto]:
            entries = (entry for _, entry in gallery.entries(name))
            return [responses.EnrolledPhoto(id=entry.digest.hex(), source=entry.source) for entry in entries]

        return responses.PhotosOfPerson(name=name, photos=await state.query(work))


def _add_changes(app: FastAPI, state: ServerState) -> None:
    gallery = state.gallery

    @app.post("/api/people/rename", responses=problems(PROBLEMS))
    async def rename(name: str, new: str = Query(description="a name that is not in use")) -> responses.Changed:
        """Rename a person."""
        return responses.Changed(**vars(await state.query(gallery.rename, name, new)))

    @app.post("/api/people/merge", responses=problems(PROBLEMS))
    async def merge(name: str, into: str = Query(description="another name of the same person")) -> responses.Changed:
        """Move all photos of a person to another person."""
        return responses.Changed(**vars(await state.query(gallery.merge, name, into)))

    @app.delete("/api/people", responses=problems(PROBLEMS))
    async def remove(name: str) -> responses.Changed:
        """Remove a person, and erase the name and the embeddings."""
        return responses.Changed(**vars(await state.query(gallery.remove, name)))


def _add_photo_changes(app: FastAPI, state: ServerState) -> None:
    gallery = state.gallery

    @app.post("/api/people/photos/move", responses=problems(PROBLEMS))
    async def move_photo(
        name: str, photo: str = _PHOTO_ID, into: str = Query(description="name of a new or enrolled person")
    ) -> responses.Changed:
        """Move a photo of a person to another person."""
        return responses.Changed(**vars(await state.query(gallery.move_photos, name, [_digest(photo)], into)))

    @app.delete("/api/people/photos", responses=problems(PROBLEMS))
    async def remove_photo(name: str, photo: str = _PHOTO_ID) -> responses.Changed:
        """Remove a photo of a person; a person without photos is removed."""
        return responses.Changed(**vars(await state.query(gallery.remove_photos, name, [_digest(photo)])))


def _counts(gallery: Gallery) -> dict[str, Any]:
    people, photos = gallery.count()
    # A hash, because counts do not change when a person is renamed or replaced by another one.
    listed = json.dumps([(person.name, person.photos) for person in gallery.people()])
    return {"people": people, "photos": photos, "version": hashlib.sha256(listed.encode()).hexdigest()[:16]}


def _digest(photo: str) -> bytes:
    try:
        return bytes.fromhex(photo)
    except ValueError:
        raise RequestError(400, "photo must be an id from the list of the person's photos.") from None

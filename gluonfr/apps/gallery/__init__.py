"""Galleries: enrolled people with embeddings of their photos, and the identification of faces among them."""

from __future__ import annotations

from gluonfr.apps.gallery.enrolling import EnrollmentResult, enroll_folder, enroll_photo
from gluonfr.apps.gallery.face_choice import ChosenFace, select_face
from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.gallery.identifying import IdentifiedFace, IdentifiedImage, identify_faces, identify_files
from gluonfr.apps.gallery.import_export import export_gallery, import_gallery
from gluonfr.apps.gallery.searching import SearchResult, search_photos
from gluonfr.apps.gallery.stores.base import Change, Entry, GalleryStore, Match, Person
from gluonfr.apps.gallery.unknown import Identification, Threshold, calibrate

__all__ = [
    "Change",
    "ChosenFace",
    "EnrollmentResult",
    "Entry",
    "Gallery",
    "GalleryStore",
    "Identification",
    "IdentifiedFace",
    "IdentifiedImage",
    "Match",
    "Person",
    "SearchResult",
    "Threshold",
    "calibrate",
    "enroll_folder",
    "enroll_photo",
    "export_gallery",
    "identify_faces",
    "identify_files",
    "import_gallery",
    "search_photos",
    "select_face",
]

"""Who is it: people with several photos each, and who a new face is among them."""

from __future__ import annotations

from gluonfr.apps.gallery.enrolling import Enrolled, enroll_folder
from gluonfr.apps.gallery.exchange import export_gallery, import_gallery
from gluonfr.apps.gallery.gallery import Answer, Gallery
from gluonfr.apps.gallery.identifying import Picture, Seen, identify_files, identify_picture
from gluonfr.apps.gallery.one_photo import Chosen, chosen_face, enroll_photo
from gluonfr.apps.gallery.searching import Found, search_photos
from gluonfr.apps.gallery.store import Change, Entry, GalleryStore, Match, Person
from gluonfr.apps.gallery.unknown import Threshold, threshold_for

__all__ = [
    "Answer",
    "Chosen",
    "GalleryStore",
    "Enrolled",
    "Entry",
    "Found",
    "Gallery",
    "Match",
    "Person",
    "Picture",
    "Change",
    "Seen",
    "Threshold",
    "chosen_face",
    "enroll_folder",
    "enroll_photo",
    "export_gallery",
    "identify_files",
    "identify_picture",
    "import_gallery",
    "search_photos",
    "threshold_for",
]

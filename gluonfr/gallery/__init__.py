"""Who is it: people with several photos each, and who a new face is among them."""

from gluonfr.gallery.cleaning import Findings, apply_changes, clean, open_set
from gluonfr.gallery.clustering import Clustered, Clusters, cluster_faces, cluster_photos
from gluonfr.gallery.engine import Engine, Entry, Match, Person, Removed
from gluonfr.gallery.enrolling import Enrolled, enroll_folder
from gluonfr.gallery.exchange import export_gallery, import_gallery
from gluonfr.gallery.gallery import Answer, Gallery
from gluonfr.gallery.identifying import Picture, Seen, identify_files, identify_picture
from gluonfr.gallery.network import model_of, network_name
from gluonfr.gallery.one_photo import Chosen, chosen_face, enroll_photo
from gluonfr.gallery.searching import Found, search_photos
from gluonfr.gallery.unknown import Threshold, threshold_for

__all__ = [
    "Answer",
    "Clustered",
    "Clusters",
    "Chosen",
    "Engine",
    "Enrolled",
    "Entry",
    "Findings",
    "Found",
    "Gallery",
    "Match",
    "Person",
    "Picture",
    "Removed",
    "Seen",
    "Threshold",
    "apply_changes",
    "clean",
    "cluster_faces",
    "cluster_photos",
    "chosen_face",
    "enroll_folder",
    "enroll_photo",
    "export_gallery",
    "identify_files",
    "identify_picture",
    "import_gallery",
    "model_of",
    "network_name",
    "open_set",
    "search_photos",
    "threshold_for",
]

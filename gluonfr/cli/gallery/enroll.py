from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from typing import Any

from gluonfr.cli.arguments import add_faces, add_gallery, aligned, open_gallery_and_embedder, write_json
from gluonfr.core.wording import counted


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr enroll`."""
    parser.add_argument("photos", help="folder with one folder of photos per person; enrolled photos are skipped")
    add_gallery(parser, "gallery, created when missing")
    parser.add_argument(
        "--keep-poor",
        action="store_true",
        help="also enroll faces that are blurred, turned away or unlike the other photos of the person",
    )
    add_faces(parser, "the photos enrolled and left out")


def run(arguments: Namespace) -> int:
    """Run `gluonfr enroll`."""
    from gluonfr.apps.gallery.enrolling import enroll_folder
    from gluonfr.core import display_path
    from gluonfr.photos.find import find_people
    from gluonfr.weights.network_identity import network_name

    # Checked first, so that a missing folder leaves no empty gallery.
    find_people(arguments.photos)
    with ExitStack() as stack:
        gallery, embedder = open_gallery_and_embedder(arguments, stack)
        try:
            options = aligned(arguments), arguments.min_face
            done = enroll_folder(gallery, embedder, arguments.photos, *options, "enroll", arguments.keep_poor)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the people enrolled are saved, rerun the command to resume") from None
        people, photos = gallery.count()
        enrolled = f"{counted(done.photos, 'photo')} of {counted(done.people, 'person')}"
        print(f"{enrolled} enrolled in {done.seconds:.1f} s by {network_name(gallery.card)}")
        print(f"{display_path(gallery.where)}: {counted(people, 'person')}, {counted(photos, 'photo')}")
        print(gallery.threshold())
    if done.moved:
        print(f"{done.moved} photos were moved to another person, because the folder has changed")
    if done.before:
        print(f"{done.before} photos were enrolled already")
    _report_left_out(arguments, done)
    write_json(arguments, vars(done))
    return 1 if done.left_out else 0


def _report_left_out(arguments: Namespace, done: Any) -> None:
    from gluonfr.apps.gallery.enrollment_report import remove_report, report_path, write_report
    from gluonfr.core import display_path
    from gluonfr.photos.packing.report import reasons

    path = report_path(arguments.gallery)
    if not done.left_out and not done.ambiguous:
        remove_report(path)
        return
    write_report(path, done)
    counts = [f"{len(done.left_out)} left out ({reasons(done.left_out)})"] if done.left_out else []
    counts += [f"{len(done.ambiguous)} show a second face of similar size"] if done.ambiguous else []
    print(f"{', '.join(counts)}: see {display_path(path)}")

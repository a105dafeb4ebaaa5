from __future__ import annotations

from gluonfr.cli.arguments import add_devices, add_gallery, add_json, add_model, gallery_and_embedder, write_json
from gluonfr.cli.embed import add_aligned, aligned


def add_arguments(parser) -> None:
    parser.add_argument("photos", help="folder that holds a folder of photos for each person")
    add_gallery(parser, "the gallery, which is made when it is missing; what is in it already is skipped")
    parser.add_argument("--min-face", type=int, default=32, help="shorter side of the smallest face taken, in pixels")
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)
    add_json(parser, "what became of the photos")


def run(arguments) -> int:
    from contextlib import ExitStack

    from gluonfr.apps.gallery.enrolling import drop_report, enroll_folder, report_beside, write_report
    from gluonfr.core import GluonFRError
    from gluonfr.core.output import display_path
    from gluonfr.photos.packing.report import reasons
    from gluonfr.photos.packing.scan import scan
    from gluonfr.weights.network_identity import network_name

    # A folder that is not there is told at once, and leaves no empty gallery.
    scan(arguments.photos)
    with ExitStack() as opened:
        gallery, embedder = gallery_and_embedder(arguments, opened)
        try:
            done = enroll_folder(gallery, embedder, arguments.photos, aligned(arguments), arguments.min_face, progress="enroll")
        except KeyboardInterrupt:
            raise GluonFRError("interrupted; who is enrolled is kept, give the same command to go on.") from None
        people, photos = gallery.count()
        print(f"{done.photos} photos of {done.people} people enrolled in {done.seconds:.1f} s by {network_name(gallery.card)}")
        print(f"{display_path(gallery.where)}: {people:,} people, {photos:,} photos")
        print(gallery.threshold())
    if done.before:
        print(f"{done.before} photos were there already")
    if done.left_out or done.ambiguous:
        write_report(report_beside(arguments.gallery), done)
        words = [f"{len(done.left_out)} left out ({reasons(done.left_out)})"] if done.left_out else []
        words += [f"{len(done.ambiguous)} show another face that could be meant"] if done.ambiguous else []
        print(f"{', '.join(words)}: {display_path(report_beside(arguments.gallery))} names each")
    else:
        drop_report(report_beside(arguments.gallery))
    write_json(arguments, vars(done))
    return 1 if done.left_out else 0

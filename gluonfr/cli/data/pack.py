from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_detector, add_min_face, add_template, image_size
from gluonfr.core.wording import counted


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr pack`."""
    parser.add_argument("photos", help="folder with one folder of photos per person")
    parser.add_argument("out", help="folder of the training set; rerun an interrupted command to resume it")
    add_template(parser)
    add_detector(parser)
    add_min_face(parser)
    parser.add_argument("--aligned", action="store_true", help="the images are aligned crops: detect no faces")
    parser.add_argument(
        "--image-size", type=image_size, metavar="H,W", help="size of aligned crops in pixels (default: that of the template)"
    )
    parser.add_argument("--keep-duplicates", action="store_true", help="keep files with the same bytes")
    parser.add_argument("--keep-poor", action="store_true", help="keep faces that are blurred, enlarged or turned away")
    parser.add_argument("--workers", type=int, default=1, help="number of processes")
    parser.add_argument("--overwrite", action="store_true", help="replace a finished set in the folder")


def run(arguments: Namespace) -> int:
    """Run `gluonfr pack`."""
    from gluonfr.core import display_path
    from gluonfr.photos.packing import pack
    from gluonfr.photos.packing.report import reasons

    options = {name: value for name, value in vars(arguments).items() if name not in ("command", "typed", "quiet", "verbose")}
    try:
        packed = pack(options.pop("photos"), options.pop("out"), **options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("finished photos are saved, rerun the command to resume") from None
    counts = f"{counted(packed.images, 'crop')} of {counted(packed.identities, 'person')}"
    print(f"{counts} in {packed.seconds:.1f} s: {display_path(packed.folder)}")
    if packed.done_before:
        print(f"{packed.done_before} photos were packed by an earlier run")
    if packed.ambiguous:
        print(f"{len(packed.ambiguous)} photos show a second face of similar size; check them in ambiguous.csv")
    if packed.left_out:
        print(f"{len(packed.left_out)} left out ({reasons(packed.left_out)}): see left_out.csv")
    print("check sample.png before you train")
    return 1 if packed.left_out else 0

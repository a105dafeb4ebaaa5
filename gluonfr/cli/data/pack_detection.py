from __future__ import annotations

from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr pack-detection`."""
    parser.add_argument("photos", help="folder of annotated photos, with label.txt or annotations of WIDER FACE, VOC or COCO")
    parser.add_argument("out", help="folder for faces.rec and faces.idx")
    parser.add_argument("--annotations", metavar="PATH", help="file or folder of annotations (default: found in the folder)")
    parser.add_argument("--max-side", type=int, default=1024, metavar="PIXELS", help="reduce longer photos to this side")


def run(arguments: Namespace) -> int:
    """Run `gluonfr pack-detection`."""
    from gluonfr.core import display_path
    from gluonfr.data.detection import describe_left_out, pack_detection, read_detection_folder

    folder = read_detection_folder(arguments.photos, arguments.annotations)
    packed = pack_detection(folder.faces, folder.photos, arguments.out, arguments.max_side)
    print(
        f"{packed.photos:,} photos with {packed.faces:,} faces, {packed.landmarks:,} of them with landmarks and "
        f"{packed.ignored:,} ignored: {display_path(arguments.out)}"
    )
    for line in describe_left_out(packed):
        print(f"left out: {display_path(line)}")
    return 1 if packed.left_out else 0

from __future__ import annotations


def size(text):
    """'112,96' -> (112, 96)."""
    from gluonfr.cli.arguments import numbers

    return tuple(numbers(int)(text))


def add_arguments(parser) -> None:
    parser.add_argument("photos", help="folder that holds a folder of photos for each person")
    parser.add_argument("out", help="folder of the set; an interrupted run goes on when it is given again")
    parser.add_argument(
        "--template", default="arcface", help="where the landmarks lie on a crop: arcface, arcface_96x112, dlib"
    )
    parser.add_argument("--detector", help="finds the faces: mtcnn (the default) or retinaface")
    parser.add_argument("--min-face", type=int, default=32, help="shorter side of the smallest face taken, in pixels")
    parser.add_argument("--aligned", action="store_true", help="the images are crops already: nothing is detected")
    parser.add_argument("--image-size", type=size, help="H,W of aligned images (default: the template's)")
    parser.add_argument("--keep-duplicates", action="store_true", help="keep files with the same bytes")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--overwrite", action="store_true", help="replace the finished set in the folder")


def run(arguments) -> int:
    from gluonfr.core import GluonFRError
    from gluonfr.core.output import display_path
    from gluonfr.photos.packing import pack
    from gluonfr.photos.packing.report import reasons

    options = {name: value for name, value in vars(arguments).items() if name != "command"}
    try:
        packed = pack(options.pop("photos"), options.pop("out"), **options)
    except KeyboardInterrupt:
        raise GluonFRError("interrupted; what is done is kept, give the same command to go on.") from None
    print(f"{packed.images} crops of {packed.identities} people in {packed.seconds:.1f} s: {display_path(packed.folder)}")
    if packed.done_before:
        print(f"{packed.done_before} photos were done by an earlier run")
    if packed.ambiguous:
        print(f"{len(packed.ambiguous)} photos show another face that could be meant: ambiguous.csv names them, look at some")
    if packed.left_out:
        print(f"{len(packed.left_out)} left out ({reasons(packed.left_out)}): left_out.csv names each")
    print("look at sample.png before you train")
    return 1 if packed.left_out else 0

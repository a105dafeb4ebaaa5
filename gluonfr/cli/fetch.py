from __future__ import annotations

from gluonfr.cli.arguments import add_root


def add_arguments(parser) -> None:
    parser.add_argument("name", help="lfw (6,000 pairs) or lfw_dev (1,000), of the photos that scikit-learn keeps or fetches")
    add_root(parser)
    parser.add_argument("--data-home", help="scikit-learn's folder of data sets (default: its own)")
    parser.add_argument("--template", default="arcface", help="where the landmarks lie: arcface, arcface_96x112, dlib")
    parser.add_argument("--detector", help="finds the faces: mtcnn (the default) or retinaface")
    parser.add_argument("--workers", type=int, default=1, help="processes")


def run(arguments) -> int:
    from gluonfr.core.output import display_path
    from gluonfr.photos.lfw import fetch_lfw

    made = fetch_lfw(
        *(arguments.root, arguments.name, arguments.data_home, arguments.workers, arguments.template, arguments.detector)
    )
    print(f"{made.pairs} pairs, {made.same} of them of one person: {display_path(made.path)}")
    if made.ambiguous:
        print(f"{len(made.ambiguous)} photos show another face that could be meant; the large one in the middle was taken")
    if made.replaced:
        print(f"{len(made.replaced)} photos gave their middle, no face was found: {', '.join(map(ascii, made.replaced[:5]))}")
    return 0

from __future__ import annotations

from gluonfr.cli.arguments import add_devices, add_json, add_model, add_root, make_embedder, write_json
from gluonfr.cli.embed import add_aligned, aligned


def add_arguments(parser) -> None:
    parser.add_argument("set", help="a .rec, a folder with train.rec, a training set below --root, or a folder a person")
    parser.add_argument("--out", required=True, help="new folder of the report: tables, contact sheets, changes.csv")
    parser.add_argument("--against", metavar="SET", help="a test set, whose people should not be in the set: also a .bin")
    parser.add_argument(
        "--apply", metavar="FOLDER", help="write the set with the changes of the report, which may be finished already, there"
    )
    parser.add_argument("--keep", metavar="FOLDER", help="keep the embeddings there, for another run")
    parser.add_argument("--skip-damaged", action="store_true", help="leave out damaged records instead of stopping")
    parser.add_argument("--min-face", type=int, default=32, help="shorter side of the smallest face on a photo, in pixels")
    add_root(parser)
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)
    add_json(parser)


def run(arguments) -> int:
    from gluonfr.apps.curation.cleaning.apply import is_report, need_report_of
    from gluonfr.apps.curation.cleaning.sets import open_set
    from gluonfr.core import GluonFRError
    from gluonfr.core.output import require_new_folder

    options = (arguments.root, arguments.skip_damaged, aligned(arguments), arguments.min_face)
    faces = open_set(arguments.set, *options)
    if arguments.apply:
        require_new_folder(arguments.apply)
    left_out, against = {}, arguments.against and open_set(arguments.against, *options)
    if arguments.apply and is_report(arguments.out):
        named = arguments.model is not None or arguments.no_flip
        need_report_of(arguments.out, against, make_embedder(arguments) if named else None)
    else:
        # A mistyped name is told before a network is loaded.
        require_new_folder(arguments.out)
        try:
            left_out = _look(arguments, faces, against)
        except KeyboardInterrupt:
            raise GluonFRError("interrupted; the embeddings so far are kept, give the same command to go on.") from None
    if arguments.apply:
        _apply(arguments, faces)
    return 1 if left_out else 0


def _look(arguments, faces, against):
    from gluonfr.apps.curation.cleaning import clean
    from gluonfr.core.output import display_path
    from gluonfr.weights.network_identity import network_name

    embedder = make_embedder(arguments, detector=arguments.detector)
    found = clean(embedder, faces, arguments.out, against, arguments.keep, progress=True)
    values = found.to_dict()
    print(f"{network_name(embedder.card)}; {values['images']:,} images of {values['people']:,} people")
    for sentence in found.explain():
        print(f"- {sentence}")
    print(
        f"{display_path(arguments.out)}: changes.csv removes {values['removed']:,} images and relabels {values['relabeled']:,}"
    )
    if values["left_out"]:
        print(f"{sum(map(len, values['left_out'].values())):,} images left out: left_out.csv says why")
    write_json(arguments, {"network": network_name(embedder.card), **values})
    return values["left_out"]


def _apply(arguments, faces) -> None:
    from gluonfr.apps.curation.cleaning.apply import apply_changes
    from gluonfr.core.output import display_path

    kept, removed, relabeled = apply_changes(faces, arguments.out, arguments.apply)
    print(
        f"{display_path(arguments.apply)}: {kept:,} images, {relabeled:,} of them under another label; {removed:,} removed, which "
        "changes.csv there lists"
    )

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from gluonfr.cli.arguments import (
    add_aligned,
    add_devices,
    add_json,
    add_min_face,
    add_model,
    add_root,
    aligned,
    make_embedder,
    write_json,
)
from gluonfr.core.wording import counted


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr clean`."""
    sets = "a training set (.rec, a folder with train.rec, or a name below --root), or a folder with one folder per person"
    parser.add_argument("set", help=sets)
    parser.add_argument("--out", required=True, help="new folder of the report: tables, contact sheets and changes.csv")
    parser.add_argument("--against", metavar="SET", help="test set that must not share people with the set; also a .bin")
    parser.add_argument(
        "--apply",
        metavar="FOLDER",
        help="new folder for the set with the changes of the report; a finished report in --out is reused",
    )
    parser.add_argument("--keep", metavar="FOLDER", help="save the embeddings in this folder, for another run")
    parser.add_argument("--skip-damaged", action="store_true", help="leave out damaged records instead of stopping")
    add_min_face(parser)
    add_root(parser)
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)
    add_json(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr clean`."""
    from gluonfr.apps.curation.cleaning.apply import check_report, is_report
    from gluonfr.apps.curation.cleaning.face_sets import open_set
    from gluonfr.core import require_new_folder
    from gluonfr.photos.resumable import require_new_output

    options = (arguments.root, arguments.skip_damaged, aligned(arguments), arguments.min_face)
    faces = open_set(arguments.set, *options)
    if arguments.apply:
        require_new_folder(arguments.apply)
    against = open_set(arguments.against, *options) if arguments.against else None
    left_out = {}
    if arguments.apply and is_report(arguments.out):
        named = arguments.model is not None or arguments.no_flip
        check_report(arguments.out, against, make_embedder(arguments) if named else None)
    else:
        # Before a network is loaded, so that a mistyped name is reported at once.
        require_new_output(arguments.out)
        try:
            left_out = _write_report(arguments, faces, against)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("finished embeddings are saved, rerun the command to resume") from None
    if arguments.apply:
        _apply(arguments, faces)
    return 1 if left_out else 0


def _write_report(arguments: Namespace, faces: Any, against: Any) -> dict[str, Any]:
    from gluonfr.apps.curation.cleaning import clean_set
    from gluonfr.core import display_path
    from gluonfr.weights.network_identity import network_name

    embedder = make_embedder(arguments, detector=arguments.detector)
    found = clean_set(embedder, faces, arguments.out, against, arguments.keep, progress=True)
    values = found.to_dict()
    print(f"{network_name(embedder.card)}; {counted(values['images'], 'image')} of {counted(values['people'], 'person')}")
    for sentence in found.explain():
        print(f"- {sentence}")
    changes = f"changes.csv removes {counted(values['removed'], 'image')} and relabels {values['relabeled']:,}"
    print(f"{display_path(arguments.out)}: {changes}")
    if values["left_out"]:
        print(f"{counted(sum(map(len, values['left_out'].values())), 'image')} left out: see left_out.csv")
    write_json(arguments, {"network": network_name(embedder.card), **values})
    return values["left_out"]


def _apply(arguments: Namespace, faces: Any) -> None:
    from gluonfr.apps.curation.cleaning.apply import apply_changes
    from gluonfr.core import display_path

    kept, removed, relabeled = apply_changes(faces, arguments.out, arguments.apply)
    counts = f"{counted(kept, 'image')}, {relabeled:,} of them relabeled; {removed:,} removed"
    print(f"{display_path(arguments.apply)}: {counts}; its changes.csv lists the changes")

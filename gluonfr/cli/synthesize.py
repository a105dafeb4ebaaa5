from __future__ import annotations


def add_arguments(parser) -> None:
    parser.add_argument("out", help="folder to write: train.rec, train.idx, property, val_data.bin")
    parser.add_argument("--identities", type=int, default=None, help="identities to train on")
    parser.add_argument("--images", type=int, default=None, help="images of each")
    parser.add_argument("--pairs", type=int, default=None, help="pairs of unseen identities to verify")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other people")


def run(arguments) -> None:
    from gluonfr.data import synthetic

    given = {"identities": arguments.identities, "images_per_identity": arguments.images, "val_pairs": arguments.pairs}
    synthetic.make_dataset(
        arguments.out, seed=arguments.seed, **{name: value for name, value in given.items() if value is not None}
    )
    print(f"wrote {arguments.out}; these faces prove a pipeline, they say nothing about real ones")

from __future__ import annotations

import sys

from gluonfr.cli.arguments import add_devices, add_root, keywords, names, numbers
from gluonfr.cli.tables import print_results
from gluonfr.core.cpu import share_cores


def add_arguments(parser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset",
        required=True,
        help="training set: a folder with train.rec under the root, or several as one, such as emore,celeb",
    )
    data.add_argument("--identities", help="CSV file dataset,label,identity: which labels of the sets are one person")
    data.add_argument(
        "--val", type=names, default=(), help="verification sets, such as lfw,cfp_fp,agedb_30; the first picks the best"
    )
    add_root(data)
    data.add_argument("--augment", default="flip", help="none, flip, standard or strong")
    data.add_argument("--threads", type=int, help="threads of the loader (default: one a core)")
    model = parser.add_argument_group("network and loss")
    model.add_argument("--network", default="mobilefacenet", help="a name of the model zoo")
    model.add_argument("--network-args", type=keywords, default={}, help="such as embedding_size=256,dropout=0.2")
    model.add_argument(
        "--pretrained",
        nargs="?",
        const=True,
        metavar="WEIGHTS",
        help="start from the network's published weights, or from a stored model, a file or a folder such as RUN/best",
    )
    model.add_argument("--loss", default="arc", help="a name of gluonfr.loss")
    model.add_argument("--loss-args", type=keywords, default={}, help="such as s=30,m=0.35")
    model.add_argument(
        "--classifier",
        default="auto",
        help="plain, sharded (classes divided over the devices) or auto, which divides many",
    )
    model.add_argument(
        "--sample-rate", type=part_or_number, default=1.0, help="part of the classes a step uses, such as 0.1, or their number"
    )
    model.add_argument(
        "--sample-correction", action="store_true", help="let each sampled class count for all those that it stands for"
    )
    course = parser.add_argument_group("course")
    add_devices(course)
    course.add_argument("--batch-size", type=int, default=64, help="images a step, over all devices")
    course.add_argument("--accumulate", type=int, default=1, help="parts that a batch is taken in, to save memory")
    course.add_argument("--dtype", default="float32", help="of the convolutions: float32, bfloat16, or on GPUs float16")
    course.add_argument(
        "--people", type=int, help="people a batch, for losses that compare the images of a batch (default: 16)"
    )
    course.add_argument("--images-per-person", type=int, help="images of each of them (default: what fills the batch)")
    course.add_argument("--epochs", type=float, default=20, help="passes over the training set")
    course.add_argument("--steps", type=int, help="length in steps, instead of --epochs")
    course.add_argument("--lr", type=float, default=0.1, help="learning rate after warm-up")
    course.add_argument("--schedule", default="cosine", help="cosine, step, poly or constant")
    course.add_argument("--warmup", type=float, default=0, help="epochs of linear warm-up")
    course.add_argument("--drops", type=numbers(float), default=(), help="epochs at which 'step' divides the rate by ten")
    course.add_argument("--final-lr", type=float, default=0, help="where cosine and poly end, as a fraction of --lr")
    course.add_argument("--optimizer", default="sgd", help="an optimizer of MXNet")
    course.add_argument("--momentum", type=float, default=0.9, help="of sgd and nag")
    course.add_argument("--wd", type=float, default=5e-4, help="weight decay; scales, shifts, biases and slopes have none")
    course.add_argument("--classifier-wd-mult", type=float, default=1, help="multiplies the classifier's weight decay")
    course.add_argument("--clip-norm", type=float, help="largest norm of the gradient")
    course.add_argument(
        "--average", type=float, default=0, help="decay of the weights' moving average that is saved, such as 0.999"
    )
    course.add_argument("--seed", type=int, default=0, help="of weights, order, augmentation and dropout")
    several = parser.add_argument_group("several processes")
    several.add_argument("--workers", type=int, default=1, help="processes on this machine, one device each")
    several.add_argument("--hosts", help="machines and their processes instead, such as a:4,b:4, reached by ssh")
    several.add_argument("--sync", default="horovod", choices=("horovod", "ps"), help="what carries the gradients")
    several.add_argument("--max-restarts", type=int, default=0, help="how often all start again when one failed")
    several.add_argument(
        "--hang-timeout", type=float, default=300, metavar="S", help="seconds without progress after which all are ended"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--out", help="run folder (default: runs/DATASET-NETWORK-LOSS)")
    output.add_argument(
        "--resume", action="store_true", help="insist on a checkpoint to go on from; one that is there is used anyway"
    )
    output.add_argument("--val-every", type=float, default=1, help="epochs between validations, 0: only at the end")
    output.add_argument("--checkpoint-every", type=float, default=1, help="epochs between checkpoints, 0: only at the end")
    output.add_argument("--checkpoint-steps", type=int, help="also save after so many steps")
    output.add_argument("--checkpoint-minutes", type=float, help="also save after so many minutes")
    output.add_argument("--keep-checkpoints", type=int, default=2, help="how many stay, the newest")
    output.add_argument("--log-every", type=int, default=20, help="steps between log lines")


def part_or_number(text):
    """'0.1' is a part, '1' or '1.0' the whole, and '5000' a number."""
    return float(text) if "." in text or "e" in text or text == "1" else int(text)


def run(arguments):
    fields = {name: value for name, value in vars(arguments).items() if name not in ("command", "typed")}
    fields["out"] = fields["out"] or f"runs/{arguments.dataset}-{arguments.network}-{arguments.loss}".lower()
    several = {name: fields.pop(name) for name in ("workers", "hosts", "sync", "max_restarts", "hang_timeout")}
    if not arguments.gpus:
        share_cores(max(arguments.cpus, several["workers"]))
    from gluonfr.engine import TrainOptions, train
    from gluonfr.engine.distributed.launcher import launch_training
    from gluonfr.engine.distributed.ranks import is_rank, joined, own_gpus

    if (several["workers"] != 1 or several["hosts"]) and not is_rank():
        outcome = launch_training(arguments.typed, fields["gpus"], fields["cpus"], fields["out"], **several)
        if outcome.message:
            print(f"gluonfr train: {outcome.message}", file=sys.stderr)
        return outcome.status
    fields["gpus"] = own_gpus(fields["gpus"])
    with joined() as group:
        result = train(TrainOptions(**fields), group)
        if group.rank == 0:
            report(result)
    return 0


def report(result) -> None:
    """Print what a run came to."""
    if result.validation:
        print_results(result.validation)
    if result.best:
        accuracies = ", ".join(f"{name} {accuracy:.5f}" for name, accuracy in result.best["accuracy"].items())
        print(f"best by the AUC of the first set: step {result.best['step']}, accuracy {accuracies}")
    if result.seconds:
        print(
            f"{result.steps} steps, {result.images} images in {result.seconds:.0f} s of training: "
            f"{result.images / result.seconds:.1f} images/s; peak memory {result.peak_memory:.2f} GB"
        )
    print(f"networks, log and results in {result.folder}")
    for picture in result.pictures:
        print(f"picture: {picture}")

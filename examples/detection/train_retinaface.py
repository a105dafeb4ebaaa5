"""Train RetinaFace on annotated photos, with a plain Gluon loop.

    gluonfr pack-detection WIDER_train/ sets/wider
    python train_retinaface.py --data sets/wider --val WIDER_val/ --gpus 0,1
    python train_retinaface.py --scenes 1500 --epochs 8          # rendered scenes, nothing needed
    python train_retinaface.py --data sets/mine --pretrained mnet025/ --turn 0.5 --lr 0.002

The folder --out is a detector for every command: `gluonfr identify photo.jpg --detector runs/retinaface ...`.
"""

import argparse
import os
import tempfile
import time

import gluonfr  # noqa: F401  (before mxnet: it makes MXNet importable with new versions of NumPy)

# isort: split
import mxnet as mx
from mxnet import autograd, gluon
from mxnet.gluon.utils import split_and_load

from gluonfr.core import GluonFRError, atomic_folder
from gluonfr.data.detection import DetectionRecords, pack_detection, read_detection_folder
from gluonfr.data.detection.augmentation import DetectionAugmentation
from gluonfr.data.detection.loader import DetectionLoader
from gluonfr.data.synthetic.scenes import make_scenes
from gluonfr.deploy.devices import devices
from gluonfr.detection import get_detector
from gluonfr.detection.anchors import anchor_grid
from gluonfr.detection.matching import CLASS, FACE, match_anchors
from gluonfr.detection.multibox_loss import MultiBoxLoss
from gluonfr.detection.saved import DetectorCard, build_network, load_detector, save_detector
from gluonfr.evaluation.detectors import evaluate_detector

# Detections of lower scores do not change the average precision.
LOWEST_SCORE = 0.02
HELD_OUT_SCENES = 100


def parse():
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="folder of faces.rec, which gluonfr pack-detection writes")
    parser.add_argument("--scenes", type=int, default=0, help="instead of --data: number of scenes to render")
    parser.add_argument("--val", default="", help="folder of annotated photos for average precision (default: none)")
    parser.add_argument("--pretrained", default="", help="folder of a detector to start from, such as mnet.25's")
    parser.add_argument("--backbone", default="mobilenet0.25", help="mobilenet0.25 or resnet50 (default: mobilenet0.25)")
    parser.add_argument("--size", type=int, default=320, help="side of the training squares in pixels (default: 320)")
    parser.add_argument("--batch-size", type=int, default=32, help="squares per step, over all devices (default: 32)")
    parser.add_argument("--epochs", type=int, default=80, help="passes over the photos (default: 80)")
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate after the warm-up (default: 0.01)")
    parser.add_argument("--turn", type=float, default=0.0, help="part of the photos turned by quarter turns (default: 0)")
    parser.add_argument("--gpus", default="", help="numbers of the GPUs to use, such as 0,1 (default: none)")
    parser.add_argument("--cpus", type=int, default=1, help="number of CPU contexts to use without GPUs (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of order, augmentation and weights (default: 0)")
    parser.add_argument("--out", default="runs/retinaface", help="folder of the trained detector (default: runs/retinaface)")
    return parser.parse_args()


def open_data(options, folder):
    """Return the records to train on, and annotated photos to evaluate on or None."""
    if options.data:
        return DetectionRecords(options.data), read_detection_folder(options.val) if options.val else None
    if not options.scenes:
        raise SystemExit("name a folder with --data, or render scenes with --scenes 1500.")
    for name, count, first in (("train", options.scenes, 0), ("val", HELD_OUT_SCENES, options.scenes)):
        make_scenes(os.path.join(folder, name), count, first, options.seed, options.size)
    train, val = (read_detection_folder(os.path.join(folder, name)) for name in ("train", "val"))
    pack_detection(train.faces, train.photos, os.path.join(folder, "records"))
    return DetectionRecords(os.path.join(folder, "records")), val


def start_network(options, contexts):
    """Return the network and its card, with random or pretrained weights."""
    if options.pretrained:
        net, card = load_detector(options.pretrained, contexts)
    else:
        mx.random.seed(options.seed)
        card = DetectorCard(options.backbone, 64 if options.backbone == "mobilenet0.25" else 256)
        net = build_network(card)
        net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2), ctx=contexts)
    net.hybridize(static_alloc=True, static_shape=True)
    return net, card


def save(net, card, options):
    """Write the detector into its folder."""
    with atomic_folder(options.out) as folder:
        save_detector(net, folder, card)


def evaluate(options, val):
    """Return the average precision of the saved detector by subset."""
    detector = get_detector(options.out, min_size=10, threshold=LOWEST_SCORE)
    results = evaluate_detector(detector, val, "evaluation").results
    return ", ".join(f"{name} {result.ap:.3f}" for name, result in results.items())


def train(options, records, val):
    """Train, and save and evaluate the detector about ten times."""
    contexts = devices([int(number) for number in options.gpus.split(",") if number], options.cpus)
    net, card = start_network(options, contexts)
    card.trained_on = options.data or f"{options.scenes} rendered scenes"
    anchors = anchor_grid(options.size, options.size, card.anchors)
    # Mosaics and large squares reduce the faces; those of rendered scenes are small already.
    mosaic, crop = (0.0, (0.3, 1.0)) if options.scenes else (0.5, (0.3, 2.0))
    augmentation = DetectionAugmentation(options.size, mosaic, crop, turn=options.turn)
    # More anchors per face than in the paper, and all of the background.
    loader = DetectionLoader(
        records,
        options.batch_size,
        augmentation,
        lambda faces: match_anchors(faces.boxes, faces.landmarks, faces.ignored, anchors, 0.35),
        options.seed,
    )
    loss = MultiBoxLoss(None, 0.25, 0.1)
    loss.hybridize(static_alloc=True)
    steps = options.epochs * len(loader)
    if not steps:
        raise SystemExit(f"{records.path} has fewer photos than one batch; use a smaller --batch-size.")
    schedule = mx.lr_scheduler.CosineScheduler(steps, base_lr=options.lr, warmup_steps=min(200, steps // 10))
    trained = [parameter for parameter in net.collect_params().values() if parameter.grad_req != "null"]
    trainer = gluon.Trainer(trained, "sgd", {"momentum": 0.9, "wd": 5e-4, "lr_scheduler": schedule, "clip_gradient": 1.0})
    step, begin = 0, time.time()
    for epoch in range(options.epochs):
        for images, targets in loader.epoch(epoch):
            # Losses are per anchor on a face of the whole batch, however it is divided.
            positives = max(1.0, float((targets[:, :, CLASS] == FACE).sum().asscalar()) / len(images))
            parts = split_and_load(images, contexts, even_split=False)
            wanted = split_and_load(targets, contexts, even_split=False)
            with autograd.record():
                losses = [
                    loss(list(net(part.astype("float32") / 255)), target, mx.nd.full((1,), positives, ctx=target.context))
                    for part, target in zip(parts, wanted)
                ]
            autograd.backward(losses)
            trainer.step(len(images))
            step += 1
            if step % 20 == 0 or step == steps:
                mean = sum(part.sum().asscalar() for part in losses) / len(images)
                speed = step * options.batch_size / (time.time() - begin)
                print(f"step {step}/{steps} loss {mean:.3f} {speed:.1f} photos/s", flush=True)
        if (epoch + 1) % max(1, options.epochs // 10) == 0 or epoch + 1 == options.epochs:
            save(net, card, options)
            if val is not None:
                print(f"epoch {epoch + 1}: average precision {evaluate(options, val)}", flush=True)
    print(f"detector in {options.out}; to use it: --detector {options.out}")


def main():
    """Read the options and train."""
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        try:
            train(options, *open_data(options, folder))
        except GluonFRError as error:
            raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()

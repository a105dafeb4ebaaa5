"""Compare GPUs with the CPU in some minutes: `python tools/gpu_smoke.py [--gpus 0,1] [--networks all] [--out report.json]`.

Every loss and network is computed forward and backward on a GPU and on the CPU, several GPUs take the training step of one,
networks are trained on rendered faces in float32, with a classifier divided over the GPUs and in float16, and throughput is
measured. Prints one line per check and exits with 1 when one fails. Without GPUs, `--cpus 2` runs the same checks on CPU
contexts. The report contains the output of `gluonfr doctor`; please attach it to a bug report about GPUs.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback

import numpy as np

from gluonfr.apps.demo import RECIPE
from gluonfr.apps.doctor import examine
from gluonfr.core import GluonFRError, atomic_file
from gluonfr.data import synthetic
from gluonfr.deploy.devices import devices as find_devices
from gluonfr.engine import TrainStep, make_head, train
from gluonfr.loss import get_loss, list_losses
from gluonfr.model_zoo import get_model, list_models

import mxnet as mx  # isort: skip
from mxnet import autograd, gluon, nd  # isort: skip

CLASSES, SIZE = 12, 16
FEW_NETWORKS = ("mobilefacenet", "lresnet18e_ir", "vargfacenet", "ghostfacenetv1", "dlib_resnet29")
# People and images of the rendered set, and steps of a training: enough to learn on, seconds to compute.
PEOPLE, IMAGES, STEPS = 60, 12, 60
# Convolutions of a GPU may use TF32 or other orders of summation.
TOLERANCE = 2e-3


def relative_difference(a, b):
    """Return the largest difference, relative to the largest value."""
    a, b = (np.asarray(array, dtype=np.float64) for array in (a, b))
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12))


def loss_on(name, context):
    """Return the values of a training step of a loss: losses and the gradient of the embeddings."""
    mx.random.seed(1)
    np.random.seed(1)
    head = make_head(get_loss(name, classes=CLASSES, embedding_size=SIZE), CLASSES, SIZE)
    head.initialize(mx.init.Xavier(), ctx=mx.cpu())
    head.collect_params().reset_ctx(context)
    random = np.random.RandomState(0)
    embeddings = nd.array(random.normal(size=(24, SIZE)), ctx=context)
    labels = nd.array(np.repeat(np.arange(CLASSES), 2), ctx=context)
    embeddings.attach_grad()
    with autograd.record():
        losses = head([embeddings], [labels])
    head.backward(losses)
    return losses[0].asnumpy(), embeddings.grad.asnumpy()


def network_difference(name, device):
    """Return the largest relative difference of a network's embeddings and image gradients between a device and the CPU."""
    mx.random.seed(1)
    np.random.seed(1)
    net = get_model(name)
    net.initialize(mx.init.Xavier(), ctx=mx.cpu())
    images = np.random.RandomState(0).uniform(size=(2, 3, *getattr(net, "image_size", (112, 112))))
    on_cpu = outputs_and_gradients(net, nd.array(images))
    net.collect_params().reset_ctx(device)
    on_device = outputs_and_gradients(net, nd.array(images, ctx=device))
    return max(relative_difference(a, b) for a, b in zip(on_device, on_cpu))


def outputs_and_gradients(net, images):
    """Return the embeddings of images, and the gradient of their sum with respect to the images where MXNet computes it."""
    images.attach_grad()
    with autograd.record(train_mode=False):
        output = net(images)
        output = output[0] if isinstance(output, (list, tuple)) else output
    blocks = []
    net.apply(blocks.append)
    # oneDNN's max-pooling keeps what its gradient needs during training only, and dropout is off outside of training only.
    if any(isinstance(block, gluon.nn.MaxPool2D) for block in blocks):
        return (output.asnumpy(),)
    output.backward()
    return output.asnumpy(), images.grad.asnumpy()


def training_step(contexts, batch_size=64, repeats=1):
    """Return (loss, images per second) of steps of a small MobileFaceNet."""
    mx.random.seed(1)
    np.random.seed(1)
    net = get_model("mobilefacenet", embedding_size=64)
    head = make_head(get_loss("cosface", classes=CLASSES), CLASSES, 64)
    for block in (net, head):
        block.initialize(mx.init.Xavier(), ctx=contexts)
        block.hybridize(static_alloc=True, static_shape=True)
    step = TrainStep(net, head, contexts, "sgd", {"learning_rate": 0.01})
    random = np.random.RandomState(0)
    images = nd.array(random.randint(0, 256, (batch_size, 3, 112, 112)), dtype="uint8")
    labels = nd.array(random.randint(0, CLASSES, batch_size))
    losses = np.concatenate([part.asnumpy() for part in step(images, labels)])
    start = time.perf_counter()
    for _ in range(repeats):
        parts = step(images, labels)
    [part.wait_to_read() for part in parts]
    mx.nd.waitall()
    return float(losses.mean()), batch_size * repeats / (time.perf_counter() - start)


def loss_difference(name, device):
    """Return the largest relative difference of a loss and its gradient between a device and the CPU."""
    pairs = zip(loss_on(name, device), loss_on(name, mx.cpu()))
    return max(relative_difference(a, b) for a, b in pairs)


def checks(arguments, devices):
    """Yield (name, function that returns (passed, detail))."""
    for loss in list_losses():
        yield f"loss {loss}", lambda loss=loss: within(loss_difference(loss, devices[0]))
    for network in list_models() if arguments.networks == "all" else FEW_NETWORKS:
        yield f"network {network}", lambda network=network: within(network_difference(network, devices[0]))
    if len(devices) > 1:
        yield f"{len(devices)} devices as one", lambda: same_loss(devices)
    for count in dict.fromkeys((1, len(devices))):
        yield (
            f"throughput on {count}",
            lambda count=count: (True, f"{training_step(devices[:count], repeats=10)[1]:.0f} images/s"),
        )
    root = arguments.folder
    synthetic.make_dataset(os.path.join(root, "faces"), PEOPLE, IMAGES, val_identities=40, val_pairs=200, progress=False)
    yield "training", lambda: learned(root, devices[:1])
    if len(devices) > 1:
        yield f"training on {len(devices)}, classifier divided", lambda: learned(root, devices, classifier="sharded")
    if devices[0].device_type == "gpu":
        # The last one: casts of MXNet cannot be undone.
        yield "training in float16", lambda: learned(root, devices[:1], dtype="float16")


def within(difference):
    """Return whether a relative difference is small enough, with its text."""
    return difference < TOLERANCE, f"relative difference {difference:.1e}"


def same_loss(devices):
    """Return whether several devices compute the loss of one."""
    # BatchNorm sees half of the batch on each of two devices, so that the losses agree only roughly.
    several, one = (training_step(part)[0] for part in (devices, devices[:1]))
    return abs(several - one) < 0.1 * abs(one), f"losses {several:.4f} and {one:.4f}"


def learned(root, devices, **options):
    """Return whether a network that is trained for some steps tells new people apart."""
    where = {"gpus": [device.device_id for device in devices]} if devices[0].device_type == "gpu" else {"cpus": len(devices)}
    out = os.path.join(root, "-".join(["run", *map(str, options.values())]))
    more = {**RECIPE, "steps": STEPS, "val": ["val_data"], "val_every": 0, "checkpoint_every": 0, "progress": False}
    result = train(dataset="faces", root=root, out=out, **more, **where, **options)
    # Chance is 0.5; this training reached 0.93 on a CPU, and 0.94 with the classifier divided over two contexts.
    auc = result.validation["val_data"].auc
    return auc > 0.75, f"AUC {auc:.3f}, {result.images / result.seconds:.0f} images/s"


def main():
    """Run all checks, print them and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpus", default="0", help="GPUs to use, such as 0,1 (default: 0)")
    parser.add_argument("--cpus", type=int, default=0, help="CPU contexts instead of GPUs (default: 0)")
    parser.add_argument("--networks", default="few", choices=("few", "all"), help="networks to compare (default: few)")
    parser.add_argument("--out", default="gpu_smoke.json", help="file for the report (default: gpu_smoke.json)")
    arguments = parser.parse_args()
    try:
        devices = find_devices([] if arguments.cpus else [int(number) for number in arguments.gpus.split(",")], arguments.cpus)
    except GluonFRError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as arguments.folder:
        results = run_checks(arguments, devices)
    report = {"doctor": examine(), "devices": [str(device) for device in devices], "results": results}
    with atomic_file(arguments.out, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    failed = sum(not result["passed"] for result in results)
    print(f"{len(results) - failed} passed, {failed} failed; the report is in {arguments.out}")
    return 1 if failed else 0


def run_checks(arguments, devices):
    """Run and print all checks; return their results."""
    results = []
    for name, check in checks(arguments, devices):
        start = time.perf_counter()
        try:
            passed, detail = check()
        except Exception as error:  # a report of everything that fails is the purpose
            passed, detail = False, f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            traceback.print_exc()
        seconds = time.perf_counter() - start
        results.append({"check": name, "passed": bool(passed), "detail": detail, "seconds": round(seconds, 2)})
        print(f"{'passed' if passed else 'FAILED':7} {name:32} {detail} ({seconds:.1f} s)", flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main())

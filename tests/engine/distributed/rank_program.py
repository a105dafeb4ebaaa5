"""What the ranks of tests/engine/test_processes.py run: `python rank_program.py WHAT FOLDER`."""

import json
import os
import signal
import sys
import time

import gluonfr  # noqa: F401

# isort: split
import mxnet as mx
import numpy as np
from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.deploy import embedding
from gluonfr.engine import Run, TrainOptions
from gluonfr.engine.distributed import buckets
from gluonfr.engine.distributed.ranks import joined


def rows(rank):
    return np.random.RandomState(rank).randn(3 + 2 * rank, 4).astype(np.float32)


def matrix(rank, height):
    return np.random.RandomState(10 + rank).randn(height, 5).astype(np.float32)


def gradients(rank):
    rng = np.random.RandomState(20 + rank)
    shapes = [(7,), (3, 2, 2), (30, 20), (1,), (5, 5)]
    return [rng.randn(*shape).astype(np.float32) for shape in shapes]


def text(rank):
    return "é" * (3000 * rank)


def exchange(group, folder):
    """Everything a group can do, into a file a rank."""
    # So little is summed at once that gradients stand alone, together, and above it.
    buckets._BUCKET = 20
    found = {"gathered": group.gather(nd.array(rows(group.rank)), "rows").asnumpy()}
    small = nd.array([group.rank, 255], dtype="uint8")
    found["bytes"] = group.gather(small, "bytes").asnumpy()
    for name, counts in (("even", [4] * group.size), ("uneven", [1 + 3 * rank for rank in range(group.size)])):
        found[name] = group.own_rows(nd.array(matrix(group.rank, sum(counts))), counts, name).asnumpy()
    for step in range(2):
        arrays = [nd.array(gradient) for gradient in gradients(group.rank)]
        group.sum_gradients(arrays)
        found.update((f"sum{step}.{i}", array.asnumpy()) for i, array in enumerate(arrays))
    arrays = [nd.array(gradient) for gradient in gradients(group.rank)[:2]]
    group.broadcast(arrays)
    found.update((f"broadcast.{i}", array.asnumpy()) for i, array in enumerate(arrays))
    values = group.gather_values({"rank": group.rank, "text": text(group.rank), "third": 1 / 3})
    try:
        group.sum_gradients([nd.sparse.zeros("row_sparse", (3, 2))])
        found["sparse"] = np.array(["taken"])
    except TypeError as error:
        found["sparse"] = np.array([str(error)])
    group.barrier()
    np.savez(os.path.join(folder, f"{group.rank}.npz"), **found)
    with open(os.path.join(folder, f"{group.rank}.json"), "w") as file:
        json.dump({"values": values, "shards": group.shards, "rank": group.rank, "size": group.size}, file)


def steps(group, folder, event=None, at=20):
    """Exchanges without an end; `event()` on the last rank before one of them."""
    x = nd.ones((10,))
    for number in range(10**6):
        group.sum_gradients([x])
        x.wait_to_read()
        x[:] = 1
        if number == at:
            group.barrier()
            open(os.path.join(folder, f"ready-{group.rank}"), "w").close()
            if event is not None and group.rank == group.size - 1:
                event()
        time.sleep(0.01)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def refuse():
    raise GluonFRError("this rank does not like it.")


def full():
    """Writes to a disk without room."""
    with open("/dev/full", "w") as file:
        file.write("x")
        file.flush()


def until_asked(group, folder):
    """Steps until SIGTERM, which every rank agrees on, as a run does."""
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    open(os.path.join(folder, f"waiting-{group.rank}"), "w").close()
    while not any(group.gather_values(bool(asked))):
        time.sleep(0.01)
    open(os.path.join(folder, f"saved-{group.rank}"), "w").close()
    raise GluonFRError("stopped and saved.")


def repeat(group, folder):
    """Training of a small network whose every number is kept."""
    mx.random.seed(3)
    net = mx.gluon.nn.HybridSequential(prefix="n_")
    with net.name_scope():
        net.add(mx.gluon.nn.Dense(64, activation="relu", in_units=16), mx.gluon.nn.Dense(4, in_units=64))
    net.initialize()
    net.hybridize()
    parameters = list(net.collect_params().values())
    group.broadcast([own_parameter.data() for own_parameter in parameters])
    trainer = mx.gluon.Trainer(parameters, "sgd", {"learning_rate": 0.1, "momentum": 0.9}, kvstore=None)
    loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    rng = np.random.RandomState(1)
    images, labels = rng.randn(24, 16).astype(np.float32), rng.randint(0, 4, 24)
    losses = []
    for _ in range(30):
        with mx.autograd.record():
            batch_loss = loss(net(nd.array(images[group.rank :: group.size])), nd.array(labels[group.rank :: group.size]))
        batch_loss.backward()
        group.sum_gradients([parameter.grad() for parameter in parameters])
        trainer.step(24)
        losses.append(sum(group.gather_values(float(batch_loss.sum().asscalar()))))
    weights = np.concatenate([parameter.data().asnumpy().ravel() for parameter in parameters])
    np.savez(os.path.join(folder, f"{group.rank}.npz"), weights=weights, losses=losses)


def validation(group, folder):
    """A run whose validation fails on the last rank."""
    with open(os.path.join(folder, "options.json")) as file:
        run = Run(TrainOptions(**json.load(file)), group)

    def fail(*_, **__):
        raise GluonFRError("one rank cannot embed its images.")

    if group.rank == group.size - 1:
        embedding.embed = fail
    run.train()


def main(what, folder):
    rank = os.environ.get("HOROVOD_RANK", os.environ.get("DMLC_WORKER_ID"))
    ports = [os.environ[name] for name in ("HOROVOD_GLOO_RENDEZVOUS_PORT", "DMLC_PS_ROOT_PORT") if name in os.environ]
    ports.append(os.environ["GLUONFR_HEARTBEAT_ADDRESS"].rpartition(":")[2])
    with open(os.path.join(folder, f"process-{rank}"), "a") as file:
        print(os.getpid(), *ports, file=file)
    if what == "unconnected" and rank == "1":
        os.environ.update(HOROVOD_GLOO_RENDEZVOUS_PORT="1", DMLC_PS_ROOT_PORT="1")
    with joined() as group:
        if what in ("exchange", "until_asked", "repeat", "validation"):
            globals()[what](group, folder)
        elif what == "kill, then wait":
            if os.path.exists(os.path.join(folder, "ready-0")):
                until_asked(group, folder)
            steps(group, folder, kill)
        else:
            steps(group, folder, {"kill": kill, "stop": stop, "refuse": refuse, "full": full}.get(what))


if __name__ == "__main__":
    main(*sys.argv[1:])

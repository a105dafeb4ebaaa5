"""All uses of MXNet 1.9.1's private API: one small function per use.

Nothing else in the package, beside `mxnet_graphs.py`, touches names of MXNet that start with an underscore. When another
version of MXNet has to be supported, these are the files to change.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from typing import Any, Callable, TypeVar

import mxnet as mx
import numpy as np
from mxnet.base import _LIB, NDArrayHandle, check_call
from mxnet.gluon import Block, HybridBlock, Parameter, Trainer

ArrayType = TypeVar("ArrayType", bound=mx.nd.NDArray)

# --- Blocks and parameters ---


def parameters_by_path(block: Block) -> dict[str, Parameter]:
    """Return the parameters of a block by their path, such as ``"features.0.weight"``.

    These are the keys that `save_parameters` writes. The public `collect_params` has only the names with prefixes, which
    depend on how many blocks were made before.

    Examples
    --------
    >>> net = mx.gluon.nn.HybridSequential()
    >>> net.add(mx.gluon.nn.Dense(2, use_bias=False))
    >>> list(parameters_by_path(net))
    ['0.weight']
    """
    return block._collect_params_with_prefix()


def parameter_value(parameter: Parameter, context: mx.Context | None = None) -> np.ndarray:
    """Return the value of a parameter on a device, the first one by default, after all operators that run.

    oneDNN changes the layout of weights in place while operators use them. Reading a weight at the same time gives wrong
    values or crashes.

    Examples
    --------
    >>> net = mx.gluon.nn.Dense(1, in_units=2)
    >>> net.initialize(mx.init.One())
    >>> parameter_value(net.weight).tolist()
    [[1.0, 1.0]]
    """
    mx.nd.waitall()
    return (parameter.list_data()[0] if context is None else parameter.data(context)).asnumpy()


def own_parameters(block: HybridBlock) -> dict[str, Parameter]:
    """Return the parameters that `hybrid_forward` of this block receives, without those of its children, by argument name.

    The dict is the block's own; there is no public list of these arguments.

    Examples
    --------
    >>> list(own_parameters(mx.gluon.nn.Dense(2)))
    ['weight', 'bias']
    """
    return block._reg_params


def register_parameter(block: HybridBlock, name: str, parameter: Parameter) -> None:
    """Pass an existing parameter to `hybrid_forward` of a block as argument `name`.

    Assigning it to an attribute does the same, but fails where the class has a property or method of that name.

    Examples
    --------
    >>> block = HybridBlock()
    >>> register_parameter(block, "scale", Parameter("scale", shape=(1,)))
    >>> list(own_parameters(block))
    ['scale']
    """
    block._reg_params[name] = parameter
    block.params.update({parameter.name: parameter})


def children(block: Block) -> Iterator[Block]:
    """Iterate over the direct children of a block in the order in which they were added.

    Only `Sequential` blocks can be iterated over with the public API.

    Examples
    --------
    >>> net = mx.gluon.nn.HybridSequential()
    >>> net.add(mx.gluon.nn.Dense(2), mx.gluon.nn.Flatten())
    >>> [type(child).__name__ for child in children(net)]
    ['Dense', 'Flatten']
    """
    yield from block._children.values()


def batch_norm_epsilon(block: mx.gluon.nn.BatchNorm) -> float:
    """Return the epsilon of a BatchNorm, which the block stores only among the arguments of its operator.

    Examples
    --------
    >>> batch_norm_epsilon(mx.gluon.nn.BatchNorm(epsilon=2e-5))
    2e-05
    """
    return block._kwargs["eps"]


def use_running_statistics(block: mx.gluon.nn.BatchNorm) -> None:
    """Make a BatchNorm use its running statistics in training too, without updating them.

    The constructor has an argument for it, but here the network is already built. Hybridize it again afterwards.

    Examples
    --------
    >>> layer = mx.gluon.nn.BatchNorm(in_channels=4)
    >>> use_running_statistics(layer)
    >>> "use_global_stats=True" in repr(layer)
    True
    """
    block._kwargs["use_global_stats"] = True


def is_initialized(parameter: Parameter) -> bool:
    """Return whether a parameter has arrays; the public accessors raise an error instead of answering.

    Examples
    --------
    >>> parameter = Parameter("scale", shape=(1,))
    >>> is_initialized(parameter)
    False
    >>> parameter.initialize()
    >>> is_initialized(parameter)
    True
    """
    return parameter._data is not None


def has_sparse_gradient(parameter: Parameter) -> bool:
    """Return whether the gradient of a parameter is stored by rows; the constructor's argument has no public accessor.

    Examples
    --------
    >>> has_sparse_gradient(Parameter("weight", shape=(9, 2), grad_stype="row_sparse"))
    True
    """
    return parameter._grad_stype != "default"


def mark_gradient_fresh(array: mx.nd.NDArray) -> None:
    """Mark the gradient of an array as written since the last update.

    Autograd sets this mark when it writes a gradient, and `Trainer.step` refuses gradients without it. A gradient that was
    written by hand needs the mark too.

    Examples
    --------
    >>> weight = mx.nd.zeros(2)
    >>> weight.attach_grad()
    >>> weight.grad[:] = 1
    >>> mark_gradient_fresh(weight)
    >>> has_fresh_gradient(weight)
    True
    """
    array._fresh_grad = True


def has_fresh_gradient(array: mx.nd.NDArray) -> bool:
    """Return whether the gradient of an array was written since the last update (see `mark_gradient_fresh`).

    Examples
    --------
    >>> weight = mx.nd.zeros(2)
    >>> weight.attach_grad()
    >>> has_fresh_gradient(weight)
    False
    """
    return bool(array._fresh_grad)


# --- Trainer ---


def optimizer_states(trainer: Trainer) -> Iterator[tuple[str, mx.nd.NDArray]]:
    """Iterate over the arrays of the optimizer on the first device, as (name, array).

    `Trainer.save_states` pickles them; a checkpoint needs the arrays themselves. All devices have equal states.

    Examples
    --------
    >>> net = mx.gluon.nn.Dense(2, in_units=3, use_bias=False)
    >>> net.initialize()
    >>> trainer = Trainer(net.collect_params(), "sgd", {"momentum": 0.9})
    >>> with mx.autograd.record():
    ...     loss = net(mx.nd.ones((1, 3))).sum()
    >>> loss.backward()
    >>> trainer.step(1)
    >>> [(name, array.shape) for name, array in optimizer_states(trainer)]
    [('0|state0', (2, 3))]
    """
    for index, state in trainer._updaters[0].states.items():
        for number, array in enumerate(_flat(state)):
            yield f"{index}|state{number}", array


def start_optimizer(trainer: Trainer, updates: int) -> Iterator[tuple[str, mx.nd.NDArray]]:
    """Set the number of updates that an optimizer has made, create its states, and iterate over them on all devices.

    Yields (name, array) with the names of `optimizer_states`; the caller fills the arrays. Without updates there are no
    states. MXNet creates the states lazily, during the first update, and has no public way to restore them from arrays.

    Examples
    --------
    >>> net = mx.gluon.nn.Dense(2, in_units=3, use_bias=False)
    >>> net.initialize()
    >>> trainer = Trainer(net.collect_params(), "sgd", {"momentum": 0.9})
    >>> for name, array in start_optimizer(trainer, updates=10):
    ...     array[:] = 0.5
    >>> trainer.optimizer.num_update, name
    (10, '0|state0')
    """
    if not trainer._kv_initialized:
        trainer._init_kvstore()
    trainer._optimizer.begin_num_update = trainer._optimizer.num_update = updates
    for counts in trainer._optimizer._all_index_update_counts.values():
        counts.clear()
    if not updates:
        return
    for device, updater in enumerate(trainer._updaters):
        for index, parameter in enumerate(trainer._params):
            data = parameter.list_data()[device]
            updater.states[index] = updater.optimizer.create_state_multi_precision(index, data)
            updater.states_synced[index] = True
            for number, array in enumerate(_flat(updater.states[index])):
                yield f"{index}|state{number}", array


def _count_updates() -> Callable[[], int]:
    """Make `Trainer` count its updates, and return a function that returns their number."""
    update, count = Trainer._update, [0]

    @functools.wraps(update)
    def counted(self: Trainer, *arguments: Any, **named: Any) -> None:
        update(self, *arguments, **named)
        count[0] += 1

    Trainer._update = counted
    return lambda: count[0]


_updates = _count_updates()


def trainer_updates() -> int:
    """Return the number of updates that all Trainers of this process have made.

    `step` and `update` of a Trainer both end in the method that is counted; MXNet offers no callback after an update.

    Examples
    --------
    >>> weight = Parameter("weight", shape=(1,), init="ones")
    >>> weight.initialize()
    >>> trainer, before = Trainer([weight], "sgd"), trainer_updates()
    >>> with mx.autograd.record():
    ...     loss = weight.data() * 2
    >>> loss.backward()
    >>> trainer.step(1)
    >>> trainer_updates() - before
    1
    """
    return _updates()


def _flat(state: Any) -> list[mx.nd.NDArray]:
    if state is None:
        return []
    return [state] if isinstance(state, mx.nd.NDArray) else [array for part in state for array in _flat(part)]


# --- Memory of arrays ---


def view_as(array: mx.nd.NDArray, kind: type[ArrayType]) -> ArrayType:
    """Return an array of a subclass of NDArray with the same memory and the same place in the recorded graph.

    The public API makes new arrays only of its own class.

    Examples
    --------
    >>> class Named(mx.nd.NDArray):
    ...     name = "distance"
    >>> view = view_as(mx.nd.ones((2,)), Named)
    >>> view.name, view.asnumpy().tolist()
    ('distance', [1.0, 1.0])
    """
    handle = NDArrayHandle()
    check_call(_LIB.MXShallowCopyNDArray(array.handle, ctypes.byref(handle)))
    return kind(handle=handle, writable=array.writable)


def memory_of(array: mx.nd.NDArray) -> np.ndarray:
    """Return a NumPy array that shares the memory of an array on a CPU, valid as long as that array lives.

    `asnumpy` copies. The caller has to make sure that no operator works on the array meanwhile; for a new array that is so.

    Examples
    --------
    >>> array = mx.nd.zeros(3)
    >>> array.wait_to_read()
    >>> memory_of(array)[1] = 5
    >>> array.asnumpy().tolist()
    [0.0, 5.0, 0.0]
    """
    address = ctypes.c_void_p()
    check_call(_LIB.MXNDArrayGetData(array.handle, ctypes.byref(address)))
    dtype = np.dtype(array.dtype)
    count = int(np.prod(array.shape, dtype=np.int64))
    memory: Any = (ctypes.c_uint8 * (count * dtype.itemsize)).from_address(address.value or 0)
    return np.frombuffer(memory, dtype=dtype, count=count).reshape(array.shape)


def copy_into(array: mx.nd.NDArray, target: np.ndarray) -> None:
    """Copy an array into a contiguous NumPy array of the same shape and type.

    This is what `asnumpy` calls, which has no argument for the destination and asks the system for new memory every time.

    Examples
    --------
    >>> target = np.empty(2, np.float32)
    >>> copy_into(mx.nd.array([1, 2]), target)
    >>> target.tolist()
    [1.0, 2.0]
    """
    if target.shape != array.shape or target.dtype != np.dtype(array.dtype) or not target.flags.c_contiguous:
        raise ValueError(f"cannot copy {array.dtype} {array.shape} into {target.dtype} {target.shape}")
    check_call(_LIB.MXNDArraySyncCopyToCPU(array.handle, target.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(target.size)))

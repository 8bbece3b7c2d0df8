"""Makes, checks and runs the user's own layers: `paddle.nn.Layer`, one in the actor and one in the critic.

    layer = Class(N, *shapes of images)
    features [B, F] = layer(numbers [B, N], *images [B, channels, lines, columns])         all float32

Outputs must depend only on the parameters and the inputs. Otherwise the gradient would be that of another action than
the one taken, and a seed would not determine a run. `described` checks that.
"""

from __future__ import annotations

import contextlib
import random
import re
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.errors import UserError, shown
from a2c.imports import importing
from a2c.model import NETWORKS, Network
from a2c.model.own import OwnLayer, found
from a2c.randomness import generator

with warnings.catch_warnings(), importing():
    # Importing Paddle warns that ccache, which only compiles Paddle's own C++ extensions, is missing.
    warnings.simplefilter("ignore")
    import paddle

Arrays = dict[str, NDArray[np.float32]]
Shapes = Sequence[tuple[int, int, int]]

_ROWS = 3
"""Rows of inputs in a trial. Hardly any layer has 3 units, so mixed-up rows and columns show in the shapes."""
_FIRST_STREAM = 1_000_000
"""Index of the actor's layer in the random stream "parameters", far above the indices of our own arrays."""
_AS_BEFORE = 1e-2
"""How much features may differ between two machines, relative to the largest one."""
_STEP = 1e-3
"""The step in the parameters of a finite difference."""
_SAME = 1e-3
"""How much features may differ between a row alone and the same row in a batch, relative to the largest one."""


def described(name: str, num_inputs: int, images: Shapes) -> OwnLayer:
    """Makes a layer, tries it on a few rows of random numbers, and describes it as data.

    Args:
        name: module:Class.
        num_inputs: N, columns of its first argument.
        images: Channels, lines and columns of each image.

    Raises:
        UserError: The layer cannot be imported, raises, or cannot be trained reproducibly.
    """
    paddle.disable_signal_handler()  # Paddle's own would print a stack dump when a user interrupts a run.
    layer = _made(name, num_inputs, images, seed=0)
    state = _state(name, layer)
    arrays = tuple((key, tuple(tensor.shape)) for key, tensor in state.items())
    given = _on_trial(num_inputs, images)
    with _on_cpu():
        features = _tried(name, layer, state, given)
        twin = _made(name, num_inputs, images, seed=1)
        if twin is layer:
            raise UserError(
                f"{name} gives the same layer twice; it must make one for the actor and another for the critic"
            )
        _set(_state(name, twin), {key: tensor.numpy() for key, tensor in state.items()})
        if not _are_same(_answer(name, layer, given), _answer(name, twin, given)):
            raise UserError(
                f"{name} has numbers that its state_dict lacks, and that differ each time it is made; random numbers "
                "that its constructor draws must be parameters or persistable buffers"
            )
    return OwnLayer(name, num_inputs, tuple(images), arrays, features)


def initial(own: OwnLayer, seed: int) -> Iterator[tuple[Network, str, NDArray[np.float32]]]:
    """Initial values of both layers' arrays, as their constructors draw them: a pure function of the seed.

    Constructors may use the global generators of Paddle, NumPy and Python, which are seeded for them.
    """
    for number, network in enumerate(NETWORKS):
        drawn = int(generator(seed, "parameters", _FIRST_STREAM + number).integers(2**31))
        for name, tensor in _state(own.name, _made(own.name, own.num_inputs, own.images, drawn)).items():
            yield network, name, tensor.numpy().copy()


class OwnNetworks:
    """The layer in the actor and the one in the critic, on Paddle's device."""

    def __init__(self, own: OwnLayer) -> None:
        """Makes both layers with arbitrary values; `set` gives them their own."""
        paddle.disable_signal_handler()
        self._name, self._trial = own.name, _on_trial(own.num_inputs, own.images)
        self.layers = {network: _made(own.name, own.num_inputs, own.images, seed=0) for network in NETWORKS}
        device = paddle.get_device()
        if device != "cpu":
            for layer in self.layers.values():
                layer.to(device=device)

    def tensors(self, network: Network) -> dict[str, Any]:
        """Parameters and buffers by their names in the `state_dict`. Frozen ones have `stop_gradient` set."""
        return _state(self._name, self.layers[network])

    def set(self, network: Network, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Copies these values into a layer."""
        _set(self.tensors(network), arrays)

    def trial(self) -> dict[str, NDArray[np.float32]]:
        """Features of both layers for a few fixed rows. Saved with a policy, they show whether the code has changed."""
        return {f"trial.{network}": self.features_of_arrays(network, self._trial) for network in NETWORKS}

    def check_trial(self, before: Mapping[str, NDArray[Any]]) -> None:
        """Checks that the layers compute what they computed when they were saved, up to rounding on another machine.

        Args:
            before: What `trial` gave then.

        Raises:
            KeyError: An array is missing in `before`.
            ValueError: A layer computes something else now.
        """
        for name, now in self.trial().items():
            then = before[name]
            if then.shape != now.shape or not np.allclose(now, then, rtol=0, atol=_AS_BEFORE * np.abs(then).max()):
                raise ValueError(
                    f"network {self._name} gives other features for the same inputs than when this was saved: its code "
                    "has changed"
                )

    def check_second_derivatives(self) -> None:
        """Checks that natural steps work: the derivative from differentiating twice equals a finite difference.

        Raises:
            UserError: Paddle has no second derivatives of something in the layer, or wrong ones.
        """
        parameters = [tensor for tensor in self.tensors("actor").values() if not tensor.stop_gradient]
        given = [paddle.to_tensor(one) for one in self._trial]
        if not parameters:
            return
        rng = np.random.default_rng(1)
        directions = [paddle.to_tensor(rng.normal(size=tensor.shape).astype(np.float32)) for tensor in parameters]
        difference = self._difference(given, parameters, directions)
        try:
            tangent = _tangent(self.features("actor", given), parameters, directions)
        except Exception as error:  # Paddle raises many types here.
            named = re.search(r"The Op (\w+?)(_grad)? doesn't have any grad op", str(error))
            raise UserError(self._refusal(f"has none for {named[1] if named else 'something in it'}")) from error
        if not _is_close(tangent, difference):
            raise UserError(self._refusal("has wrong ones for something in it"))

    def _refusal(self, why: str) -> str:
        return (
            f"actor_step is 'natural', which needs second derivatives of network {self._name!r}, and Paddle "
            f"{why}; use actor_step 'gradient'"
        )

    def _difference(self, given: Sequence[Any], parameters: Sequence[Any], directions: Sequence[Any]) -> Any:
        """The features' derivative along a direction, as a finite difference; parameters are restored afterwards."""
        before, found = [tensor.numpy().copy() for tensor in parameters], []
        with paddle.no_grad():
            for sign in (1, -1):
                for tensor, value, direction in zip(parameters, before, directions, strict=True):
                    tensor.set_value(value + np.float32(sign * _STEP) * direction.numpy())
                found.append(self.features("actor", given))
            for tensor, value in zip(parameters, before, strict=True):
                tensor.set_value(value)
        return (found[0] - found[1]) / (2 * _STEP)

    def features(self, network: Network, given: Sequence[Any]) -> Any:
        """Features [B, F] for numbers [B, N] and images [B, channels, lines, columns].

        Raises:
            UserError: The layer raised.
        """
        return _called(self._name, self.layers[network], given)

    def features_of_arrays(self, network: Network, given: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The same for NumPy arrays.

        Raises:
            UserError: The layer raised.
        """
        with paddle.no_grad():
            features: NDArray[np.float32] = self.features(network, [paddle.to_tensor(one) for one in given]).numpy()
        return features


def _on_trial(num_inputs: int, images: Shapes) -> list[NDArray[np.float32]]:
    """The arguments with which a layer is tried: the same for every call."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(_ROWS, num_inputs)).astype(np.float32)
    return [numbers, *(rng.random((_ROWS, *shape)).astype(np.float32) for shape in images)]


def _made(name: str, num_inputs: int, images: Shapes, seed: int) -> Any:
    """Makes a layer whose initial values follow from the seed.

    Raises:
        UserError: It cannot be imported, its constructor raised, or the result is not a layer.
    """
    factory = found(name)
    arguments = ", ".join(map(str, (num_inputs, *images)))
    with _drawing_from(seed), _explained(name, f"when it was called as {name.partition(':')[2]}({arguments})"):
        layer = factory(num_inputs, *images)
    if not isinstance(layer, paddle.nn.Layer):
        raise UserError(f"{name} makes {shown(layer)}; it must make a paddle.nn.Layer")
    return layer


def _state(name: str, layer: Any) -> dict[str, Any]:
    """A layer's parameters and persistable buffers. One that has two names is listed under the first.

    Raises:
        UserError: One of them is not float32.
    """
    state: dict[str, Any] = {}
    for key, tensor in layer.state_dict().items():
        if tensor.dtype != paddle.float32:
            kind, right = (
                ("parameter", "it must be float32")
                if isinstance(tensor, paddle.base.framework.EagerParamBase) and tensor.trainable
                else ("buffer", "it must be float32, or not persistable")
            )
            raise UserError(f"{name} has the {kind} {key!r} of {str(tensor.dtype).rpartition('.')[2]}; {right}")
        if not any(tensor is other for other in state.values()):
            state[key] = tensor
    return state


def _set(state: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float32]]) -> None:
    for key, tensor in state.items():
        tensor.set_value(arrays[key])


def _tried(name: str, layer: Any, state: Mapping[str, Any], given: Sequence[NDArray[np.float32]]) -> int:
    """Checks that a layer can be trained, and returns its number of features.

    Raises:
        UserError: Its forward changes its state, is not a function of the inputs, mixes rows, or lacks gradients.
    """
    before = {key: tensor.numpy().copy() for key, tensor in state.items()}
    answer = _answer(name, layer, given)
    for key, tensor in state.items():
        if not _are_same(before[key], tensor.numpy()):
            raise UserError(
                f"{name} changes {key!r} in forward, as BatchNorm does, so its features would depend on earlier "
                "inputs; use LayerNorm or GroupNorm"
            )
    if not _are_same(answer, _answer(name, layer, given)):
        raise UserError(
            f"{name} gives other features at the second call with the same inputs, as Dropout does; they must depend "
            "only on its parameters and inputs"
        )
    alone = np.concatenate([_answer(name, layer, [one[row : row + 1] for one in given]) for row in range(_ROWS)])
    if not np.allclose(alone, answer, rtol=0, atol=_SAME * np.abs(answer).max(), equal_nan=True):
        raise UserError(
            f"{name} gives other features for a row alone than for the same row among others; the features of a row "
            "must depend on that row only"
        )
    _check_gradients(name, layer, state, given)
    return int(answer.shape[1])


def _answer(name: str, layer: Any, given: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The features [B, F] that a layer gives.

    Raises:
        UserError: It raised, or gives something else than one float32 tensor [B, F].
    """
    with paddle.no_grad():
        answer = _called(name, layer, [paddle.to_tensor(one) for one in given])
    rows = len(given[0])
    right = f"it must give one tensor of float32 [{rows}, F] for {rows} rows"
    if not isinstance(answer, paddle.Tensor):
        raise UserError(f"{name} gives {shown(answer)}; {right}")
    shape, kind = list(answer.shape), str(answer.dtype).rpartition(".")[2]
    if len(shape) != 2 or shape[0] != rows or shape[1] < 1 or kind != "float32":
        raise UserError(f"{name} gives {kind} {shape} for {rows} rows of inputs; {right}")
    features: NDArray[np.float32] = answer.numpy()
    return features


def _check_gradients(name: str, layer: Any, state: Mapping[str, Any], given: Sequence[NDArray[np.float32]]) -> None:
    trained = {key: tensor for key, tensor in state.items() if not tensor.stop_gradient}
    answer = _called(name, layer, [paddle.to_tensor(one) for one in given])
    gradients = [None] * len(trained)
    if trained and not answer.stop_gradient:
        gradients = paddle.grad(answer, list(trained.values()), allow_unused=True)
    for key, gradient in zip(trained, gradients, strict=True):
        if gradient is None:
            raise UserError(
                f"{name} has the parameter {key!r}, and its features do not depend on it; use it in forward, leave it "
                "out, or freeze it (stop_gradient = True)"
            )


def _tangent(answer: Any, parameters: Sequence[Any], directions: Sequence[Any]) -> Any:
    """J v, as the derivative of u^T J v in u: as `a2c.engines.paddle` computes it."""
    u = paddle.zeros_like(answer)
    u.stop_gradient = False
    backward = paddle.grad(answer, list(parameters), u, create_graph=True)
    (tangent,) = paddle.grad(sum(paddle.sum(b * v) for b, v in zip(backward, directions, strict=True)), u)
    return tangent


def _is_close(tangent: Any, difference: Any) -> bool:
    """Whether two derivatives agree, up to the kinks of ReLU and the rounding of single precision."""
    ours, theirs = tangent.numpy(), difference.numpy()
    return bool(np.linalg.norm(ours - theirs) <= 0.1 * np.linalg.norm(theirs) + 1e-4)


def _called(name: str, layer: Any, given: Sequence[Any]) -> Any:
    shapes = ", ".join(str(list(one.shape)) for one in given)
    with _explained(name, f"in forward, given {shapes}"):
        return layer(*given)


@contextlib.contextmanager
def _explained(name: str, when: str) -> Iterator[None]:
    """Turns what the user's code raises within the block into one sentence.

    Raises:
        UserError: The block raised.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        # Paddle prints the stack of its own functions before the error itself.
        said = next((line for line in lines if "Error:" in line), lines[0] if lines else "").strip()
        raised = said if said.startswith(type(error).__name__) else f"{type(error).__name__}: {said}"
        raise UserError(f"{name} raised {raised} {when}{_place(error, name)}") from error


def _place(error: BaseException, name: str) -> str:
    """The line in the layer's own module where an error came up; "" if it came up elsewhere."""
    file = getattr(found(name), "__module__", "").replace(".", "/") + ".py"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(file)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _are_same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()


@contextlib.contextmanager
def _on_cpu() -> Iterator[None]:
    device = paddle.get_device()
    paddle.set_device("cpu")
    try:
        yield
    finally:
        paddle.set_device(device)


@contextlib.contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Within the block, random numbers follow from the seed; afterwards, the global generators are as they were.

    They are drawn on the CPU, so that they are the same for any device.
    """
    with _on_cpu():
        kind, ours = paddle.get_default_dtype(), paddle.get_rng_state()
        theirs, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002 - constructors may use the global one
        paddle.set_default_dtype("float32")
        paddle.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            paddle.set_default_dtype(kind)
            paddle.set_rng_state(ours)
            np.random.set_state(theirs)  # noqa: NPY002
            random.setstate(pythons)

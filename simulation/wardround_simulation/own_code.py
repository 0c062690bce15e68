"""A researcher's own network, strategy or loss: named, tried, and put into the study and the registry of its kind.

What is brought goes the way of what is installed: the rehearsal runs it on noise, and under differential privacy its
gradients are probed. The study names it by the digest of its source and of the values that it holds, and so its own
digest differs where the code does; what that code calls is not in the digest.
"""

from __future__ import annotations

import hashlib
import inspect
import pickle
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from wardround_client.networks import Network
from wardround_client.tasks.contract import Loss
from wardround_client.tasks.registry import LOSSES
from wardround_common.errors import StudyError
from wardround_common.kinds import kind_of
from wardround_common.registry import Brought, bring
from wardround_common.strategies.contract import Moments, Strategy, Values
from wardround_common.strategies.registry import STRATEGIES, STRATEGY_KEYS
from wardround_common.strategies.trial import Whose, as_model, try_strategy
from wardround_common.study.file import Study
from wardround_common.study.networks import NETWORKS
from wardround_common.tasks.registry import task_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wardround_common.messages.parameters import Vector

Step = Callable[[Any, Any], Any]
"""A strategy as a function: from parameters (parameters,) float32 and mean update float64 to the next parameters."""
YOURS = "your strategy"


def with_own(
    study: Study,
    network: Callable[..., Any] | None = None,
    strategy: Strategy | Step | None = None,
    loss: Loss | None = None,
) -> tuple[Study, tuple[Brought, ...]]:
    """Return the study that names this code, which is put into the registries of this process.

    Raises:
        StudyError: something is not what it is brought as, or does not do what its kind does.
    """
    found: list[Brought] = []
    update: dict[str, str | None] = {}
    if network is not None:
        found.append(_network(network, study))
        update["model.network"] = found[-1].name
    if strategy is not None:
        found.append(_strategy(strategy))
        update["training.strategy"] = found[-1].name
    if loss is not None:
        found.append(_loss(loss))
        update["training.own_loss"] = found[-1].name
    if not found:
        return study, ()
    bring(tuple(found))
    return _named(study, update, strategy), tuple(found)


def _named(study: Study, update: dict[str, str | None], strategy: object) -> Study:
    """Return the study with these names; keys of the strategy that was there are of no use to another one."""
    tables = study.tables(nulls=False)
    if strategy is not None:
        wanted = {key.name for key in strategy.keys} if isinstance(strategy, Strategy) else set()
        for key in STRATEGY_KEYS:
            if key not in wanted:
                tables["training"].pop(key, None)
    return Study.of_tables(tables, update, where=f"study {study.study.name}")


def check_sent(brought: tuple[Brought, ...], engine: str) -> None:
    """Check that worker processes can have this code: they import it from the module that it stands in.

    Raises:
        StudyError: the engine's workers cannot, or one stands in a notebook, in the script that is run, or within a
            function.
    """
    if engine == "flower":
        raise StudyError("Flower's own engine does not run your own code", do="Leave out engine='flower'.")
    for one in brought:
        where = {getattr(part, "__module__", "") for part in _parts(one.value)}
        try:
            pickle.dumps(one.value)
        except Exception:  # noqa: BLE001  # whatever its parts raise: it cannot be sent
            where.add("__main__")
        if "__main__" in where:
            raise StudyError(
                f"the {one.kind} '{one.name}' cannot be sent to worker processes: it does not stand in a module that "
                "they can import",
                do="Leave out 'workers', or give 1; or move the code into a module of its own.",
            )


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Network):
        build = value.build
        return [build.made] if isinstance(build, _Build) else [build]
    if isinstance(value, Strategy):
        step = value.step
        return [step.made] if isinstance(step, _Step) else [step, value.begin]
    return [value]


@dataclass(frozen=True)
class _Build:
    """Builds an own network with those of the usual arguments that it takes; its errors are told as its own."""

    made: Callable[..., Any]
    takes: tuple[str, ...]

    def __call__(self, channels: int, outputs: int, norm: str, dims: int) -> Any:
        from torch import nn

        given = {"channels": channels, "outputs": outputs, "norm": norm, "dims": dims}
        try:
            network = self.made(**{name: given[name] for name in self.takes})
        except Exception as error:
            raise StudyError(
                f"your network cannot be built: {type(error).__name__}: {error}",
                where=_called(self.made),
                do="It is called with those of channels, outputs, norm and dims that it names.",
            ) from error
        if not isinstance(network, nn.Module):
            raise StudyError(f"your network is no torch.nn.Module but {kind_of(network)}", where=_called(self.made))
        return network


def _network(made: Callable[..., Any], study: Study) -> Brought:
    from torch import nn

    if isinstance(made, nn.Module):
        raise StudyError(
            "the network is a module that was already made, and every hospital begins with the one that the seed gives",
            do=f"Give the class or a function that makes it: network={type(made).__name__}.",
        )
    if isinstance(made, str) or not callable(made):
        raise StudyError(
            "the network is neither a class nor a function that makes a torch.nn.Module",
            do="Name an installed one in the study: Study.new(network='tiny-cnn').",
        )
    task = task_of(study.task)
    network = Network(
        _Build(made, _arguments(made)), "a researcher's own", dense=task.dense, dims=(task.dims(study.task),)
    )
    return Brought(NETWORKS.kind, name_of(made), network)


def _arguments(made: Callable[..., Any]) -> tuple[str, ...]:
    """Return which of the usual arguments a network takes by their names."""
    usual = ("channels", "outputs", "norm", "dims")
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):
        return usual
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return usual
    skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    others = [
        one.name for one in parameters if one.name not in usual and one.default is one.empty and one.kind not in skipped
    ]
    if others:
        raise StudyError(
            f"your network needs {', '.join(others)}, which nobody gives it",
            where=_called(made),
            do="Name its arguments channels (of an image) and outputs (classes, or structures and background); it may "
            "also take norm and dims.",
        )
    return tuple(one.name for one in parameters if one.name in usual)


@dataclass(frozen=True)
class _Step:
    """Takes a step by a function that remembers nothing."""

    made: Step

    def __call__(
        self, values: Values, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]
    ) -> tuple[None, Vector]:
        given = self.made(parameters.copy(), mean_update.copy())
        return None, as_model(given, len(parameters), Whose(YOURS, _called(self.made)))


def _strategy(given: Strategy | Step) -> Brought:
    if isinstance(given, Strategy):
        unknown = sorted({key.name for key in given.keys} - set(STRATEGY_KEYS))
        if unknown:
            raise StudyError(
                f"your strategy has the key {unknown[0]!r}, which no study file has",
                do="Give its value in your own code, or use one of " + ", ".join(sorted(STRATEGY_KEYS)) + ".",
            )
        name, strategy = name_of(given.step, given.name), given
        made: Callable[..., Any] = given.step
        values = {key.name: key.example for key in given.keys}
    else:
        if not callable(given):
            raise StudyError(
                "the strategy is neither a function nor a Strategy",
                do="Name an installed one in the study: Study.new(strategy='fedavg').",
            )
        name, made, values = name_of(given), given, {}
        strategy = Strategy(name=name, words="makes the next model by a researcher's own strategy", step=_Step(given))
    try_strategy(strategy, values, Whose(YOURS, _called(made)))
    return Brought(STRATEGIES.kind, name, strategy)


def _loss(given: Loss) -> Brought:
    if not callable(given):
        raise StudyError("the loss is not a function", do="Give loss(outputs, targets) -> one number for each record.")
    return Brought(LOSSES.kind, name_of(given), given)


def _called(made: Any) -> str:
    return str(getattr(made, "__qualname__", type(made).__name__))


def name_of(made: Any, called: str = "") -> str:
    """Return the name of own code: what it is called, and the digest of its source and of the values that it holds."""
    word = called or getattr(made, "__name__", type(made).__name__)
    word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", word).lower()
    word = re.sub(r"[^a-z0-9]+", "-", word).strip("-")[:40].strip("-")
    if not re.match("[a-z]", word):
        word = f"code-{word}"[:40].strip("-")
    return f"own:{word}@{hashlib.sha256(_code(made)).hexdigest()[:12]}"


def _code(made: Any, within: frozenset[int] = frozenset()) -> bytes:
    """Return what tells one piece of code from another: its source, and what it holds besides.

    One function makes others of the same source: what differs then are the variables around them, the defaults of their
    arguments, the attributes of an object. ``within``: what holds it, which may hold itself.
    """
    within |= {id(made)}
    if isinstance(made, partial):
        return _code(made.func, within) + _value((made.args, dict(sorted(made.keywords.items()))), within)
    if inspect.isclass(made):
        own = [(name, one) for name, one in sorted(vars(made).items()) if inspect.isfunction(one) or _plain(name, one)]
        return _source(made) + b"".join(name.encode() + _value(one, within) for name, one in own)
    if inspect.isbuiltin(made):
        return _source(made)
    function, owner = getattr(made, "__func__", made), getattr(made, "__self__", made)
    defaults = (getattr(function, name, None) for name in ("__defaults__", "__kwdefaults__"))
    held: list[Any] = [one for one in defaults if one]
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # nothing is in it yet
            held.append(cell.cell_contents)
    if not inspect.isroutine(owner) and not inspect.isclass(owner) and (attributes := getattr(owner, "__dict__", {})):
        held.append(dict(sorted(attributes.items())))
    return _source(made) + b"".join(_value(one, within) for one in held)


def _plain(name: str, value: Any) -> bool:
    """Tell whether a class's attribute is a value that a person gave it."""
    return not name.startswith("__") and isinstance(value, int | float | str | list | tuple | dict | np.ndarray)


def _value(value: Any, within: frozenset[int]) -> bytes:
    """Return what tells a value from others of its kind; no place in memory, so that it is the same another time."""
    if id(value) in within:
        return b""
    inside = within | {id(value)}
    if isinstance(value, Mapping):
        return b"{%b}" % b",".join(_value(part, inside) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple):
        return b"[%b]" % b",".join(_value(part, inside) for part in value)
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}".encode() + value.tobytes()
    if inspect.ismodule(value):
        return value.__name__.encode()
    return _code(value, within) if callable(value) or hasattr(value, "__dict__") else repr(value).encode()


def _source(made: Any) -> bytes:
    """Return the source of code, or where there is none, what was compiled."""
    subject = made if inspect.isclass(made) or inspect.isroutine(made) else type(made)
    try:
        return inspect.getsource(subject).encode()
    except (OSError, TypeError):
        if inspect.isclass(subject):  # of a notebook: Python finds the source of its functions, and not that of a class
            parts = [one for _, one in sorted(vars(subject).items()) if inspect.isfunction(one)]
            return repr(subject.__bases__).encode() + b"\n".join(map(_source, parts))
        code = getattr(made, "__code__", None) or getattr(getattr(made, "__init__", None), "__code__", None)
        return repr(subject).encode() if code is None else code.co_code + repr(code.co_names).encode()

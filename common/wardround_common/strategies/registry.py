"""The strategies that are installed: each module of this package with a value ``STRATEGY`` is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, TypeAdapter, ValidationError

from wardround_common import strategies
from wardround_common.errors import PluginError, StudyError
from wardround_common.installed import installed
from wardround_common.kinds import kind_of
from wardround_common.messages.parameters import Vector
from wardround_common.plugins.names import is_plugin, package_of, part_of
from wardround_common.registry import Registry, loads
from wardround_common.strategies.contract import Key, Moments, Strategy, Values
from wardround_common.strategies.trial import Checked, Whose, try_strategy

INSTALLED = loads(
    (strategy.name, strategy) for strategy in installed(strategies, "STRATEGY", Strategy, besides=__name__)
)
STRATEGIES: Registry[Strategy] = Registry("strategy", lambda: INSTALLED)
STRATEGY_KEYS: dict[str, Key] = {key.name: key for strategy in STRATEGIES.values() for key in strategy.keys}
"""The keys of ``[training]`` that some strategy needs; another strategy's key is refused."""


def users_of(key: str) -> list[str]:
    """Name the strategies that need a key."""
    return [name for name, strategy in STRATEGIES.items() if key in {each.name for each in strategy.keys}]


def strategy_of(name: str) -> Strategy:
    """Return the strategy that a study names; in the place of code that is not here, one that makes no step.

    Raises:
        PluginError: the plug-in that has it declares something else by its name.
    """
    if name in STRATEGIES:
        return _of_plugin(name) if is_plugin(name) else STRATEGIES[name]
    whose = "a part of a plug-in" if is_plugin(name) else "a researcher's own code"

    def step(values: Values, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]) -> NoReturn:
        raise StudyError(f"the strategy '{name}' is {whose}, which is not here")

    words = f"makes the next model by {name}, {whose}"
    return Strategy(name=name, words=words, words_of_a_step=words, step=step)


def _of_plugin(name: str) -> Strategy:
    found = STRATEGIES[name]
    whose = Whose(f"its strategy {part_of(name)!r}", f"plug-in {package_of(name)}", PluginError)
    if not isinstance(found, Strategy):
        raise PluginError(f"{whose.subject} is no Strategy but {kind_of(found)}", where=whose.where)
    return replace(found, name=name, step=Checked(found.step, whose))


def check_of_plugin(name: str, values: Values) -> None:
    """Check a plug-in's strategy: its settings, and what it makes of a model.

    Raises:
        PluginError: it is not what it is declared as, or a setting is missing, unknown or wrong.
    """
    strategy = _of_plugin(name)
    where, keys = f"plug-in {package_of(name)}", {key.name: key for key in strategy.keys}
    if unknown := sorted({*values} - {*keys}):
        raise PluginError(
            f"[training] settings: strategy '{name}' does not use {unknown[0]!r}",
            where=where,
            do=f"Its settings are {', '.join(keys) or 'none'}.",
        )
    for key in keys.values():
        if key.name not in values:
            raise PluginError(
                f"[training] settings: strategy '{name}' needs {key.name}, such as {key.name} = {key.example}: "
                f"{key.reason}",
                where=where,
            )
        try:
            TypeAdapter(key.kind).validate_python(values[key.name])
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].lower()
            raise PluginError(f"[training] settings: {key.name} = {values[key.name]}: {reason}", where=where) from None
    try_strategy(strategy, values, Whose(f"its strategy {part_of(name)!r}", where, PluginError))


StrategyName = Annotated[str, AfterValidator(STRATEGIES.named)]
"""The name of a strategy that is installed, or of a researcher's own."""

"""The strategies that are installed: each module of this package with a value ``STRATEGY`` is one."""

from __future__ import annotations

from typing import Annotated, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from wardround_common import strategies
from wardround_common.errors import StudyError
from wardround_common.installed import installed
from wardround_common.messages.parameters import Vector
from wardround_common.registry import Registry, loads
from wardround_common.strategies.contract import Key, Moments, Strategy, Values

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
    """Return the strategy that a study names; in the place of own code that is not here, one that makes no step."""
    if name in STRATEGIES:
        return STRATEGIES[name]

    def step(values: Values, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]) -> NoReturn:
        raise StudyError(f"the strategy '{name}' is a researcher's own code, which is not here")

    words = f"makes the next model by {name}, a researcher's own code"
    return Strategy(name=name, words=words, words_of_a_step=words, step=step)


StrategyName = Annotated[str, AfterValidator(STRATEGIES.named)]
"""The name of a strategy that is installed, or of a researcher's own."""

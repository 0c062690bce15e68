"""The strategies that are installed: each module of this package with a value ``STRATEGY`` is one."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticKnownError

from wardround_common import strategies
from wardround_common.installed import installed
from wardround_common.strategies.contract import Key, Strategy

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy for strategy in installed(strategies, "STRATEGY", Strategy, besides=__name__)
}
STRATEGY_KEYS: dict[str, Key] = {key.name: key for strategy in STRATEGIES.values() for key in strategy.keys}
"""The keys of ``[training]`` that some strategy needs; another strategy's key is refused."""


def users_of(key: str) -> list[str]:
    """Name the strategies that need a key."""
    return [name for name, strategy in STRATEGIES.items() if key in {each.name for each in strategy.keys}]


def _installed(name: str) -> str:
    if name not in STRATEGIES:
        quoted = [repr(known) for known in STRATEGIES]
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(quoted[:-1])} or {quoted[-1]}"})
    return name


StrategyName = Annotated[str, AfterValidator(_installed)]
"""The name of a strategy that is installed."""

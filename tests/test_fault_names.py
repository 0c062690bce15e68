"""The failure suite stops processes at functions that it names as text: each must be there."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

FAULTS = Path(__file__).with_name("faults")
NAMED = sorted(
    {name for file in FAULTS.glob("*.py") for name in re.findall(r'"(wardround_[\w.]+:[\w.]+)"', file.read_text())}
)


@pytest.mark.parametrize("name", NAMED)
def test_each_function_at_which_a_fault_waits_is_there(name: str) -> None:
    module, _, path = name.partition(":")
    assert callable(reduce(getattr, path.split("."), importlib.import_module(module)))


def test_the_faults_name_functions_at_both_ends() -> None:
    assert {name.partition(".")[0] for name in NAMED} >= {"wardround_client", "wardround_server"}

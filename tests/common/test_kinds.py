"""A message that says what kind of value it got says it in English."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import wardround
from wardround_common.errors import ArgumentError
from wardround_common.kinds import kind_of, with_article

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("common", "client", "server", "simulation") for path in (ROOT / folder).rglob("*.py")]


def test_a_kind_has_the_article_that_is_spoken() -> None:
    assert [kind_of(value) for value in (3, 2.0, None, [3], np.zeros(2), np.uint8(1), torch.zeros(1))] == [
        "an int",
        "a float",
        "None",
        "a list",
        "an ndarray",
        "a uint8",
        "a Tensor",
    ]
    said = [with_article(name) for name in ("Evaluation", "LSTM", "UNet", "UnicodeError", "UnboundMethod", "Study")]
    assert said == ["an Evaluation", "an LSTM", "a UNet", "a UnicodeError", "an UnboundMethod", "a Study"]


def test_what_was_given_to_the_package_is_said_so() -> None:
    for given, said in ((3, "it is an int"), (np.zeros(2), "it is an ndarray"), (2.5, "it is a float")):
        with pytest.raises(ArgumentError, match=said):
            wardround.compare(given)  # type: ignore[arg-type]


def test_no_message_puts_an_article_before_a_types_name_by_itself() -> None:
    own = re.compile(r"\b[Aa]n? \{[^}]*(__name__|\bname\b)")
    assert [path.name for path in SOURCES if path.name != "kinds.py" and own.search(path.read_text("utf-8"))] == []

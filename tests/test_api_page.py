"""The reference of the package is what its docstrings say."""

from __future__ import annotations

import inspect

import wardround
from api_page import PAGE, page, words


def test_the_reference_is_what_the_docstrings_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run 'make api'"


def test_every_argument_of_a_function_is_explained() -> None:
    for name in wardround.__all__:
        found = getattr(wardround, name)
        if not inspect.isclass(found):
            told = words(inspect.getdoc(found) or "")
            for argument in inspect.signature(found).parameters:
                assert f"`{argument}`" in told, f"{name}: {argument}"

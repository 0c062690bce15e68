"""What a function of the package is called with, checked against its own annotations before anything is done.

A wrong argument is refused with its name, what it must be and what it was, in the place of an error from deep within.
pydantic's ``validate_call`` would import every class that an annotation names, torch with it, and would convert values;
here a class that is imported for type checkers alone is known by its name, and a value stays what it is.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from numbers import Integral
from os import PathLike
from typing import Any, ParamSpec, TypeVar

from wardround_common.errors import ArgumentError, WardroundError
from wardround_common.kinds import kind_of, with_article

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class _Kind:
    """One kind of value that an annotation allows."""

    words: str
    fits: Callable[[Any], bool]


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check each argument of a function before it is called.

    The function raises ArgumentError where one is of a kind that its annotation does not allow.
    """
    signature = inspect.signature(function)
    varied = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    kinds: dict[str, list[_Kind]] = {}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments  # a name that is not there is Python's own error
        for name, value in given.items():
            annotation = signature.parameters[name].annotation
            if annotation is inspect.Parameter.empty or signature.parameters[name].kind in varied:
                continue
            if name not in kinds:  # at the first call: only then are all names of the module there
                kinds[name] = _kinds(ast.parse(annotation, mode="eval").body, function.__globals__)
            if not any(kind.fits(value) for kind in kinds[name]):
                words = list(dict.fromkeys(kind.words for kind in kinds[name]))
                raise ArgumentError(
                    f"{name} must be {' or '.join(words)}; it is {_said(value)}",
                    where=f"{function.__qualname__}()",
                    do="docs/api.md lists what each function takes.",
                )
        return function(*args, **kwargs)

    return call


def told_in_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Let what there is to do about an error name the function's arguments, where it names the command's options."""
    parameters = inspect.signature(function).parameters

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except WardroundError as error:
            error.do = in_arguments(error.do, parameters)
            raise

    return call


def in_arguments(text: str, parameters: Mapping[str, inspect.Parameter]) -> str:
    """Put a function's arguments in the place of the options of the command that does the same.

    ``--resume`` becomes ``resume=True``, ``--start MODEL`` becomes ``start=MODEL``. An option of a command that the
    text names, and one that is no argument, stay as they are.
    """

    def argument(option: re.Match[str]) -> str:
        name = (option["name"] or "").replace("-", "_")
        if name not in parameters:
            return option[0]
        if isinstance(parameters[name].default, bool):
            return f"{name}=True"
        return f"{name}={option['value'] or ''}"

    return _OPTION.sub(argument, text)


# A command with its options, up to the end of what is to be typed; or an option by itself, and perhaps its value.
_OPTION = re.compile(r"\bwardround [^'.;:]*|--(?P<name>[a-z][a-z-]*[a-z])(?: (?P<value>[A-Z][A-Z_]+)\b)?")


def _kinds(node: ast.expr, names: Mapping[str, Any]) -> list[_Kind]:
    """Return the kinds of value that an annotation allows; ``names`` are those of the function's module."""
    if isinstance(node, ast.BinOp):
        return _kinds(node.left, names) + _kinds(node.right, names)
    if isinstance(node, ast.Constant):
        return [_Kind("None", lambda value: value is None)]
    if isinstance(node, ast.Subscript):
        return [_subscripted(_last(node.value), node.slice, names)]
    name = _last(node)
    if name in _PLAIN:
        return [_PLAIN[name]]
    found = names.get(name)
    if found is None:  # imported for type checkers alone
        return [_Kind(with_article(name), lambda value: any(of.__name__ == name for of in type(value).__mro__))]
    if isinstance(found, type):
        return [_Kind(with_article(name), lambda value: isinstance(value, found))]
    return _kinds(ast.parse(repr(found), mode="eval").body, names)  # a name for other types


def _subscripted(name: str, inner: ast.expr, names: Mapping[str, Any]) -> _Kind:
    if name == "Literal":
        allowed = ast.literal_eval(inner)
        texts = allowed if isinstance(allowed, tuple) else (allowed,)
        return _Kind(" or ".join(map(repr, texts)), lambda value: isinstance(value, str) and value in texts)
    if name == "PathLike":
        return _PLAIN["Path"]
    if name == "Callable":
        return _Kind("a function", callable)
    if name == "Mapping":
        return _Kind("a mapping", lambda value: isinstance(value, Mapping))
    kinds = _kinds(inner, names)  # Sequence, Collection, Iterable
    words = " or ".join(dict.fromkeys(kind.words for kind in kinds))
    return _Kind(f"a list, each {words}", lambda value: _listed(value, kinds))


def _listed(value: Any, kinds: list[_Kind]) -> bool:
    """Whether a value is several of a kind: a list, a tuple, a range, a set, an array; text is one."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) != 1:
        return False
    return hasattr(value, "__len__") and all(any(kind.fits(one) for kind in kinds) for one in value)


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _path(value: Any) -> bool:
    text = value.__fspath__() if isinstance(value, PathLike) else value
    return isinstance(text, str) and "\0" not in text


_PLAIN = {
    "Any": _Kind("anything", lambda value: True),
    "bool": _Kind("True or False", lambda value: type(value).__name__ in ("bool", "bool_")),  # NumPy's too
    "int": _Kind("a whole number", lambda value: isinstance(value, Integral) and not isinstance(value, bool)),
    "str": _Kind("text", lambda value: isinstance(value, str) and "\0" not in value),
    "Path": _Kind("a path", _path),
}


def _said(value: Any) -> str:
    """Say what kind of value was given, never the value: it may be a patient's."""
    if value is None:
        return "None"
    if isinstance(value, str):
        return "text with a null character" if "\0" in value else "another text"
    kinds = list(dict.fromkeys(type(one).__name__ for one in value)) if isinstance(value, list | tuple) else []
    return kind_of(value) + (f" of {' and '.join(kinds[:3])}" if kinds else "")

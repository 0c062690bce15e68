"""Write ``docs/api.md``: what the package ``wardround`` lists, by its signatures and docstrings (``make api``)."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import wardround

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"
HEAD = """# The package `wardround`

What `import wardround` offers, by its docstrings: `make api` writes this page, and a test compares it with the code.
A guide with examples is [python.md](python.md). Versions are semantic: what stands here keeps its name and meaning
until the first number changes; before version 1.0 a change is announced in the [changelog](../CHANGELOG.md) and raises
the second number.
"""
SHOWN = {"Study": ("read", "new", "but", "digest", "tables", "groups", "own_code")}
"""Of a class that the whole code uses, what a person calls."""
SECTIONS = {"Args:": "Arguments:", "Raises:": "Errors:"}


def signature(function: Any, *, bound: bool) -> str:
    """Return a function's arguments and result as its source has them; ``bound``: without self or cls."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"{function} is no function")
    if bound and node.args.args and node.args.args[0].arg in ("self", "cls"):
        node.args.args = node.args.args[1:]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){returns}"


def words(text: str) -> str:
    """Return a docstring as Markdown: arguments and errors as lists."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")
    lines: list[str] = []
    within = False
    for line in text.splitlines():
        if line in SECTIONS:
            lines += [SECTIONS[line], ""]
            within = True
        elif within and (item := re.match(r"    ([\w*]+): (.*)", line)):
            lines.append(f"- `{item[1]}`: {item[2]}")
        elif within and line.startswith("        "):
            lines.append(f"  {line.strip()}")
        else:
            within = within and not line.strip()
            lines.append(line)
    return "\n".join(lines).strip()


def attributes(kind: type) -> Iterator[tuple[str, str]]:
    """Yield each field of a class that has a docstring below it, and the docstring."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    if not isinstance(body, ast.ClassDef):
        return
    for node, below in zip(body.body, body.body[1:], strict=False):
        said = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        field = node.target if isinstance(node, ast.AnnAssign) and said else None
        if isinstance(field, ast.Name) and not field.id.startswith("_"):
            yield field.id, inspect.cleandoc(str(below.value.value))  # type: ignore[attr-defined]


def told(text: str | None) -> str:
    """Return a docstring as the text of a list's item."""
    return textwrap.indent(words(text or ""), "  ").strip()


def members(kind: type) -> Iterator[str]:
    """Yield what a class offers: its fields, its properties, its methods."""
    shown = SHOWN.get(kind.__name__)
    for name, text in attributes(kind) if shown is None else ():
        yield f"- **`{name}`**: {told(text)}"
    for name, member in vars(kind).items():
        if name.startswith("_") or (shown is not None and name not in shown):
            continue
        if isinstance(member, property | cached_property):
            function = member.fget if isinstance(member, property) else member.func
            yield f"- **`{name}`**: {told(inspect.getdoc(function))}"
        elif isinstance(member, classmethod | staticmethod) or inspect.isfunction(member):
            function = getattr(member, "__func__", member)
            if function.__doc__:
                yield f"- **`{name}{signature(function, bound=True)}`**: {told(inspect.getdoc(function))}"


def entry(name: str) -> Iterator[str]:
    """Yield the lines of one name of the package."""
    found = getattr(wardround, name)
    if inspect.isclass(found):
        yield f"## `wardround.{name}`\n"
        yield words(inspect.getdoc(found) or "") + "\n"
        yield from members(found)
        yield ""
    else:
        yield f"## `wardround.{name}`\n"
        yield f"```\n{name}{signature(found, bound=False)}\n```\n"
        yield words(inspect.getdoc(found) or "") + "\n"


def page() -> str:
    """Return the whole page."""
    lines = [line for name in wardround.__all__ for line in entry(name)]
    return HEAD + "\n" + "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

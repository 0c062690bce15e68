"""Write ``docs/modules.md``: each package's rooms, as its import contract orders them, and what each module is for.

The words are the first lines of the docstrings: ``make map`` after a module came, went or changed its first line.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "modules.md"
PACKAGES = ("common", "client", "server", "simulation")
HEAD = """# Modules

Four packages, in folders of their own, and one that lists what people call from Python; what imports
what is held by import-linter (`pyproject.toml`): a room may use those below it, never those above.
Rooms are listed from the top, which people call, to the ground.
`make map` writes this page from the docstrings; a test compares it with the code.
"""


def first_sentence(path: Path) -> str:
    """Return the first line of a module's docstring, with single backticks."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.sub(r"``", "`", text.split("\n")[0])


def rooms_in_order(package: str) -> list[str]:
    """Return a package's rooms from the top, as its layers contract has them; by name where there is none."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = [contract["layers"] for contract in contracts if contract.get("containers") == [f"wardround_{package}"]]
    names = [name.strip(" ()") for layer in (layers[0] if layers else []) for name in re.split("[|:]", layer)]
    here = ROOT / package / f"wardround_{package}"
    there = [path.stem for path in sorted(here.iterdir()) if is_room(path)]
    return [name for name in names if name in there] + [name for name in there if name not in names]


def is_room(path: Path) -> bool:
    """Tell a folder with modules, or a module that is a room by itself."""
    return (path / "__init__.py").exists() or (path.suffix == ".py" and path.stem != "__init__")


def lines_of(package: str) -> list[str]:
    """Return a package's part of the page."""
    here = ROOT / package / f"wardround_{package}"
    lines = ["", f"## `{package}/wardround_{package}`", "", first_sentence(here / "__init__.py")]
    for room in rooms_in_order(package):
        if (here / f"{room}.py").exists():
            lines += ["", f"**`{room}.py`**: {first_sentence(here / f'{room}.py')}"]
            continue
        lines += ["", f"### `{room}/`", "", first_sentence(here / room / "__init__.py"), ""]
        for path in sorted((here / room).rglob("*.py")):
            if path.name != "__init__.py" or path.parent != here / room:
                name = path.relative_to(here / room).as_posix().removesuffix("/__init__.py")
                lines.append(f"- `{name}`: {first_sentence(path)}")
    return lines


def page() -> str:
    """Return the whole page."""
    lines = ["", "## `wardround`", "", first_sentence(ROOT / "wardround" / "__init__.py")]
    lines += [line for package in PACKAGES for line in lines_of(package)]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

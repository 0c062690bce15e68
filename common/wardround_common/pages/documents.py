"""Pages that stand by themselves, such as a report or a scan: one frame and one style, no script and no request."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

PAGES = Path(__file__).parent
TOKENS = "tokens.css"


def style_of(sheet: str) -> str:
    """Return a style sheet, after the colours that all of them have."""
    return "".join((PAGES / name).read_text(encoding="utf-8") for name in (TOKENS, sheet))


def documents(*folders: Path) -> jinja2.Environment:
    """Return the environment of templates that extend ``document.html``; whatever they show is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, PAGES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = Markup(style_of("document.css"))  # noqa: S704  # our own file
    return environment

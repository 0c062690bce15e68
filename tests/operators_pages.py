"""What the pages for operators tell people to type: blocks of lines after ``$``, each with what it prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWN_WORDS = ("COPY", "DIGEST", "DIR", "FOLDER", "HEAD", "NAME", "OUT", "STATE", "STUDY")
TAKEN = {"DIGEST": "[0-9a-f]{12}", "HEAD": ".+"}
"""Words that the reader takes from what is printed."""
_ASKS = re.compile(r"\[y/N\]: (\w+)$")
_PARTS = re.compile(r"…|[A-Za-z0-9]+|[^A-Za-z0-9…]+")


@dataclass(frozen=True)
class Line:
    """A line that is typed, and what the page says is printed below it; ``…`` stands for what it leaves out."""

    command: str
    prints: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Say whether the page shows an error."""
        return any(said.startswith("Error:") for said in self.prints)

    @property
    def answers(self) -> str:
        """Return what is typed after its questions."""
        return "".join(f"{asked[1]}\n" for said in self.prints if (asked := _ASKS.search(said)))

    def typed(self, own: Mapping[str, str]) -> str:
        """Return the line with the reader's own words in the place of the page's."""
        return re.sub(rf"\b({'|'.join(OWN_WORDS)})\b", lambda word: own[word[1]], self.command)

    def taken(self, output: str, own: Mapping[str, str]) -> dict[str, str] | None:
        """Look for what is printed, in the page's order; return what the reader takes from it, None if it lacks."""
        place, found = 0, dict[str, str]()
        for said in self.prints:
            match = re.compile(_pattern(_ASKS.sub("[y/N]:", said), {**own, **found})).search(output, place)
            if match is None:
                return None
            place, found = match.end(), found | match.groupdict()
        return found


def _pattern(said: str, own: Mapping[str, str]) -> str:
    made = ""
    for part in _PARTS.findall(said.strip().strip("…").strip()):
        if part == "…":
            made += ".*?"
        elif part in OWN_WORDS and part not in own:
            made += f"(?P={part})" if f"<{part}>" in made else f"(?P<{part}>{TAKEN[part]})"
        else:
            made += re.escape(own.get(part, part) if part in OWN_WORDS else part)
    return made


@dataclass
class Page:
    """A page, and which of its blocks were typed."""

    name: str
    blocks: dict[str, list[list[Line]]] = field(init=False)
    typed: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Read the blocks below each heading."""
        self.text = (ROOT / "docs" / self.name).read_text(encoding="utf-8")
        self.blocks = {}
        for section in re.split(r"^#+ ", self.text, flags=re.M)[1:]:
            blocks = re.findall(r"^```console\n(.*?)^```$", section, re.M | re.S)
            self.blocks[section.splitlines()[0]] = [list(_lines(block)) for block in blocks]

    def block(self, heading: str, number: int = 0) -> list[Line]:
        """Return a block to type it."""
        self.typed.add((heading, number))
        return self.blocks[heading][number]

    def left(self) -> set[tuple[str, int]]:
        """Name the blocks that nobody typed, by their heading and number."""
        return {(head, at) for head, blocks in self.blocks.items() for at in range(len(blocks))} - self.typed

    def says(self, phrase: str, output: str) -> str:
        """Return what the table of a page says is to be done about something that was printed."""
        rows = [line.strip("|").split("|") for line in self.text.splitlines() if line.startswith("|")]
        (row,) = [row for row in rows if phrase in row[0]]
        assert phrase in output, output
        return row[1].strip()


def _lines(block: str) -> list[Line]:
    commands = re.split(r"^\$ ", block, flags=re.M)[1:]
    return [Line(first, tuple(said)) for first, *said in (command.splitlines() for command in commands)]

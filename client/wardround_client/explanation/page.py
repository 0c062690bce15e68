"""A hospital's own page of explanations: pictures, what the sanity check says, and no word of who the images are of.

It stays at the hospital. The template escapes everything, and the page forbids scripts and every connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from wardround_client.explanation.overlay import AGAINST, FOR, LESION
from wardround_client.explanation.summary import Summary, lesion_words
from wardround_client.images.picture import base64_of
from wardround_client.maps import sanity
from wardround_client.preparation.outline_page import evenly
from wardround_client.tasks.contract import kind_of, probability_of, thresholds_of
from wardround_common.counting import chance
from wardround_common.errors import StorageError
from wardround_common.pages.documents import documents

MOST_PIXELS = 384


@dataclass(frozen=True)
class Picture:
    """One case on the page."""

    png: str
    caption: str


@dataclass(frozen=True)
class About:
    """What the page is of."""

    model: str
    method: str
    reading: str
    dense: bool


def render(lines: Sequence[Mapping[str, Any]], folder: Path, about: About, summary: Summary, *, made: datetime) -> str:
    """Write the page as one self-contained HTML file, from the lines and the pictures of a folder.

    Raises:
        StorageError: a picture is not there any more.
    """
    answered = [(number, line) for number, line in enumerate(lines, 1) if "refused" not in line]
    colours = {"for the class": FOR, "against it": AGAINST, "outlined": LESION}
    if about.dense:
        colours = {"undecided": FOR, "outlined by the model": LESION}
    return (
        documents(Path(__file__).parent)
        .get_template("page.html")
        .render(
            about=about,
            made=made,
            version=version("wardround"),
            summary=summary,
            said=sanity.said(summary.similarity),
            lesions=lesion_words(summary),
            colours=[(word, "rgb({}, {}, {})".format(*colour)) for word, colour in colours.items()],
            shown=[
                _picture(number, line, folder) for number, line in (answered[place] for place in evenly(len(answered)))
            ],
        )
    )


def _picture(number: int, line: Mapping[str, Any], folder: Path) -> Picture:
    (name,) = (file for file in line["files"] if file.endswith(".png"))
    try:
        picture = Pillow.open(folder / name)
        picture.thumbnail((MOST_PIXELS, MOST_PIXELS))
    except OSError:
        raise StorageError(
            "a picture of this folder is missing, or cannot be read",
            where=str(folder / name),
            do="Run it again with a new folder.",
        ) from None
    return Picture(base64_of(picture), f"{number} · {' · '.join(_words(line))}")


def _answer(line: Mapping[str, Any]) -> str:
    word = line["explained"]
    decided = line.get("class") or ("present" if line["findings"][word]["present"] else "absent")
    point = thresholds_of(line).get(word)
    above = "" if point is None else f" (threshold {chance(point, 2)})"
    return f"{kind_of(line)}probability of {word} {chance(probability_of(line, word), 2)}{above}, decided: {decided}"


def _words(line: Mapping[str, Any]) -> list[str]:
    words = []
    if "explained" in line:
        words.append(_answer(line))
    if "undecided_ml" in line:
        words.append(f"slice {line['undecided_slice']}, {line['undecided_ml']:.1f} mL undecided")
    if (found := line.get("lesion")) is not None:
        words.append(
            f"{found['mass_in_lesion']:.0%} of the map in the lesion, which covers {found['random']:.1%} of the image"
        )
    alike = line["similarity_to_untrained"]
    said = "" if alike is None else f"similarity to that of an untrained network {alike:.2f}"
    words.append("no map" if line.get("peak", True) is None else said)
    return list(filter(None, words))

"""A map as a DICOM Secondary Capture of the patient's study, with what must be known of it written below."""

from __future__ import annotations

from wardround_client.explanation.explaining import Explained
from wardround_client.images.picture import WHITE
from wardround_client.maps.sanity import ALIKE
from wardround_client.prediction.capture import Picture, captures_of
from wardround_client.prediction.pictures import GREY, Line, lines_of_cautions, made_by, square, with_lines
from wardround_client.prediction.sources import NOT_STATED, Equipment, content_of, sources_of
from wardround_client.tasks.contract import kind_of, probability_of
from wardround_common.counting import chance
from wardround_common.results.model_folder import Card


def capture_of(one: Explained, card: Card, equipment: Equipment = NOT_STATED) -> bytes:
    """Write the map of a case as the content of a DICOM file that refers to the image that it is of.

    Raises:
        ImageRefused: the image does not say what an object of its study needs.
    """
    sources = sources_of(one.done.case)
    shades, _ = square(one.picture / 255, (1.0, 1.0))  # its pixels are square
    picture = Picture(with_lines(shades, _lines(one, card)), (one.slice,), turn=one.turn)
    (made,) = captures_of([picture], sources, card, f"Explanation ({one.facts['method']}) of {card.name}", equipment)
    return content_of(made)


def _lines(one: Explained, card: Card) -> list[Line]:
    facts, answer = one.facts, one.done.answer.facts
    if "explained" in facts:
        word = facts["explained"]
        kind = f"{kind_of(answer)}probability"
        first = f"Orange speaks for {word}, blue against it ({kind} {chance(probability_of(answer, word), 2)})"
    else:
        first = (
            f"Orange: where the model is undecided ({facts['undecided_ml']:.1f} mL); slice {facts['undecided_slice']}"
        )
    lines: list[Line] = [(first, WHITE), ("What the answer hangs on, and no finding", WHITE)]
    alike = facts["similarity_to_untrained"]
    if alike is not None:
        warning = ": hardly different" if alike >= ALIKE else ""
        lines.append((f"Similarity to the map of a network with random weights: {alike:.2f}{warning}", WHITE))
    return [*lines, *lines_of_cautions(one.done), (f"{facts['method']}. {made_by(card.name)}", GREY)]

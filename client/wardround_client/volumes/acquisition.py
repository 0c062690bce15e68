"""What a scanner writes about how a series was made: the facts that tell several series of one patient apart.

Ordinary objects state them at the top, enhanced ones in functional groups (PS3.3 C.8.13.5); both are read into one
value. Everything here stays in the hospital.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.tag import BaseTag

from wardround_client.images.attributes import elements_of, items_of, numbers, tag, text
from wardround_client.images.body_part import body_parts_of
from wardround_client.images.frames import group
from wardround_client.images.kinds import image_type_of, kinds_of
from wardround_client.images.units import in_hounsfield

_MODALITY, _DESCRIPTION, _PROTOCOL = tag("Modality"), tag("SeriesDescription"), tag("ProtocolName")
_SERIES_NUMBER = tag("SeriesNumber")
_AGENT, _AGENTS, _MEANING = tag("ContrastBolusAgent"), tag("ContrastBolusAgentSequence"), tag("CodeMeaning")
_INVERSION, _INVERSIONS, _MODIFIER = tag("InversionTime"), tag("InversionTimes"), tag("MRModifierSequence")
_ECHO, _ECHO_TIMES = tag("EchoTime"), (tag("MREchoSequence"), tag("EffectiveEchoTime"))
_REPETITION, _TIMING = tag("RepetitionTime"), tag("MRTimingAndRelatedParametersSequence")

_WITHOUT = {"", "NO", "NONE", "N", "N/A", "NA", "WITHOUT", "0"}
"""What writers put into ContrastBolusAgent where there was none."""
_CONTRAST_WORDS = re.compile(
    r"(?<![a-z])(post(?!\s*(op|erior))[a-z]*|gd|gad[a-z]*|\+\s*c|c\s*\+|ce|contrast|km|\+\s*km)(?![a-z])", re.IGNORECASE
)
_NO_CONTRAST_WORDS = re.compile(
    r"(?<![a-z])(pre|w/?o|without|non|no|ohne|nativ[a-z]*|unenhanced|-\s*c)(?![a-z])", re.IGNORECASE
)


@dataclass(frozen=True)
class Acquisition:
    """How a series was made, as its files say; empty or None for what they do not say."""

    modality: str = ""
    description: str = field(default="", repr=False)
    """SeriesDescription; of a NIfTI file its name without the endings."""
    protocol: str = field(default="", repr=False)
    number: int | None = None
    """SeriesNumber."""
    image_type: tuple[str, ...] = ()
    agent: str = field(default="", repr=False)
    """The contrast agent: ContrastBolusAgent, or what ContrastBolusAgentSequence names."""
    inversion_time_ms: float | None = None
    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    body_parts: tuple[str, ...] = ()
    """Each part of the body that it says it is of."""
    kinds: tuple[str, ...] = ()
    """What says that this is no image that the examination was made for: words of ``images.kinds.KINDS``."""

    hounsfield: bool = False
    """Whether its values are Hounsfield units."""

    @property
    def contrast(self) -> bool:
        """Whether an agent was given: one is named, or the description says so in the words that technicians use."""
        if self.agent.upper() not in _WITHOUT:
            return True
        words = re.sub(r"[_.\-]+(?!\s*c\b)", " ", self.description)
        return bool(_CONTRAST_WORDS.search(words)) and not _NO_CONTRAST_WORDS.search(words)


def acquisition_of(header: Dataset) -> Acquisition:
    """Read how a series was made from the attributes of one of its files."""
    number = text(header, _SERIES_NUMBER)
    return Acquisition(
        modality=text(header, _MODALITY).upper(),
        description=text(header, _DESCRIPTION),
        protocol=text(header, _PROTOCOL),
        number=int(number) if number.lstrip("-").isdecimal() else None,
        image_type=tuple(word for word in image_type_of(header).split("\\") if word),
        agent=_agent(header),
        inversion_time_ms=_first(
            (header, _INVERSION), (group(header, _MODIFIER, 0), _INVERSIONS), (group(header, _MODIFIER, 0), _INVERSION)
        ),
        echo_time_ms=_first((header, _ECHO), (group(header, _ECHO_TIMES[0], 0), _ECHO_TIMES[1])),
        repetition_time_ms=_first((header, _REPETITION), (group(header, _TIMING, 0), _REPETITION)),
        body_parts=body_parts_of(header),
        kinds=tuple(kinds_of(header)),
        hounsfield=in_hounsfield(header),
    )


def _agent(header: Dataset) -> str:
    if named := text(header, _AGENT):
        return named
    for item in items_of(header, _AGENTS):
        return text(item, _MEANING) or "stated"
    return ""


def _first(*places: tuple[Dataset, BaseTag]) -> float | None:
    """Return the first number that is stated in one of these places."""
    for holder, which in places:
        if which not in elements_of(holder):
            continue
        try:
            found = numbers(holder, which)
        except ValueError:
            continue
        if found:
            return found[0]
    return None

"""Which part of the body an image is of, as its file says: BodyPartExamined, or the coded anatomic region.

Scanners fill in one, the other, both or neither (PS3.3 C.7.3.1, 10.5; enhanced objects say it in functional groups,
C.7.6.16.2.8). A coded region is brought to the word that BodyPartExamined has for it (PS3.16 annex L), so that a study
states words only. A file that says nothing is not wrong: it is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from pydicom import Dataset

from wardround_client.images.attributes import items_of, tag, text
from wardround_client.images.frames import group
from wardround_common.errors import ImageRefused

if TYPE_CHECKING:  # its dictionary of concepts takes a tenth of a second to import: only a coded region needs it
    from pydicom.sr.coding import Code

UNKNOWN = "unknown"
"""What is said of an image whose file states no body part."""
OTHER = "other-body-part"
"""The reason under which an image of another body part is left out."""
_EXAMINED, _REGION, _ANATOMY = tag("BodyPartExamined"), tag("AnatomicRegionSequence"), tag("FrameAnatomySequence")
_VALUE, _SCHEME, _MEANING = tag("CodeValue"), tag("CodingSchemeDesignator"), tag("CodeMeaning")
_CODES = {
    "ABDOMEN": "818981001 113345001",
    "AORTA": "15825003",
    "BLADDER": "89837001",
    "BRAIN": "12738006",
    "BREAST": "76752008",
    "CHEST": "816094009 43799004 51185008",
    "COLON": "71854001",
    "CSPINE": "122494005",
    "ESOPHAGUS": "32849002",
    "EYE": "81745001",
    "FOOT": "56459004",
    "HAND": "85562004",
    "HEAD": "69536005",
    "HEART": "80891009",
    "HIP": "29836001 24136001",
    "KIDNEY": "64033007",
    "KNEE": "72696002",
    "LIVER": "10200004",
    "LSPINE": "122496007",
    "LUNG": "39607008",
    "NECK": "45048000",
    "ORBIT": "363654007",
    "PANCREAS": "15776009",
    "PELVIS": "816092008 12921003",
    "PROSTATE": "41216001",
    "SHOULDER": "16982005",
    "SKULL": "89546000",
    "SPINE": "421060004",
    "SPLEEN": "78961009",
    "STOMACH": "69695003",
    "THYROID": "69748006",
    "TSPINE": "122495006",
    "UTERUS": "35039007",
}
"""SNOMED CT codes of each word."""


def body_parts_of(header: Dataset) -> tuple[str, ...]:
    """Return every body part that a file says it is of, each in one form: capitals and digits only; none if unknown."""
    words = [_plain(word) for word in text(header, _EXAMINED).split("\\")]
    for holder in (header, group(header, _ANATOMY, 0)):
        words += [
            _region(text(item, _VALUE), text(item, _SCHEME), text(item, _MEANING)) for item in items_of(holder, _REGION)
        ]
    return tuple(dict.fromkeys(word for word in words if word))


def is_other(stated: Collection[str], wanted: Collection[str]) -> bool:
    """Tell whether a file states body parts and none of them is one that a study takes; which is any if it names none.

    ``stated`` as :func:`body_parts_of` returns them.
    """
    return bool(wanted and stated) and not {*stated} & {_plain(word) for word in wanted}


def other_body_part(stated: Collection[str], wanted: Collection[str]) -> ImageRefused:
    """Say that an image is of another body part than those that a study takes."""
    return ImageRefused(
        OTHER,
        f"this is of the body part {' and '.join(word[:_LONGEST] for word in stated)}, and the model was trained with "
        f"{', '.join(wanted)}",
        do="Ask a model that was trained with such images.",
    )


_LONGEST = 16  # characters of a code string (PS3.5 6.2), and enough of a word for a message


def _plain(word: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", word.upper())


@cache
def _known() -> tuple[tuple[Code, str], ...]:
    from pydicom.sr.coding import Code

    return tuple((Code(value, "SCT", word), word) for word, values in _CODES.items() for value in values.split())


@lru_cache(maxsize=1024)  # the images of a series say the same
def _region(value: str, scheme: str, meaning: str) -> str:
    from pydicom.sr.coding import Code

    stated = Code(value, scheme, meaning)
    return next((word for known, word in _known() if known == stated), _plain(meaning))

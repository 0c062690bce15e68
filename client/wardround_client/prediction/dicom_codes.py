"""Codes of SNOMED CT for what studies outline; a word without one is coded as the study's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydicom.sr.coding import Code

OWN_SCHEME = "99WARDROUND"
"""Of words that only the study knows; private schemes begin with 99 (PS3.16, 8.2)."""
_SHORT = 16  # characters of a code value, PS3.5 6.2 (SH)
_LONG = 64  # of a meaning (LO)

ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
_KNOWN: dict[str, tuple[Code, Code]] = {
    word: (category, Code(value, "SCT", meaning))
    for category, value, meaning, words in (
        (ABNORMAL, "108369006", "Neoplasm", "tumour tumor neoplasm mass gtv cancer carcinoma glioma"),
        (ABNORMAL, "52988006", "Lesion", "lesion lesions"),
        (ABNORMAL, "27925004", "Nodule", "nodule nodules"),
        (ABNORMAL, "79654002", "Edema", "oedema edema"),
        (ABNORMAL, "6574001", "Necrosis", "necrosis"),
        (ANATOMY, "12738006", "Brain", "brain"),
        (ANATOMY, "10200004", "Liver", "liver"),
        (ANATOMY, "64033007", "Kidney", "kidney kidneys"),
        (ANATOMY, "39607008", "Lung", "lung lungs"),
        (ANATOMY, "80891009", "Heart", "heart"),
        (ANATOMY, "41216001", "Prostate", "prostate"),
        (ANATOMY, "78961009", "Spleen", "spleen"),
        (ANATOMY, "15776009", "Pancreas", "pancreas"),
    )
    for word in words.split()
}


_UNITS: dict[str, Code] = {
    word: Code(value, "UCUM", meaning)
    for value, meaning, words in (
        ("%", "percent", "% percent"),
        ("a", "year", "years year a"),
        ("mo", "month", "months month"),
        ("wk", "week", "weeks week"),
        ("d", "day", "days day d"),
        ("h", "hour", "hours hour h"),
        ("min", "minute", "minutes minute min"),
        ("s", "second", "seconds second s"),
        ("ms", "millisecond", "milliseconds millisecond ms"),
        ("mm", "mm", "mm"),
        ("cm", "cm", "cm"),
        ("m", "m", "m"),
        ("mm2", "square millimeter", "mm2 mm²"),
        ("cm2", "square centimeter", "cm2 cm²"),
        ("mm3", "cubic millimeter", "mm3 mm³"),
        ("cm3", "cubic centimeter", "cm3 cm³ ml cc"),
        ("l", "liter", "l L liter litre liters litres"),
        ("g", "gram", "g"),
        ("kg", "kilogram", "kg"),
        ("kg/m2", "kilogram per square meter", "kg/m2 kg/m²"),
        ("g/cm2", "gram per square centimeter", "g/cm2 g/cm²"),
        ("mm[Hg]", "mmHg", "mmhg"),
        ("[hnsf'U]", "Hounsfield unit", "hu"),
        ("deg", "degree", "° deg degree degrees"),
    )
    for word in words.split()
}


def unit_of(word: str) -> Code | None:
    """Return the code of UCUM for a unit that a study states in its own word; None where there is none for it.

    A single letter counts as it is written: a D is a dioptre and no day.
    """
    return _UNITS.get(word if len(word) == 1 else word.casefold())


Coded = Mapping[str, tuple[str, str, str]]
"""Scheme, value and meaning by class: what the study says of its classes."""


def code_of(word: str, coded: Coded) -> tuple[Code, Code]:
    """Return the category and the type of a structure, by the study's code or word for it."""
    category, kind = _KNOWN.get(word.casefold(), (ABNORMAL, own_code(word)))
    if word not in coded:
        return category, kind
    scheme, value, meaning = coded[word]
    return _CATEGORY.get((scheme, value), category), Code(value, scheme, meaning)


_CATEGORY = {(kind.scheme_designator, kind.value): category for category, kind in _KNOWN.values()}


def own_code(word: str) -> Code:
    """Return the study's own code for a word; two words have two codes, however long they are."""
    plain = "".join(char if char.isascii() and char.isalnum() else "-" for char in word)
    if plain != word or len(plain) > _SHORT:
        plain = f"{plain[: _SHORT - 9]}-{hashlib.sha256(word.encode()).hexdigest()[:8]}"
    return Code(plain, OWN_SCHEME, word[:_LONG])

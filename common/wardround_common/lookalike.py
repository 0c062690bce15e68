"""Names that people cannot tell apart: two hospitals must not be enrolled under such names.

After Unicode's security mechanisms (UTS 39), in the part that names of hospitals need: letters of Latin, Greek and
Cyrillic are not mixed in one name (section 5.2, "single script"), and two names are alike if they have one skeleton
(section 4): NFKC, letters that look like Latin ones taken for these, digits 0 and 1 for o and l, case and spaces alike.
The table has the letters of Greek and Cyrillic that most fonts draw as Latin ones; it is not a list of everything.
"""

from __future__ import annotations

import unicodedata

_APART = ("LATIN", "GREEK", "CYRILLIC")
_CYRILLIC = "АВЕЅІЈКМНОРСТУХаеѕіјорсухһԁԛԝѵ", "ABESIJKMHOPCTYXaesijopcyxhdqwv"
_GREEK = "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορυ", "ABEZHIKMNOPTYXaikvopu"
_LATIN = {ord(one): other for script in (_CYRILLIC, _GREEK) for one, other in zip(*script, strict=True)}
_SHAPES = str.maketrans({"I": "l", "1": "l", "|": "l", "0": "o"})


def mixed_scripts(name: str) -> tuple[str, ...]:
    """Name the scripts whose letters are mixed in a name, if they can be taken for one another; else nothing."""
    found = {word for letter in name if letter.isalpha() and (word := _script(letter)) in _APART}
    return tuple(sorted(word.title() for word in found)) if len(found) > 1 else ()


def skeleton(name: str) -> str:
    """Return what two names share that look alike; it is no name itself."""
    plain = unicodedata.normalize("NFKC", name).translate(_LATIN).translate(_SHAPES)
    return " ".join(unicodedata.normalize("NFKC", plain).casefold().split())


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]

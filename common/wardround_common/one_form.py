"""One form for words that people type and file systems store: the same letters compare as equal.

``ä`` is one character or two (``a`` and a diaeresis): a Mac's folder may have the second where a spreadsheet has the
first. Words, folder names and paths are compared in Unicode's Normalization Form C (Unicode Standard Annex 15); what
is stored and shown stays as it was written.
"""

from __future__ import annotations

import unicodedata


def one_form(text: str) -> str:
    """Return the text in Normalization Form C, in which equal words have equal characters."""
    return unicodedata.normalize("NFC", text)

"""Who is a patient: decided from what files and the hospital's table say, and kept with how it was decided.

======================= =========================================================================================
how (:data:`Basis`)      a patient is
======================= =========================================================================================
``patient-id``          a PatientID; the same number from two issuers is two patients
``same-study``          the patient of another file of the study, since a DICOM study belongs to one patient
``table``               the column ``patient`` of the hospital's table, where the file has no identity
``subject`` (a guess)   a BIDS folder or file name ``sub-LABEL``, with all its sessions and derivatives
``study`` (a guess)     a StudyInstanceUID: a person with two studies would be two patients
``folder`` (a guess)    a folder, by its whole path: a person with two folders would be two patients
``file`` (a guess)      a file at the top, or in a folder named like a class: such a folder groups by label
======================= =========================================================================================

Where two statements contradict each other, **the coarser one is taken**, and the contradiction is counted. A person who
is split into k patients may lose k times the stated epsilon and stand on both sides of the split; two persons who are
taken for one patient lose at most the epsilon of a patient who is *replaced* (docs/privacy.md, section 1). So a table
may join patients and never split one, and what shares a StudyInstanceUID or a SOPInstanceUID is one patient.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import PurePosixPath

from wardround_client.intake.instance import Basis, Doubts, Instance
from wardround_common.errors import DataError, PrivacyError
from wardround_common.one_form import one_form

GUESSES: dict[Basis, tuple[str, str]] = {
    "subject": ("BIDS subject", "each sub-LABEL is one person, and no person has two"),
    "study": ("StudyInstanceUID", "each study is of one person, and no person has two studies here"),
    "folder": ("folder", "each folder holds the images of one person, and no person has two folders"),
    "file": ("file", "each file is of one person, and no person has two files"),
}
"""The guesses: what each goes by, and what a hospital says of its images when it confirms it."""
SHARED_STUDY = "shared-study"
CONFIRMABLE: dict[str, str] = {basis: says for basis, (_, says) in GUESSES.items()} | {
    SHARED_STUDY: "patients with different identities are different persons even where they share a StudyInstanceUID"
}
"""What a hospital can confirm of its images (``confirm_patients``), and what it says thereby."""
STATED: dict[Basis, str] = {
    "patient-id": "PatientID",
    "same-study": "another file of the same study",
    "table": "the table's column 'patient'",
}
MOST_STUDIES = 20
"""A PatientID with more studies than this is said: it may be a word that an anonymiser wrote for everybody."""
_ORDER: tuple[Basis, ...] = ("patient-id", "table", "same-study", "subject", "study", "folder", "file")
MARK = "\x1f"
"""Between the parts of a name that is no PatientID; DICOM allows no control character there."""

# Words that anonymisers, scanners and tables write where there is no identity; digits beside them make a pseudonym.
_WORDS = """
    anon anonym anonymous anonymized anonymised anonymize anonymise anonymisiert anonyme anonymizado anonimo anónimo
    deid deidentified identified deidentifié pseudonym pseudonymized pseudonymised pseudonymisiert
    removed redacted hidden masked blank blanked cleared deleted empty missing default dummy test
    unknown unbekannt inconnu desconocido sconosciuto onbekend unspecified unidentified undefined unassigned
    none null nil nan na nn no not void keine kein ohne leer
    available applicable specified given provided assigned stated
    patient patientid subject case person name id pid mrn de
    x xx xxx xxxx xxxxx xxxxxx xxxxxxx xxxxxxxx
"""
_NO_IDENTITY = frozenset(_WORDS.split())


@lru_cache(maxsize=1024)
def is_identity(word: str) -> bool:
    """Tell whether a PatientID, an issuer or a cell of a table tells one from another.

    No identity: nothing but punctuation, zeros only, a negative number, and words of a fixed list such as
    ``ANONYMOUS``, ``UNKNOWN``, ``N/A`` or ``Patient ID``. A word with digits is one: ``ANON0001`` and ``anon 0001`` are
    pseudonyms.
    """
    parts = [part for part in re.split(r"[\W_]+", word.casefold()) if part]
    whole = "".join(parts)
    if re.fullmatch(r"\s*-\s*\d+\s*", word):  # tables write -1 or -999 where they know nothing
        return False
    return bool(whole.strip("0")) and whole not in _NO_IDENTITY and not _NO_IDENTITY.issuperset(parts)


def by_itself(patient_id: str, study_uid: str, file: str) -> tuple[str, Basis]:
    """Name the patient of a file that is seen alone, and how it was decided."""
    if is_identity(patient_id):
        return patient_id, "patient-id"
    return guess(study_uid, file, frozenset())


def may_be_named(instance: Instance) -> tuple[str, ...]:
    """List the names by which a table may call the patient of a file, the best first.

    The PatientID; where there is none, the folders that the file is in, the innermost first, then their whole path, and
    last the file itself.
    """
    if is_identity(instance.patient_id):
        return (instance.patient_id,)
    path = PurePosixPath(instance.file)
    return (*reversed(path.parts[:-1]), *((str(path.parent),) if len(path.parts) > 2 else ()), instance.file)


def check_confirmed(words: Collection[str]) -> None:
    """Check what a hospital confirms of its patients.

    Raises:
        DataError: a word is not in :data:`CONFIRMABLE`.
    """
    if unknown := sorted(set(words) - CONFIRMABLE.keys()):
        raise DataError(
            f"there is no guess {unknown[0]!r} of who is a patient to confirm", do=f"Known: {', '.join(CONFIRMABLE)}."
        )


def count_by_basis(instances: Iterable[Instance]) -> dict[Basis, int]:
    """Count patients by how they were identified; a patient counts by the best statement of any of their images."""
    best: dict[str, int] = {}
    for one in instances:
        place = _ORDER.index(one.identified_by)
        best[one.patient] = min(place, best.get(one.patient, place))
    counts = Counter(best.values())
    return {basis: counts[place] for place, basis in enumerate(_ORDER) if counts[place]}


def guessed(counts: Mapping[Basis, int]) -> dict[Basis, int]:
    """Return the counts of patients that were guessed."""
    return {basis: count for basis, count in counts.items() if basis in GUESSES}


def check_guesses(counts: Mapping[Basis, int], confirmed: Collection[str]) -> None:
    """Check that no patient is guessed unless the hospital confirmed how: differential privacy counts by patient.

    Raises:
        PrivacyError: one is.
    """
    open_guesses = {basis: count for basis, count in guessed(counts).items() if basis not in confirmed}
    if not open_guesses:
        return
    quoted = ", ".join(f'"{basis}"' for basis in open_guesses)
    options = " ".join(f"--confirm-patients {basis}" for basis in open_guesses)
    raise PrivacyError(
        f"{sum(open_guesses.values()):,} of {sum(counts.values()):,} patients are guessed ({_by(open_guesses)}): "
        "their files name no patient, and epsilon would hold for each guess, not for each person",
        do="Name the patient of each file in the column 'patient' of labels.csv. Or, if it is so at this hospital that "
        f"{'; that '.join(GUESSES[basis][1] for basis in open_guesses)}, confirm it: confirm_patients = [{quoted}] in "
        f"hospital.toml of a hospital that serves, {options} with 'simulate' and 'scan'.",
    )


def said_of_patients(counts: Mapping[Basis, int], confirmed: Collection[str] = ()) -> str:
    """Say in one line how patients were identified."""
    stated = [f"{counts[basis]:,} by {words}" for basis, words in STATED.items() if counts.get(basis)]
    sure = {basis: count for basis, count in guessed(counts).items() if basis in confirmed}
    unsure = {basis: count for basis, count in guessed(counts).items() if basis not in confirmed}
    said = [*stated, *([f"guessed and confirmed here: {_by(sure)}"] if sure else [])]
    return "; ".join([*said, *([f"guessed: {_by(unsure)}"] if unsure else [])])


def said_of_doubts(doubts: Doubts) -> list[str]:
    """Say each contradiction about who is a patient, and what was taken."""
    several = [
        (
            doubts.shared_studies,
            "one StudyInstanceUID stands under several patients",
            "StudyInstanceUIDs stand under several patients each",
            "these patients are kept apart, as the hospital confirmed"
            if doubts.kept_apart
            else f"these patients are taken for one; if they are different persons, confirm '{SHARED_STUDY}'",
        ),
        (
            doubts.shared_images,
            "one SOPInstanceUID stands under two patients",
            "SOPInstanceUIDs stand under two patients each",
            "these patients are kept apart, as the hospital confirmed"
            if doubts.kept_apart
            else f"these patients are taken for one; if they are different persons, confirm '{SHARED_STUDY}'",
        ),
        (
            doubts.copies,
            "one file is a second copy of an image: same SOPInstanceUID",
            "files are second copies of an image: same SOPInstanceUID",
            f"left out{f'; in {doubts.other_pixels:,} the pixels differ' if doubts.other_pixels else ''}",
        ),
        (
            doubts.joined_by_table,
            "the table gives one name to files of several PatientIDs",
            "times the table gives one name to files of several PatientIDs",
            "they are taken for one patient",
        ),
        (
            doubts.split_by_table,
            "the table gives files of one PatientID several names",
            "times the table gives files of one PatientID several names",
            "the PatientID was taken",
        ),
        (
            doubts.unclear_issuers,
            "one number is used by several issuers, and also stands without an issuer",
            "numbers are used by several issuers, and also stand without an issuer",
            "those without one are taken for another patient",
        ),
        (
            doubts.alike,
            "two PatientIDs differ in capital letters, signs or leading zeros only",
            "PatientIDs differ from another one in capital letters, signs or leading zeros only",
            "they are taken for different patients",
        ),
        (
            doubts.crowded,
            f"one PatientID has more than {MOST_STUDIES} studies",
            f"PatientIDs have more than {MOST_STUDIES} studies each",
            "look whether it is a word that was written for everybody",
        ),
        (
            doubts.sides,
            "one guessed patient is called like another one but for a side",
            "guessed patients are called like another one but for a side (left, right)",
            "they are taken for different patients; if they are one person, name the patient in labels.csv",
        ),
    ]
    return [f"{one if count == 1 else f'{count:,} {many}'}: {taken}" for count, one, many, taken in several if count]


def _by(counts: Mapping[Basis, int]) -> str:
    return ", ".join(f"{count:,} by {GUESSES[basis][0]}" for basis, count in counts.items())


def guess(study_uid: str, file: str, groups: frozenset[str]) -> tuple[str, Basis]:
    """Name the patient of a file that has no identity, and which guess that is.

    ``groups`` are names of folders that group by label and tell nothing of the patient.
    """
    path = PurePosixPath(one_form(file))
    groups = frozenset(map(one_form, groups))
    subject = _subject(path, groups)
    if subject:
        return f"subject{MARK}{subject}", "subject"
    if study_uid:
        return f"study{MARK}{study_uid}", "study"
    folders = path.parts[:-1]
    if not folders or folders[-1] in groups:
        return f"file{MARK}{path}", "file"
    # A patient who is given another label, and so another folder of a class, is the same patient.
    return f"folder{MARK}{'/'.join(part for part in folders if part not in groups)}", "folder"


_BIDS = re.compile(r"sub-[0-9A-Za-z]+")


def _subject(path: PurePosixPath, groups: frozenset[str]) -> str:
    """Find the person in a path after BIDS ("Filesystem structure"), with the folder of the data set before it."""
    found = next((place for place, part in enumerate(path.parts[:-1]) if _BIDS.fullmatch(part)), None)
    if found is not None:
        above, subject = path.parts[:found], path.parts[found]
    else:
        named = _BIDS.match(path.name)
        if named is None or path.name[named.end() : named.end() + 1] != "_":
            return ""
        above, subject = path.parts[:-1], named[0]
    for kind in ("derivatives", "sourcedata", "rawdata"):
        if kind in above:
            above = above[: above.index(kind)]
    return "/".join((*(part for part in above if part not in groups), subject))

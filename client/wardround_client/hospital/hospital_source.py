"""Which images a hospital service contributes, by its settings, which are shown and recorded with each approval.

``wardround scan`` and ``wardround simulate`` have the same switches as options, by the same names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from pydicom.datadict import tag_for_keyword

from wardround_client.images.plugin_formats import let_in_only
from wardround_client.intake.patients import CONFIRMABLE, check_confirmed, guessed, said_of_doubts, said_of_patients
from wardround_client.intake.record import ALLOWABLE, check_allowed
from wardround_client.preparation.source import Source
from wardround_client.state.hospital_folder import HospitalFolder, HospitalSettings
from wardround_client.state.state_folder import default_state
from wardround_common.audit.entries import LONGEST_TEXT, Fact
from wardround_common.counting import count
from wardround_common.errors import DataError, DeviceError, PluginError

if TYPE_CHECKING:
    from wardround_client.preparation.dataset import Intake


def check_switches(allow: Collection[str], label_attribute: str | None, confirm_patients: Collection[str]) -> None:
    """Check the words of a hospital's switches.

    Raises:
        DataError: one is unknown.
    """
    check_allowed(allow)
    if label_attribute is not None and tag_for_keyword(label_attribute) is None:
        raise DataError(
            f"DICOM has no attribute with the keyword {label_attribute!r}",
            do="Keywords are such as BodyPartExamined or StudyDescription.",
        )
    check_confirmed(confirm_patients)


def hospital_source(folder: HospitalFolder) -> Source:
    """Say where this hospital's images and labels are, and what it accepts.

    Raises:
        DataError: a switch in its settings has an unknown word.
        PluginError: a format in its settings is of a plug-in that is not installed so.
        StorageError: the settings cannot be used.
    """
    settings = folder.settings()
    try:
        check_switches(settings.allow, settings.label_attribute, settings.confirm_patients)
        let_in_only(settings.formats)
    except (DataError, PluginError) as error:
        error.where = str(folder.settings_file)
        raise
    return Source(
        folder=settings.data,
        state=default_state(settings.data),
        labels=settings.labels,
        label_attribute=settings.label_attribute,
        allow=frozenset(settings.allow),
        confirmed=frozenset(settings.confirm_patients),
        formats=settings.formats,
    )


def hospital_device(folder: HospitalFolder) -> str:
    """Name what this hospital trains on.

    Raises:
        DeviceError: its settings name what is not here.
        StorageError: the settings cannot be used.
    """
    from wardround_client.training.devices import choose, describe  # torch, which a look at images does without

    try:
        return describe(choose(folder.settings().device))
    except DeviceError as error:
        error.where = str(folder.settings_file)
        raise


def said_of_intake(settings: HospitalSettings, intake: Intake) -> Iterator[str]:
    """Say who is a patient and which switches of this hospital hold, before it approves a study."""
    yield f"Patients are identified so: {said_of_patients(intake.patients, intake.confirmed)}."
    if settings.labels is not None:
        yield "Labels come from the table that hospital.toml names."
    if settings.label_attribute is not None:
        yield f"Labels come from the DICOM attribute {settings.label_attribute}, as hospital.toml says."
    for word in settings.allow:
        yield f"Files are taken in although: {ALLOWABLE[word]} (allow {word!r} in hospital.toml)."
    for name in settings.formats:
        yield f"Files of a format of its own are read by a plug-in that this hospital installed: {name}."
    for word in settings.confirm_patients:
        yield f"This hospital confirms that {CONFIRMABLE[word]} (confirm_patients {word!r} in hospital.toml)."


def warned_of_intake(intake: Intake) -> Iterator[str]:
    """Say what should be looked at before an approval: guesses that nobody confirmed, and contradictions."""
    if unsure := guessed(intake.patients).keys() - intake.confirmed:
        many = sum(intake.patients[basis] for basis in unsure)
        yield (
            f"{count(many, 'patient is', 'patients are')} guessed, since their files name none: the split into "
            "training and test is only as good as that guess."
        )
    for doubt in said_of_doubts(intake.doubts):
        yield f"{doubt}."


def facts_of_intake(settings: HospitalSettings, intake: Intake) -> dict[str, Fact]:
    """Say for the audit log under which switches a study was approved: words and a count, no path and no patient."""
    facts: dict[str, Fact] = {}
    if settings.labels is not None:
        facts["labels"] = "the table that the settings name"
    if settings.label_attribute is not None:
        facts["label attribute"] = settings.label_attribute
    if settings.allow:
        facts["allow"] = ", ".join(settings.allow)
    if settings.formats:
        facts["formats"] = _in_an_entry(", ".join(sorted(settings.formats)), len(settings.formats))
    if settings.confirm_patients:
        facts["confirm patients"] = ", ".join(settings.confirm_patients)
    if count := sum(guessed(intake.patients).values()):
        facts["patients guessed"] = count
    return facts


def _in_an_entry(listed: str, count: int) -> str:
    """Return a list as an entry has room for it: as it is, or its digest."""
    if len(listed) <= LONGEST_TEXT:
        return listed
    return f"{count} formats, whose list has the SHA-256 {hashlib.sha256(listed.encode()).hexdigest()}"

"""What a scan found, counted: the words that the screen and the local report share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace

from pydicom.uid import UID

from wardround_client.intake.deidentification import FINDINGS
from wardround_client.intake.duplicates import near_duplicates
from wardround_client.intake.identification import identify
from wardround_client.intake.image_kinds import KINDS
from wardround_client.intake.instance import Basis, Doubts, Index, Instance
from wardround_client.intake.labels import Labels, other_tables
from wardround_client.intake.patients import count_by_basis


@dataclass(frozen=True)
class Summary:
    """The counts of one scan. Everything here stays in the hospital."""

    accepted: int
    refused: dict[str, int]
    patients: int
    patients_by: dict[Basis, int]
    """Patients by how they were identified."""
    confirmed: tuple[str, ...]
    """The guesses of who is a patient that the hospital confirmed."""
    doubts: Doubts
    studies: int
    series: int
    size_bytes: int
    reread: int
    allowed: tuple[str, ...]
    labels: dict[str, int] | None
    """Images by label word; None where no labels were found."""
    labels_wanted: bool
    """Whether any were looked for: a scan for a study's outlines, boxes or prepared images needs none."""
    patients_by_label: dict[str, int]
    without_label: int
    listed_but_refused: int
    listed_but_missing: int
    other_tables: list[str]
    """Files that are named like a table of labels and were not read as one."""
    scanners: dict[str, int]
    modalities: dict[str, int]
    sizes: dict[str, int]
    frames: dict[str, int]
    bits: dict[str, int]
    photometric: dict[str, int]
    transfer_syntaxes: dict[str, int]
    spacing_mm: tuple[float, float] | None
    """The smallest and the largest distance between rows."""
    without_spacing: int
    duplicates: list[tuple[Instance, Instance]] = field(repr=False)
    """Pairs of images that are the same or nearly so, of one patient or of two; not neighbours in one series."""
    contradictions: list[tuple[Instance, Instance]] = field(repr=False)
    """Those of them that have different labels."""

    @property
    def left_out(self) -> dict[str, int]:
        """Of what is refused, the kinds of images that a hospital may accept anyway, by reason."""
        return {reason: count for reason, count in self.refused.items() if reason in KINDS.values()}

    @property
    def relaxed(self) -> tuple[str, ...]:
        """Which findings of the de-identification check the hospital allowed."""
        return tuple(word for word in self.allowed if word in FINDINGS)

    @property
    def taken_in(self) -> tuple[str, ...]:
        """Which kinds of images the hospital takes in although they are not its studies' own."""
        return tuple(word for word in self.allowed if word in KINDS)

    @property
    def duplicates_between_patients(self) -> list[tuple[Instance, Instance]]:
        """The pairs that belong to two patients: a copy, or one person under two names."""
        return [pair for pair in self.duplicates if pair[0].patient != pair[1].patient]


def counts(summary: Summary) -> dict[str, object]:
    """Return a summary as JSON has it: counts, and of what it lists by file only how many there are."""
    found: dict[str, object] = {}
    for name, value in vars(summary).items():
        found[name] = len(value) if isinstance(value, list) else value
    return found | {
        "doubts": asdict(summary.doubts),
        "duplicates_between_patients": len(summary.duplicates_between_patients),
    }


def scanner_of(instance: Instance) -> str:
    """Name the machine of an image: manufacturer and model."""
    return f"{instance.manufacturer} {instance.scanner}".strip() or "not stated"


def identified(
    index: Index, labels: Labels | None, classes: tuple[str, ...], confirmed: frozenset[str]
) -> tuple[Index, Labels | None]:
    """Decide who is a patient, as a study would; second copies of an image lose their label too."""
    found = labels or Labels({})
    groups = frozenset(classes).union(found.words.values())
    decided = identify(index, found.patients, found.words, groups=groups, confirmed=confirmed)
    if labels is None:
        return decided, None
    words = {one.file: labels.words[one.file] for one in decided.accepted if one.file in labels.words}
    return decided, replace(labels, words=words)


def summarise(
    index: Index, labels: Labels | None, confirmed: frozenset[str] = frozenset(), *, labels_wanted: bool = True
) -> Summary:
    """Count what a scan found."""
    accepted = index.accepted
    words = labels.words if labels else {}
    duplicates = near_duplicates(accepted, range(len(accepted)))
    spacings = [instance.spacing_mm[-2] for instance in accepted if instance.spacing_mm]
    return Summary(
        accepted=len(accepted),
        refused=_counted(refusal.reason for refusal in index.refused),
        patients=len({instance.patient for instance in accepted}),
        patients_by=count_by_basis(accepted),
        confirmed=tuple(sorted(confirmed)),
        doubts=index.doubts,
        studies=len({instance.study_uid for instance in accepted if instance.study_uid}),
        series=len({instance.series_uid for instance in accepted if instance.series_uid}),
        size_bytes=sum(instance.size_bytes for instance in accepted),
        reread=index.reread,
        allowed=index.allowed,
        labels=labels.counts() if labels else None,
        labels_wanted=labels_wanted,
        patients_by_label=_counted(
            word for _, word in {(i.patient, words[i.file]) for i in accepted if i.file in words}
        ),
        without_label=sum(instance.file not in words for instance in accepted) if labels else 0,
        listed_but_refused=labels.listed_but_refused if labels else 0,
        listed_but_missing=labels.listed_but_missing if labels else 0,
        other_tables=other_tables(index),
        scanners=_counted(scanner_of(instance) for instance in accepted),
        modalities=_counted(instance.modality or "not stated" for instance in accepted),
        sizes=_counted(f"{instance.rows} × {instance.columns}" for instance in accepted),
        frames=_counted(f"{i.frames} frames" if i.frames > 1 else "single image" for i in accepted),
        bits=_counted(_bits(instance.bits) for instance in accepted),
        photometric=_counted(instance.photometric or "not stated" for instance in accepted),
        transfer_syntaxes=_counted(_syntax(instance.transfer_syntax) for instance in accepted),
        spacing_mm=(min(spacings), max(spacings)) if spacings else None,
        without_spacing=len(accepted) - len(spacings),
        duplicates=duplicates,
        contradictions=[pair for pair in duplicates if labels_disagree(pair, words)],
    )


def labels_disagree(pair: tuple[Instance, Instance], words: Mapping[str, str]) -> bool:
    """Tell whether both images of a pair have a label and the labels differ."""
    one, other = (words.get(instance.file) for instance in pair)
    return one is not None and other is not None and one != other


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))


def _bits(bits: str) -> str:
    allocated, _, stored = bits.partition("/")
    return f"{stored} bit" if allocated == stored else f"{stored} of {allocated} bit"


def _syntax(syntax: str) -> str:
    return UID(syntax).name if syntax.startswith("1.2.") else syntax

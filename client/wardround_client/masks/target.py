"""What a DICOM mask says that it outlines: whose, which series, measured from which origin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydicom import Dataset

from wardround_client.images.attributes import tag, text
from wardround_client.volumes import Series
from wardround_common.errors import ImageRefused

_PATIENT, _FRAME = tag("PatientID"), tag("FrameOfReferenceUID")


@dataclass(frozen=True)
class Target:
    """Whom and what a mask outlines, as it says; empty for what it does not say."""

    patient: str = field(repr=False)
    series_uids: tuple[str, ...] = field(repr=False)
    frame_of_reference: str = field(repr=False)

    @classmethod
    def of(cls, header: Dataset, series_uids: Iterable[str], frame_of_reference: str = "") -> Target:
        """Read what all masks say alike from the attributes of one."""
        uids = tuple(dict.fromkeys(uid for uid in series_uids if uid))
        return cls(text(header, _PATIENT), uids, frame_of_reference or text(header, _FRAME))

    def among(self, series: Iterable[Series]) -> list[Series]:
        """Return the series that are outlined: those that are named, or those of the patient with the same origin.

        Raises:
            ImageRefused: ``source-absent``, ``other-patient`` or ``other-frame-of-reference``.
        """
        known = list(series)
        if self.series_uids:
            found = [one for one in known if one.uid in self.series_uids]
        else:
            found = [one for one in known if self.frame_of_reference and self._shares_origin(one)]
        if not found:
            raise ImageRefused(
                "source-absent",
                "the series it outlines is missing, or was refused",
                do="Export the images of that series into the folder as well.",
            )
        for one in found:
            self.check(one)
        return found

    def check(self, series: Series) -> None:
        """Refuse a series of somebody else, or one that is measured from another origin.

        Raises:
            ImageRefused: ``other-patient`` or ``other-frame-of-reference``.
        """
        if self.patient and series.patient and self.patient != series.patient:
            raise ImageRefused(
                "other-patient",
                "the mask and the series it outlines name different patients",
                do="Correct the PatientID of one of them.",
            )
        if self.frame_of_reference and series.frame_of_reference and not self._shares_origin(series):
            raise ImageRefused(
                "other-frame-of-reference",
                "the mask and the series it outlines have different frames of reference",
                do="Draw it on this series, or export it registered to it.",
            )

    def _shares_origin(self, series: Series) -> bool:
        return self.frame_of_reference == series.frame_of_reference

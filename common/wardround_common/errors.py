"""Every error that Wardround raises on purpose, and what a person should do about it.

::

    WardroundError
    ├── ArgumentError     a function was called with a wrong argument       exit 3
    ├── StudyError        the study file is wrong                           exit 3
    │   └── PluginError   a plug-in is not the approved one, or misbehaves      exit 3
    ├── DataError         a hospital's images or labels cannot be used      exit 4
    │   ├── ImagesAwayError  the images are not there now                   exit 4
    │   ├── ImageRefused  one image file is refused, with a reason
    │   └── LabelError    the labels are missing, unknown or contradictory
    ├── PrivacyError      what is asked for would break a privacy promise   exit 5
    │   └── PolicyError   the hospital's policy does not allow it
    ├── ApprovalError     the hospital did not approve what is asked for    exit 5
    ├── PausedError       the hospital has paused                           exit 5
    ├── MessageError      a message does not follow the protocol            exit 6
    │   ├── VersionError  the other end's messages have another form
    │   └── OutdatedError  a round was answered before an upgrade, in another form
    ├── RoundError        a round cannot be completed                       exit 6
    │   └── RoundStorageError  since hospitals could not write their files  exit 7
    ├── ModelError        a model or its parameters do not fit              exit 6
    ├── DeviceError       the device is not here, or is too small         exit 9
    ├── StorageError      a file cannot be written, read or trusted         exit 7
    │   ├── FullDiskError  there is no room on the disk
    │   ├── OtherVersionError  it is whole, and another version's         exit 7
    │   └── ServiceAwayError  no service serves from this folder            exit 7
    ├── ServiceError      a service does not answer its own people          exit 8
    ├── LinkError         hospital and coordinator do not reach each other  exit 8
    └── PacsError         the hospital's archive is away, or refuses        exit 8
        └── QuestionError  it is there, and cannot answer one question      exit 8

Only the shells (``cli.py``, ``app.py``) catch these, and only this tree: anything else is a bug and crashes loudly.

What a hospital's error says stays in the hospital: the text may name a local file. The coordinator is told only
``kind``, a fixed word for each class.
"""

from __future__ import annotations

from collections.abc import Sequence

from wardround_common.refusals import advice

CHECK_FILE = "Check that it is there, and that this user may read it."
"""What to do about a file that cannot be read."""
MOST_LISTED = 200


def listed(faults: Sequence[str]) -> str:
    """Return faults as lines of a message, each once; of very many the first ones, and how many more there are."""
    each = [*dict.fromkeys(faults)]
    more = [f"and {len(each) - MOST_LISTED:,} more"] if len(each) > MOST_LISTED else []
    return "\n".join(f"  · {fault}" for fault in [*each[:MOST_LISTED], *more])


class WardroundError(Exception):
    """What was wrong, where, and what to do about it, in words for a person."""

    exit_code = 1
    kind = "error"

    def __init__(self, what: str, *, where: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.do = do

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.args, self.__dict__)  # so that a worker process can hand it on

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  → {self.do}" if self.do else text


class ArgumentError(WardroundError, TypeError):
    """A function of the package was called with an argument of a kind that it does not take."""

    exit_code = 3
    kind = "argument"


class StudyError(WardroundError):
    """The study file is wrong."""

    exit_code = 3
    kind = "study"

    def __init__(self, what: str, *, where: str = "", do: str = "", faults: Sequence[str] = ()) -> None:
        super().__init__(what, where=where, do=do)
        self.faults = tuple(faults) or (what,)
        """Each fault by itself; ``what`` lists them all."""


class PluginError(StudyError):
    """A plug-in is not the one that the study names, or its code does not do what it says."""

    kind = "plugin"


class DataError(WardroundError):
    """A hospital's images or labels cannot be used."""

    exit_code = 4
    kind = "data"


class ImagesAwayError(DataError):
    """A hospital's images are not there now, perhaps because a disk is not mounted: they can come back."""

    kind = "images-away"


class ImageRefused(DataError):  # noqa: N818  # a refusal is an outcome that scans count, not a failure
    """One image file is refused; ``reason`` is a short fixed word that scans count by.

    Without ``do`` it says what the table of refusals advises for the reason.
    """

    def __init__(self, reason: str, what: str, *, where: str = "", do: str = "") -> None:
        super().__init__(what, where=where, do=do or advice(reason))
        self.reason = reason


class LabelError(DataError):
    """The labels are missing, unknown or contradictory."""


class PrivacyError(WardroundError):
    """What is asked for would break a privacy promise."""

    exit_code = 5
    kind = "privacy"


class PolicyError(PrivacyError):
    """The hospital's policy does not allow what is asked for."""

    kind = "policy"


class ApprovalError(WardroundError):
    """The hospital did not approve what is asked for."""

    exit_code = 5
    kind = "unapproved"


class PausedError(WardroundError):
    """The hospital has paused: it begins nothing until it goes on."""

    exit_code = 5
    kind = "paused"


class MessageError(WardroundError):
    """A message does not follow the protocol."""

    exit_code = 6
    kind = "message"


class VersionError(MessageError):
    """The other end runs a version of Wardround whose messages have another form."""

    kind = "version"


class OutdatedError(MessageError):
    """A round was answered before an upgrade, in a form of secure sums that this version neither reads nor sends."""

    kind = "outdated"


class RoundError(WardroundError):
    """A round cannot be completed."""

    exit_code = 6
    kind = "round"
    give_up = False
    """Whether the run may have to go on without the round: it was begun, and perhaps can never be summed."""


class ModelError(WardroundError):
    """A model or its parameters do not fit."""

    exit_code = 6
    kind = "model"


class DeviceError(WardroundError):
    """The device that is to compute is not here, or has too little memory."""

    exit_code = 9
    kind = "device"


class StorageError(WardroundError):
    """A file cannot be written, read or trusted."""

    exit_code = 7
    kind = "storage"


class FullDiskError(StorageError):
    """There is no room on the disk."""

    kind = "disk-full"


class OtherVersionError(StorageError):
    """What another version of Wardround wrote: it is whole, and this version will not read it the next time either."""

    kind = "other-version"


class ServiceAwayError(StorageError):
    """No service serves from this folder."""


class ServiceError(WardroundError):
    """A service does not answer its own people: it hangs, is of another version, or is not one of ours."""

    exit_code = 8
    kind = "service"


class RoundStorageError(RoundError):
    """A round cannot be completed since hospitals could not write or read their files."""

    exit_code = StorageError.exit_code
    kind = StorageError.kind


class LinkError(WardroundError):
    """Hospital and coordinator do not reach each other, or one does not accept who the other is."""

    exit_code = 8
    kind = "link"


class PacsError(WardroundError):
    """The hospital's own archive is not reached, refuses, or answers otherwise than DICOM says."""

    exit_code = 8
    kind = "pacs"


class QuestionError(PacsError):
    """The archive is there and answers that it cannot answer this question; it may well answer another one."""


def _restore(kind: type[WardroundError], args: tuple[object, ...], facts: dict[str, object]) -> WardroundError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error

"""The archive by DICOM's own services: C-ECHO, C-FIND, C-GET or C-MOVE, and C-STORE (PS3.4, annexes B and C)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import ALL_TRANSFER_SYNTAXES, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # it makes these names when it is imported
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from wardround_client.images.dicom import quiet, refusing
from wardround_client.pacs.archive import Instance, Outcome, Query, StoredFile, Study, Take
from wardround_client.pacs.association import MOST_CONTEXTS, associated
from wardround_client.pacs.receiver import Receiver, received, storage_classes
from wardround_client.pacs.settings import PacsSettings
from wardround_common.errors import ImageRefused, PacsError, QuestionError

SUCCESS, PENDING = 0x0000, (0xFF00, 0xFF01)
DESTINATION_UNKNOWN = 0xA801
WARNINGS = (0xB000, 0xB006, 0xB007)
TOGETHER = 50  # instances that one request names
IN_VAIN = 5  # requests for one instance each that bring nothing, before the others are given up
CLASSES_TOGETHER = (MOST_CONTEXTS - 1) // len(ALL_TRANSFER_SYNTAXES)
NO_ANSWER = "the archive took the question and gave no answer"
_UNKNOWN_TITLE = (
    "Most likely it does not know our AE title {title!r}, or does not let it ask: have it entered there, with the "
    "right to query and retrieve, and this machine's address."
)


@dataclass(frozen=True)
class DimseArchive:
    """The archive that ``host``, ``port`` and the AE titles name."""

    settings: PacsSettings
    receiver: Receiver | None = field(default=None, repr=False, compare=False)
    """What listens for a C-MOVE while this is open."""

    @contextmanager
    def opened(self) -> Iterator[DimseArchive]:
        """Let one receiver listen for all studies that are fetched meanwhile, where the archive moves them."""
        if self.settings.retrieve == "get" or self.receiver is not None:
            yield self
            return
        with Receiver(self.settings) as receiver:
            yield replace(self, receiver=receiver)

    @property
    def where(self) -> str:
        """Say how it is reached, for messages."""
        return f"{self.settings.title}@{self.settings.host}:{self.settings.port}"

    def echo(self) -> None:
        """Ask whether it is there."""
        with associated(self.settings, [build_context(Verification)]) as association:
            status = association.send_c_echo().get("Status")
        if status != SUCCESS:
            raise self._refused(status, "an echo")

    @quiet()  # identifiers are quoted by pydicom where they break a rule
    def find(self, query: Query, most: int) -> list[Study]:
        """Return the studies that it lists for a query, up to ``most``."""
        asked = Dataset()
        asked.QueryRetrieveLevel = "STUDY"
        asked.PatientID, asked.AccessionNumber = query.patient, query.accession
        asked.StudyInstanceUID, asked.StudyDate = query.study, query.range
        asked.ModalitiesInStudy = query.modality.upper()
        asked.StudyDescription = f"*{query.description}*" if query.description else ""
        asked.NumberOfStudyRelatedInstances = ""
        if characters := _character_set(query.patient + query.accession + query.description):
            asked.SpecificCharacterSet = characters
        contexts = [build_context(StudyRootQueryRetrieveInformationModelFind)]
        with associated(self.settings, contexts) as association, closing(self._found(association, asked)) as answers:
            found = [study_of(each) for each in itertools.islice(answers, most)]
            if len(found) == most:
                association.abort()  # there may be more on the way, which a release would wait for
        return found

    @quiet()
    def instances(self, study: str) -> list[Instance]:
        """Return every instance of a study that it lists, series by series."""
        with associated(self.settings, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as association:
            asked = Dataset()
            asked.QueryRetrieveLevel, asked.StudyInstanceUID, asked.SeriesInstanceUID = "SERIES", study, ""
            series = dict.fromkeys(word(each, "SeriesInstanceUID") for each in self._found(association, asked))
            listed: dict[str, Instance] = {}
            for uid in filter(None, series):
                asked = Dataset()
                asked.QueryRetrieveLevel, asked.StudyInstanceUID, asked.SeriesInstanceUID = "IMAGE", study, uid
                asked.SOPInstanceUID = asked.SOPClassUID = asked.AvailableTransferSyntaxUID = ""
                for each in self._found(association, asked):
                    found = instance_of(each, study, uid)
                    listed[found.uid] = found
                    self._check_count(len(listed))
        listed.pop("", None)
        return list(listed.values())

    def _check_count(self, count: int) -> None:
        if count > self.settings.most_instances:
            raise PacsError(
                f"this study has more than {self.settings.most_instances:,} instances",
                where=self.where,
                do="Raise most_instances in pacs.toml if that is meant.",
            )

    @quiet()
    def send(self, wanted: Sequence[Instance], take: Take) -> str:
        """Let it send these instances of one study, by C-GET or C-MOVE; return why not all of them came.

        Lists of instances are asked for first, and what did not come once more, each by itself: some archives end a
        whole request at the first instance that they cannot send, and some take no lists.
        """
        arrived: set[str] = set()

        def taken(uid: str, data: bytes) -> bool:
            asked = take(data)
            if asked:
                arrived.add(uid)
            return asked

        if self.settings.retrieve == "get":
            return self._ladder(wanted, arrived, lambda some: self._get(some, taken))
        with self.opened() as here:
            receiver = here.receiver
            if receiver is None:
                raise TypeError("what was opened to move has a receiver")
            receiver.expect([each.uid for each in wanted], taken)
            reason = self._ladder(wanted, arrived, lambda some: self._move(some, receiver, arrived))
            receiver.check(nothing_came=not arrived, said=reason)
            return reason

    def _ladder(
        self, wanted: Sequence[Instance], arrived: set[str], request: Callable[[Sequence[Instance]], str]
    ) -> str:
        reason, in_vain = "", 0
        for some in _together(wanted):
            reason = request(some) or reason
        left = [each for each in wanted if each.uid not in arrived]
        if len(wanted) == 1 or not left:
            return reason
        for one in left:
            reason = request([one]) or reason
            in_vain = 0 if one.uid in arrived else in_vain + 1
            if in_vain >= IN_VAIN:
                break
        return reason

    def _get(self, some: Sequence[Instance], taken: Callable[[str, bytes], bool]) -> str:
        classes = dict.fromkeys(each.sop_class for each in some if each.sop_class) or dict.fromkeys(_COMMON)
        contexts = [build_context(StudyRootQueryRetrieveInformationModelGet)]
        # One context for each syntax: in one with several the archive picks one, and all others are transcoded or lost.
        contexts += [build_context(each, syntax) for each in classes for syntax in ALL_TRANSFER_SYNTAXES]
        failure: list[Exception] = []

        def stored(event: Event) -> int:
            return received(event, taken, failure)

        roles = [build_role(each, scp_role=True) for each in classes]
        with associated(
            self.settings, contexts[:MOST_CONTEXTS], roles=roles, handlers=[(evt.EVT_C_STORE, stored)]
        ) as association:
            asked = _identifier(some)
            answers = association.send_c_get(asked, StudyRootQueryRetrieveInformationModelGet)
            reason = self._said(answer for answer, _ in answers)
        if failure:
            raise failure[0]
        return reason

    def _move(self, some: Sequence[Instance], receiver: Receiver, arrived: set[str]) -> str:
        with associated(self.settings, [build_context(StudyRootQueryRetrieveInformationModelMove)]) as association:
            asked = _identifier(some)
            answers = association.send_c_move(asked, receiver.title, StudyRootQueryRetrieveInformationModelMove)
            reason = self._said(answer for answer, _ in answers)
        if not reason:  # some archives answer before they send
            receiver.wait(lambda: all(each.uid in arrived for each in some))
        receiver.raise_failure()
        return reason

    def _said(self, answers: Iterable[Dataset]) -> str:
        """Return why a retrieval did not succeed whole; empty where it did."""
        code = None
        for answer in answers:
            code = answer.get("Status")
            if code is None or code not in PENDING:
                break
        if code is None:
            return "the archive broke the connection off, or did not answer in time"
        if code == SUCCESS:
            return ""
        if code == DESTINATION_UNKNOWN:
            return f"the archive does not know the AE title {self.settings.our_title!r} as a place to send to"
        return f"the archive could not send it (status 0x{code:04X})"

    def store(self, files: Sequence[StoredFile]) -> Outcome:
        """Send it these files, each in the transfer syntax that it has."""
        pairs = dict.fromkeys((each.instance.sop_class, each.instance.syntax) for each in files)
        outcome: Outcome = {}
        several = list(pairs)
        for some in (several[at : at + TOGETHER] for at in range(0, len(several), TOGETHER)):
            contexts = [build_context(sop_class, syntax) for sop_class, syntax in some]
            contexts += [
                build_context(sop_class, ImplicitVRLittleEndian)
                for sop_class, syntax in some
                if syntax == ExplicitVRLittleEndian
            ]
            with associated(self.settings, contexts) as association:
                for each in files:
                    if (each.instance.sop_class, each.instance.syntax) in some:
                        outcome[each.instance.uid] = self._stored(association, each)
        return outcome

    def _stored(self, association: Association, file: StoredFile) -> str:
        if not association.is_established:
            return "the archive broke the connection off"
        try:
            with quiet():
                answer = association.send_c_store(dcmread(BytesIO(file.content)))
        except ValueError:
            return "the archive does not take objects of this kind in this transfer syntax"
        except RuntimeError:
            return "the archive broke the connection off"
        code = answer.get("Status")
        if code is None:
            return "the archive broke the connection off, or did not answer in time"
        return "" if code == SUCCESS or code in WARNINGS else f"the archive refused it (status 0x{code:04X})"

    def _found(self, association: Association, asked: Dataset) -> Generator[Dataset, None, None]:
        for answer, found in association.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind):
            status = answer.get("Status")
            if status is None or status not in PENDING:
                if status != SUCCESS:
                    raise self._refused(status, "a question")
                return
            if found is not None:
                yield found
        raise self._refused(None, "a question")

    def _refused(self, status: int | None, what: str) -> PacsError:
        if status is None:
            return PacsError(NO_ANSWER, where=self.where, do=_UNKNOWN_TITLE.format(title=self.settings.our_title))
        return QuestionError(
            f"the archive refuses {what} (status 0x{status:04X})", where=self.where, do="Ask those who run it."
        )


_COMMON = storage_classes()[:CLASSES_TOGETHER]


def _together(wanted: Sequence[Instance]) -> Iterator[list[Instance]]:
    """Put those together that one request can name: of one series, and of few enough SOP classes."""
    by_series: dict[str, list[Instance]] = {}
    for each in wanted:
        by_series.setdefault(each.series, []).append(each)
    for series in by_series.values():
        some: list[Instance] = []
        for each in series:
            classes = {one.sop_class for one in (*some, each)}
            if some and (len(some) >= TOGETHER or len(classes) > CLASSES_TOGETHER):
                yield some
                some = []
            some.append(each)
        yield some


def _identifier(some: Sequence[Instance]) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = "IMAGE"
    asked.StudyInstanceUID, asked.SeriesInstanceUID = some[0].study, some[0].series
    asked.SOPInstanceUID = [each.uid for each in some] if len(some) > 1 else some[0].uid
    return asked


def study_of(found: Dataset) -> Study:
    """Read an answer about a study; what is damaged in it counts as not stated."""
    count = word(found, "NumberOfStudyRelatedInstances")
    return Study(
        uid=word(found, "StudyInstanceUID"),
        patient=word(found, "PatientID"),
        accession=word(found, "AccessionNumber"),
        date=word(found, "StudyDate").replace(".", ""),
        modalities=tuple(words(found, "ModalitiesInStudy")),
        description=word(found, "StudyDescription"),
        instances=int(count) if count.isdecimal() else None,
    )


def instance_of(found: Dataset, study: str, series: str) -> Instance:
    """Read an answer about an instance."""
    return Instance(
        study,
        series,
        word(found, "SOPInstanceUID"),
        word(found, "SOPClassUID"),
        next(iter(words(found, "AvailableTransferSyntaxUID")), ""),
    )


def _character_set(keys: str) -> str:
    """Return the character set to state for these keys: without one, a question is in ASCII (PS3.5, 6.1.2)."""
    if keys.isascii():
        return ""
    try:
        keys.encode("latin-1")
    except UnicodeEncodeError:
        return "ISO_IR 192"
    return "ISO_IR 100"


def words(found: Dataset, keyword: str) -> list[str]:
    """Return the values of an attribute as text, without spaces around them."""
    try:
        with refusing("unreadable", "the answer cannot be read", where="the archive"):
            value = found.get(keyword)
    except ImageRefused:
        return []
    if value is None:
        return []
    several = value if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
    return [text for each in several if (text := str(each).strip().strip("\0"))]


def word(found: Dataset, keyword: str) -> str:
    """Return the value of an attribute as text; empty where it is absent."""
    return "\\".join(words(found, keyword))

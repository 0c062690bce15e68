"""The archive by DICOMweb: QIDO-RS, WADO-RS and STOW-RS (PS3.18)."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.errors import BytesLengthException, InvalidDicomError
from requests.adapters import HTTPAdapter

from wardround_client.images.dicom import quiet
from wardround_client.images.source import LARGEST_FILE_BYTES
from wardround_client.pacs.archive import Instance, Outcome, Query, StoredFile, Study, Take
from wardround_client.pacs.association import our_context
from wardround_client.pacs.dimse import instance_of, study_of, word
from wardround_client.pacs.settings import PacsSettings, secret_of
from wardround_common.errors import PacsError, QuestionError

TRIES = 3
ANY_SYNTAX = (("application/dicom", "*"),)
"""Without it WADO gives Explicit VR Little Endian, transcoded, or an error for what the archive cannot transcode."""
PAGE = 500
_STUDY_FIELDS = ["StudyDescription", "NumberOfStudyRelatedInstances", "ModalitiesInStudy"]
UNREADABLE = (
    *(ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, OSError, NotImplementedError),
    *(InvalidDicomError, BytesLengthException, struct.error, zlib.error),
)
"""What reading an answer that is none, or none that pydicom reads, ends with."""


@dataclass(frozen=True)
class WebArchive:
    """The archive that ``web`` names."""

    settings: PacsSettings

    @property
    def where(self) -> str:
        """Say how it is reached, for messages."""
        return str(self.settings.web)

    def opened(self) -> AbstractContextManager[WebArchive]:
        """Open nothing: each request stands by itself."""
        return nullcontext(self)

    def echo(self) -> None:
        """Ask whether it is there: a search that may list one study."""
        with self._asking():
            self._client.search_for_studies(limit=1)

    def find(self, query: Query, most: int) -> list[Study]:
        """Return the studies that it lists for a query, up to ``most``."""
        filters = {
            "PatientID": query.patient,
            "AccessionNumber": query.accession,
            "StudyInstanceUID": query.study,
            "StudyDate": query.range,
            "ModalitiesInStudy": query.modality.upper(),
            "StudyDescription": f"*{query.description}*" if query.description else "",
        }
        given = {key: _asked(value) for key, value in filters.items() if value}
        with self._asking():
            found = self._client.search_for_studies(limit=most, fields=_STUDY_FIELDS, search_filters=given)
            return [study_of(each) for each in self._read(found[:most])]

    def instances(self, study: str) -> list[Instance]:
        """Return every instance of a study that it lists, page by page."""
        listed: dict[str, Instance] = {}
        while True:
            before = len(listed)
            with self._asking():
                found = self._client.search_for_instances(
                    study, limit=PAGE, offset=before, fields=["AvailableTransferSyntaxUID"]
                )
                for each in self._read(found):
                    instance = instance_of(each, study, word(each, "SeriesInstanceUID"))
                    if instance.uid:
                        listed[instance.uid] = instance
            if len(listed) > self.settings.most_instances:
                raise PacsError(
                    f"this study has more than {self.settings.most_instances:,} instances",
                    where=self.where,
                    do="Raise most_instances in pacs.toml if that is meant.",
                )
            if len(found) != PAGE or len(listed) == before:  # an archive that knows no offset says the same again
                return list(listed.values())

    def send(self, wanted: Sequence[Instance], take: Take) -> str:
        """Let it send these instances of one study, one by one, as it keeps them."""
        reason = ""
        for each in wanted:
            try:
                with self._asking():
                    dataset = self._client.retrieve_instance(each.study, each.series, each.uid, media_types=ANY_SYNTAX)
                    data = _file_of(dataset)
            except PacsError as error:
                if not self._answered:
                    raise
                reason = error.what
            else:
                take(data)
        return reason

    def store(self, files: Sequence[StoredFile]) -> Outcome:
        """Send it these files, one by one, so that each has its own answer."""
        outcome: Outcome = {}
        for each in files:
            try:
                with self._asking():
                    answer = self._client.store_instances([dcmread(BytesIO(each.content))])
            except PacsError as error:
                if not self._answered:
                    raise
                outcome[each.instance.uid] = error.what
            else:
                failed = answer.get("FailedSOPSequence") or ()
                code = next((item.get("FailureReason") for item in failed), None)
                outcome[each.instance.uid] = "" if code is None else f"the archive refused it (reason 0x{code:04X})"
        return outcome

    @cached_property
    def _session(self) -> _Session:
        return _Session(self.settings)

    @cached_property
    def _client(self) -> DICOMwebClient:
        if self.settings.web is None:
            raise PacsError("pacs.toml names no archive for DICOMweb", do="Name 'web'.")
        times = (self.settings.connect_s, self.settings.answer_s)
        client = DICOMwebClient(self.settings.web, session=self._session, permissive_uid=True, timeout=times)
        client.set_http_retry_params(max_attempts=TRIES)
        return client

    @property
    def _answered(self) -> bool:
        """Whether the last request had an answer at all, if a refusal."""
        return self._session.answered

    def _read(self, found: Sequence[Mapping[str, Any]]) -> list[Dataset]:
        return [Dataset.from_json(dict(each)) for each in found]

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn whatever the request, the answer or its reader raises into an error of ours, which quotes nothing."""
        try:
            with quiet():
                yield
        except PacsError:
            raise
        except requests.exceptions.RequestException as error:
            raise web_problem(self.settings, error) from None
        except UNREADABLE as error:
            raise PacsError(
                f"the archive's answer cannot be read ({type(error).__name__})",
                where=self.where,
                do="Check that 'web' is the address of its DICOMweb, and not of its pages for people.",
            ) from None


class _Session(requests.Session):
    """Requests to the archive only: no proxy, no redirect, no password file of this user, and no endless answer."""

    def __init__(self, settings: PacsSettings) -> None:
        super().__init__()
        self.trust_env = False
        self.max_redirects = 0
        self.answered = False
        self.mount("https://", _Https(settings))
        if settings.authority is not None:
            self.verify = str(settings.authority)
        if settings.web_token is not None:
            self.headers["Authorization"] = f"Bearer {secret_of(settings.web_token, 'the token')}"
        elif settings.web_user is not None:
            password = secret_of(settings.web_password, "the password") if settings.web_password else ""
            pair = base64.b64encode(f"{settings.web_user}:{password}".encode()).decode()
            self.headers["Authorization"] = f"Basic {pair}"

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        """Send a request, and read its answer whole up to the largest file that is read."""
        request.url = _with_wildcards(request.url or "")
        self.answered = False
        how["stream"] = True
        answer = super().send(request, **how)
        parts: list[bytes] = []
        size = 0
        for part in answer.iter_content(1 << 20):
            size += len(part)
            if size > LARGEST_FILE_BYTES:
                answer.close()
                raise requests.exceptions.ContentDecodingError("too large")
            parts.append(part)
        answer._content = b"".join(parts)
        self.answered = True
        return answer


def _asked(value: str) -> str:
    """Put wildcards where characters would be escaped: ``Query.admits`` sees what they stood for.

    Orthanc's plug-in 1.7 compares the escapes of a query, such as %20, as if they were the text. Its index has no
    letters beyond ASCII, so that ``?`` finds none of them.
    """
    return "".join(_asked_character(each) for each in value)


def _asked_character(each: str) -> str:
    if not each.isascii():
        return "*"
    return each if each.isalnum() or each in "-._~*?" else "?"


def _with_wildcards(url: str) -> str:
    """Write the wildcards of a query as they are, which RFC 3986 (3.4) allows: escapes are compared as text."""
    path, mark, query = url.partition("?")
    return path + mark + query.replace("%2A", "*").replace("%3F", "?")


class _Https(HTTPAdapter):
    def __init__(self, settings: PacsSettings) -> None:
        self._settings = settings
        super().__init__()

    def init_poolmanager(self, *sizes: Any, **how: Any) -> None:
        super().init_poolmanager(*sizes, **how, ssl_context=our_context(self._settings))


def web_problem(settings: PacsSettings, error: requests.exceptions.RequestException) -> PacsError:
    """Say why a request failed, and what to do; the request itself is not quoted, it may name a patient."""
    where = str(settings.web)
    status = error.response.status_code if error.response is not None else None
    if isinstance(error, requests.exceptions.SSLError):
        return PacsError(
            "the archive's TLS cannot be trusted, or it has none at this port",
            where=where,
            do="Name the authority of its certificate in 'authority' in pacs.toml, and in 'web' the name that it has.",
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return PacsError(
            f"the machine does not answer within {settings.connect_s:g} s",
            where=where,
            do="Check 'web' and the firewall.",
        )
    if isinstance(error, requests.exceptions.ReadTimeout):
        return PacsError(
            f"the archive took the question and did not answer within {settings.answer_s:g} s",
            where=where,
            do="Raise answer_s in pacs.toml if it is only slow.",
        )
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return PacsError("the archive sends on to another address", where=where, do="Name that one in 'web'.")
    if status in (401, 403):
        return PacsError(
            "the archive wants to know who asks, or does not let this user",
            where=where,
            do="Name web_user and web_password, or web_token, in pacs.toml.",
        )
    if status == 404:
        return PacsError(
            "the archive has nothing at this address", where=where, do="Check the path in 'web', often /dicom-web."
        )
    if status is not None:
        return QuestionError(f"the archive refuses (HTTP status {status})", where=where, do="Ask those who run it.")
    if isinstance(error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return PacsError("the archive's answer broke off", where=where, do="Run it again.")
    return PacsError(
        "there is no connection: the name is unknown, nothing listens there, or it broke off",
        where=where,
        do="Check host and port in 'web', and that the archive runs.",
    )


def _file_of(dataset: Dataset) -> bytes:
    written = BytesIO()
    dcmwrite(written, dataset, enforce_file_format=True)
    return written.getvalue()

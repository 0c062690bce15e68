"""Studies for an archive, and the settings with which it is reached."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom import FileDataset
from pydicom.uid import EncapsulatedPDFStorage, generate_uid

from orthanc import OURS, TITLE, Orthanc
from tiny_dicom import tiny
from wardround_client.pacs.settings import PacsSettings

PIXELS = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
NAME = "SECRET^PERSON"
"""The patient's name in what is made here: it may stand in no output and no log."""


def study(
    accession: str, count: int = 3, *, patient: str = "P1", series: int = 1, **attributes: Any
) -> list[FileDataset]:
    """Make the images of one study."""
    uid = generate_uid()
    made = []
    for _ in range(series):
        of_series = generate_uid()
        made += [
            tiny(
                PIXELS + number,
                **{
                    "AccessionNumber": accession,
                    "PatientID": patient,
                    "PatientName": NAME,
                    "StudyInstanceUID": uid,
                    "SeriesInstanceUID": of_series,
                    "InstanceNumber": number,
                    "StudyDate": "20240105",
                    "StudyDescription": "MR of the brain",
                }
                | attributes,
            )
            for number in range(count)
        ]
    return made


def document(beside: FileDataset) -> FileDataset:
    """Make an encapsulated PDF in the study of an image."""
    made = tiny(SOPClassUID=EncapsulatedPDFStorage, Modality="DOC", PatientName=NAME)
    del made.PixelData
    made.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    made.EncapsulatedDocument, made.MIMETypeOfEncapsulatedDocument = b"%PDF-1.4", "application/pdf"
    made.StudyInstanceUID, made.AccessionNumber = beside.StudyInstanceUID, beside.AccessionNumber
    made.PatientID, made.StudyDate = beside.PatientID, beside.StudyDate
    return made


def authority(folder: Path, name: str = "authority") -> tuple[Path, Path, Path]:
    """Make an authority, and one certificate of it for 127.0.0.1 with its key; return the paths of all three."""
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = []
    for who, key in ((issuer, keys[0]), (subject, keys[1])):
        builder = (
            x509.CertificateBuilder()
            .subject_name(who)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=who == issuer, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        )
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    paths = (folder / f"{name}.pem", folder / f"{name}-server.pem", folder / f"{name}-server.key")
    for path, content in zip(paths, (*made, private), strict=True):
        path.write_bytes(content)
    return paths


def settings(archive: Orthanc, **others: Any) -> PacsSettings:
    """Say how an archive is reached by DICOM."""
    every = {"host": "127.0.0.1", "port": archive.port, "title": TITLE, "our_title": OURS, "answer_s": 20.0}
    return PacsSettings.model_validate(every | others)


def moving(archive: Orthanc, **others: Any) -> PacsSettings:
    """Say how an archive is reached that sends to a receiver."""
    receiver = {"receiver_address": "127.0.0.1", "receiver_port": archive.receiver}
    return settings(archive, retrieve="move", **(receiver | others))


def web(archive: Orthanc, **others: Any) -> PacsSettings:
    """Say how its DICOMweb is reached."""
    return PacsSettings.model_validate({"web": archive.web, "answer_s": 20.0} | others)


def files(folder: Path) -> list[Path]:
    """List the files that lie in a folder, whole or not, but for the table of labels."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "labels.csv")

"""Four invented scanners: how each turns densities into stored values, and values into a DICOM file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

from wardround_simulation.phantoms.anatomy import UNIT_MM, Plane

Values = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Scanner:
    """One hospital's scanner and the patients that come to it."""

    name: str
    """One upper-case letter; the manufacturer is ``Scanner A`` and the hospital's folder ``hospital-a``."""
    modality: Literal["CR", "MG"]
    rows: int
    columns: int
    spacing_mm: float
    bits_stored: int
    signed: bool
    photometric: Literal["MONOCHROME1", "MONOCHROME2"]
    transfer_syntax: UID
    slope: float
    intercept: float
    padding: int | None
    """The stored value outside the collimator; none where the whole plane is exposed."""
    gamma: float
    """Contrast: the density to this power."""
    blur: float
    """Standard deviation of the point spread, in pixels."""
    noise: float
    """Standard deviation of the noise in each pixel, relative to a density range of 1."""
    mottle: float
    """The same for noise with a 1/f spectrum, which looks like tissue."""
    prevalence: float
    """Fraction of the patients who have the finding."""


SCANNERS = (
    Scanner(
        name="A", modality="MG", rows=80, columns=80, spacing_mm=2.4, bits_stored=12, signed=False,
        photometric="MONOCHROME2", transfer_syntax=ExplicitVRLittleEndian, slope=1.0, intercept=0.0, padding=None,
        gamma=1.0, blur=0.5, noise=0.03, mottle=0.03, prevalence=0.5,
    ),
    Scanner(
        name="B", modality="MG", rows=96, columns=80, spacing_mm=2.2, bits_stored=8, signed=False,
        photometric="MONOCHROME1", transfer_syntax=RLELossless, slope=1.0, intercept=0.0, padding=None,
        gamma=0.7, blur=0.9, noise=0.02, mottle=0.03, prevalence=0.35,
    ),
    Scanner(
        name="C", modality="CR", rows=72, columns=90, spacing_mm=2.6, bits_stored=16, signed=True,
        photometric="MONOCHROME2", transfer_syntax=ImplicitVRLittleEndian, slope=0.125, intercept=-1024.0, padding=None,
        gamma=1.4, blur=0.7, noise=0.045, mottle=0.02, prevalence=0.6,
    ),
    Scanner(
        name="D", modality="MG", rows=96, columns=96, spacing_mm=2.0, bits_stored=10, signed=False,
        photometric="MONOCHROME2", transfer_syntax=JPEG2000Lossless, slope=1.0, intercept=0.0, padding=0,
        gamma=0.9, blur=0.3, noise=0.05, mottle=0.04, prevalence=0.4,
    ),
)  # fmt: skip  # a table, one scanner a block


def detector(scanner: Scanner) -> tuple[Plane, Plane]:
    """Return x and y of each pixel in units of 90 mm, (rows, columns)."""
    step = scanner.spacing_mm / UNIT_MM
    y, x = np.meshgrid(
        (np.arange(scanner.rows) - (scanner.rows - 1) / 2) * step,
        (np.arange(scanner.columns) - (scanner.columns - 1) / 2) * step,
        indexing="ij",
    )
    return x, y


def expose(scanner: Scanner, density: Plane, rng: np.random.Generator) -> Values:
    """Turn densities (rows, columns) into the values that the scanner stores, with its blur, shading and noise."""
    rows, columns = density.shape
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    spread = np.exp(-2 * np.square(np.pi * scanner.blur * frequency))
    mottle = np.fft.rfft2(rng.standard_normal((rows, columns))) / np.maximum(frequency, 1 / max(rows, columns))
    mottle *= scanner.mottle / np.sqrt(np.mean(1 / np.square(np.maximum(frequency, 1 / max(rows, columns)))))
    sharp = np.power(np.clip(density, 0, None), scanner.gamma)
    image = np.fft.irfft2(np.fft.rfft2(sharp) * spread + mottle, s=(rows, columns))

    down, across = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)[None, :]
    tilt_x, tilt_y, bend = rng.normal(0, 0.06, 3)
    image *= 1 + tilt_x * across + tilt_y * down + bend * (np.square(across) + np.square(down) - 1)
    image += scanner.noise * rng.standard_normal((rows, columns))
    image = image * rng.uniform(0.85, 1.1) + rng.normal(0, 0.02)

    low, high = _range(scanner)
    if scanner.padding == low:
        low += 1  # the padding value is never a measured one
    share = np.clip(0.08 + 0.75 * image, 0, 1)
    if scanner.photometric == "MONOCHROME1":
        share = 1 - share
    values = np.rint(low + share * (high - low))
    if scanner.padding is not None:
        top, bottom, left, right = rng.integers(0, 7, 4)
        outside = np.ones((rows, columns), dtype=bool)
        outside[top : rows - bottom, left : columns - right] = False
        values[outside] = scanner.padding
    return _stored(scanner, values)


def instance(scanner: Scanner, values: Values, *, patient: str, series: int, number: int, seed: int) -> Dataset:
    """Wrap stored values in a de-identified DICOM instance that ``save_as(…, enforce_file_format=True)`` can write.

    UIDs are hashes of the arguments and no date is given, so that the same arguments give the same bytes.
    """
    sop_class = (
        DigitalMammographyXRayImageStorageForPresentation
        if scanner.modality == "MG"
        else ComputedRadiographyImageStorage
    )
    names = [f"wardround phantom {seed}", scanner.name, patient]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[*names, str(series), str(number)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["wardround phantom"])
    meta.ImplementationVersionName = "WARDROUND"

    image = Dataset()
    image.file_meta = meta
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["DERIVED", "PRIMARY"]
    image.SOPClassUID = sop_class
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID = generate_uid(entropy_srcs=[*names, "study"])
    image.SeriesInstanceUID = generate_uid(entropy_srcs=[*names, str(series)])
    image.SeriesNumber, image.InstanceNumber = series, number
    image.StudyDate = image.StudyTime = image.AccessionNumber = image.StudyID = ""
    image.Modality = scanner.modality
    image.Manufacturer = f"Scanner {scanner.name}"
    image.ManufacturerModelName = f"Phantom {scanner.name}{scanner.bits_stored}"
    image.PatientID = image.PatientName = patient
    image.PatientBirthDate = image.PatientSex = image.ReferringPhysicianName = ""
    image.PatientIdentityRemoved = "YES"
    image.DeidentificationMethod = "Synthetic phantom: there is no patient"
    image.BurnedInAnnotation = "NO"
    image.BodyPartExamined, image.ViewPosition = "BREAST", "MLO"
    image.PatientOrientation, image.ImageLaterality = ["A", "FR"], "L"
    image.LossyImageCompression = "00"
    if scanner.modality == "MG":
        image.PresentationIntentType = "FOR PRESENTATION"
        image.PixelIntensityRelationship = "LOG"
        image.PixelIntensityRelationshipSign = 1 if scanner.photometric == "MONOCHROME1" else -1
        image.PresentationLUTShape = "INVERSE" if scanner.photometric == "MONOCHROME1" else "IDENTITY"
    _describe_pixels(image, scanner, values)
    if scanner.transfer_syntax.is_compressed:
        image.compress(scanner.transfer_syntax, values, generate_instance_uid=False)
    else:
        image.PixelData = values.tobytes()
        meta.TransferSyntaxUID = scanner.transfer_syntax
    return image


def _describe_pixels(image: Dataset, scanner: Scanner, values: Values) -> None:
    low, high = _range(scanner)
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = scanner.photometric
    image.Rows, image.Columns = values.shape
    image.PixelSpacing = image.ImagerPixelSpacing = [scanner.spacing_mm, scanner.spacing_mm]
    image.BitsAllocated = 8 * values.dtype.itemsize
    image.BitsStored, image.HighBit = scanner.bits_stored, scanner.bits_stored - 1
    image.PixelRepresentation = int(scanner.signed)
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = scanner.slope, scanner.intercept, "US"
    image.WindowCenter = scanner.slope * (low + high + 1) / 2 + scanner.intercept
    image.WindowWidth = scanner.slope * (high - low + 1)
    if scanner.padding is not None:
        image.PixelPaddingValue = scanner.padding


def _range(scanner: Scanner) -> tuple[int, int]:
    levels = 1 << scanner.bits_stored
    return (-levels // 2, levels // 2 - 1) if scanner.signed else (0, levels - 1)


def _stored(scanner: Scanner, values: NDArray[np.float64]) -> Values:
    if scanner.bits_stored <= 8:
        return values.astype(np.uint8)
    return values.astype(np.int16) if scanner.signed else values.astype(np.uint16)

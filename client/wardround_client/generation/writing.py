"""Writes made images as a folder that reads as a hospital's, with an overview and a statement of what they cost.

No patient is in it: names and numbers are counted, dates are those of the writing, UIDs are new ones that follow from
model, seed and number. Every file says that it is synthetic, outside its pixels: a mark in the pixels would be what a
network learns.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from wardround_client.generation.drawing import Made, cost_of, drawn, spent_of, unbounded
from wardround_client.images.sop_class import OURS
from wardround_client.prediction.model import Model
from wardround_common.counting import count
from wardround_common.errors import StorageError
from wardround_common.results.model_folder import MODEL, Card
from wardround_common.storage import LOCK, alone_in, no_room_is_said, somebody_in
from wardround_common.tasks.generation import ALL

HOSPITAL = "synthetic"
"""The folder of the images within the one that is written, which reads as a hospital's."""
OVERVIEW, STATEMENT, WORDS = "overview.png", "statement.json", "statement.txt"
MARK = "SYNTHETIC"
SAID = "Synthetic image, made by a model. It is of no patient."
MOST_SHOWN = 64
"""Images of the overview, the first ones."""
ACROSS, SHOWN_SIDE = 8, 96
Shades = NDArray[np.uint8]
OTHER = "OTHER"


@dataclass(frozen=True)
class Wanted:
    """What is to be drawn, and how it is written."""

    count: int
    seed: int
    of: tuple[str, ...] = ()
    dicom: bool = False


def write(model: Model, wanted: Wanted, out: Path, watch: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
    """Draw images into a new folder, which is there whole or not at all, and return its statement.

    Raises:
        StorageError: something is in the folder, or it cannot be written.
        StudyError: the model makes no such images.
        ModelError: an image is not finite.
    """
    with new_folder(out, private=spent_of(model.card) is None) as folder:
        return _fill(folder, model, wanted, watch)


@contextmanager
def new_folder(out: Path, *, private: bool) -> Iterator[Path]:
    """Yield a folder to fill, which then stands at ``out`` whole, or not at all; ``private``: for its owner only.

    What a killed process had begun for the same ``out`` is removed: it may show what is close to a patient's image.

    Raises:
        StorageError: something is there, or it cannot be written.
    """
    out = out.absolute()
    with no_room_is_said(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise StorageError("something is there already", where=str(out), do="Name a new folder with --out.")
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in out.parent.glob(f".{escape(out.name)}-*"):
            if (left / LOCK).is_file() and not somebody_in(left):
                shutil.rmtree(left, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            with alone_in(made):
                yield made
                made.chmod(0o700 if private else 0o755)
                if out.exists():
                    out.rmdir()
                made.rename(out)  # with its lock, without which the next run would leave it if this is killed here
                (out / LOCK).unlink()
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise


def _fill(folder: Path, model: Model, wanted: Wanted, watch: Callable[[int], None]) -> dict[str, Any]:
    hospital = folder / HOSPITAL
    hospital.mkdir()
    rows: list[tuple[str, ...]] = []
    shown: list[tuple[Shades, Made]] = []
    counts = dict.fromkeys(model.study.groups, 0)
    for one in drawn(model, wanted.count, wanted.seed, wanted.of):
        levels = np.rint(one.pixels.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)  # (rows, columns, channels)
        patient = f"{MARK}-{model.card.files[MODEL][:8]}-{wanted.seed}-{one.number:06d}"
        name = f"{one.number:06d}.{'dcm' if wanted.dicom else 'png'}"
        if wanted.dicom:
            dicom_of(levels, one, patient, model, wanted.seed).save_as(hospital / name, enforce_file_format=True)
        else:
            picture_of(levels).save(hospital / name, "PNG", pnginfo=_info(model.card))
        rows.append((name, patient, *([one.word] if one.word else ())))
        counts[one.word or model.study.groups[0]] += 1
        if len(shown) < MOST_SHOWN:
            shown.append((levels, one))
        watch(one.number)
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(
        [("file", "patient", *(["label"] if any(one.word for _, one in shown) else [])), *rows]
    )
    (hospital / "labels.csv").write_text(table.getvalue(), encoding="utf-8")
    overview(shown, model.card, wanted.count).save(folder / OVERVIEW, "PNG", pnginfo=_info(model.card))
    said = statement(model, wanted, counts)
    (folder / STATEMENT).write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / WORDS).write_text("\n".join(sentences(said)) + "\n", encoding="utf-8")
    return said


def statement(model: Model, wanted: Wanted, counts: dict[str, int]) -> dict[str, Any]:
    """Return what must be known of drawn images, as plain values."""
    card, spent = model.card, spent_of(model.card)
    return {
        "synthetic": True,
        "said": SAID,
        "model": card.name,
        "study": card.study_digest,
        "weights": card.files[MODEL],
        "count": wanted.count,
        "seed": wanted.seed,
        "counts": counts,
        "epsilon": spent[0] if spent else None,
        "delta": spent[1] if spent else None,
        "engine": card.engine,
        "cost": list(cost_of(card)),
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "wardround": card.wardround,
    }


def sentences(said: dict[str, Any]) -> list[str]:
    """Return a statement as lines for a person."""
    counts = [f"{count:,} {word}" for word, count in said["counts"].items() if count and word != ALL]
    counted = f" ({', '.join(counts)})" if counts else ""
    return [
        f"{count(said['count'], 'synthetic image')}{counted}, of no patient.",
        f"Drawn with seed {said['seed']} from the model {said['model']}, study {said['study'][:12]}, weights with the "
        f"SHA-256 {said['weights']}.",
        "",
        *said["cost"],
        "",
        "How good they are, and whether one is a copy of a patient, only a hospital can tell, on its own images: "
        "wardround generate MODEL --check FOLDER.",
        f"The folder '{HOSPITAL}' reads as a hospital's. Train with it, and judge on patients alone: in a study that "
        "has it as a hospital, its images would be in the test too.",
    ]


def dicom_of(levels: Shades, one: Made, patient: str, model: Model, seed: int) -> Dataset:
    """Return an image (rows, columns, channels) as a Secondary Capture of somebody who does not exist."""
    card, now = model.card, datetime.now()  # DICOM's times are those of the place
    made, meta = Dataset(), FileMetaDataset()

    def uid(what: str) -> UID:
        return generate_uid(entropy_srcs=[card.files[MODEL], str(seed), str(one.number), one.word, what])

    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = made.SOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = uid("image")
    made.file_meta = meta
    made.StudyInstanceUID, made.SeriesInstanceUID = uid("study"), uid("series")
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SyntheticData = "YES"
    made.ImageType = ["DERIVED", "SECONDARY", MARK]
    made.PatientID, made.PatientName = patient, f"{patient}^"
    made.PatientIdentityRemoved, made.DeidentificationMethod = "YES", SAID
    made.PatientBirthDate = made.PatientSex = made.AccessionNumber = made.ReferringPhysicianName = ""
    made.StudyID, made.StudyDescription = "", SAID
    made.SeriesDescription, made.ImageComments = f"{MARK}: made by a model", _said(card)
    made.StudyDate = made.ContentDate = now.strftime("%Y%m%d")
    made.StudyTime = made.ContentTime = now.strftime("%H%M%S")
    modalities = [modality for modality in model.study.data.modalities if modality != OTHER]
    made.Modality, made.ConversionType, made.BurnedInAnnotation = modalities[0] if modalities else "OT", "SYN", "NO"
    made.Manufacturer = OURS
    made.ManufacturerModelName = card.name[:64]
    made.SoftwareVersions = card.wardround
    made.DerivationDescription = f"Drawn from the model {card.name}"[:1024]
    made.SeriesNumber, made.InstanceNumber, made.PatientOrientation = 1, one.number, ""
    made.Laterality = ""  # 2C: empty where it is not known whether the body part is one of a pair
    made.Rows, made.Columns, made.SamplesPerPixel = levels.shape
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PhotometricInterpretation = "MONOCHROME2" if levels.shape[2] == 1 else "RGB"
    if levels.shape[2] == 3:
        made.PlanarConfiguration = 0
    pixels = np.ascontiguousarray(levels).tobytes()
    made.PixelData = pixels + bytes(len(pixels) % 2)
    return made


def overview(shown: Sequence[tuple[Shades, Made]], card: Card, count: int) -> Pillow.Image:
    """Draw the first images side by side, each with its class, under a line that says what they are."""
    line = 20
    font = ImageFont.load_default(13)
    head = [
        f"{MARK}: made by the model {card.name}, of no patient",
        f"the first {len(shown)} of {count:,}",
        _short(card),
    ]
    down = -(-len(shown) // ACROSS)
    cell = SHOWN_SIDE + line
    canvas = Pillow.new("RGB", (ACROSS * SHOWN_SIDE, len(head) * line + 8 + down * cell), "black")
    draw = ImageDraw.Draw(canvas)
    for number, text in enumerate(head):
        draw.text((4, 4 + number * line), text, fill="white", font=font)
    for place, (levels, one) in enumerate(shown):
        at = (place % ACROSS * SHOWN_SIDE, len(head) * line + 8 + place // ACROSS * cell)
        canvas.paste(picture_of(levels).convert("RGB").resize((SHOWN_SIDE, SHOWN_SIDE), Pillow.Resampling.BICUBIC), at)
        text = f"{one.number} {one.word}"[:14]
        draw.text((at[0] + 3, at[1] + SHOWN_SIDE + 2), text, fill=(170, 170, 170), font=font)
    return canvas


def _short(card: Card) -> str:
    spent = spent_of(card)
    if spent is None:
        return f"{unbounded(card)}: an image may be close to a patient's"
    return f"epsilon {spent[0]:.3g}, delta {spent[1]:g}"


def _said(card: Card) -> str:
    """Return what a file says of itself: it may come without the statement that lies beside it."""
    return f"{SAID} Training: {_short(card)}."


def picture_of(levels: Shades) -> Pillow.Image:
    """Return levels (rows, columns, channels) as a picture."""
    return Pillow.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)


def _info(card: Card) -> PngInfo:
    info = PngInfo()
    info.add_text("Description", _said(card))
    info.add_text("Source", f"Wardround, model {card.name}")
    return info

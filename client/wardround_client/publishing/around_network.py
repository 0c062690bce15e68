"""What stands around a bundle's network: an image becomes what the network sees, and its outputs become an answer.

A copy lies in each bundle as ``scripts/around_network.py``. It needs torch, numpy and MONAI, and no Wardround, which
has the same steps as functions of its own; this file is tested against them. Images come from MONAI's readers, in their
order: (channels, columns, rows) or (channels, columns, rows, slices).
"""

from __future__ import annotations

import csv
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

PERCENTILES = (0.5, 99.5)
BODY = 0.1
ALMOST_SQUARE = 1.01
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
WAYS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
RIGHT_ANGLE = 0.01
MOST_ASPECT = 10.0
HUNG = {2: "LP", 1: "LF", 0: "PF"}
BACK_TO_BACK = {"R": {0: "PF", 2: "PL"}, "L": {0: "AF", 2: "AR"}}
RADIOGRAPHS = ("CR", "DX", "RG", "PX")
LIMBS = frozenset(
    {
        *("ANKLE", "ARM", "CALCANEUS", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEEL"),
        *("HUMERUS", "KNEE", "LEG", "LOWERARM", "LOWERLEG", "LOWERLIMB", "PATELLA", "RADIUS", "RADIUSULNA"),
        *("SCAPHOID", "THIGH", "THUMB", "TIBIA", "TIBIAFIBULA", "TOE", "ULNA", "UPPERARM", "UPPERLEG", "UPPERLIMB"),
        "WRIST",
    }
)
SAID_OF_HANGING = (
    *("Modality", "ImageOrientationPatient", "PatientOrientation", "AnatomicalOrientationType"),
    *("ImageLaterality", "Laterality", "BodyPartExamined", "AnatomicRegionSequence"),
)
LEAST = 1e-12
ORIENTATION = 0x0112


def cases_in(folder: str, roles: list[str], *, series: bool) -> list[str]:
    """List what is in a folder, each a case; where it is not laid out as it must be, say so and end the program.

    Single images are files; a series is a file, or a folder of files; of several ``roles`` each case is a folder with a
    file of each.
    """
    there = sorted(path for path in Path(folder).glob("*") if not path.name.startswith("."))
    if not there:
        raise SystemExit(f"Error: {folder} is no folder with images. Name it with --dataset_dir.")
    for path in there:
        if len(roles) > 1:
            if missing := [role for role in roles if not (path / f"{role}.nii.gz").is_file()]:
                raise SystemExit(f"Error: {path} is no folder of one examination: it has no {missing[0]}.nii.gz.")
        elif path.is_dir() and not series:
            raise SystemExit(
                f"Error: {path} is a folder. This network sees single images: put them into {folder} itself, or run "
                "it once for each folder."
            )
        elif path.is_dir() and any(each.is_dir() for each in path.iterdir()):
            raise SystemExit(
                f"Error: {path} holds folders. Each folder in {folder} is one series, and holds its files only."
            )
    return [str(path) for path in there]


def limits(values: np.ndarray, intensity: str) -> tuple[float, float]:
    """Return which values become 0 and 1."""
    if intensity == "percentile":
        low, high = np.percentile(values, PERCENTILES)
    elif intensity == "range":
        low, high = values.min(), values.max()
    else:
        low, high = 0.0, 1.0
        if values.min() < low or values.max() > high:
            raise ValueError(
                "this network was trained on images to which their own window had been applied; MONAI's readers do not "
                "apply it: give images with values from 0 to 1"
            )
    return float(low), float(high)


def scaled(values: np.ndarray, intensity: str) -> np.ndarray:
    """Bring values to 0..1; those of an image of one value become 0."""
    low, high = limits(values, intensity)
    if not high > low:
        return np.zeros_like(values, np.float32)
    return np.clip((values - low) / (high - low), 0, 1).astype(np.float32)


def aspect_of(high: float, wide: float) -> float:
    """Return how high a pixel of these sides is for its width; 1 where they differ by less than a hundredth."""
    return high / wide if max(high, wide) > ALMOST_SQUARE * min(high, wide) else 1.0


def sides_of(image: Any) -> tuple[float, float]:
    """Return the distances between rows and between columns of an image (channels, columns, rows, …) of MONAI's."""
    wide, high, *_ = map(float, np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0))
    return high, wide


def header_of(path: str) -> Any:
    """Return what a DICOM file states of its pixels' sides, and of which way round it is stored."""
    from pydicom import dcmread

    return dcmread(path, stop_before_pixels=True, specific_tags=[*SPACINGS, "PixelAspectRatio", *SAID_OF_HANGING])


def stated_sides(header: Any) -> tuple[float, float]:
    """Return the distances between rows and columns that a DICOM file states; alike where it states none."""
    for keyword in SPACINGS:
        stated: list[float] = [float(side) for side in values_of(header, keyword)]
        if len(stated) == 2 and min(stated) > 0:
            return stated[0], stated[1]
    ratio = [float(side) for side in values_of(header, "PixelAspectRatio")]
    is_one = len(ratio) == 2 and min(ratio) > 0 and 1 / MOST_ASPECT <= ratio[0] / ratio[1] <= MOST_ASPECT
    return (ratio[0] / ratio[1], 1.0) if is_one else (1.0, 1.0)


def values_of(header: Any, keyword: str) -> list[Any]:
    """Return the values of an attribute, of which there may be one, several or none."""
    value = header.get(keyword)
    return [value] if isinstance(value, str | float | int) else [*(value or ())]


def stated_hanging(header: Any) -> tuple[bool, bool, bool]:
    """Return whether rows and columns of a DICOM image are exchanged, and then reversed, to hang as in a viewer."""
    modality, slice_ = header.get("Modality"), of_a_slice(header)
    found = slice_ or of_a_projection(header)
    if found is None:
        return False, False, False
    regions = [str(item.get("CodeMeaning")) for item in header.get("AnatomicRegionSequence") or ()]
    words = {"".join(filter(str.isalnum, word.upper())) for word in (*regions, str(header.get("BodyPartExamined")))}
    if modality == "MG" or (modality in RADIOGRAPHS and "BREAST" in words):
        return turn_of(*found, BACK_TO_BACK.get(str(header.get("ImageLaterality") or header.get("Laterality")), {}))
    is_hung = slice_ is not None or (modality in RADIOGRAPHS and not words & LIMBS)
    return turn_of(*found, HUNG if is_hung else {})


def of_a_slice(header: Any) -> tuple[Any, Any] | None:
    """Return towards left, back and head where columns and rows of a slice are counted; None where it is not said."""
    cosines = np.array([float(each) for each in values_of(header, "ImageOrientationPatient")])
    if len(cosines) != 6:
        return None
    across, down = cosines[:3], cosines[3:]
    off = np.array([across @ across - 1, down @ down - 1, across @ down])
    return (across, down) if np.abs(off).max() <= RIGHT_ANGLE else None


def of_a_projection(header: Any) -> tuple[Any, Any] | None:
    """Return the same of a radiograph, by the first letter of each; None where it is not said."""
    letters = [str(each) for each in values_of(header, "PatientOrientation")]
    if header.get("AnatomicalOrientationType") == "QUADRUPED" or len(letters) != 2:
        return None
    if not all(1 <= len(each) <= 3 and set(each) <= set(WAYS) for each in letters):
        return None
    across, down = (np.array(WAYS[each[0]]) for each in letters)
    return None if across @ down else (across, down)


def turn_of(across: Any, down: Any, hung: dict[int, str]) -> tuple[bool, bool, bool]:
    """Return what brings an image to hang, by where columns and rows of each plane are to be counted towards."""
    import nibabel

    orientations: Any = nibabel.orientations
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([across, down, np.cross(across, down)])
    (of_columns, columns_way), (_, rows_way), (normal, _) = orientations.io_orientation(affine).astype(int).tolist()
    if normal not in hung:
        return False, False, False
    wanted_across, wanted_down = (np.array(WAYS[letter]) for letter in hung[normal])
    exchanged = not wanted_across[of_columns]
    if exchanged:
        columns_way, rows_way = rows_way, columns_way
    return bool(exchanged), bool(rows_way != wanted_down.sum()), bool(columns_way != wanted_across.sum())


def place(height: int, width: int, size: int, aspect: float) -> tuple[int, int, int, int]:
    """Return rows, columns, top and left of an image within the square that the network sees."""
    high = height * aspect
    ratio = size / max(high, width)
    rows, columns = max(1, round(high * ratio)), max(1, round(width * ratio))
    return rows, columns, (size - rows) // 2, (size - columns) // 2


def fit(images: torch.Tensor, size: int, aspect: float) -> torch.Tensor:
    """Bring images (n, channels, height, width) into the square: as large as fits, pixels square, padded with 0."""
    rows, columns, top, left = place(images.shape[2], images.shape[3], size, aspect)
    small = resized(images, (rows, columns))
    return functional.pad(small, (left, size - columns - left, top, size - rows - top))


def resized(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize (n, channels, height, width), smoothing where it gets smaller."""
    return functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def axes_of(codes: tuple[str, ...]) -> str:
    """Return towards what columns, rows and slices run of a volume whose slices are along its third axis."""
    across = {"S": "LP", "I": "LP", "A": "LI", "P": "LI", "L": "PI", "R": "PI"}[codes[2]]
    return across + codes[2]


def turned(image: Any, codes: str) -> Any:
    """Exchange and reverse the axes of an image of MONAI's, so that they run towards these directions."""
    from monai.transforms.spatial.array import Orientation

    return Orientation(axcodes=codes)(image)


def codes_of(image: Any) -> tuple[str, ...]:
    """Return towards what the axes of an image of MONAI's run."""
    import nibabel

    orientations: Any = nibabel.orientations
    codes: tuple[str, ...] = orientations.aff2axcodes(np.asarray(image.affine))
    return codes


def plain(image: Any) -> np.ndarray:
    """Return the values of an image as float32, with what is not a number as the smallest that is."""
    values = np.asarray(image.cpu() if isinstance(image, torch.Tensor) else image, np.float32)
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, values[finite].min() if finite.any() else 0)


class TurnPicture:
    """Turns a PNG or JPEG as its EXIF orientation says, as viewers and Wardround do; MONAI's reader does not."""

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Turn ``image``, (channels, columns, rows)."""
        how = stated_turn(str(data["path"]))
        if how == 1:
            return data
        image = plain(data["image"])
        image = image.swapaxes(1, 2) if how >= 5 else image
        back = tuple(axis for axis, which in ((1, (2, 3, 6, 7)), (2, (3, 4, 7, 8))) if how in which)
        return {**data, "image": np.ascontiguousarray(np.flip(image, back))}


def stated_turn(path: str) -> int:
    """Return the EXIF orientation of a picture, 1 to 8; 1 of another file, and where it states none."""
    if not path.lower().endswith((".png", ".jpg", ".jpeg")):
        return 1
    from PIL import Image as Pillow

    with Pillow.open(path) as picture:
        picture.load()
        try:
            how = int(picture.getexif().get(ORIENTATION) or 1)
        except (OSError, SyntaxError, TypeError, ValueError, struct.error):
            return 1
    return how if 1 <= how <= 8 else 1


class PrepareImage:
    """Prepares a single image: (channels, columns, rows) to (channels, size, size)."""

    def __init__(self, size: int, channels: int, intensity: str) -> None:
        self.size, self.channels, self.intensity = size, channels, intensity

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Put what the network sees, one image in a batch, into ``image``."""
        image, path = data["image"], str(data["path"])
        nifti, sides = path.endswith((".nii", ".nii.gz")), (1.0, 1.0)
        if image.ndim == 4 and image.shape[-1] == 1:
            image = turned(image, "LPS") if nifti else image
            sides = sides_of(image) if nifti else sides
            image = image[..., 0]
        if image.ndim != 3:
            raise ValueError(f"{data['path']}: this network sees single images, and this file holds several")
        values = plain(image)
        values = values if values.dtype != np.float32 or len(values) != 4 else values[:3]  # without transparency
        if len(values) != self.channels:
            luma = np.array([0.299, 0.587, 0.114], np.float32)
            values = np.repeat(values[:1], 3, axis=0) if self.channels == 3 else np.tensordot(luma, values[:3], 1)[None]
        hung = scaled(values, self.intensity).swapaxes(1, 2)
        if not nifti and not path.lower().endswith((".png", ".jpg", ".jpeg")):
            header = header_of(path)
            (high, wide), (exchanged, rows_back, columns_back) = stated_sides(header), stated_hanging(header)
            hung, sides = (hung.swapaxes(1, 2), (wide, high)) if exchanged else (hung, (high, wide))
            hung = hung[:, :: -1 if rows_back else 1, :: -1 if columns_back else 1]
        return {**data, "image": fit(torch.from_numpy(hung.copy())[None], self.size, aspect_of(*sides))}


class Classify:
    """Writes what a network says of an image: a line of ``predictions.csv``."""

    def __init__(self, output_dir: str, classes: list[str], point: float | None, temperature: float | None) -> None:
        self.folder, self.classes, self.point, self.temperature = Path(output_dir), classes, point, temperature
        self.lines: list[list[object]] = []

    def __call__(self, data: dict[str, Any], logits: torch.Tensor) -> None:
        """Keep the answer to one image, logits (1, classes)."""
        own = logits.softmax(1)[0].cpu().numpy()
        if not np.isfinite(own).all():
            raise ValueError(f"{data['path']}: the network's outputs are not finite numbers")
        decided = int(own.argmax()) if self.point is None else int(own[1] >= self.point)
        self.lines.append([data["path"], self.classes[decided], *(round(float(each), 6) for each in self.shown(own))])

    def shown(self, own: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities; the network's own where no temperature is known."""
        if self.temperature is None:
            return own
        inside = np.clip(own.astype(np.float64), LEAST, 1 - LEAST)
        calibrated = 1 / (1 + np.exp(-(np.log(inside) - np.log1p(-inside)) / self.temperature))
        return np.asarray(calibrated / calibrated.sum())

    def close(self) -> None:
        """Write the table."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["image", "class", *(f"p {name}" for name in self.classes)], *self.lines])


class TellRisk:
    """Writes how likely an event is by each of some times: a line of ``predictions.csv``."""

    def __init__(self, output_dir: str, times: list[str], usual: float) -> None:
        self.folder, self.times, self.usual = Path(output_dir), times, usual
        self.lines: list[list[object]] = []

    def __call__(self, data: dict[str, Any], logits: torch.Tensor) -> None:
        """Keep the answer to one image, logits (1, times): of each interval, the log-odds of the event in it."""
        hazards = functional.softplus(logits[0].double() + self.usual).cumsum(dim=0)
        risks = -torch.expm1(-hazards).cpu().numpy()
        if not np.isfinite(risks).all():
            raise ValueError(f"{data['path']}: the network's outputs are not finite numbers")
        self.lines.append([data["path"], *(round(float(each), 6) for each in risks)])

    def close(self) -> None:
        """Write the table."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["image", *(f"risk by {time}" for time in self.times)], *self.lines])


class PrepareSlices:
    """Prepares an examination slice by slice: (channels, columns, rows, slices) to (slices, channels, size, size).

    A channel is a series, all on one grid; intensities are scaled by the whole of each.
    """

    def __init__(self, size: int, intensity: str) -> None:
        self.size, self.intensity = size, intensity

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Put what the network sees into ``image``, and what leads back beside it."""
        codes = codes_of(data["image"])
        lying = turned(data["image"], axes_of(codes))
        values = np.stack([scaled(channel, self.intensity) for channel in plain(lying)])
        slices = np.ascontiguousarray(values.transpose(3, 0, 2, 1))  # (slices, channels, rows, columns)
        aspect = aspect_of(*sides_of(lying))
        formed = torch.cat([fit(torch.from_numpy(each[None]), self.size, aspect) for each in slices])
        way = {"codes": codes, "affine": lying.affine, "shape": slices.shape[2:], "aspect": aspect}
        return {**data, **way, "image": formed}

    def back(self, data: dict[str, Any], logits: torch.Tensor) -> np.ndarray:
        """Return the outline (columns, rows, slices) that logits (slices, outputs, size, size) draw."""
        height, width = data["shape"]
        rows, columns, top, left = place(height, width, self.size, data["aspect"])
        inside = logits[..., top : top + rows, left : left + columns]
        if inside.shape[-2:] != (height, width):
            inside = functional.interpolate(inside, (height, width), mode="bilinear", align_corners=False)
        return np.asarray(inside.argmax(1).cpu().numpy().astype(np.uint8).transpose(2, 1, 0))


class PrepareVolume:
    """Prepares an examination as a volume: turned to (head, back, left), cut to the body, resampled."""

    def __init__(self, spacing_mm: list[float], intensity: str) -> None:
        self.spacing_mm, self.intensity = spacing_mm, intensity

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Put what the network sees, (1, channels, slices, rows, columns), into ``image``, and the way back."""
        codes = codes_of(data["image"])
        lying = turned(data["image"], "SPL")
        raw, affine = plain(lying), np.asarray(lying.affine)
        low, high = limits(raw[0], self.intensity)
        there = raw[0] > low + BODY * (high - low)
        box = [ends(there.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        apart = np.linalg.norm(affine[:3, :3], axis=0)
        counts = [
            max(1, round((end - begin) * float(has) / wanted))
            for (begin, end), has, wanted in zip(box, apart, self.spacing_mm, strict=True)
        ]
        cut = np.stack([scaled(channel, self.intensity) for channel in raw])
        cut = np.ascontiguousarray(cut[(slice(None), *(slice(*each) for each in box))])
        planes = resized(torch.from_numpy(cut).swapaxes(0, 1), (counts[1], counts[2])).swapaxes(0, 1)
        if planes.shape[1] != counts[0]:
            planes = resized(planes.flatten(2)[None], (counts[0], counts[1] * counts[2]))[0]
            planes = planes.reshape(-1, *counts)
        way = {"codes": codes, "affine": lying.affine, "shape": raw.shape[1:], "box": box, "counts": counts}
        return {**data, **way, "image": planes[None].contiguous()}

    def back(self, data: dict[str, Any], logits: torch.Tensor) -> np.ndarray:
        """Return the outline on the turned series that logits (1, outputs, slices, rows, columns) draw."""
        classes = logits[0].argmax(0).cpu().numpy().astype(np.uint8)
        outline = np.zeros(data["shape"], np.uint8)
        nearest = []
        for (begin, end), count in zip(data["box"], data["counts"], strict=True):
            at = (np.arange(end - begin) + 0.5) * count / (end - begin) - 0.5
            nearest.append(np.clip(np.floor(at + 0.5).astype(int), 0, count - 1))
        outline[tuple(slice(*each) for each in data["box"])] = classes[np.ix_(*nearest)]
        return outline


def ends(there: np.ndarray) -> tuple[int, int]:
    """Return the first and the last but one place at which there is something; all if there is nothing."""
    (places,) = np.nonzero(there)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, len(there))


class Outline:
    """Writes what a network draws on an examination: a mask on its own grid, as NIfTI, and volumes in mL."""

    def __init__(self, output_dir: str, structures: list[str], prepared: PrepareSlices | PrepareVolume) -> None:
        self.folder, self.structures, self.prepared = Path(output_dir), structures, prepared
        self.lines: list[list[object]] = []

    def __call__(self, data: dict[str, Any], logits: torch.Tensor) -> None:
        """Write the mask of one examination."""
        from monai.data.meta_tensor import MetaTensor
        from monai.transforms.io.array import SaveImage

        if not bool(torch.isfinite(logits).all()):
            raise ValueError(f"{data['path']}: the network's outputs are not finite numbers")
        mask = MetaTensor(torch.from_numpy(self.prepared.back(data, logits))[None], affine=data["affine"])
        mask = turned(mask, "".join(data["codes"]))
        mask.meta["filename_or_obj"] = str(data["path"])
        save = SaveImage(self.folder, "seg", ".nii.gz", output_dtype=np.uint8, resample=False, separate_folder=False)
        save(mask)
        voxel_ml = abs(float(np.linalg.det(np.asarray(mask.affine)[:3, :3]))) / 1000
        counts = [int((mask == number).sum()) for number in range(1, len(self.structures) + 1)]
        self.lines.append([data["path"], *(round(count * voxel_ml, 4) for count in counts)])

    def close(self) -> None:
        """Write the table of volumes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "volumes.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["image", *(f"mL {name}" for name in self.structures)], *self.lines])


class Evaluator:
    """Asks the network about one case after the other, as an evaluator of a MONAI bundle does; it needs no ignite."""

    def __init__(
        self, dataset: Any, network: Any, inferer: Any, postprocessing: Any, device: Any, batch: int = 32
    ) -> None:
        self.dataset, self.network, self.inferer = dataset, network, inferer
        self.postprocessing, self.device, self.batch = postprocessing, device, batch

    @torch.no_grad()
    def run(self) -> None:
        """Ask about all, and write what is said."""
        for number in range(len(self.dataset)):
            data = self.dataset[number]
            images = torch.as_tensor(data["image"], dtype=torch.float32)
            count = math.ceil(len(images) / self.batch)
            parts = [self.inferer(part.to(self.device), self.network).cpu() for part in images.chunk(count)]
            self.postprocessing(data, torch.cat(parts))
        self.postprocessing.close()

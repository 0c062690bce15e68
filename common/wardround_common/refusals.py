"""What each reason means for which an image is refused or left out, and what a person can do: for scans and errors."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: dict[str, tuple[str, str]] = {
    "identifies-patient": ("attributes still say who a person is", "de-identify, or --allow identity"),
    "private-tags": ("private attributes, which may say anything", "remove, or --allow private-tags"),
    "burnt-in-text": ("the file says that text is burnt into its pixels", "mask the text, or --allow burnt-in"),
    "localizer": ("overviews that planned a scan", "nothing, or --allow localizers"),
    "screen": ("pictures of a screen or a text, such as dose reports", "nothing, or --allow screens"),
    "derived": ("computed from images: reformats, projections, maps", "nothing, or --allow derived"),
    "capture": ("secondary captures next to the images of their study", "nothing, or --allow captures"),
    "for-processing": ("raw radiographs that also exist in presentation form", "--allow for-processing"),
    "parametric-map": ("parametric maps", "nothing, or --allow parametric-maps"),
    "synthetic": ("images that say they were made, and are of no patient", "nothing, or --allow synthetic"),
    "own-result": ("pictures of what a model of Wardround answered", "nothing"),
    "segmentation": ("segmentations and label maps", "nothing"),
    "dose": ("dose distributions of radiotherapy", "nothing"),
    "contours": ("structure sets of radiotherapy", "nothing"),
    "report": ("structured reports", "nothing"),
    "key-objects": ("selections of key objects", "nothing"),
    "presentation-state": ("presentation states", "nothing"),
    "document": ("encapsulated documents", "nothing"),
    "waveform": ("waveforms", "nothing"),
    "registration": ("registrations and fiducials", "nothing"),
    "raw-data": ("raw data", "nothing"),
    "directory": ("the directory of a medium (DICOMDIR)", "nothing"),
    "not-an-image": ("neither DICOM, PNG, JPEG, TIFF nor NIfTI", "nothing, if they are other documents"),
    "no-preamble": ("DICOM without the preamble of a Part 10 file", "rewrite as DICOM Part 10 files"),
    "no-image": ("other DICOM objects without pixels", "nothing"),
    "no-transfer-syntax": ("the file does not state how its pixels are encoded", "export again"),
    "mask": ("one bit a pixel: outlines or masks", "nothing"),
    "encrypted": ("encrypted files", "decrypt first"),
    "truncated": ("the file is truncated", "copy or export again"),
    "codec": ("the pixels cannot be decoded", "convert to an uncompressed transfer syntax, or a picture to PNG"),
    "colour-space": ("an unsupported photometric interpretation", "convert to RGB or MONOCHROME2"),
    "shape": ("not a single grey volume per file", "split by time or channel"),
    "same-instance": ("second copies: their SOPInstanceUID is that of another file", "nothing; remove one of the two"),
    "labels-disagree": ("files of one SOPInstanceUID with different labels", "keep one of the labels"),
    "unreadable": ("attributes that cannot be parsed", "export again"),
    "empty": ("empty files", "copy or export again"),
    "pixels-missing": ("images whose pixels were removed", "export again, with pixels"),
    "pixels-empty": ("images with empty pixel data", "export again"),
    "frames-missing": ("fewer frames than the file states", "copy or export again"),
    "pixel-layout": ("attributes contradict the pixel layout", "export again"),
    "pixel-values": (
        "no values, or such beyond any measurement, or attributes that misstate them",
        "export again, or correct the attribute",
    ),
    "pixel-distances": (
        "distances between pixels that nothing is measured at",
        "correct PixelSpacing, or the NIfTI's affine, or export again",
    ),
    "window": ("a window that cannot be applied", "use a study that scales by percentiles or range"),
    "no-orientation": ("NIfTI files that do not say where they lie", "convert again with a tool that says so"),
    "affines-contradict": ("NIfTI files whose sform and qform disagree", "convert again from the original DICOM files"),
    "no-memory": ("there was not enough memory to read them", "use fewer --workers, or free memory"),
    "too-large": ("larger than the limit", "export frames or series as several files"),
    "too-many-pixels": ("more pixels than the limit", "export frames as several files"),
    "decoder-crashed": ("the decoder crashed; tried again at each scan", "export again"),
    "format-plugin": ("the plug-in of their format failed; tried again at each scan", "ask whoever wrote it"),
    "too-slow": ("reading took too long; tried again at each scan", "check the disk, or export again"),
    "permission": ("no permission to read them", "give this user permission to read"),
    "vanished": ("disappeared while they were read", "check that the disk is there, and try again"),
    "broken-link": ("links that lead nowhere", "repair the links"),
    "link-loop": ("links to a folder or file that was already scanned", "nothing"),
    "not-a-file": ("pipes, sockets or devices", "nothing"),
    "mask-geometry": ("masks whose frames make up no volume", "export again from the program that drew the mask"),
    "disk-error": ("the disk could not deliver the file", "check the disk"),
}
"""(what it means, of several files; what to do), by reason.

Advice that begins with "nothing" is for what is no image."""

LEFT_OUT: dict[str, str] = {
    "other-modality": "of modalities that the study does not take",
    "other-body-part": "of body parts that the study does not take",
    "no-label": "without a label",
    "volume": "volumes, where the study takes single images",
    "no-order": "of records whose files do not say in which order their images are",
    "same-place": "of records of which two images are in one place of their order",
    "no-mask": "outlined by no mask",
    "several-masks": "outlined twice, by masks of two kinds or of one structure",
    "missing-series": "of examinations without one of the study's series",
    "unclear-series": "of examinations in which it is not clear which series is which of the study's",
    "other-series": "in series that the study does not take",
    "other-frame": "in series that measure from another origin than the outlined one",
    "not-hounsfield": "in series that do not say that their values are Hounsfield units, which the study needs",
    "outside-crop": "with something outlined in what the study's step 'crop' cuts off",
    "not-covering": "where one series or mask does not cover the other",
    "partly-outlined": "in volumes with slices that nobody looked at",
    "changed": "changed since they were scanned",
    "missing-slice": "in series with gaps",
    "two-at-one-place": "in series with two slices at one place",
    "uneven-spacing": "in series whose slices are not evenly spaced",
    "mixed-orientations": "in series of slices in different planes",
    "mixed-sizes": "in series of slices of different sizes",
    "mixed-spacing": "in series of slices with different pixel spacing",
    "tilted": "in series that lean, as of a tilted gantry",
    "shifted-slices": "in series whose slices are displaced within their plane",
    "no-position": "in series whose slices do not all say where they lie",
    "no-spacing": "in series without PixelSpacing",
    "no-slice-spacing": "single slices that do not say how thick they are",
    "bad-orientation": "with an orientation that cannot be",
    "several-patients": "in series that name several patients",
    "mixed-frames-of-reference": "in series that measure from several origins",
    "singular-affine": "with an affine that puts different voxels into one place",
    "colour": "in colour",
    "no-series": "without a SeriesInstanceUID",
    "other-patient": "of another patient than the series",
    "other-frame-of-reference": "in another frame of reference than the series",
    "source-absent": "of series, patients or images that are not here or were refused",
    "outside-image": "that reach outside the images",
    "other-size": "of another size than the image",
    "unknown-class": "of structures that the study does not have; structures.csv can say which they are",
    "no-closed-contours": "without a closed contour",
    "no-structure": "without a structure of the study",
    "contour-off-plane": "with contours that lie in no slice",
    "overlap": "with a voxel of two structures",
    "not-whole-numbers": "with values that are no whole numbers",
    "not-a-mask": "that are pictures in colour",
    "unknown-file": "of files that are not here",
    "unknown-image": "of images that are not here, or were refused",
    "refused": "of files that were refused",
    "other-finding": "with a region of another finding than the study's",
    "no-box": "with a region of which no box can be made",
    "two-reports": "of which two reports speak",
    "too-many": "with more boxes than can be",
    "not-complete": "reports that say they are partial",
    "by-a-machine": "reports that no person made",
    "other-template": "reports of another template",
}
"""Why a study does not use files that a scan accepts, masks, or boxes, by reason: what follows 'files' or 'masks'."""
_PREFIXES = ("mask-", "boxes-")
"""Before a reason of masks that outline nothing here, and of what is said of boxes."""


def meaning(reason: str) -> str:
    """Return what a reason means, of several files, masks or boxes; empty for one that is not known."""
    means = LEFT_OUT.get(reason) or MEANINGS.get(reason, ("", ""))[0]
    prefix = next((each for each in _PREFIXES if reason.startswith(each)), "")
    return means if means or not prefix else meaning(reason.removeprefix(prefix))


def explained(counts: Mapping[str, int]) -> str:
    """Say how many there are of each reason, and what it means: '4 no-mask (outlined by no mask), 1 empty (…)'."""
    return ", ".join(
        f"{count:,} {reason} ({meant})" if (meant := meaning(reason)) else f"{count:,} {reason}"
        for reason, count in counts.items()
    )


def advice(reason: str) -> str:
    """Return what to do about one file that was refused for this reason, as a sentence; empty for another reason."""
    do = MEANINGS[reason][1] if isinstance(reason, str) and reason in MEANINGS else ""  # a plug-in may say anything
    if do.startswith(("nothing", "--allow")):
        return "Leave it out."
    return f"{do[0].upper()}{do[1:]}." if do else ""

"""Metadata that change what pixels mean are obeyed, or the file is refused: never read on as if they were not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import FileDataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from tiny_dicom import RAMP, item, save, tiny
from wardround_client.images import decode, read_image
from wardround_client.intake.index import scan
from wardround_common.errors import ImageRefused

COLOURS = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
FRAMES = np.stack([RAMP, RAMP])


def reason_of(made: FileDataset, folder: Path, *, voi: bool = False) -> str:
    with pytest.raises(ImageRefused) as refused:
        read_image(save(made, folder / "images" / "a"), voi=voi)
    assert "Error" not in refused.value.what  # never the bare name of an exception
    return refused.value.reason


def values_of(made: FileDataset, folder: Path, *, voi: bool = False) -> list[float]:
    return read_image(save(made, folder / "images" / "a"), voi=voi).pixels.ravel().tolist()


@pytest.mark.parametrize("signed", [False, True])
def test_bits_at_the_top_of_their_word_are_brought_down(tmp_path: Path, signed: bool) -> None:
    pixels = RAMP.astype(np.int16) - 5 if signed else RAMP
    made = tiny(pixels << 4, BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(decode(save(made, tmp_path / "a")), pixels)


def test_bits_in_the_middle_of_their_word_are_brought_down(tmp_path: Path) -> None:
    made = tiny((RAMP << 2) | 0x8000, BitsStored=12, HighBit=13)
    np.testing.assert_array_equal(decode(save(made, tmp_path / "a")), RAMP)


@pytest.mark.parametrize(
    "wrong",
    [
        {"HighBit": 15},  # and the lowest bits are used
        {"HighBit": 5},
        {"BitsStored": 17},
        {"BitsStored": 0},
        {"BitsStored": None},
        {"PixelRepresentation": None},
        {"PixelRepresentation": 2},
        {"SamplesPerPixel": None},
        {"SamplesPerPixel": 3},
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},  # half of what is there
        {"PixelData": FRAMES.tobytes()},  # two frames, and no number of them
    ],
    ids=str,
)
def test_a_layout_that_contradicts_itself_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    made = tiny(**{"BitsStored": 12, "HighBit": 11, **wrong})
    assert reason_of(made, tmp_path) == "pixel-layout"


def test_a_high_bit_that_compressed_pixels_cannot_have_is_refused(tmp_path: Path) -> None:
    made = tiny(RAMP.repeat(8, 0).repeat(8, 1), BitsStored=12, HighBit=11)
    made.compress(RLELossless)
    made.HighBit = 15
    assert reason_of(made, tmp_path) == "pixel-layout"


@pytest.mark.parametrize("planar", [None, 2])
def test_colours_of_which_nobody_says_how_they_lie_are_refused(tmp_path: Path, planar: int | None) -> None:
    assert reason_of(tiny(COLOURS, PlanarConfiguration=planar), tmp_path) == "pixel-layout"


def test_a_few_bytes_after_the_pixels_are_padding(tmp_path: Path) -> None:
    assert values_of(tiny(PixelData=RAMP.tobytes() + b"\0" * 8), tmp_path) == list(range(12))


@pytest.mark.parametrize("written", [" MONOCHROME1", "MONOCHROME1 ", "monochrome1"])
@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_a_negative_is_turned_however_its_code_is_written(tmp_path: Path, written: str, syntax: str | None) -> None:
    made = tiny(RAMP.repeat(8, 0).repeat(8, 1), BitsStored=10, HighBit=9)
    if syntax:
        made.compress(syntax)
    made.add_new("PhotometricInterpretation", "LO", written)
    made["PhotometricInterpretation"].VR = "CS"
    assert values_of(made, tmp_path)[0] == 1023


@pytest.mark.parametrize("written", [" RGB", "rgb"])
def test_colours_are_read_however_their_code_is_written(tmp_path: Path, written: str) -> None:
    made = tiny(COLOURS, PhotometricInterpretation=written)
    np.testing.assert_array_equal(read_image(save(made, tmp_path / "a")).pixels, np.moveaxis(COLOURS, -1, 0))


@pytest.mark.parametrize(
    ("photometric", "shape", "first"),
    [
        ("MONOCHROME2", "INVERSE", 1023),
        ("MONOCHROME2", " INVERSE ", 1023),
        ("MONOCHROME2", "IDENTITY", 0),
        ("MONOCHROME1", "INVERSE", 1023),  # as the standard wants both for a radiograph: it is turned once
        ("MONOCHROME1", "IDENTITY", 1023),
        ("MONOCHROME1", None, 1023),
    ],
)
def test_the_shape_of_the_presentation_is_obeyed(
    tmp_path: Path, photometric: str, shape: str | None, first: float
) -> None:
    made = tiny(BitsStored=10, HighBit=9, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert values_of(made, tmp_path)[0] == first
    shown = values_of(made, tmp_path, voi=True)
    assert (shown[0], shown[-1]) == ((1, 0) if first else (0, 1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"RescaleSlope": "0,5"},
        {"RescaleIntercept": "-1024,0"},
        {"RescaleSlope": "one"},
        {"RescaleSlope": "1_0"},
        {"RescaleSlope": "nan"},
        {"RescaleIntercept": "inf"},
        {"RescaleSlope": 0},
        {"RescaleSlope": [1, 2]},
        {"WindowCenter": "40,5", "WindowWidth": 80},
        {"WindowCenter": 40, "WindowWidth": "80,0"},
        {"PresentationLUTShape": "LIN OD"},
        {"PresentationLUTShape": "INVERS"},
    ],
    ids=str,
)
def test_what_is_no_number_or_no_code_of_the_standard_is_refused_by_the_scan(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    made = tiny(RescaleType="HU")
    for word, value in wrong.items():
        made.add_new(word, "LO", [str(v) for v in value] if isinstance(value, list) else str(value))
        made[word].VR = "CS" if word == "PresentationLUTShape" else "LO"
    assert reason_of(made, tmp_path) == "pixel-values"
    (refusal,) = scan(tmp_path / "images", state=tmp_path / "state").refused
    assert refusal.reason == "pixel-values"


def test_a_decimal_comma_is_refused_under_its_own_value_representation(tmp_path: Path) -> None:
    """pydicom 3.0 reads the value as text then, and only logs that."""
    path = save(tiny(RescaleSlope="0.5", RescaleIntercept=0), tmp_path / "images" / "a")
    path.write_bytes(path.read_bytes().replace(b"0.5 ", b"0,5 "))
    (refusal,) = scan(tmp_path / "images", state=tmp_path / "state").refused
    assert (refusal.reason, "RescaleSlope" in refusal.detail) == ("pixel-values", True)


@pytest.mark.parametrize(
    "table",
    [
        {"LUTDescriptor": [4, 0, 16]},
        {"LUTData": [1, 2, 3, 4]},
        {"LUTDescriptor": [4, 0], "LUTData": [1, 2, 3, 4]},
        {"LUTDescriptor": [16, 0, 16], "LUTData": [1, 2, 3, 4]},
    ],
    ids=str,
)
def test_a_table_that_is_not_whole_is_refused(tmp_path: Path, table: dict[str, Any]) -> None:
    made = tiny(ModalityLUTSequence=[item(**table)], VOILUTSequence=[item(**table)])
    for sequence in (made.ModalityLUTSequence, made.VOILUTSequence):
        for element in sequence[0]:
            element.VR = "US"
    assert reason_of(made, tmp_path) == "pixel-values"
    del made.ModalityLUTSequence
    assert reason_of(made, tmp_path, voi=True) == "window"


def test_a_template_of_empty_tables_states_nothing(tmp_path: Path) -> None:
    made = tiny(ModalityLUTSequence=[item(LUTExplanation="")])
    assert values_of(made, tmp_path) == list(range(12))


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 6, "WindowWidth": 0},
        {"WindowCenter": 6, "WindowWidth": -3},
        {"WindowCenter": 6, "WindowWidth": 0.5},  # no linear window by the standard; LINEAR_EXACT would be
        {"WindowCenter": 6},
        {"WindowWidth": 6},
        {"WindowCenter": 6, "WindowWidth": 4, "VOILUTFunction": "LINEAREXACT"},
    ],
    ids=str,
)
def test_a_window_that_says_nonsense_keeps_the_image_out_of_studies_that_show_windows(
    tmp_path: Path, window: dict[str, Any]
) -> None:
    made = tiny(**window)
    assert reason_of(made, tmp_path, voi=True) == "window"
    assert values_of(made, tmp_path) == list(range(12))
    assert scan(tmp_path / "images", state=tmp_path / "state").accepted


@pytest.mark.parametrize("function", [" SIGMOID", "sigmoid"])
def test_the_function_of_a_window_is_obeyed_however_it_is_written(tmp_path: Path, function: str) -> None:
    made = tiny(WindowCenter=6, WindowWidth=4, VOILUTFunction=function)
    assert values_of(made, tmp_path, voi=True)[6] == 0.5


@pytest.mark.parametrize("padding", ["0,0", "none", "0.5.1"])
def test_padding_that_is_no_number_is_refused(tmp_path: Path, padding: str) -> None:
    made = tiny()
    made.add_new("PixelPaddingValue", "LO", padding)
    assert reason_of(made, tmp_path) == "pixel-values"


def test_padding_of_floating_point_pixels_is_padding_too(tmp_path: Path) -> None:
    made = tiny(BitsAllocated=32, BitsStored=None, HighBit=None, PixelRepresentation=None)
    made.FloatPixelData = np.array([[-9, 1.5], [2, 3]], np.float32).tobytes()
    made.FloatPixelPaddingValue = -9.0
    made.Rows, made.Columns = 2, 2
    del made.PixelData
    assert values_of(made, tmp_path) == [1.5, 1.5, 2, 3]


def transformation(slope: object) -> Any:
    return item(PixelValueTransformationSequence=[item(RescaleSlope=slope, RescaleIntercept=0, RescaleType="US")])


def test_a_later_frame_alone_with_a_rescale_of_its_own_is_noticed(tmp_path: Path) -> None:
    made = tiny(FRAMES, PerFrameFunctionalGroupsSequence=[item(StackID="1"), transformation(2)])
    assert reason_of(made, tmp_path) == "pixel-values"


def test_fewer_groups_than_frames_are_refused(tmp_path: Path) -> None:
    made = tiny(FRAMES, PerFrameFunctionalGroupsSequence=[transformation(2)])
    assert reason_of(made, tmp_path) == "pixel-values"


@pytest.mark.parametrize("part", ["descriptor", "data", "short"])
def test_a_palette_that_is_not_whole_is_refused(tmp_path: Path, part: str) -> None:
    made = tiny(np.array([[0, 1], [2, 3]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for name in ("Red", "Green", "Blue"):
        if part != "descriptor":
            setattr(made, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
            made[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        if part != "data":
            setattr(made, f"{name}PaletteColorLookupTableData", np.arange(3, dtype="<u2").tobytes())
    assert reason_of(made, tmp_path) == "pixel-values"


def test_an_image_whose_pixels_were_taken_out_is_said(tmp_path: Path) -> None:
    made = tiny()
    del made.PixelData
    assert reason_of(made, tmp_path) == "pixels-missing"


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless])
def test_pixels_of_no_bytes_are_said(tmp_path: Path, syntax: str | None) -> None:
    made = tiny(RAMP.repeat(16, 0).repeat(16, 1))
    if syntax:
        made.compress(syntax)
        made.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0"  # an item without offsets, and no fragment after it
    else:
        made.PixelData = b""
    assert reason_of(made, tmp_path) == "pixels-empty"


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_too_few_frames_are_said(tmp_path: Path, syntax: str | None) -> None:
    made = tiny(FRAMES.repeat(8, 1).repeat(8, 2))
    if syntax:
        made.compress(syntax)
    made.NumberOfFrames = 3
    assert reason_of(made, tmp_path) == "frames-missing"

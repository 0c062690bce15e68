"""One door in, one form out: what a pixel value means, whatever the file's format."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Pillow
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)
from tifffile import imwrite

from tiny_dicom import RAMP, item, save, tiny
from tiny_jpeg import twelve_bit_jpeg
from wardround_client.images import decode, read_image
from wardround_client.images.dicom import parse, stored_pixels
from wardround_common.errors import ImageRefused


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_uncompressed_syntaxes_give_the_same_pixels(tmp_path: Path, syntax: str) -> None:
    pixels = RAMP.astype(">u2") if syntax == ExplicitVRBigEndian else RAMP
    np.testing.assert_array_equal(decode(save(tiny(pixels, syntax=syntax), tmp_path / "a")), RAMP)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_lossless_codecs_give_the_same_pixels(tmp_path: Path, syntax: str) -> None:
    pixels = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48) % 4000
    made = tiny(pixels)
    made.compress(syntax)
    np.testing.assert_array_equal(decode(save(made, tmp_path / "a")), pixels)


@pytest.mark.parametrize("bits", [6, 7, 8, 12])
def test_jpeg_ls_gives_the_same_pixels_at_any_precision(tmp_path: Path, bits: int) -> None:
    pixels = (np.arange(64 * 48) % 2**bits).astype(np.uint8 if bits <= 8 else np.uint16).reshape(64, 48)
    made = tiny(pixels, BitsStored=bits, HighBit=bits - 1)
    made.compress(JPEGLSLossless)
    np.testing.assert_array_equal(decode(save(made, tmp_path / "a")), pixels)


@pytest.mark.parametrize("bits", [10, 12])
def test_a_jpeg_of_12_bits_is_decoded_and_white_that_overshoots_stays_white(tmp_path: Path, bits: int) -> None:
    white = 2**bits  # one more than BitsStored can hold, as a lossy frame may have it
    blocks = np.array([[0, 16, white // 2], [white - 16, min(white, 4080), 512]])
    made = tiny(np.zeros((16, 24), np.uint16), BitsStored=bits, HighBit=bits - 1)
    made.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    made.PixelData = encapsulate([twelve_bit_jpeg(blocks)])
    made["PixelData"].VR = "OB"
    decoded = decode(save(made, tmp_path / "a"))
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, np.kron(np.minimum(blocks, white - 1), np.ones((8, 8), np.int64)))


def test_rescale_gives_the_modality_values(tmp_path: Path) -> None:
    image = read_image(save(tiny(RescaleSlope=2, RescaleIntercept=-1024), tmp_path / "a"))
    assert image.pixels.dtype == np.float32
    np.testing.assert_array_equal(image.pixels, RAMP[None] * 2.0 - 1024)


def test_a_modality_table_maps_and_clamps(tmp_path: Path) -> None:
    table = item(LUTDescriptor=[4, 3, 16], LUTData=[100, 200, 300, 400])
    made = tiny(ModalityLUTSequence=[table])
    made.ModalityLUTSequence[0]["LUTDescriptor"].VR = "US"
    made.ModalityLUTSequence[0]["LUTData"].VR = "US"
    image = read_image(save(made, tmp_path / "a"))
    np.testing.assert_array_equal(image.pixels.ravel(), [100] * 4 + [200, 300] + [400] * 6)


def test_a_negative_is_turned_so_that_larger_is_brighter(tmp_path: Path) -> None:
    made = tiny(PhotometricInterpretation="MONOCHROME1", BitsStored=10, HighBit=9)
    np.testing.assert_array_equal(read_image(save(made, tmp_path / "a")).pixels, 1023.0 - RAMP[None])


def test_a_signed_negative_is_turned_about_its_own_range(tmp_path: Path) -> None:
    pixels = RAMP.astype(np.int16) - 5
    made = tiny(pixels, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_image(save(made, tmp_path / "a")).pixels, -1.0 - pixels[None])


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_takes_the_smallest_valid_value(tmp_path: Path, photometric: str) -> None:
    made = tiny(PixelPaddingValue=0, PixelPaddingRangeLimit=2, PhotometricInterpretation=photometric)
    made["PixelPaddingValue"].VR = made["PixelPaddingRangeLimit"].VR = "US"
    values = read_image(save(made, tmp_path / "a")).pixels.ravel()
    assert set(values[:3]) == {values[3:].min()}


def test_padding_stored_with_the_wrong_sign_is_still_padding(tmp_path: Path) -> None:
    made = tiny(np.array([[-2000, 0], [10, 20]], np.int16), PixelPaddingValue=65536 - 2000)
    made["PixelPaddingValue"].VR = "US"
    np.testing.assert_array_equal(read_image(save(made, tmp_path / "a")).pixels.ravel(), [0, 0, 10, 20])


def test_an_image_that_is_all_padding_stays(tmp_path: Path) -> None:
    made = tiny(np.zeros((2, 2), np.uint16), PixelPaddingValue=0)
    made["PixelPaddingValue"].VR = "US"
    assert not read_image(save(made, tmp_path / "a")).pixels.any()


def test_the_linear_window_is_that_of_the_standard(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2.1, from its pseudo-code, with the output range 0 to 1."""
    made = tiny(WindowCenter=[6, 100], WindowWidth=[5, 1])
    expected = [0 if x <= 3.5 else 1 if x > 7.5 else (x - 5.5) / 4 + 0.5 for x in range(12)]
    np.testing.assert_allclose(read_image(save(made, tmp_path / "a"), voi=True).pixels.ravel(), expected, atol=1e-6)


def test_the_exact_and_the_sigmoid_window_are_those_of_the_standard(tmp_path: Path) -> None:
    made = tiny(WindowCenter=6, WindowWidth=4, VOILUTFunction="LINEAR_EXACT")
    expected = np.clip((np.arange(12) - 6) / 4 + 0.5, 0, 1)
    np.testing.assert_allclose(read_image(save(made, tmp_path / "a"), voi=True).pixels.ravel(), expected, atol=1e-6)
    made.VOILUTFunction = "SIGMOID"
    expected = 1 / (1 + np.exp(-4 * (np.arange(12) - 6) / 4))
    np.testing.assert_allclose(read_image(save(made, tmp_path / "a"), voi=True).pixels.ravel(), expected, atol=1e-6)


def test_the_window_applies_to_modality_values(tmp_path: Path) -> None:
    made = tiny(RescaleSlope=10, RescaleIntercept=-50, WindowCenter=0, WindowWidth=20, VOILUTFunction="LINEAR_EXACT")
    expected = np.clip((np.arange(12) * 10 - 50) / 20 + 0.5, 0, 1)
    np.testing.assert_allclose(read_image(save(made, tmp_path / "a"), voi=True).pixels.ravel(), expected, atol=1e-6)


def test_a_voi_table_comes_before_a_window(tmp_path: Path) -> None:
    made = tiny(WindowCenter=6, WindowWidth=4, VOILUTSequence=[item(LUTDescriptor=[3, 2, 8], LUTData=[0, 128, 255])])
    made.VOILUTSequence[0]["LUTDescriptor"].VR = made.VOILUTSequence[0]["LUTData"].VR = "US"
    values = read_image(save(made, tmp_path / "a"), voi=True).pixels.ravel()
    np.testing.assert_allclose(values, [0, 0, 0, 128 / 255] + [1] * 8, atol=1e-6)


def test_an_empty_window_is_none_and_the_image_s_range_stands_for_it(tmp_path: Path) -> None:
    made = tiny(WindowCenter="", WindowWidth="")
    np.testing.assert_allclose(
        read_image(save(made, tmp_path / "a"), voi=True).pixels.ravel(), np.arange(12) / 11, atol=1e-6
    )


def test_an_image_of_one_value_has_no_range_to_divide_by(tmp_path: Path) -> None:
    assert np.isfinite(read_image(save(tiny(np.full((3, 3), 7, np.uint8)), tmp_path / "a"), voi=True).pixels).all()


def test_colour_becomes_three_channels(tmp_path: Path) -> None:
    pixels = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    path = save(tiny(pixels), tmp_path / "a")
    np.testing.assert_array_equal(read_image(path).pixels, np.moveaxis(pixels, -1, 0))
    np.testing.assert_allclose(read_image(path, voi=True).pixels, np.moveaxis(pixels, -1, 0) / 255, rtol=1e-6)


@pytest.mark.parametrize("planar", [0, 1, None])
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_compressed_colours_are_read_whatever_is_said_of_their_planes(
    tmp_path: Path, syntax: str, planar: int | None
) -> None:
    """Ultrasound machines write 1 beside a JPEG, whose decoder gives the colours of a pixel beside one another."""
    across, down = np.meshgrid(np.arange(0, 256, 4), np.arange(0, 256, 4))
    colours = np.stack([across, down, 255 - across], -1).astype(np.uint8)
    made = tiny(colours)
    if syntax == JPEGBaseline8Bit:
        jpeg = BytesIO()
        Pillow.fromarray(colours).save(jpeg, "JPEG", quality=98, subsampling=0)
        made = tiny(colours, syntax=syntax, PhotometricInterpretation="YBR_FULL_422", PixelData=b"")
        made.PixelData = encapsulate([jpeg.getvalue()])
    else:
        made.compress(syntax)
    made.PlanarConfiguration = planar
    if planar is None:
        del made.PlanarConfiguration
    found = read_image(save(made, tmp_path / "a.dcm")).pixels
    assert np.abs(found - np.moveaxis(colours, -1, 0)).max() <= (6 if syntax == JPEGBaseline8Bit else 0)


@pytest.mark.parametrize("big_endian", [False, True])
def test_a_palette_becomes_red_green_blue_in_either_byte_order(tmp_path: Path, big_endian: bool) -> None:
    """pydicom 3.0 reads palette data of big-endian files in the wrong byte order."""
    order = ">" if big_endian else "<"
    syntax = ExplicitVRBigEndian if big_endian else ExplicitVRLittleEndian
    made = tiny(np.array([[0, 1], [2, 3]], np.uint8), syntax=syntax, PhotometricInterpretation="PALETTE COLOR")
    for name, entries in {"Red": [0, 0x1000, 7, 9], "Green": [1, 2, 3, 4], "Blue": [0, 0, 0, 0xFFFF]}.items():
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        made[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(made, f"{name}PaletteColorLookupTableData", np.array(entries, order + "u2").tobytes())
    red, green, blue = read_image(save(made, tmp_path / "a")).pixels
    assert red.ravel().tolist() == [0, 0x1000, 7, 9]
    assert green.ravel().tolist() == [1, 2, 3, 4]
    assert blue.ravel().tolist() == [0, 0, 0, 0xFFFF]


def test_frames_become_depth_and_may_each_have_their_own_rescale(tmp_path: Path) -> None:
    frames = np.stack([RAMP, RAMP])
    groups = [
        item(
            PixelValueTransformationSequence=[item(RescaleSlope=slope, RescaleIntercept=0, RescaleType="US")],
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 3 * slope])],
        )
        for slope in (1, 2)
    ]
    shared = item(PixelMeasuresSequence=[item(PixelSpacing=[0.5, 0.25], SliceThickness=9)])
    made = tiny(frames, PerFrameFunctionalGroupsSequence=groups, SharedFunctionalGroupsSequence=[shared])
    image = read_image(save(made, tmp_path / "a"))
    np.testing.assert_array_equal(image.pixels, np.stack([RAMP, RAMP * 2.0])[None])
    assert image.spacing_mm == (3.0, 0.5, 0.25)


DETECTOR = {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}
CALIBRATED = {"PixelSpacingCalibrationType": "FIDUCIAL"}


@pytest.mark.parametrize(
    ("attributes", "spacing"),
    [
        ({"PixelSpacing": [0.5, 0.25]}, (0.5, 0.25)),
        ({"ImagerPixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 2}, (0.1, 0.1)),
        ({**DETECTOR, "EstimatedRadiographicMagnificationFactor": 2}, (0.1, 0.1)),  # said twice, and not corrected
        ({**DETECTOR, "EstimatedRadiographicMagnificationFactor": 2, **CALIBRATED}, (0.2, 0.2)),
        ({**DETECTOR, "PixelSpacing": [0.15, 0.15], "EstimatedRadiographicMagnificationFactor": 2}, (0.15, 0.15)),
        (DETECTOR, (0.2, 0.2)),
        ({"PixelSpacing": [0, 0]}, None),
        ({}, None),
    ],
)
def test_spacing_is_what_the_file_says(
    tmp_path: Path, attributes: dict[str, object], spacing: tuple[float, ...] | None
) -> None:
    assert read_image(save(tiny(**attributes), tmp_path / "a")).spacing_mm == spacing


def test_float_pixels_are_read_and_what_is_no_number_becomes_the_smallest(tmp_path: Path) -> None:
    made = tiny()
    del made.PixelData
    made.BitsAllocated = 32
    for word in ("BitsStored", "HighBit", "PixelRepresentation"):
        delattr(made, word)
    made.FloatPixelData = np.array([[1.5, np.nan], [np.inf, -2]], np.float32).tobytes()
    made.Rows, made.Columns = 2, 2
    assert read_image(save(made, tmp_path / "a")).pixels.ravel().tolist() == [1.5, -2, -2, -2]


@given(
    pixels=arrays(np.uint16, st.tuples(st.integers(1, 4), st.integers(1, 5))),
    bits=st.integers(1, 16),
    signed=st.booleans(),
    frames=st.integers(1, 2),
)
def test_the_short_way_gives_the_pixels_of_the_long_one(
    pixels: np.ndarray, bits: int, signed: bool, frames: int
) -> None:
    if frames > 1:
        pixels = np.stack([pixels] * frames)
    made = tiny(pixels.view(np.int16) if signed else pixels, BitsStored=bits, HighBit=bits - 1)
    file = BytesIO()
    made.save_as(file, enforce_file_format=False)
    short, _ = stored_pixels(parse(file.getvalue(), where=""), where="")
    file.seek(0)
    long = dcmread(file).pixel_array
    assert short.dtype == long.dtype
    assert short.tobytes() == long.tobytes()


@pytest.mark.parametrize(("mode", "name"), [("L", "a.png"), ("L", "a.tif"), ("I;16", "b.png"), ("RGB", "c.png")])
def test_pictures_come_in_by_the_same_door(tmp_path: Path, mode: str, name: str) -> None:
    made = {"L": RAMP.astype(np.uint8), "I;16": RAMP * 1000, "RGB": np.stack([RAMP.astype(np.uint8)] * 3, -1)}[mode]
    Pillow.fromarray(made).save(tmp_path / name)
    image = read_image(tmp_path / name)
    np.testing.assert_array_equal(image.pixels, np.moveaxis(made, -1, 0) if mode == "RGB" else made[None])
    assert image.spacing_mm is None


def test_a_format_is_told_by_its_bytes_not_by_its_name(tmp_path: Path) -> None:
    Pillow.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.dcm")
    assert read_image(tmp_path / "a.dcm").pixels.shape == (1, 3, 4)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_nifti_volume_lies_as_dicom_slices_do(tmp_path: Path, name: str) -> None:
    values = np.zeros((4, 3, 2), np.float32)  # (right to left, ...) as the affine says: x grows to the left
    values[3, 0, 1] = 5  # leftmost, furthest back, upper slice
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / name)
    image = read_image(tmp_path / name)
    assert image.pixels.shape == (1, 2, 3, 4)
    assert image.spacing_mm == (4.0, 3.0, 2.0)
    assert image.pixels[0, 1, 2, 3] == 5


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("number", range(1, 10))
def test_a_picture_comes_in_as_viewers_turn_it(tmp_path: Path, name: str, number: int) -> None:
    """By the letter F, whose eight ways of lying all differ; 9 says nothing."""
    letter = np.kron(np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]], np.uint8) * 200, np.ones((8, 8)))
    upright = letter.astype(np.uint8)
    stored = {  # by where the first row and the first column of the stored picture lie (EXIF 2.32, 4.6.4 A)
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }.get(number, upright)
    remarks = Pillow.Exif()
    remarks[0x0112] = number
    Pillow.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name, exif=remarks, quality=100)
    found = read_image(tmp_path / name).pixels[0]
    assert found.shape == upright.shape
    assert np.abs(found - upright).max() < 10


@pytest.mark.parametrize(
    ("stored", "white", "read"),
    [
        (RAMP * 5000, True, 65535 - RAMP.astype(int) * 5000),
        (RAMP.astype(np.uint8), True, 255 - RAMP.astype(int)),
        (RAMP.astype(np.float32), True, -RAMP.astype(int)),
        ((RAMP.astype(int) - 6).astype(np.int8), False, RAMP.astype(int) - 6),
        ((RAMP.astype(int) - 6).astype(np.int16), False, RAMP.astype(int) - 6),
        ((RAMP.astype(int) - 6).astype(np.int32), False, RAMP.astype(int) - 6),
        (RAMP.astype(np.uint32) << 28, False, RAMP.astype(np.int64) << 28),
        (RAMP, False, RAMP),
        (RAMP.astype(np.float32), False, RAMP),
    ],
    ids=["white-16", "white-8", "white-float", "signed-8", "signed-16", "signed-32", "unsigned-32", "16", "float"],
)
def test_a_tiff_has_the_sign_and_the_white_that_it_states(
    tmp_path: Path, stored: np.ndarray, white: bool, read: np.ndarray
) -> None:
    imwrite(tmp_path / "a.tif", stored, photometric="miniswhite" if white else "minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels[0], read.astype(np.float32))


def test_colours_of_16_bits_in_planes_are_refused_and_not_read_as_noise(tmp_path: Path) -> None:
    planes = np.arange(3 * 8 * 6, dtype=np.uint16).reshape(3, 8, 6) * 400
    imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(ImageRefused, match="PlanarConfiguration") as refused:
        read_image(tmp_path / "a.tif")
    assert refused.value.reason == "pixel-layout"


@pytest.mark.parametrize("size", [(4, 3), (32, 24)], ids=["a-preview", "of-the-same-size"])
def test_a_photograph_with_pictures_behind_it_is_its_first_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    """As telephones write them; a preview of another size was the reason for which the photograph was refused."""
    photograph = Pillow.effect_noise((32, 24), 60).convert("RGB")
    photograph.save(tmp_path / "alone.jpg", quality=90)
    behind = Pillow.new("RGB", size)
    photograph.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[behind], quality=90)
    found = read_image(tmp_path / "a.jpg").pixels
    np.testing.assert_array_equal(found, read_image(tmp_path / "alone.jpg").pixels)


def test_a_mask_of_two_colours_in_a_palette_is_no_image(tmp_path: Path) -> None:
    mask = Pillow.fromarray((RAMP > 5).astype(np.uint8), mode="P")
    mask.putpalette([0, 0, 0, 255, 255, 255])
    mask.save(tmp_path / "a.png", bits=1)
    with pytest.raises(ImageRefused) as refused:
        read_image(tmp_path / "a.png")
    assert refused.value.reason == "mask"


def test_remarks_that_cannot_be_read_turn_nothing(tmp_path: Path) -> None:
    Pillow.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=100)
    assert read_image(tmp_path / "a.jpg").pixels.shape == (1, 3, 4)


def with_forms(path: Path, sform: tuple[float, int], qform: tuple[float, int], unit: str = "mm") -> Path:
    """Write a volume of 4 x 3 x 2 voxels by two forms: the size of a voxel, and the form's code."""
    made = nibabel.Nifti1Image(np.ones((4, 3, 2), np.int16), None)
    made.header.set_xyzt_units(unit)
    for put, (size, code) in ((made.set_qform, qform), (made.set_sform, sform)):
        put(np.diag([-size, size, size, 1.0]), code)
    nibabel.save(made, path)
    return path


def test_a_nifti_image_has_the_spacing_that_its_series_has(tmp_path: Path) -> None:
    template = with_forms(tmp_path / "template.nii", sform=(3, 4), qform=(2, 1))
    assert read_image(template).spacing_mm == pytest.approx((2, 2, 2))  # the scanner's form, not the template's
    small = with_forms(tmp_path / "small.nii", sform=(500, 1), qform=(500, 1), unit="micron")
    assert read_image(small).spacing_mm == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("why", "sform", "qform"),
    [
        ("affines-contradict", (3, 2), (2, 2)),  # two templates
        ("affines-contradict", (3, 1), (2, 1)),  # two scanners
        ("no-orientation", (3, 0), (2, 0)),
    ],
)
def test_a_nifti_image_that_readers_place_in_two_ways_is_refused(
    tmp_path: Path, why: str, sform: tuple[float, int], qform: tuple[float, int]
) -> None:
    with pytest.raises(ImageRefused) as refusal:
        read_image(with_forms(tmp_path / "a.nii", sform, qform))
    assert refusal.value.reason == why

"""What is no image, or a damaged one, is refused with a reason; nothing is loaded that is too large, nothing waits."""

from __future__ import annotations

import ast
import contextlib
import gzip
import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from tiny_dicom import RAMP, item, save, tiny
from wardround_client import images
from wardround_client.images import read_image
from wardround_client.images.formats.registry import FORMATS, format_of
from wardround_client.images.source import LARGEST_FILE_BYTES
from wardround_client.intake.instance import Instance, Refusal
from wardround_client.intake.record import read_record
from wardround_client.volumes.nifti import nifti_of
from wardround_common.errors import ImageRefused
from wardround_common.refusals import MEANINGS, advice


def reason_of(path: Path) -> str:
    with pytest.raises(ImageRefused) as refused:
        read_image(path)
    return refused.value.reason


def test_a_file_of_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert reason_of(tmp_path / "a") == "empty"


def test_a_file_of_three_gigabytes_is_not_loaded(tmp_path: Path) -> None:
    save(tiny(), tmp_path / "a")
    os.truncate(tmp_path / "a", 3 * LARGEST_FILE_BYTES)
    assert reason_of(tmp_path / "a") == "too-large"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    assert reason_of(tmp_path / "a") == "not-a-file"


def test_a_folder_a_missing_file_and_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert reason_of(tmp_path) == "not-a-file"
    assert reason_of(tmp_path / "no") == "vanished"
    assert reason_of(tmp_path / "loop") == "link-loop"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    save(tiny(), tmp_path / "a").chmod(0)
    assert reason_of(tmp_path / "a") == "permission"


@pytest.mark.parametrize("part", [140, 300, 600, -4])
def test_a_truncated_file(tmp_path: Path, part: int) -> None:
    path = save(tiny(np.zeros((20, 20), np.uint16)), tmp_path / "a")
    os.truncate(path, part if part > 0 else path.stat().st_size + part)
    assert reason_of(path) in ("truncated", "unreadable", "no-image", "pixels-missing")


def test_pixels_that_are_cut_off_are_said_to_be(tmp_path: Path) -> None:
    assert reason_of(save(tiny(PixelData=RAMP.tobytes()[:-2]), tmp_path / "a")) == "truncated"


def test_two_transfer_syntaxes_are_none(tmp_path: Path) -> None:
    path = save(tiny(), tmp_path / "a")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1", b"1.2.840.10008.1\\2.1"))
    assert reason_of(path) == "unreadable"


def test_an_object_without_pixels(tmp_path: Path) -> None:
    made = tiny(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")  # Basic Text SR
    for word in ("PixelData", "Rows", "Columns"):
        delattr(made, word)
    assert reason_of(save(made, tmp_path / "a")) == "report"


def test_encrypted_attributes_without_pixels(tmp_path: Path) -> None:
    made = tiny(EncryptedAttributesSequence=[item(EncryptedContent=b"1234")])
    del made.PixelData
    assert reason_of(save(made, tmp_path / "a")) == "encrypted"


@pytest.mark.parametrize(
    "start",
    [b"Salted__12345678", b"age-encryption.org/v1\n", b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80"],
    ids=["openssl", "age", "DICOM secure file"],
)
def test_an_encrypted_file(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "a").write_bytes(start + os.urandom(500))
    assert reason_of(tmp_path / "a") == "encrypted"


def test_a_data_set_without_preamble(tmp_path: Path) -> None:
    data = save(tiny(), tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(data[132:])
    assert reason_of(tmp_path / "a") == "no-preamble"


def test_a_small_file_that_claims_to_be_huge(tmp_path: Path) -> None:
    assert reason_of(save(tiny(Rows=65535, Columns=65535), tmp_path / "a")) == "too-many-pixels"
    assert reason_of(save(tiny(NumberOfFrames=2**30), tmp_path / "a")) == "too-many-pixels"


def test_a_picture_that_claims_to_be_huge(tmp_path: Path) -> None:
    Pillow.new("L", (4, 4)).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data)
    assert reason_of(tmp_path / "a.png") in ("too-many-pixels", "codec")


def test_a_deflated_bomb_is_not_inflated_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardround_client.images.dicom.LARGEST_FILE_BYTES", 1 << 20)
    made = tiny(np.zeros((2000, 2000), np.uint16), syntax="1.2.840.10008.1.2.1.99")
    path = save(made, tmp_path / "a")
    assert path.stat().st_size < 1 << 20
    assert reason_of(path) == "too-large"


def test_a_compressed_volume_that_grows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardround_client.images.formats.nifti.LARGEST_FILE_BYTES", 1 << 20)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"\0" * (1 << 22)))
    assert reason_of(tmp_path / "a.nii.gz") == "too-large"


def test_a_mask_of_one_bit_is_not_taken_for_an_image(tmp_path: Path) -> None:
    Pillow.new("1", (4, 4)).save(tmp_path / "a.png")
    assert reason_of(tmp_path / "a.png") == "mask"


def test_a_transfer_syntax_that_no_decoder_knows(tmp_path: Path) -> None:
    path = save(tiny(), tmp_path / "a")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0"))
    assert reason_of(path) == "codec"


def test_what_pydicom_says_of_a_value_is_not_repeated(tmp_path: Path) -> None:
    made = tiny()
    path = save(made, tmp_path / "a")
    data = path.read_bytes().replace(b"PN\x02\0P1", b"PN\x02\0Zz")
    number = b"\x28\x00\x08\x00IS\x04\x00Meyr"  # NumberOfFrames that is a name
    at = data.index(b"\x28\x00\x10\x00US")
    path.write_bytes(data[:at] + number + data[at:])
    with pytest.raises(ImageRefused) as refused:
        read_image(path)
    assert "Meyr" not in str(refused.value)
    assert refused.value.__cause__ is None


def doubles(values: np.ndarray, **attributes: Any) -> Any:
    made = tiny(np.zeros(values.shape, np.uint16), BitsAllocated=64, **attributes)
    for word in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(made, word)
    made.DoubleFloatPixelData = values.astype("<f8").tobytes()
    return made


def test_values_beyond_those_that_are_computed_with_are_refused_where_they_are_scanned_and_where_they_are_read(
    tmp_path: Path,
) -> None:
    """Cast to float32 they would be infinite, and the brightest pixel so the darkest of its image."""
    bright = RAMP.astype(np.float64)
    bright[1, 1] = 1e39
    steep = tiny(RescaleSlope="1e37", RescaleIntercept="0")
    save(doubles(bright), tmp_path / "double")
    save(steep, tmp_path / "steep")
    nibabel.save(nibabel.Nifti1Image(np.stack([bright, bright], -1), np.diag([2, 2, 2, 1.0])), tmp_path / "n.nii")
    for name in ("double", "steep", "n.nii"):
        found = read_record(tmp_path, name).read
        assert isinstance(found, Refusal)
        assert found.reason == reason_of(tmp_path / name) == "pixel-values", name
    with pytest.raises(ImageRefused, match="beyond"):
        nifti_of(tmp_path / "n.nii").values(0)


def test_an_image_without_any_number_is_refused_and_not_read_as_black(tmp_path: Path) -> None:
    empty = np.full(RAMP.shape, np.nan)
    empty[0, 0] = np.inf
    save(doubles(empty), tmp_path / "dicom")
    nibabel.save(nibabel.Nifti1Image(np.stack([empty, empty], -1), np.diag([2, 2, 2, 1.0])), tmp_path / "n.nii")
    Pillow.fromarray(empty.astype(np.float32)).save(tmp_path / "a.tif")
    for name in ("dicom", "n.nii", "a.tif"):
        found = read_record(tmp_path, name).read
        assert isinstance(found, Refusal), name
        assert (found.reason, "is a number" in found.detail) == ("pixel-values", True), name
        assert reason_of(tmp_path / name) == "pixel-values", name
    with pytest.raises(ImageRefused, match="is a number"):
        nifti_of(tmp_path / "n.nii").values(0)


@pytest.mark.parametrize("apart", [1e-9, 1e9, -0.5])
@pytest.mark.parametrize("word", ["PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_distances_that_nothing_is_measured_at_are_refused(tmp_path: Path, apart: float, word: str) -> None:
    save(tiny(**{word: [0.5, apart]}), tmp_path / "a")
    found = read_record(tmp_path, "a").read
    assert isinstance(found, Refusal)
    assert found.reason == reason_of(tmp_path / "a") == "pixel-distances"
    assert f"{apart:.3g} mm" in found.detail


def test_the_pixels_of_an_electron_microscope_are_believed(tmp_path: Path) -> None:
    save(tiny(PixelSpacing=[2e-6, 2e-6]), tmp_path / "a")
    assert read_image(tmp_path / "a").spacing_mm == (2e-6, 2e-6)


@pytest.mark.parametrize("times", [1e-9, 1e9])
def test_so_are_those_that_a_magnification_makes(tmp_path: Path, times: float) -> None:
    save(tiny(ImagerPixelSpacing=[0.2, 0.2], EstimatedRadiographicMagnificationFactor=times), tmp_path / "a")
    assert reason_of(tmp_path / "a") == "pixel-distances"


@pytest.mark.parametrize("apart", [1e-9, 1e9])
def test_so_are_those_of_a_nifti_and_of_its_series(tmp_path: Path, apart: float) -> None:
    nibabel.save(nibabel.Nifti1Image(np.stack([RAMP, RAMP], -1), np.diag([2, 2, apart, 1.0])), tmp_path / "n.nii")
    assert reason_of(tmp_path / "n.nii") == "pixel-distances"
    with pytest.raises(ImageRefused, match="between its values"):
        nifti_of(tmp_path / "n.nii")


def test_a_qform_with_a_distance_of_zero_is_named_by_what_it_lacks(tmp_path: Path) -> None:
    made = nibabel.Nifti1Image(np.stack([RAMP, RAMP], -1), None)
    made.set_qform(np.eye(4), code=1)
    nibabel.save(made, tmp_path / "n.nii")
    content = bytearray((tmp_path / "n.nii").read_bytes())
    content[88:92] = bytes(4)  # pixdim[3]
    (tmp_path / "n.nii").write_bytes(content)
    assert reason_of(tmp_path / "n.nii") == "pixel-distances"
    with pytest.raises(ImageRefused, match="pixdim, of which one is not above 0"):
        nifti_of(tmp_path / "n.nii")


def test_a_distance_of_zero_states_none(tmp_path: Path) -> None:
    save(tiny(PixelSpacing=[0, 0]), tmp_path / "a")
    assert read_image(tmp_path / "a").spacing_mm is None
    save(tiny(PixelSpacing=[0, 0], ImagerPixelSpacing=[0.2, 0.2]), tmp_path / "b")
    assert read_image(tmp_path / "b").spacing_mm == (0.2, 0.2)


def test_no_number_and_declared_padding_of_any_size_are_no_values(tmp_path: Path) -> None:
    lowest, odd = -np.finfo(np.float64).max, RAMP.astype(np.float64) + 5
    odd[0, 0], odd[0, 1], odd[2, 3] = lowest, np.nan, np.inf
    save(doubles(odd, DoubleFloatPixelPaddingValue=lowest), tmp_path / "a")
    assert isinstance(read_record(tmp_path, "a").read, Instance)
    wanted = RAMP.astype(np.float32) + 5
    wanted[0, 0] = wanted[0, 1] = wanted[2, 3] = 7
    assert np.array_equal(read_image(tmp_path / "a").pixels[0], wanted)


def test_the_least_whole_number_of_64_bits_is_beyond_too(tmp_path: Path) -> None:
    """Its absolute value is itself, below any limit."""
    values = RAMP[..., None].astype(np.int64)
    values[0, 0] = np.iinfo(np.int64).min
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2, 2, 2, 1.0]), dtype=np.int64), tmp_path / "a.nii")
    assert reason_of(tmp_path / "a.nii") == "pixel-values"
    with pytest.raises(ImageRefused, match="beyond"):
        nifti_of(tmp_path / "a.nii").values(0)


@pytest.mark.parametrize("begins", [0, 100, 350, -5, float("nan"), float("inf"), 1e30])
def test_bytes_of_a_nifti_header_are_never_values(tmp_path: Path, begins: float) -> None:
    nibabel.save(nibabel.Nifti1Image(RAMP[..., None].astype(np.int16), np.diag([2, 2, 2, 1.0])), tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[108:112] = struct.pack("<f", begins)  # vox_offset
    (tmp_path / "a.nii").write_bytes(data)
    assert reason_of(tmp_path / "a.nii") in ("pixel-layout", "unreadable")
    with pytest.raises(ImageRefused) as refused:
        nifti_of(tmp_path / "a.nii").values(0)
    assert refused.value.reason == ("truncated" if begins == 1e30 else "pixel-layout")


def test_one_of_a_pair_of_nifti_files_and_a_broken_picture_say_how_to_write_them(tmp_path: Path) -> None:
    pair = nibabel.Nifti1Pair(RAMP[..., None].astype(np.int16), np.diag([2, 2, 2, 1.0]))
    nibabel.save(pair, tmp_path / "a.hdr")
    with pytest.raises(ImageRefused, match=r"to one \.nii file"):
        read_image(tmp_path / "a.hdr")
    Pillow.effect_noise((40, 40), 50).save(tmp_path / "a.png")
    os.truncate(tmp_path / "a.png", 500)
    with pytest.raises(ImageRefused, match="Save it again as PNG"):
        read_image(tmp_path / "a.png")


def test_complex_values_are_not_read_as_their_real_parts(tmp_path: Path) -> None:
    values = (RAMP[..., None] + 1j).astype(np.complex64)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2, 2, 2, 1.0])), tmp_path / "a.nii")
    assert reason_of(tmp_path / "a.nii") == "shape"


def test_each_refusal_says_what_to_do() -> None:
    """Where it is raised, or else by its reason in the table that scans print."""
    client = Path(images.__file__).parents[1]
    silent, seen = [], 0
    for module in client.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in ("ImageRefused", "refusing") or not isinstance(node.args[0], ast.Constant):
                continue
            seen += 1
            if not advice(str(node.args[0].value)) and not any(word.arg == "do" for word in node.keywords):
                silent.append(f"{module.relative_to(client)}:{node.lineno}")
    assert seen > 60
    assert not silent, silent
    assert ImageRefused("truncated", "cut off").do == "Copy or export again."
    assert ImageRefused("report", "this is a structured report").do == "Leave it out."
    assert ImageRefused("truncated", "cut off", do="Wait.").do == "Wait."


def test_each_reason_for_which_a_scan_refuses_a_file_is_one_that_its_screen_and_report_explain() -> None:
    client, unexplained = Path(images.__file__).parents[1], set()
    for room in ("images", "intake"):
        for module in (client / room).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                    continue
                if node.func.id in ("ImageRefused", "refusing") and isinstance(node.args[0], ast.Constant):
                    unexplained |= {node.args[0].value} - {*MEANINGS}
    assert unexplained == set()


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_are_told_apart_or_refused(data: bytes) -> None:
    with contextlib.suppress(ImageRefused):
        assert format_of(data, where="") in (None, *FORMATS)


def _content() -> bytes:
    file = BytesIO()
    tiny(RescaleSlope=2, WindowCenter=4, WindowWidth=3).save_as(file, enforce_file_format=False)
    return file.getvalue()


CONTENT = _content()


@given(damage=st.dictionaries(st.integers(132, len(CONTENT) - 1), st.integers(0, 255)), voi=st.booleans())
def test_damage_anywhere_gives_an_image_or_a_refusal(
    damage: dict[int, int], voi: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(CONTENT)
    for at, value in damage.items():
        content[at] = value
    path = tmp_path_factory.mktemp("a") / "a"
    path.write_bytes(content)
    with contextlib.suppress(ImageRefused):
        assert np.isfinite(read_image(path, voi=voi).pixels).all()

"""Preparing after a scan decodes nothing again, gives the very same bytes, and believes only what the scan saw."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, RLELossless

from examples import study
from tiny_dicom import item, save, tiny
from wardround_client.images import Image
from wardround_client.images.hanging import Hanging, Turn
from wardround_client.images.intensity import grey
from wardround_client.images.meaning import Frame, Grey, Rescale, Window
from wardround_client.intake import kept_pixels, readers
from wardround_client.intake.index import scan
from wardround_client.intake.kept_pixels import Room
from wardround_client.preparation import kept_images
from wardround_client.preparation.kept_images import keep_images
from wardround_client.preparation.preprocessing import levels_to_network_form, to_network_form
from wardround_client.preparation.source import Source

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 4000, (40, 48), dtype=np.uint16)
COLOURS = RNG.integers(0, 255, (40, 48, 3), dtype=np.uint8)


@pytest.fixture(autouse=True, scope="module")
def _no_reader_outlives_these_tests() -> Iterator[None]:
    yield
    readers.end_idle_readers()


def compressed(syntax: str, pixels: np.ndarray = PIXELS, **attributes: Any) -> Any:
    made = tiny(pixels, **attributes)
    made.compress(syntax)
    return made


def fill(folder: Path) -> None:
    """Make one image of each way in which pixels are kept."""
    signed = PIXELS.astype(np.int16) - 2000
    made = {
        "plain": tiny(PIXELS, BitsStored=12, HighBit=11),
        "high bits": tiny(PIXELS << 4, BitsStored=12, HighBit=15),
        "overlay": tiny(PIXELS | 0x8000, BitsStored=12, HighBit=11),
        "signed": tiny(signed, RescaleSlope=2, RescaleIntercept=-7),
        "falling": tiny(PIXELS, RescaleSlope=-0.5, RescaleIntercept=3),
        "negative": tiny(PIXELS, PhotometricInterpretation="MONOCHROME1", WindowCenter=900, WindowWidth=700),
        "sigmoid": tiny(PIXELS, WindowCenter=900, WindowWidth=700, VOILUTFunction="SIGMOID"),
        "padding": tiny(PIXELS, PixelPaddingValue=PIXELS[0, 0].item()),
        "one value": tiny(np.full((9, 9), 7, np.uint16)),
        "rle": compressed(RLELossless),
        "jpeg 2000": compressed(JPEG2000Lossless, RescaleSlope=3, RescaleIntercept=0),
        "big endian": tiny(PIXELS.astype(">u2"), syntax=ExplicitVRBigEndian),
        "colour": tiny(COLOURS),
        "not square": compressed(RLELossless, PixelSpacing=[0.5, 0.25]),
    }
    made["padding"]["PixelPaddingValue"].VR = "US"
    for name, one in made.items():
        save(one, folder / f"{name}.dcm")
    Pillow.fromarray(PIXELS).save(folder / "grey.png")
    Pillow.fromarray(COLOURS).save(folder / "colour.png")
    nib.save(nib.Nifti1Image(PIXELS.astype(np.int16)[..., None], np.diag([1.0, 3.0, 1.0, 1.0])), folder / "not.nii")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_image_from_what_was_kept_has_the_bytes_of_one_that_is_decoded_again(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "images")
    source = Source(tmp_path / "images", tmp_path / "state")
    found = scan(source.folder, state=source.state, workers=workers)
    assert set(found.kept) == {instance.file for instance in found.accepted}
    for intensity in ("percentile", "range", "window"):
        for channels in (1, 3):
            of = study(data={"modalities": ["MR"], "image_size": 16, "intensity": intensity, "channels": channels}).data
            again = [kept_images._network_form(source, of, instance, None) for instance in found.accepted]
            with monkeypatch.context() as patch:
                patch.setattr(kept_images, "read_image", None)
                kept = [kept_images._network_form(source, of, i, found.kept[i.file]) for i in found.accepted]
            assert [(form.tobytes(), area) for form, area in kept] == [(form.tobytes(), area) for form, area in again]


def test_a_second_scan_knows_what_the_first_one_kept(tmp_path: Path) -> None:
    fill(tmp_path / "images")
    first = scan(tmp_path / "images", state=tmp_path / "state")
    second = scan(tmp_path / "images", state=tmp_path / "state")
    assert second.reread == 0
    assert {f: (k.place, k.offset) for f, k in first.kept.items()} == {
        f: (k.place, k.offset) for f, k in second.kept.items()
    }


def test_only_what_was_compressed_takes_room_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    fill(tmp_path / "images")
    found = scan(tmp_path / "images", state=tmp_path / "state")
    in_place = {file for file, kept in found.kept.items() if not kept.place}
    assert {"plain.dcm", "signed.dcm", "negative.dcm"} <= in_place
    assert not in_place & {"rle.dcm", "jpeg 2000.dcm", "grey.png"}
    folder = tmp_path / "state" / kept_pixels.FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("name", ["plain.dcm", "rle.dcm"])
@pytest.mark.parametrize("damage", ["changed", "cut off", "gone"])
def test_what_is_not_what_the_scan_saw_is_decoded_again(tmp_path: Path, name: str, damage: str) -> None:
    fill(tmp_path / "images")
    found = scan(tmp_path / "images", state=tmp_path / "state")
    (instance,) = (instance for instance in found.accepted if instance.file == name)
    kept = found.kept[name]
    file = tmp_path / "state" / kept_pixels.FOLDER / kept.place if kept.place else tmp_path / "images" / name
    if damage == "changed":
        with file.open("r+b") as opened:
            opened.seek(kept.offset + 5)
            opened.write(b"\xff\xff\xff")
    elif damage == "cut off":
        os.truncate(file, kept.offset + 5)
    else:
        file.unlink()
    assert kept_pixels.read(kept, instance, folder=tmp_path / "images", state=tmp_path / "state") is None


def test_tables_palettes_and_volumes_are_not_kept(tmp_path: Path) -> None:
    table = item(LUTDescriptor=[2, 0, 16], LUTData=[1, 2])
    for element in table:
        element.VR = "US"
    save(tiny(PIXELS, ModalityLUTSequence=[table]), tmp_path / "images" / "table")
    save(tiny(np.stack([PIXELS, PIXELS])), tmp_path / "images" / "volume")
    found = scan(tmp_path / "images", state=tmp_path / "state")
    assert (len(found.accepted), dict(found.kept)) == (2, {})


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_is_kept_than_there_is_room_for(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        save(compressed(RLELossless, PIXELS + number), tmp_path / "images" / str(number))
    monkeypatch.setattr(kept_pixels, "MOST_BYTES", PIXELS.nbytes * 4 + 1)
    found = scan(tmp_path / "images", state=tmp_path / "state", workers=workers)
    assert len(found.accepted) == 6
    assert len(found.kept) == 4 // workers
    assert kept_pixels.room_for(tmp_path / "state") < PIXELS.nbytes * 4


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_all_who_read_at_once_share_the_room(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = tmp_path / "images"
    save(compressed(RLELossless), images / "a0")
    save(tiny(PIXELS.astype(">u2"), syntax=ExplicitVRBigEndian), images / "b0")  # decoded where the scan runs
    for number in range(1, 4 * readers.FILES_A_BATCH):
        for kind in "ab":
            shutil.copy(images / f"{kind}0", images / f"{kind}{number}")
    monkeypatch.setattr(kept_pixels, "MOST_BYTES", PIXELS.nbytes * 40)
    found = scan(images, state=tmp_path / "state", workers=workers)
    if workers == 1:  # this process and the one that decodes
        assert {file[0] for file in found.kept} == {"a", "b"}
    assert 30 <= len(found.kept) <= 40
    assert kept_pixels.room_for(tmp_path / "state") == PIXELS.nbytes * (40 - len(found.kept))


def test_what_is_lent_of_the_room_is_nobody_elses() -> None:
    room = Room(10)
    assert [room.lend(3), room.lend(2), room.free] == [3, 3, 4]
    room.give_back(2)
    assert room.lend(1) == 6
    assert room.free == 0


def test_a_folder_that_cannot_be_written_costs_a_second_decoding_and_no_image(tmp_path: Path) -> None:
    save(compressed(RLELossless), tmp_path / "images" / "a")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / kept_pixels.FOLDER).touch()  # a file where the folder should be
    found = scan(tmp_path / "images", state=tmp_path / "state")
    assert (len(found.accepted), dict(found.kept)) == (1, {})


def test_what_no_record_names_is_swept_when_no_scan_can_be_writing_it(tmp_path: Path) -> None:
    fill(tmp_path / "images")
    scan(tmp_path / "images", state=tmp_path / "state")
    shutil.rmtree(tmp_path / "images")
    (tmp_path / "images").mkdir()
    scan(tmp_path / "images", state=tmp_path / "state")
    left = list((tmp_path / "state" / kept_pixels.FOLDER).iterdir())
    assert left
    for file in left:
        os.utime(file, (1, 1))
    scan(tmp_path / "images", state=tmp_path / "state")
    assert not list((tmp_path / "state" / kept_pixels.FOLDER).iterdir())


def test_an_image_whose_pixels_have_another_shape_is_prepared_again_and_one_that_is_square_keeps_its_key(
    tmp_path: Path,
) -> None:
    of, keys, forms = study(data={"modalities": ["MR"], "image_size": 16}).data, [], []
    for number, apart in enumerate([None, [0.5, 0.5], [1.0, 0.5]]):
        source = Source(tmp_path / f"{number}", tmp_path / f"state-{number}")
        save(tiny(PIXELS, **({} if apart is None else {"PixelSpacing": apart})), source.folder / "a.dcm")
        found = scan(source.folder, state=source.state)
        made = keep_images(source, of, found.accepted, found.kept)
        keys.append(made.key)
        forms.append(made.images.tobytes())
    assert (keys[0] == keys[1], keys[1] == keys[2]) == (True, False)
    assert (forms[0] == forms[1], forms[1] == forms[2]) == (True, False)


@given(
    seed=st.integers(0, 2**32 - 1),
    top=st.integers(0, 400),
    signed=st.booleans(),
    slope=st.sampled_from([1.0, -1.0, 0.1, 3.7e-5, -2.5e4]),
    inverted=st.booleans(),
    window=st.sampled_from([None, Window(40.0, 80.5, "LINEAR"), Window(3.0, 9.0, "SIGMOID")]),
    intensity=st.sampled_from(["percentile", "range", "window"]),
    spacing=st.sampled_from([None, (0.5, 0.25), (1.0, 1.0)]),
    turn=st.sampled_from([Turn(*reversed_) for reversed_ in product((False, True), repeat=3)]),
)
def test_the_short_way_into_the_network_s_form_has_the_bytes_of_the_long_one(
    seed: int,
    top: int,
    signed: bool,
    slope: float,
    inverted: bool,
    window: Window | None,
    intensity: str,
    spacing: tuple[float, float] | None,
    turn: Turn,
) -> None:
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, top + 1, (rng.integers(1, 40), rng.integers(12, 40)), dtype=np.uint16)
    if signed:
        stored = stored.astype(np.int16) - np.int16(top // 2)
    meaning = Grey(inverted, (-500, 500), None, (Frame(Rescale(slope, -3.0), window),))
    data = study(data={"modalities": ["MR"], "image_size": 16, "intensity": intensity}).data

    def values_of(levels: np.ndarray) -> np.ndarray:
        return grey(meaning, levels[None], several=False, voi=intensity == "window", where="")[0]

    long = to_network_form(
        Image(grey(meaning, stored, several=False, voi=intensity == "window", where="")[None], spacing, turn=turn), data
    )
    short = levels_to_network_form(stored, values_of, data, Hanging(spacing, turn))
    assert short is None or short.tobytes() == long.tobytes()
    assert short is not None or int(stored.max()) - int(stored.min()) >= stored.size

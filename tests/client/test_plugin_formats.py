"""Formats of plug-ins: a hospital's own files, read by the package that it named, and nothing else of them goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from examples import STUDY
from plugin_made import forget, fresh_site, install
from tiny_dicom import save, tiny
from wardround_client.hospital.hospital_source import facts_of_intake, hospital_source, said_of_intake
from wardround_client.images import plugin_formats, read_image
from wardround_client.images.plugin_formats import formats_let_in, let_in, pin
from wardround_client.intake.index import scan
from wardround_client.intake.instance import Index, Instance, Refusal
from wardround_client.intake.labels import find_labels
from wardround_client.intake.readers import end_idle_readers
from wardround_client.intake.record import RETRIED, CodecNeededError, read_record
from wardround_client.preparation.asking import cases_of
from wardround_client.preparation.dataset import Intake
from wardround_client.preparation.kept_images import keep_images
from wardround_client.preparation.order import order_of
from wardround_client.preparation.source import Source
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.audit.entries import body_of
from wardround_common.errors import DataError, PluginError
from wardround_common.refusals import MEANINGS
from wardround_common.study.file import Study
from wardround_simulation.partition import _by_attribute

FORMAT = """

import numpy as np
from wardround_client.images.formats.contract import Format, Plain
from wardround_common.errors import ImageRefused

SEEN = []

def read(data, where):
    rows = np.frombuffer(data[8:], np.uint8).reshape(4, -1)
    said = dict(name="OWN", spacing_mm=(0.5, 0.25), patient="P-1", modality="DX")
    return Plain(rows, **said)

def matches(head):
    return head.startswith(b"OWNFORM1")

FORMAT = Format(("OWN",), matches, read)
"""
GIVEN = "return Plain(rows, **said)"
LIES = {
    "raises": (
        "raise KeyError(str(data))",
        r"plug-in made-plugin 1.0: its code failed at made_plugin/raises.py, l",
    ),
    "exits": ("import sys; sys.exit(0)", r"failed at made_plugin/exits.py, line 12, in read: SystemExit"),
    "nothing": ("return rows", "gives no Plain but an ndarray"),
    "words": ("return Plain(rows.astype(str), **said)", "gives pixels that are no array of whole or floating-point"),
    "wide": ("return Plain(rows.astype(np.longdouble), **said)", "floating-point numbers of up to 64 bits"),
    "flat": ("return Plain(rows.ravel(), **said)", r"gives pixels of the shape \(16,\) for 1 frames"),
    "frames": ("return Plain(rows, frames=4, **said)", r"gives pixels of the shape \(4, 4\) for 4 frames"),
    "near": ("return Plain(rows, **said | dict(spacing_mm=(0.0, 1.0)))", "gives distances that are no two or three"),
    "unnamed": ("return Plain(rows, **said | dict(name='<script>'))", "is listed by no name of capital letters"),
    "kind": ("return Plain(rows, **said | dict(modality='x-ray'))", "gives no modality"),
    "whose": ("return Plain(rows, **said | dict(patient=data))", "gives a patient that is no text"),
    "allows": ("return Plain(rows, **said | dict(findings={'private': 'x'}))", "gives findings besides identity"),
    "random": ("SEEN.append(1); return Plain(rows + len(SEEN), **said)", "reads something else of the same file"),
    "refuses": ("raise ImageRefused('patient P-1 has a cyst', 'words of its own')", "words of its own"),
    "listed": ("raise ImageRefused(['x'], 'long ' * 999)", "plug-in made-plugin 1.0: long long"),
    "hangs": ("import time; time.sleep(9)", "its format 'hangs' did not end within 0.05 s"),
}
OTHERS = {
    "own": FORMAT,
    "number": "FORMAT = 1",
    "big": FORMAT.replace(GIVEN, "return Plain(np.asfortranarray(rows).astype('>u2'), **said)"),
    "begins": FORMAT.replace(GIVEN, "SEEN.append(rows); return Plain(SEEN[0], **said)"),
    "two": FORMAT.replace('patient="P-1"', 'patient=f"P-{data[8]}"'),
    "turned": FORMAT.replace(GIVEN, "return Plain(rows.reshape(2, -1), **said)"),
    "padded": FORMAT.replace('patient="P-1"', 'patient="P-1     "'),
    "claims": FORMAT.replace(GIVEN, "return Plain(np.broadcast_to(rows[:1, :1], (2**20, 2**20)), **said)"),
    "truncates": FORMAT.replace(GIVEN, "raise ImageRefused('truncated', 'too few')"),
    "some": FORMAT.replace(GIVEN, "data[-1] and __import__('time').sleep(9); return Plain(rows, **said)").replace(
        "SEEN = []", "from wardround_client.images import plugin_formats; plugin_formats.LIMIT_S = 0.5"
    ),
    "all": FORMAT.replace('head.startswith(b"OWNFORM1")', "SEEN.append(os.getpid()) or True"),
    "blind": FORMAT.replace('head.startswith(b"OWNFORM1")', "1 / 0"),
}
FILES = OTHERS | {name: FORMAT.replace(GIVEN, body) for name, (body, _) in LIES.items()}
POINTS = {"wardround.formats": {name: f"{{m}}.{name}:FORMAT" for name in FILES}}
PIXELS = np.arange(16, dtype=np.uint8).reshape(4, 4)
OWN = b"OWNFORM1" + PIXELS.tobytes()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package of many formats, of which one is as it should be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugin_formats, "LIMIT_S", 0.05)
        for site in fresh_site(tmp_path_factory.mktemp("site"), patch):
            install(site, files={f"{name}.py": text for name, text in FILES.items()}, points=POINTS)
            yield site
            digest.cache_clear()


@cache
def digest() -> str:
    return pin("made-plugin:own").partition("@")[2]


def let(name: str) -> None:
    plugin_formats._let_in.clear()
    let_in([f"made-plugin:{name}@{digest()}"])


def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.own").write_bytes(OWN)
    Pillow.fromarray(PIXELS + 9).save(tmp_path / "in/b.png")
    return tmp_path / "in"


def test_of_a_file_go_pixels_distances_patient_and_modality_and_nothing_else(site: Path, tmp_path: Path) -> None:
    let("own")
    found = read_record(folder(tmp_path), "a.own").read
    assert isinstance(found, Instance)
    assert (found.patient, found.patient_id, found.identified_by) == ("P-1", "P-1", "patient-id")
    assert (found.modality, found.transfer_syntax, found.spacing_mm) == ("DX", "OWN", (0.5, 0.25))
    plugin_formats._let_in.clear()
    png = read_record(tmp_path / "in", "b.png").read
    assert isinstance(png, Instance)
    assert (found.study_uid, found.series_uid, found.manufacturer) == (png.study_uid, png.series_uid, png.manufacturer)
    let("own")
    image = read_image(tmp_path / "in/a.own")
    assert np.array_equal(image.pixels[0], PIXELS)
    assert (image.spacing_mm, image.modality) == ((0.5, 0.25), "DX")


@pytest.mark.parametrize("name", LIES)
def test_a_format_that_fails_or_lies_costs_its_file_and_is_told_without_words_of_the_file(
    site: Path, tmp_path: Path, name: str
) -> None:
    let(name)
    found = read_record(folder(tmp_path), "a.own").read
    assert isinstance(found, Refusal)
    assert found.reason == plugin_formats.FAILED
    with pytest.raises(AssertionError, match=LIES[name][1]):
        raise AssertionError(found.detail)
    assert "OWNFORM1" not in found.detail
    assert len(found.detail) < 400
    assert isinstance(read_record(tmp_path / "in", "b.png").read, Instance)
    assert {found.reason} <= {*MEANINGS} & RETRIED


def test_a_format_gives_reasons_of_ours_alone_and_stands_in_the_place_of_no_other(site: Path, tmp_path: Path) -> None:
    let("truncates")
    found = read_record(folder(tmp_path), "a.own").read
    assert isinstance(found, Refusal)
    assert (found.reason, found.detail) == ("truncated", "plug-in made-plugin 1.0: too few")
    let("claims")
    found = read_record(tmp_path / "in", "a.own").read
    assert isinstance(found, Refusal)
    assert found.reason == "too-many-pixels"  # before there is memory for them
    let("big")
    assert np.array_equal(read_image(tmp_path / "in/a.own").pixels[0], PIXELS)  # in whatever order its bytes are
    let("all")
    png = read_record(tmp_path / "in", "b.png").read
    assert isinstance(png, Instance)
    assert png.transfer_syntax == "PNG"
    let("blind")
    assert isinstance(read_record(tmp_path / "in", "b.png").read, Instance)


@pytest.mark.parametrize(("name", "keeps"), [("begins", True), ("own", False)])
def test_a_format_that_keeps_its_first_file_is_found_out_in_a_reader(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, keeps: bool
) -> None:
    monkeypatch.setattr(plugin_formats, "_alone", True)
    let(name)
    place = folder(tmp_path)
    (place / "b.own").write_bytes(OWN[:8] + OWN[:7:-1])
    assert isinstance(read_record(place, "a.own").read, Instance)
    with pytest.raises(PluginError, match="something else of a file after other files") if keeps else nullcontext():
        assert isinstance(read_record(place, "b.own").read, Instance)


def test_a_patient_is_named_without_padding_as_by_a_patient_id(site: Path, tmp_path: Path) -> None:
    let("padded")
    found = read_record(folder(tmp_path), "a.own").read
    assert isinstance(found, Instance)
    assert (found.patient, found.patient_id) == ("P-1", "P-1")


def test_what_another_format_makes_of_the_same_bytes_is_prepared_anew(site: Path, tmp_path: Path) -> None:
    data, place, prepared, digests = Study.of_tables(STUDY, where="a test").data, folder(tmp_path), [], set()
    for name in ("own", "turned", "own"):
        let(name)
        found = read_record(place, "a.own").read
        assert isinstance(found, Instance)
        digests.add(found.pixel_digest)
        made = keep_images(Source(place, tmp_path / "state"), data, [found], {})
        prepared.append(made.images[made.row_of["a.own"]].tobytes())
    assert len(digests) == 1  # of bytes alone
    assert prepared[0] == prepared[2] != prepared[1]


def test_a_record_is_of_the_files_patient_and_in_the_order_of_names_for_training_and_for_predicting(
    site: Path, tmp_path: Path
) -> None:
    let("two")
    place, data = folder(tmp_path), STUDY["data"] | {"record": "patient", "bag_size": 4}
    for number, patient in ((3, 1), (1, 1), (2, 2), (4, 2)):
        (place / f"slice{number}.own").write_bytes(OWN[:8] + bytes([patient]) + OWN[9:])
    (place / "a.own").unlink()
    study = Study.of_tables(STUDY | {"data": data, "model": STUDY["model"] | {"pooling": "recurrent"}}, where="a test")
    paths = sorted(place.glob("*.own"))
    files = [found for path in paths if isinstance(found := read_record(place, path.name).read, Instance)]
    assert [one.patient for one in files] == ["P-1", "P-2", "P-1", "P-2"]
    source = Source(place, tmp_path / "state")
    ordered = {"slice1.own": 0, "slice3.own": 1, "slice2.own": 0, "slice4.own": 1}
    assert order_of(source, study.data, files, {}) == ordered
    asked = {case.name: [path.name for path in case.files] for case in cases_of(paths, study, frozenset())}
    assert asked == {"P-1": ["slice1.own", "slice3.own"], "P-2": ["slice2.own", "slice4.own"]}


def test_files_that_are_no_dicom_have_no_attribute_to_be_labelled_or_split_by(site: Path, tmp_path: Path) -> None:
    let("own")
    found = read_record(folder(tmp_path), "a.own").read
    assert isinstance(found, Instance)
    save(tiny(BodyPartExamined="CHEST"), tmp_path / "in/c.dcm")
    dicom = read_record(tmp_path / "in", "c.dcm").read
    assert isinstance(dicom, Instance)
    index = Index((found, dicom), (), 2, ())
    labels = find_labels(tmp_path / "in", index, ("CHEST",), attribute="BodyPartExamined")
    assert labels.words == {"c.dcm": "CHEST"}
    pool = Source(tmp_path / "in", tmp_path / "state")
    assert _by_attribute(pool, [found, dicom], "Modality") == [[dicom.patient]]


def test_the_process_that_scans_gives_no_file_to_a_plugins_code(site: Path, tmp_path: Path) -> None:
    let("all")
    import made_plugin.all as plugin  # type: ignore[import-not-found]

    with pytest.raises(CodecNeededError):
        read_record(folder(tmp_path), "a.own", codecs=False)
    assert plugin.SEEN == []


def test_only_the_package_that_is_named_reads(site: Path) -> None:
    plugin_formats._let_in.clear()
    with pytest.raises(PluginError, match=r"named with the SHA-256 0{64}, and installed is made-plugin 1.0"):
        let_in([f"made-plugin:own@{'0' * 64}"])
    with pytest.raises(PluginError, match="it has no format 'other'"):
        let_in([f"made-plugin:other@{digest()}"])
    with pytest.raises(PluginError, match="its format 'number' is no Format but an int"):
        let_in([f"made-plugin:number@{digest()}"])
    for name in ("made-plugin:own", "own@x", ""):
        with pytest.raises(DataError, match="names no format"):
            let_in([name])
    with pytest.raises(DataError, match="is no format of a plug-in"):
        pin("nifti")
    assert formats_let_in() == ()


def test_a_hospital_names_its_formats_in_its_settings_and_an_approval_says_so(site: Path, tmp_path: Path) -> None:
    plugin_formats._let_in.clear()
    name = f"made-plugin:own@{digest()}"
    hospital = HospitalFolder(tmp_path)
    text = f'name = "a"\ndata = "{tmp_path}"\nformats = ["{name}"]\n'
    hospital.settings_file.write_text(text)
    assert hospital_source(hospital).formats == formats_let_in() == (name,)
    assert Source(tmp_path, tmp_path).formats == (name,)  # and so to each worker of a simulation
    intake = Intake({}, {}, (), 0, ())
    facts = facts_of_intake(hospital.settings(), intake)
    assert facts["formats"] == name
    assert name.encode() in body_of(datetime.now(UTC), "study approved", facts)
    many = hospital.settings().model_copy(update={"formats": (name,) * 16})
    assert body_of(datetime.now(UTC), "study approved", facts_of_intake(many, intake))
    assert name in " ".join(said_of_intake(hospital.settings(), intake))
    hospital.settings_file.write_text(text.replace(digest(), "0" * 64))
    with pytest.raises(PluginError) as error:
        hospital_source(hospital)
    assert error.value.where == str(hospital.settings_file)
    assert formats_let_in() == (name,)
    hospital.settings_file.write_text(text.partition("formats")[0])
    assert hospital_source(hospital).formats == formats_let_in() == ()  # a service reads on by what is named now


@pytest.mark.slow
def test_files_are_read_in_the_readers_and_again_when_the_formats_change(site: Path, tmp_path: Path) -> None:
    source, state = folder(tmp_path), tmp_path / "state"
    plugin_formats._let_in.clear()
    without = scan(source, state=state)
    assert [one.file for one in without.accepted] == ["b.png"]
    let("own")
    index = scan(source, state=state)
    assert [(one.file, one.patient_id) for one in index.accepted] == [("a.own", "P-1"), ("b.png", "")]
    assert (index.reread, scan(source, state=state).reread) == (2, 0)
    let("exits")  # of which the reader lives on
    assert [(one.file, one.reason) for one in scan(source, state=state).refused] == [("a.own", plugin_formats.FAILED)]
    forget()
    assert len(scan(source, state=state).accepted) == 1


@pytest.mark.slow
def test_a_format_that_hangs_costs_its_file_and_no_other(site: Path, tmp_path: Path) -> None:
    for name, last in {"a": 0, "b": 9, "c": 0, "d": 0}.items():
        (tmp_path / f"{name}.own").write_bytes(OWN[:-1] + bytes([last]))
    end_idle_readers()
    let("some")
    for _ in range(2):  # a later scan meets no reader that is at an end
        index = scan(tmp_path, state=tmp_path / "state")
        assert [one.file for one in index.accepted] == ["a.own", "c.own", "d.own"]
        assert [(one.file, one.reason) for one in index.refused] == [("b.own", plugin_formats.FAILED)]
    module = site / "made_plugin/some.py"
    text = module.read_text()
    module.write_text(text + "\n")  # another package than this process let in
    (tmp_path / "e.own").write_bytes(OWN)
    end_idle_readers()
    with pytest.raises(PluginError, match="and installed is made-plugin"):
        scan(tmp_path, state=tmp_path / "state")
    module.write_text(text)

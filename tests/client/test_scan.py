"""The index of a folder: read once, re-read what changed, stopped by nothing, and never a byte written there."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import FileDataset
from pydicom.uid import RLELossless

from tiny_dicom import RAMP, save, tiny
from wardround_client.intake import index, readers
from wardround_client.intake.index import INDEX_FILE, scan
from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.kept_pixels import Room
from wardround_client.intake.record import from_json
from wardround_common.errors import DataError, StorageError


def fill(folder: Path, count: int) -> None:
    for number in range(count):
        save(tiny(RAMP + number, PatientID=f"P{number}", PatientName=f"P{number}"), folder / f"{number:03d}.dcm")


def compressed() -> FileDataset:
    made = tiny(np.arange(64, dtype=np.uint16).reshape(8, 8))
    made.compress(RLELossless)
    return made


def reasons(found: Index) -> Counter[str]:
    return Counter(refusal.reason for refusal in found.refused)


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "images").mkdir()
    return tmp_path / "images", tmp_path / "state"


@pytest.fixture(autouse=True, scope="module")
def _no_reader_outlives_these_tests() -> Iterator[None]:
    yield
    readers.end_idle_readers()


def test_an_instance_says_what_the_file_says(places: tuple[Path, Path]) -> None:
    folder, state = places
    save(tiny(BitsStored=12, HighBit=11, PixelSpacing=[0.5, 0.25]), folder / "a" / "one.dcm")
    (found,) = scan(folder, state=state).accepted
    assert (found.file, found.patient, found.modality, found.manufacturer) == ("a/one.dcm", "P1", "MR", "Maker")
    assert (found.rows, found.columns, found.frames, found.bits) == (3, 4, 1, "16/12")
    assert found.spacing_mm == (0.5, 0.25)


def test_a_second_scan_reads_only_what_changed(places: tuple[Path, Path]) -> None:
    folder, state = places
    fill(folder, 20)
    assert scan(folder, state=state).reread == 20
    first = scan(folder, state=state)
    assert first.reread == 0
    os.utime(folder / "003.dcm", ns=(1, 1))
    save(tiny(RAMP, PatientID="new", PatientName="new"), folder / "x.dcm")
    (folder / "004.dcm").unlink()
    second = scan(folder, state=state)
    assert second.reread == 2
    assert {i.file for i in second.accepted} == {i.file for i in first.accepted} - {"004.dcm"} | {"x.dcm"}


def test_one_worker_and_two_find_the_same(places: tuple[Path, Path], tmp_path: Path) -> None:
    folder, state = places
    fill(folder, 60)
    (folder / "junk").write_bytes(b"junk")
    save(compressed(), folder / "rle.dcm")
    one, two = scan(folder, state=state), scan(folder, state=tmp_path / "other", workers=2)
    assert one.accepted == two.accepted
    assert one.refused == two.refused
    assert len(one.accepted) == 61


def test_a_change_of_what_is_allowed_reads_nothing_again(places: tuple[Path, Path]) -> None:
    folder, state = places
    save(tiny(PatientName="Meyer^Anna", BurnedInAnnotation="YES"), folder / "a")
    assert reasons(scan(folder, state=state)) == {"identifies-patient": 1}
    half = scan(folder, state=state, allow=frozenset({"identity"}))
    assert (reasons(half), half.reread) == ({"burnt-in-text": 1}, 0)
    both = scan(folder, state=state, allow=frozenset({"identity", "burnt-in"}))
    assert (len(both.accepted), both.reread, both.allowed) == (1, 0, ("burnt-in", "identity"))


def test_an_unknown_word_to_allow_is_an_error(places: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="identity, private-tags, burnt-in"):
        scan(places[0], state=places[1], allow=frozenset({"everything"}))


def test_nothing_stops_a_scan(places: tuple[Path, Path]) -> None:
    folder, state = places
    fill(folder, 2)
    (folder / "empty").touch()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "nowhere").symlink_to(folder / "no")
    (folder / "up").symlink_to(folder)
    save(tiny(), folder / "new\nline \u202e.dcm")
    save(tiny(), Path(os.fsdecode(os.fsencode(folder) + b"/not-utf8-\xff")))
    (folder / "huge").touch()
    os.truncate(folder / "huge", 3 << 30)
    found = scan(folder, state=state)
    assert len(found.accepted) == 4
    assert reasons(found) == {"empty": 1, "not-a-file": 1, "broken-link": 2, "link-loop": 1, "too-large": 1}
    assert scan(folder, state=state).reread == 0


def test_a_folder_within_that_may_not_be_listed_is_said(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, state = places
    (folder / "closed").mkdir()
    fill(folder, 1)
    listing = os.scandir

    def refuse(place: str) -> object:
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return listing(place)

    monkeypatch.setattr(index.os, "scandir", refuse)
    found = scan(folder, state=state)
    assert (len(found.accepted), reasons(found)) == (1, {"permission": 1})


def test_a_link_into_the_folder_is_refused_and_what_it_leads_to_is_not(places: tuple[Path, Path]) -> None:
    folder, state = places
    fill(folder / "z real", 2)
    (folder / "a link").symlink_to(folder / "z real")
    (folder / "b link.dcm").symlink_to(folder / "z real" / "000.dcm")
    found = scan(folder, state=state)
    assert [instance.file for instance in found.accepted] == ["z real/000.dcm", "z real/001.dcm"]
    assert [(r.file, r.reason) for r in found.refused] == [("a link", "link-loop"), ("b link.dcm", "link-loop")]


def test_what_lies_elsewhere_is_reached_by_one_link_once(places: tuple[Path, Path], tmp_path: Path) -> None:
    folder, state = places
    fill(tmp_path / "elsewhere" / "deep", 2)
    (folder / "a").symlink_to(tmp_path / "elsewhere")
    (folder / "b").symlink_to(tmp_path / "elsewhere" / "deep")
    (folder / "c.dcm").symlink_to(tmp_path / "elsewhere" / "deep" / "000.dcm")
    found = scan(folder, state=state)
    assert {instance.file for instance in found.accepted} == {"a/deep/000.dcm", "a/deep/001.dcm"}
    assert reasons(found) == {"link-loop": 2}


def test_a_file_that_became_a_pipe_is_no_image_any_more(places: tuple[Path, Path]) -> None:
    folder, state = places
    fill(folder, 1)
    scan(folder, state=state)
    (folder / "000.dcm").unlink()
    os.mkfifo(folder / "000.dcm")
    found = scan(folder, state=state)
    assert (found.accepted, reasons(found)) == ((), {"not-a-file": 1})


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Readers that cannot open files, for the reason that stands in the file that this gives; none while it is away."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "real = os.open\n"
        "def faulty(path, *rest, **more):\n"
        f"    why = {str(tmp_path / 'why')!r}\n"
        "    if str(path).endswith('.dcm') and os.path.exists(why):\n"
        "        number = int(open(why).read())\n"
        "        raise OSError(number, os.strerror(number)) if number else MemoryError\n"
        "    return real(path, *rest, **more)\n"
        "os.open = faulty\n"
    )
    readers.end_idle_readers()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield tmp_path / "why"
    readers.end_idle_readers()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "permission"),
        pytest.param(errno.EIO, "disk-error", marks=pytest.mark.slow),
        pytest.param(errno.ENOENT, "vanished", marks=pytest.mark.slow),
        (0, "no-memory"),
    ],
)
def test_a_refusal_that_the_bytes_did_not_cause_is_forgotten(
    places: tuple[Path, Path], reading: Path, number: int, reason: str
) -> None:
    folder, state = places
    fill(folder, 3)
    (folder / "junk").write_bytes(b"junk")
    reading.write_text(str(number))
    assert reasons(scan(folder, state=state, workers=2)) == {reason: 3, "not-an-image": 1}
    reading.unlink()  # somebody gave the right, mounted the disk, freed memory: no file changed
    found = scan(folder, state=state, workers=2)
    assert (len(found.accepted), reasons(found), found.reread) == (3, {"not-an-image": 1}, 3)


def test_a_changed_file_that_cannot_be_read_now_is_not_what_it_was(places: tuple[Path, Path], reading: Path) -> None:
    folder, state = places
    fill(folder, 2)
    scan(folder, state=state, workers=2)
    os.utime(folder / "000.dcm", ns=(1, 1))
    reading.write_text(str(errno.EACCES))
    found = scan(folder, state=state, workers=2)
    assert ([instance.file for instance in found.accepted], reasons(found)) == (["001.dcm"], {"permission": 1})


def test_the_folder_is_never_written_to(places: tuple[Path, Path]) -> None:
    folder, state = places
    fill(folder, 3)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}
    folder.chmod(0o500)
    scan(folder, state=state, workers=2)
    scan(folder, state=state)
    folder.chmod(0o700)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]} == before


def test_the_index_is_readable_by_its_owner_only(places: tuple[Path, Path]) -> None:
    folder, state = places
    fill(folder, 1)
    scan(folder, state=state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()} == {0o600}


def test_a_state_within_the_folder_is_not_scanned(places: tuple[Path, Path]) -> None:
    folder, _ = places
    fill(folder, 1)
    scan(folder, state=folder / "state")
    assert not scan(folder, state=folder / "state").refused


@pytest.mark.parametrize("damage", [b"not SQLite at all" * 100, None])
def test_a_damaged_index_is_said_and_made_again(
    places: tuple[Path, Path], damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    folder, state = places
    fill(folder, 5)
    scan(folder, state=state)
    if damage:
        (state / INDEX_FILE).write_bytes(damage)
    else:
        with sqlite3.connect(state / INDEX_FILE) as database:
            database.execute("UPDATE files SET record = '{]' WHERE rowid = 2")
        database.close()
    found = scan(folder, state=state)
    assert (len(found.accepted), found.reread) == (5, 5)
    assert "damaged" in caplog.text


def test_an_index_of_another_reader_or_another_folder_is_read_again(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, state = places
    fill(folder, 2)
    scan(folder, state=state)
    folder.rename(tmp_path / "moved")
    assert scan(tmp_path / "moved", state=state).reread == 2
    monkeypatch.setattr(index, "READER", "another")
    assert scan(tmp_path / "moved", state=state).reread == 2


def test_a_state_that_cannot_be_made_is_a_storage_error(places: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="--state"):
        scan(places[0], state=tmp_path / "file" / "state")


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_folder_that_is_none_is_a_data_error(tmp_path: Path, kind: str) -> None:
    if kind == "file":
        (tmp_path / "file").touch()
    with pytest.raises(DataError):
        scan(tmp_path / kind, state=tmp_path / "state")


KILLED = """
import sys, time
from pathlib import Path
from wardround_client.intake import index
index._COMMIT_EVERY_S = 0.0
def slowly(done, total):
    if done == 30:
        print("thirty", flush=True)
        time.sleep(60)
index.scan(Path(sys.argv[1]), state=Path(sys.argv[2]), progress=slowly)
"""


def test_a_scan_that_was_killed_goes_on_where_it_was(places: tuple[Path, Path]) -> None:
    folder, state = places
    fill(folder, 40)
    with subprocess.Popen([sys.executable, "-c", KILLED, folder, state], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"thirty\n"
        process.send_signal(signal.SIGKILL)
    found = scan(folder, state=state)
    assert len(found.accepted) == 40
    assert 10 <= found.reread <= 11


def test_an_interrupted_scan_keeps_what_it_read_and_ends_its_readers(places: tuple[Path, Path]) -> None:
    folder, state = places
    fill(folder, 60)

    def interrupt(done: int, total: int) -> None:
        if done == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(folder, state=state, progress=interrupt, workers=2)
    assert scan(folder, state=state).reread == 10


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Readers that die, or hang, on a file of that name, as a decoder in C does on a damaged one."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time\n"
        "real = os.open\n"
        "def faulty(path, *rest, **more):\n"
        "    if str(path).endswith('crash.dcm'): os.abort()\n"
        "    if str(path).endswith('hang.dcm'): time.sleep(60)\n"
        "    return real(path, *rest, **more)\n"
        "os.open = faulty\n"
    )
    readers.end_idle_readers()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield
    readers.end_idle_readers()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("crashing")
def test_a_decoder_that_crashes_costs_one_file(places: tuple[Path, Path], workers: int) -> None:
    folder, state = places
    fill(folder, 30)
    made = compressed()
    for name in ("crash.dcm", "more/crash.dcm", *(f"rle{number}.dcm" for number in range(24))):
        save(made, folder / name)
    found = scan(folder, state=state, workers=workers)
    assert len(found.accepted) == 54
    assert [(refusal.file, refusal.reason) for refusal in found.refused] == [
        ("crash.dcm", "decoder-crashed"),
        ("more/crash.dcm", "decoder-crashed"),
    ]
    assert scan(folder, state=state, workers=workers).reread == 2  # the machine may have been short of memory


@pytest.mark.usefixtures("crashing")
def test_a_decoder_that_hangs_costs_one_file(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, state = places
    monkeypatch.setattr(readers, "SLOWEST_FILE_S", 2.0)
    save(tiny(), folder / "hang.dcm")
    began = time.monotonic()
    assert reasons(scan(folder, state=state, workers=2)) == {"too-slow": 1}
    assert time.monotonic() - began < 20


def test_what_needs_no_codec_is_read_while_the_decoder_decodes(tmp_path: Path) -> None:
    """The source of files waits for the first answer: whoever runs it to its end before decoding never gets one."""
    (tmp_path / "images").mkdir()
    names = [f"{number:02d}.dcm" for number in range(readers.FILES_A_BATCH)]
    save(compressed(), tmp_path / "images" / names[0])
    for name in names[1:]:
        shutil.copy(tmp_path / "images" / names[0], tmp_path / "images" / name)
    answered: list[str] = []
    waited_until = time.monotonic() + 30

    def files() -> Iterator[str | tuple[str, str]]:
        yield from names
        while not answered and time.monotonic() < waited_until:
            time.sleep(0.01)
            yield "here", "read here"
        yield "last", "read here"

    for file, record in readers.read_in_processes(
        tmp_path / "images", files(), workers=1, kept_in=tmp_path / "pixels", room=Room(0)
    ):
        if file in names:
            assert isinstance(from_json(record).read, Instance)
            answered.append(file)
        if file == "last":
            assert answered
    assert answered == names


@pytest.mark.slow
@pytest.mark.parametrize(("left", "processes"), [(readers.WORTH_A_READER + readers.FILES_A_BATCH, 2), (1, 1)])
def test_a_long_backlog_is_shared_once_the_caller_has_read_its_own(tmp_path: Path, left: int, processes: int) -> None:
    readers.end_idle_readers()
    (tmp_path / "images").mkdir()
    names = [f"{number:03d}.txt" for number in range(left)]
    for name in names:
        (tmp_path / "images" / name).write_text("no image")
    read = readers.read_in_processes(
        tmp_path / "images", names, workers=1, kept_in=tmp_path / "pixels", room=Room(0), at_the_end=2
    )
    assert sorted(file for file, _ in read) == names
    assert len(readers._idle) == processes


def test_an_answer_that_is_there_is_never_late() -> None:
    """The process that scans was busy with something else for longer than a file may take."""
    started = [
        subprocess.Popen(["sh", "-c", f"{say}sleep 30"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for say in ("echo answer; ", "")
    ]
    long_ago = time.monotonic() - 2 * readers.SLOWEST_FILE_S
    here, late = (readers._Reader(process, ["a file"], since=long_ago) for process in started)
    assert select.select([started[0].stdout], [], [], 30)[0]
    try:
        assert readers._answers([here, late], timeout_s=0) == [(here, b"answer\n"), (late, None)]
    finally:
        here.end()
        late.end()


def test_the_real_sets_pass_the_de_identification_check(tmp_path: Path) -> None:
    data = os.environ.get("WARDROUND_DATA")
    if not data:
        pytest.skip("WARDROUND_DATA names no folder with brain_mri")
    found = scan(Path(data) / "brain_mri" / "CS", state=tmp_path)
    assert reasons(found) == {"mask": 60}
    assert len(found.accepted) == 180

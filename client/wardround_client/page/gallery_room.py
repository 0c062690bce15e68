"""The room of a hospital's gallery: its own images, a page at a time, drawn by a process of its own within limits."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardround_client.gallery.catalogue import EACH, NAME, Order, about, count, entry, of_patient
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.state.state_folder import default_state
from wardround_common.pages.child import Children
from wardround_common.pages.site import Answer, Asked, Missing, Shown, Went, part_of

SCAN_PAGES = {
    "scan": ("scan-report.html", "The scan of the images"),
    "outlines": ("outlines.html", "Outlines on the images"),
    "boxes": ("boxes.html", "Boxes on the images"),
    "preview": ("preview.html", "What a study makes of the images"),
}
"""Pages that ``wardround scan`` wrote into the state folder of the images, by the word of their address."""
ORDERS: Mapping[Order, str] = {"images": "All images", "worst": "Worst errors first", "explained": "With maps"}
DRAWN_S = 60.0
"""For the process that draws a page: it draws for a third of that, and starts in the rest."""
MOST_DRAWN = 8 << 20
"""Characters of a page's pictures."""
KEPT = 4
"""Pages whose pictures are kept in memory."""
MOST_OTHERS = 24
"""Links to other images of a patient."""
BUSY_S = 3.0
"""For how long a page waits while another one is being drawn."""


def written_pages(state: Path) -> list[tuple[str, str, datetime]]:
    """List the pages that a scan wrote: the word of their address, what they are, and when they were written."""
    return [
        (word, said, datetime.fromtimestamp(path.stat().st_mtime, UTC))
        for word, (name, said) in SCAN_PAGES.items()
        if (path := state / name).is_file()
    ]


@dataclass(frozen=True)
class Drawn:
    """The pictures of a page, or why there are none."""

    pictures: Sequence[Mapping[str, Any]] = ()
    failed: str = ""


class GalleryRoom:
    """What the gallery answers; one page is drawn at a time, and one catalogue made."""

    def __init__(self, folder: HospitalFolder, children: Children) -> None:
        self._folder = folder
        self._children = children
        self._kept: dict[tuple[int, tuple[str, ...]], Drawn] = {}
        self._drawing = threading.Lock()
        self._making = threading.Lock()
        self._failed = ""
        self._failed_of: dict[int, str] = {}

    def show(self, asked: Asked) -> Answer:
        """Show a page of the gallery."""
        state = default_state(self._folder.settings().data)
        found = about(state)
        order: Order = next((name for name in ORDERS if name == asked.query.get("order")), "images")
        size = count(state, order)
        part = part_of(range(size), asked.page(), EACH)
        orders = [(name, said) for name, said in ORDERS.items() if name == "images" or (found and found.model)]
        facts = {
            "about": found,
            "made": datetime.fromisoformat(found.made) if found else None,
            "making": self._making.locked(),
            "failed": self._failed,
            "ready": "made" in asked.query and found is not None,
            "part": part,
            "order": order,
            "orders": orders,
            "pages": written_pages(state),
            "drawn": lambda: self._drawn(state, ("gallery-page", order, str(part.number))) if size else Drawn(),
        }
        return Shown("gallery.html", {"title": "Gallery", **facts})

    def show_image(self, asked: Asked) -> Answer:
        """Show one image large, with the map of what the model's answer to it hangs on, if there is one."""
        state, number = default_state(self._folder.settings().data), _number(asked.words["number"])
        found, one = about(state), entry(state, number)
        if found is None or one is None:
            raise Missing
        facts = {
            "number": number,
            "about": found,
            "images": count(state, "images"),
            "others": [other.number for other in of_patient(state, one.patient)[:MOST_OTHERS] if other != one],
            "dense": one.answered is not None,
            "may_explain": bool(found.folder and one.answer and not one.why),
            "making": self._making.locked(),
            "failed": self._failed_of.get(number, ""),
            "drawn": lambda: self._drawn(state, ("gallery-image", str(number))),
        }
        return Shown("gallery_image.html", {"title": f"Image {number:,}", **facts})

    def explain(self, asked: Asked) -> Answer:
        """Have the map of one image drawn, by the model that the gallery was made with."""
        number = _number(asked.words["number"])
        here = f"/gallery/image/{number}"
        if not self._making.acquire(blocking=False):
            return Went(here, "The gallery is at work already: try again when it is done.", True)
        self._failed_of.pop(number, None)
        threading.Thread(target=self._explain, args=(number,), name="map of a page", daemon=True).start()
        return Went(here)

    def _explain(self, number: int) -> None:
        said = "The map could not be drawn: see the service's log."
        try:
            words = ["hospital", "gallery", "--json", "--map-of", str(number), "--state", str(self._folder.path)]
            done = self._children.run(words)
            said = "" if done.code == 0 else _why(done.out, "The map could not be drawn")
        finally:
            if said:
                self._failed_of[number] = said
            self._making.release()

    def make(self, asked: Asked) -> Answer:
        """Make the gallery anew, with a released model or without."""
        model = asked.form.get("model", "").strip()
        if model and not model.startswith("/"):
            return Went("/gallery", "Give the model's folder by its whole path, from / on.", True)
        if not self._making.acquire(blocking=False):
            return Went("/gallery", "The gallery is being made already.", True)
        threading.Thread(target=self._make, args=(model,), name="gallery of a page", daemon=True).start()
        return Went("/gallery?made=1")

    def _make(self, model: str) -> None:
        self._failed = "The gallery could not be made: see the service's log."
        try:
            words = ["hospital", "gallery", "--json", "--state", str(self._folder.path)]
            done = self._children.run([*words, "--", model] if model else words)
            self._failed = "" if done.code == 0 else _why(done.out)
        finally:
            self._making.release()

    def _drawn(self, state: Path, which: tuple[str, ...]) -> Drawn:
        """Return the pictures that a command draws; the last few are kept as long as their catalogue is there."""
        try:
            key = ((state / NAME).stat().st_mtime_ns, which)
        except OSError:
            return Drawn(failed="The gallery has just been removed.")
        if key in self._kept:
            return self._kept[key]
        if not self._drawing.acquire(timeout=BUSY_S):
            return Drawn(failed="Another page is being drawn: load this one again.")
        try:
            words = ["hospital", *which, "--state", str(self._folder.path)]
            done = self._children.run(words, DRAWN_S, MOST_DRAWN)
            if done.code:
                return Drawn(
                    failed=f"The pictures of this page could not be drawn. {done.said if done.code == 124 else ''}"
                )
            found = Drawn(json.loads(done.out))
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = found
            return found
        except ValueError:
            return Drawn(failed="The pictures of this page are too large to be shown.")
        finally:
            self._drawing.release()


def _number(word: str) -> int:
    """Return the number of an image, from its address.

    Raises:
        Missing: it is none.
    """
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise Missing
    return int(word)


def _why(out: str, what: str = "The gallery could not be made") -> str:
    """Return what the command said, which names no file of the hospital."""
    try:
        said = json.loads(out)
        return f"{what}: {said['failed']}." + (f"\n  → {said['do']}" if said["do"] else "")
    except (ValueError, KeyError, TypeError):
        return f"{what}: the command was stopped."

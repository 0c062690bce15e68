"""Both roles in a real browser: a hospital joins, decides and trains to the model without a terminal, on pages that axe
finds nothing in.

``SHOTS=FOLDER`` keeps pictures of the pages, at 1280 and 375 pixels, light and dark.
"""

from __future__ import annotations

import base64
import http.server
import importlib.resources
import os
import re
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chromium import CHROMIUM, DRIVER, WITHOUT, Chromium, driven
from link import until
from processes import COMMAND, Site, free_port
from wardround_client.explanation.page import About
from wardround_client.explanation.page import render as explanations
from wardround_client.explanation.summary import summary_of
from wardround_client.intake.scanned import scan
from wardround_client.preparation import outline_page
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.state.pause import paused_since
from wardround_common.control.place import is_served
from wardround_common.results.comparison import side_by_side
from wardround_server.page.view import view_page
from wardround_server.report import write_report
from wardround_server.report.example import example
from wardround_server.report.model_card import page as card_page
from wardround_simulation.phantoms import make_hospitals

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (DRIVER and CHROMIUM), reason=WITHOUT)]
LOOKS = ((375, True), (1280, False), (375, False), (1280, True))
"""Widths, and whether dark: the last two for pictures only."""
A, B, SCRIPT = "hospital-a", "hospital-b", "<script>alert(1)</script>"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
SMALL_TARGETS = """
return [...document.querySelectorAll("a, button, input:not([type=hidden]), textarea")].filter((one) => {
  const box = one.getBoundingClientRect(), text = getComputedStyle(one).display === "inline";
  const told = !text && one.className !== "skip" && one.type !== "checkbox"
  return box.width && told && (box.width < 24 || box.height < 24);
}).map((one) => one.outerHTML)"""
"""WCAG 2.2, 2.5.8: targets of 24 by 24 pixels, but for links within text; this axe does not know the rule yet."""


class Walked(Site):
    """A coordinator and one hospital whose pages are shown, and a second hospital that is commanded."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.service, self.running, self.extra = folder, (), {}, {}
        make_hospitals(folder / "data", seed=1, hospitals=2, patients=40)
        self.port = free_port()
        self.run("coordinator", "init", "C", "--host", "127.0.0.1", "--port", str(self.port))
        for name in (A, B):
            self.run("hospital", "init", name, "--data", f"data/{name}", "--state", name)
        self.run("coordinator", "enrol", "C", f"{B}.request", "--yes")

    def show(self, who: str, *words: str) -> None:
        with (self.folder / f"{who}.log").open("ab") as log:
            self.running[who] = subprocess.Popen(
                [*COMMAND, *words, "--page"], cwd=self.folder, env=self.environment(), stdout=log, stderr=log
            )
        until(lambda: is_served(self.folder / who), 180)

    def file(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")


class Seen:
    """Looks at every page that is shown: for what axe finds, and whether a telephone's width holds it."""

    def __init__(self) -> None:
        package = importlib.resources.files(pytest.importorskip("axe_core_python"))
        self.axe = (package / "axe.min.js").read_text(encoding="utf-8")
        self.shots = Path(os.environ["SHOTS"]) if os.environ.get("SHOTS") else None
        self.found: list[str] = []
        self.seen = 0

    def look(self, window: Chromium, name: str) -> None:
        for width, dark in LOOKS[: 4 if self.shots else 2]:
            window.look(width, dark=dark)
            window.run(f"if (!window.axe) {{ {self.axe} }}")
            said = window.run_later(
                "const done = arguments[0]; axe.run(document, {runOnly: "
                f"{RULES}}}).then((r) => done(r.violations.map((v) => v.id + ': ' + "
                "v.nodes.map((n) => n.html).join(' | '))))"
            )
            scheme = "dark" if dark else "light"
            self.found += [f"{name} {width} {scheme}: {each}" for each in said]
            if self.shots:
                self.shots.mkdir(exist_ok=True)
                (self.shots / f"{name}-{width}-{scheme}.png").write_bytes(window.picture())
            if (wide := window.run("return document.documentElement.scrollWidth")) > width:
                self.found.append(f"{name}: {wide} pixels wide at {width}")
            self.found += [f"{name}: a small target: {one}" for one in window.run(SMALL_TARGETS)]
        self.seen += 1


@contextmanager
def another_origin(target: str) -> Iterator[tuple[str, list[str]]]:
    """Serve a page at another port that tries to act and to read, and keep what it is sent of cookies."""
    sent: list[str] = []
    page = (
        f'<form id="f" method="post" action="{target}/pause"><input name="_form" value="guess"></form>'
        f'<script>fetch("{target}/pause", {{method: "POST", credentials: "include", mode: "no-cors", body: "x=1"}})'
        f'.finally(() => fetch("{target}/", {{credentials: "include"}}).then((r) => r.text())'
        '.then((t) => { document.title = "read " + t.length }, () => { document.title = "refused" }))</script>'
    )

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append(self.headers.get("Cookie", ""))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", sent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_hospital_joins_decides_and_trains_to_the_model_in_a_browser(tmp_path: Path) -> None:
    site, seen = Walked(tmp_path), Seen()
    downloads = tmp_path / "downloads"
    try:
        site.show("C", "coordinator", "serve", "C", "--bind", "127.0.0.1")
        site.show(A, "hospital", "serve", "--state", A)
        site.start(B)
        with driven() as port:
            coordinator = Chromium(port, tmp_path / "profile of C", downloads)
            hospital = Chromium(port, tmp_path / f"profile of {A}", downloads)
            used = site.run("hospital", "page", "--state", A).strip()
            hospital.go(used)
            base = hospital.at.rstrip("/")
            assert "token" not in hospital.at
            seen.look(hospital, "hospital-now")
            other = Chromium(port, tmp_path / "profile of another", downloads)
            other.go(used)
            other.until("Not signed in")
            seen.look(other, "outside")
            other.close()

            # The hospital's request, by the coordinator's page.
            coordinator.go(site.run("coordinator", "page", "C").strip())
            ours = coordinator.at.rstrip("/")
            coordinator.press("Hospitals")
            coordinator.type("#text", site.file(f"{A}.request"))
            coordinator.press("Look at it")
            coordinator.until(HospitalFolder(tmp_path / A).request().fingerprint)
            seen.look(coordinator, "coordinator-enrol")
            coordinator.press("Yes, it is the same")
            invitation = downloads / f"{A}.invitation"
            until(invitation.exists, 60)
            coordinator.go(coordinator.at)
            coordinator.press("Hospitals")
            seen.look(coordinator, "coordinator-hospitals")
            fingerprint = (
                coordinator.until("read out to hospitals: ").split("read out to hospitals: ")[1].splitlines()[0]
            )

            # The invitation, by the hospital's.
            hospital.press("send its request, and accept")
            seen.look(hospital, "hospital-identity")
            hospital.type("#file", str(invitation))
            hospital.press("Look at it")
            hospital.until(fingerprint)
            seen.look(hospital, "hospital-accept")
            hospital.press("Yes, it is the same: accept")
            hospital.until("The service is\nwaiting")

            # What another origin achieves in that browser.
            with another_origin(base) as (address, sent):
                hospital.go(address)
                until(lambda: hospital.run("return document.title"), 30)
                assert hospital.run("return document.title") == "refused"
                hospital.run("document.getElementById('f').submit()")
                hospital.until("Nothing was changed")
                assert not any("wardround" in cookie for cookie in sent)
            assert not paused_since(tmp_path / A)
            hospital.go(base + "/")

            # A study, from its file.
            study = site.study("lung", aggregation={"secure": True, "min_hospitals": 2}, training={"rounds": 2})
            coordinator.press("Runs")
            coordinator.type("#text", site.file("lung.toml"))
            coordinator.press("Look at it")
            coordinator.until(study.digest())
            seen.look(coordinator, "coordinator-begin")
            coordinator.press("Propose it to its hospitals")
            coordinator.press("lung")

            # It appears by itself, is read, weighed and approved.
            hospital.until("1 study")
            hospital.press("lung")
            seen.look(hospital, "hospital-study")
            hospital.press("Read our images")
            hospital.until("all rounds")
            seen.look(hospital, "hospital-read")
            hospital.press("Approve this study")
            seen.look(hospital, "hospital-approve")
            hospital.press("Approve exactly this")
            assert Approvals(tmp_path / A / "studies").get(study.digest()).decision == "waiting", "it was not ticked"
            hospital.click("input[name=compared]")
            hospital.press("Approve exactly this")
            hospital.until("The service tells the coordinator")
            site.run("hospital", "approve", "lung", "--state", B, "--yes")

            # Both follow it to the end without loading a page.
            hospital.press("Now")
            hospital.until("done", 300)
            coordinator.until("Done: every hospital was in every round", 300)
            coordinator.until("Validation loss, by round")
            coordinator.go(coordinator.at)
            seen.look(coordinator, "coordinator-run")
            coordinator.press("Save the release")
            release = downloads / "lung.zip"
            until(release.exists, 120)
            assert {"lung/model.safetensors", "lung/approvals.json"} <= set(zipfile.ZipFile(release).namelist())
            coordinator.press("The report")
            coordinator.until("lung")
            for room in ("", "runs", "new"):
                coordinator.go(f"{ours}/{room}")
                seen.look(coordinator, f"coordinator-{room or 'now'}")
            for room in ("studies", "budget", "audit", "images"):
                hospital.go(f"{base}/{room}")
                seen.look(hospital, f"hospital-{room}")

            # Its own images, and what the released model says of them.
            with zipfile.ZipFile(release) as packed:
                packed.extractall(tmp_path / "released")
            hospital.go(f"{base}/gallery")
            hospital.type("#model", str(tmp_path / "released" / "lung"))
            hospital.press("Read our images")
            hospital.until("The gallery has been made")
            hospital.press("look at it")
            hospital.press("Worst errors first")
            hospital.until("error 0.")
            seen.look(hospital, "hospital-gallery")
            hospital.press("All images")
            without = "(one) => one.querySelectorAll('img').length < 2"  # an image of which no map was drawn yet
            image = f"return [...document.querySelectorAll('ul.gallery li')].find({without}).querySelector('a').href"
            hospital.go(str(hospital.run(image)))
            hospital.press("Draw what this answer hangs on")
            hospital.until("As of the model")
            hospital.go(hospital.at)
            hospital.until("What the answer hangs on")
            seen.look(hospital, "hospital-gallery-image")
            hospital.go(f"{base}/")
            hospital.press("Pause this hospital")
            seen.look(hospital, "hospital-pause")
            hospital.press("Pause")
            hospital.until("paused")
            assert paused_since(tmp_path / A)
            seen.look(hospital, "hospital-paused")
            hospital.press("Sign out")
            hospital.until("Not signed in")
            coordinator.close()
            hospital.close()
        assert "token=" not in site.logs()
    finally:
        site.end()
    assert not seen.found, "\n".join(seen.found)
    assert seen.seen > 15


def at_a_hospital(folder: Path) -> dict[str, Path]:
    """Write the pages that a hospital's commands write for its own people, and a model's card."""
    now = datetime.now(UTC)
    make_hospitals(folder / "data", seed=1, hospitals=1, patients=12)
    found = scan(folder / "data" / A, state=folder / "state", report=folder / "scan.html")
    png = re.findall(r"base64,([^\"]+)", found.report.read_text())[0]
    shown = [outline_page.Picture(png, f"slice {number} of 20 · lesion 1.5 mL", SCRIPT) for number in range(5)]
    words = outline_page.Words("Outlines for lung", "examinations", "docs/segmentation.md", "Of each examination.")
    (folder / "maps").mkdir()
    (folder / "maps" / "1.png").write_bytes(base64.b64decode(png))
    facts = {"class": "finding", "probabilities": {"finding": 0.9, "normal": 0.1}, "explained": "finding"}
    lines = [{"input": SCRIPT, "similarity_to_untrained": 0.2, "calibrated": True, "files": ["1.png"], **facts}]
    about = About("lung", "integrated-gradients", "what speaks for a class", dense=False)
    texts = {
        "outlines": outline_page.written(words, shown, 9, {"no-mask": 4}, ("lesion", SCRIPT), now),
        "explanations": explanations(lines, folder / "maps", about, summary_of(lines), made=now),
        "card": card_page("# lung\n\n## Figures\n\n| figure | value |\n|---|---|\n| AUROC | 0.9 |\n", "lung"),
    }
    for name, text in texts.items():
        assert SCRIPT not in text
        (folder / f"{name}.html").write_text(text)
    return {"scan": found.report} | {name: folder / f"{name}.html" for name in texts}


def test_pages_that_stand_by_themselves_fit_a_telephone_and_axe_finds_nothing(tmp_path: Path) -> None:
    private, open_to_all = example(hospitals=4), example(private=False, hospitals=4, baselines=False)
    page = tmp_path / "view.html"
    page.write_text(view_page(side_by_side([("private", private), ("open", open_to_all)]), [private, open_to_all]))
    pages = {"view": page, "report": write_report(private, tmp_path / "run")} | at_a_hospital(tmp_path)
    seen = Seen()
    with driven() as port:
        window = Chromium(port, tmp_path / "profile", tmp_path)
        for name, path in pages.items():
            window.go(path.as_uri())
            seen.look(window, name)
            window.look(375, dark=False)
            cut = "return [...document.querySelectorAll('caption')].map(c => c.getBoundingClientRect().right)"
            assert max(window.run(cut), default=0) <= 375, f"captions of {name} are cut"
        window.close()
    assert not seen.found, "\n".join(seen.found)

"""The rooms of the hospital's pages. What acts runs the command that does it, as a person of the hospital would."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from wardround_client.hospital.joining import examine
from wardround_client.page.gallery_room import SCAN_PAGES, GalleryRoom, written_pages
from wardround_client.page.readings import Readings
from wardround_client.service.asking import asking
from wardround_client.service.status import STARTING, HospitalStatus, stopped_status
from wardround_client.spending.budget import BudgetStatement, state_budget
from wardround_client.spending.budget_words import level_name, over_cap, said_of_charges, shown
from wardround_client.spending.ledger.store import HEAD_NAME, LEDGER_NAME, existing_ledger
from wardround_client.spending.policy import DEFAULT_DELTA, POLICY_NAME, read_policy
from wardround_client.state.approvals import WAITS, Approvals, Proposal
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.state.run_outcomes import outcomes
from wardround_client.state.state_folder import default_state, hospital_state
from wardround_common.documents.enrolment import Invitation, file_stem
from wardround_common.errors import ApprovalError, MessageError, ServiceAwayError, ServiceError, StorageError
from wardround_common.pages.audit_room import audit_room
from wardround_common.pages.child import Children
from wardround_common.pages.port import PagePort, showing
from wardround_common.pages.site import Answer, Asked, Document, Missing, Plan, Room, Shown, Went, confirm, part_of
from wardround_common.shell.service_log import Say
from wardround_common.study.roster import Listed
from wardround_common.study.words.describe import describe

READ_FIRST = "Have this hospital's images read first: you approve what is said then."
DECISIONS = {
    "waiting": "waits for your decision",
    "against-policy": "not allowed by your policy",
    "approved": "approved",
    "refused": "refused",
}


class HospitalPages:
    """What a hospital's pages answer, from its folder and its service; nothing is kept but what was read."""

    def __init__(self, folder: HospitalFolder, children: Children, *, read_only: bool = False) -> None:
        self._folder = folder
        self._children = children
        self._readings = Readings(folder.path, children)
        self._gallery = GalleryRoom(folder, children)
        self._read_only = read_only
        self._budget: tuple[object, BudgetStatement] | None = None

    def plan(self) -> Plan:
        """Return the site's plan."""
        return Plan(
            role="hospital",
            name=self._folder.settings().name,
            links=[
                ("/", "Now"),
                ("/studies", "Studies"),
                ("/budget", "Privacy budget"),
                ("/audit", "Audit log"),
                ("/images", "Images"),
                ("/gallery", "Gallery"),
                ("/identity", "Who we are"),
            ],
            rooms=[
                Room("/", self._now, live=True),
                Room("/pause", self._ask_pause),
                Room("/pause", self._act("Paused: no new work is started.", "/", "pause"), acts=True),
                Room("/resume", self._ask_resume),
                Room("/resume", self._act("This hospital is active again.", "/", "resume"), acts=True),
                Room("/studies", self._studies),
                Room("/studies/{study}", self._study, live=True),
                Room("/studies/{study}/read", self._read, acts=True),
                Room("/studies/{study}/approve", self._ask_approve),
                Room("/studies/{study}/approve", self._approve, acts=True),
                Room("/studies/{study}/refuse", self._ask_refuse),
                Room("/studies/{study}/refuse", self._refuse, acts=True),
                Room("/budget", self._show_budget),
                Room("/audit", audit_room(self._folder.audit, self._named("wardround hospital audit verify"))),
                Room("/images", self._images),
                Room("/images/{page}", self._scan_page),
                Room("/gallery", self._gallery.show, live=True),
                Room("/gallery/make", self._gallery.make, acts=True),
                Room("/gallery/image/{number}", self._gallery.show_image, live=True),
                Room("/gallery/image/{number}/explain", self._gallery.explain, acts=True),
                Room("/identity", self._identity),
                Room("/identity/request", self._request),
                Room("/identity/look", self._look, acts=True),
                Room("/identity/accept", self._accept, acts=True),
            ],
            templates=Path(__file__).parent,
            again=self._named("wardround hospital page"),
            read_only=self._read_only,
            filters={
                "shown": shown,
                "level_name": level_name,
                "over_cap": over_cap,
                "said_of_charges": said_of_charges,
                "named": self._named,
            },
        )

    def _named(self, command: str) -> str:
        """Return a command as it is typed in any folder to find this hospital."""
        usual = self._folder.path.resolve() == hospital_state().resolve()
        return command if usual else f"{command} --state {shlex.quote(str(self._folder.path.resolve()))}"

    def _now(self, asked: Asked) -> Answer:
        joined = self._folder.invitation_file.exists()
        status = self._status()
        state, since = status.shown
        if state == STARTING and not joined:
            state = "waiting for an invitation"
        over = self._over()
        waiting = [p for p in self._proposals() if p.decision in WAITS and p.study.digest() not in over]
        facts = {"status": status, "state": state, "since": since, "joined": joined, "waiting": waiting}
        return Shown("now.html", {"title": "Now", **facts})

    def _ask_pause(self, asked: Asked) -> Answer:
        sentences = (
            "This hospital starts no new work until it is resumed, also after a restart of the service. It stays "
            "connected and finishes what it is doing.",
            "Rounds continue without this hospital if enough others are left.",
        )
        return self._confirm("Pause this hospital?", sentences, "/pause", "/", "Pause")

    def _ask_resume(self, asked: Asked) -> Answer:
        sentences = ("This hospital answers again for every study that it approved.",)
        return self._confirm("Resume the work of this hospital?", sentences, "/resume", "/", "Resume")

    def _studies(self, asked: Asked) -> Answer:
        found = sorted(self._proposals(), key=lambda p: (p.decision not in WAITS, -p.since.timestamp()))
        damaged = [str(error) for error in Approvals(self._folder.path / "studies").damaged().values()]
        facts = {"part": part_of(found, asked.page()), "over": self._over(), "decisions": DECISIONS, "damaged": damaged}
        return Shown("studies.html", {"title": "Studies", **facts})

    def _study(self, asked: Asked) -> Answer:
        proposal = self._found(asked)
        study, digest = proposal.study, proposal.study.digest()
        roster = self._roster(proposal)
        facts = {
            "title": study.study.name,
            "digest": digest,
            "decision": DECISIONS[proposal.decision],
            "since": proposal.since,
            "may_approve": proposal.decision in WAITS,
            "may_refuse": proposal.decision != "refused",
            "approved": proposal.decision == "approved",
            "over": self._over().get(digest, ""),
            "passages": describe(study),
            "roster": roster,
            "listed": any(ours for _, ours in roster),
            "reading": self._readings.of(digest),
        }
        return Shown("study.html", facts)

    def _roster(self, proposal: Proposal) -> list[tuple[Listed, bool]]:
        """List a study's hospitals, each with whether its key is the one that lies here."""
        ours = self._folder.identity().public
        return [(one, one.public == ours) for one in proposal.study.roster or ()]

    def _read(self, asked: Asked) -> Answer:
        digest = self._found(asked).study.digest()
        try:
            self._readings.begin(digest)
        except ServiceError as error:
            return Went(f"/studies/{digest}", str(error), True)
        return Went(f"/studies/{digest}")

    def _ask_approve(self, asked: Asked) -> Answer:
        proposal = self._found(asked)
        digest = proposal.study.digest()
        reading = self._readings.of(digest)
        if reading is None or reading.found is None or proposal.decision not in WAITS:
            return Went(f"/studies/{digest}", READ_FIRST, True)
        facts = {"digest": digest, "found": reading.found, "roster": self._roster(proposal)}
        return Shown("approve.html", {"title": f"Approve {proposal.study.study.name}?", **facts})

    def _approve(self, asked: Asked) -> Answer:
        proposal = self._found(asked)
        digest, back = proposal.study.digest(), f"/studies/{proposal.study.digest()}"
        if asked.form.get("compared") != "yes" and proposal.study.roster:
            return Went(f"{back}/approve", "Tick that the fingerprints were compared. Nothing was changed.", True)
        reading, read = self._readings.of(digest), asked.form.get("read", "")
        if reading is None or reading.found is None or reading.found["read"] != read:
            return Went(back, f"{READ_FIRST} Nothing was changed.", True)
        words = ["approve", digest, "--as-read", read, "--state", str(self._folder.path)]
        done = self._children.run(["hospital", *words])
        self._readings.forget(digest)
        if done.code:
            return Went(back, done.said or "Not approved: the command was stopped.", True)
        return Went(back, "Approved. The service tells the coordinator when it is next asked.")

    def _ask_refuse(self, asked: Asked) -> Answer:
        proposal = self._found(asked)
        name, digest = proposal.study.study.name, proposal.study.digest()
        sentences = (
            f"{name}, digest {digest[:12]}, gets no further answers from this hospital.",
            "What it has spent still counts; what it reserves of the budget is released.",
            "Taking an approval back cannot undo what was already sent." if proposal.decision == "approved" else "",
        )
        question = "Withdraw the approval?" if proposal.decision == "approved" else "Refuse this study?"
        act = f"/studies/{digest}/refuse"
        return self._confirm(question, sentences, act, f"/studies/{digest}", "Refuse the study", risky=True)

    def _refuse(self, asked: Asked) -> Answer:
        digest = self._found(asked).study.digest()
        self._readings.forget(digest)
        return self._command(["refuse", digest], "", f"/studies/{digest}")

    def _show_budget(self, asked: Asked) -> Answer:
        folder = self._folder.path
        if not any((folder / name).exists() for name in (LEDGER_NAME, HEAD_NAME)):
            return Shown("budget_page.html", {"title": "Privacy budget", "budget": None, "part": None})
        budget = self._statement()
        facts = {"budget": budget, "part": part_of(budget.studies[::-1], asked.page())}
        return Shown("budget_page.html", {"title": "Privacy budget", **facts})

    def _images(self, asked: Asked) -> Answer:
        settings = self._folder.settings()
        pages = written_pages(default_state(settings.data))
        facts = {"settings": settings, "pages": pages, "away": self._status().lasting.images_away}
        return Shown("images.html", {"title": "Images", **facts})

    def _scan_page(self, asked: Asked) -> Answer:
        name, _ = SCAN_PAGES.get(asked.words["page"], ("", ""))
        path = default_state(self._folder.settings().data) / name
        if not name or not path.is_file():
            raise Missing("No such page was written.")
        return Document.of(path, "page")

    def _identity(self, asked: Asked) -> Answer:
        folder, invitation = self._folder, None
        if folder.invitation_file.exists():
            invitation = Invitation.read(folder.invitation_file)
        ours = Listed.of(folder.settings().name, folder.identity().public)
        return Shown("identity.html", {"title": "Who we are", "ours": ours, "invitation": invitation})

    def _request(self, asked: Asked) -> Answer:
        request = self._folder.request()
        return Document(request.content(), "application/octet-stream", f"{file_stem(request.hospital)}.request")

    def _look(self, asked: Asked) -> Answer:
        text = asked.given()
        if not text:
            return Went("/identity", "Choose the invitation's file, or paste its text.", True)
        try:
            with _as_file(text) as path:
                found = examine(self._folder, path)
        except (MessageError, StorageError) as error:
            return Went("/identity", f"{error.what}\n  → {error.do}" if error.do else error.what, True)
        if not found.new:
            return Went("/identity", "This hospital has accepted this invitation before.")
        sentences = (
            f"The coordinator at {found.invitation.address} has the fingerprint",
            "Does the coordinator read this exact fingerprint to you by telephone? If the fingerprints differ, "
            "somebody may be impersonating the coordinator: tell its people.",
        )
        return confirm(
            "Accept this invitation?",
            sentences,
            "/identity/accept",
            "/identity",
            "Yes, it is the same: accept",
            fingerprint=found.invitation.fingerprint,
            fields={"text": text},
        )

    def _accept(self, asked: Asked) -> Answer:
        with _as_file(asked.form.get("text", "")) as path:
            done = self._children.run(["hospital", "accept", str(path), "--yes", "--state", str(self._folder.path)])
        if done.code:
            return Went("/identity", done.said or "Not accepted: the command was stopped.", True)
        return Went(
            "/", "Accepted: this hospital uses that coordinator, the service from its next start at the latest."
        )

    def _confirm(
        self,
        title: str,
        sentences: tuple[str, ...],
        act: str,
        back: str,
        words: str,
        *,
        risky: bool = False,
    ) -> Answer:
        if self._read_only:
            raise Missing("These pages are for reading only.")
        return confirm(title, tuple(filter(None, sentences)), act, back, words, risky=risky)

    def _act(self, said: str, back: str, *words: str) -> Callable[[Asked], Answer]:
        return lambda asked: self._command(list(words), said, back)

    def _command(self, words: list[str], said: str, back: str) -> Answer:
        done = self._children.run(["hospital", *words, "--state", str(self._folder.path)])
        if done.code:
            return Went(back, done.said or "Nothing was changed: the command was stopped.", True)
        return Went(back, said or done.out.strip())

    def _status(self) -> HospitalStatus:
        try:
            with asking(self._folder.path) as hospital:
                return hospital.status()
        except ServiceAwayError:
            return stopped_status(self._folder)

    def _proposals(self) -> list[Proposal]:
        return Approvals(self._folder.path / "studies").all()

    def _over(self) -> dict[str, str]:
        return dict(outcomes(self._folder.path))

    def _found(self, asked: Asked) -> Proposal:
        digest = asked.words["study"]
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise Missing("No such study was proposed to this hospital.")
        try:
            return Approvals(self._folder.path / "studies").get(digest)
        except ApprovalError:
            raise Missing("No such study was proposed to this hospital.") from None

    def _statement(self) -> BudgetStatement:
        """Return the budget, composed anew only if ledger or policy are others."""
        folder = self._folder.path
        stamp = [
            (name, found.st_mtime_ns, found.st_size)
            for name in (LEDGER_NAME, HEAD_NAME, POLICY_NAME, f"{LEDGER_NAME}-wal")
            if (folder / name).exists() and (found := (folder / name).stat())
        ]
        if self._budget is None or self._budget[0] != stamp:
            ledger = existing_ledger(folder, self._folder.identity())
            rules = read_policy(folder / POLICY_NAME) if (folder / POLICY_NAME).exists() else None
            self._budget = (stamp, state_budget(ledger, rules.budget.delta if rules else DEFAULT_DELTA, rules))
        return self._budget[1]


@contextmanager
def _as_file(text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wardround-") as folder:
        path = Path(folder) / "given.invitation"
        path.write_text(text, newline="")
        yield path


def hospital_pages(
    folder: HospitalFolder, port: int, say: Say, *, read_only: bool = False
) -> AbstractContextManager[PagePort]:
    """Show a hospital's pages while its service runs.

    Raises:
        StorageError: the port is taken, or the hospital has not been set up here.
    """
    return showing(lambda children: HospitalPages(folder, children, read_only=read_only).plan(), port, say)

"""A service's pages as a site: its rooms, who may enter them, and the headers that every answer has.

Every room lies below a path of random letters, which is also the cookie's: other ports of this machine, which browsers
count to the same host, are not sent it. A question must name this machine by its loopback name (against DNS rebinding).
What acts is asked by POST alone, from a page of the same origin, with the secret of the session's forms. Answers allow
no script, style, picture or request but from here, and no frame around them (docs/adr/0063-pages.md).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import jinja2
from markupsafe import escape
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wardround_common.counting import count
from wardround_common.errors import StorageError, WardroundError
from wardround_common.pages.documents import style_of
from wardround_common.pages.door import SESSION_S, Door, Session, is_form_of

log = logging.getLogger(__name__)

OURS = Path(__file__).parent
COOKIE = "wardround"
NAMES = ("127.0.0.1", "localhost")
"""What a browser on this machine, or at the near end of a tunnel to it, calls it."""
LARGEST_FORM = 256 * 1024  # bytes
MOST_FIELDS = 50
LARGEST_DOCUMENT = 64 * 2**20  # bytes
MOST_LIVE = 8
"""Pages that are kept up to date at once; one more is not, and works otherwise."""
LOOK_S, STEP_S = 2.0, 0.25
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DOCUMENT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""Of a document that Wardround wrote before, such as the page of a scan: it has its own styles, and nothing acts."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # "no-referrer" would make a form's Origin null
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True)
class Asked:
    """What a browser asks of a room."""

    words: Mapping[str, str]
    """Of its path."""
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)

    def page(self) -> int:
        """Return the number of the page of a list, from 1 on."""
        word = self.query.get("page", "1")
        return max(1, int(word)) if word.isascii() and word.isdigit() and len(word) < 10 else 1

    def given(self) -> str:
        """Return the text of the file that a form gave, or else what was pasted; empty if neither says anything."""
        text = self.form.get("file", "") or self.form.get("text", "")
        return text if text.strip() else ""


@dataclass(frozen=True)
class Shown:
    """A page: the name of its template and what it shows."""

    template: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Went:
    """Something was done or refused: say so on another page of the site."""

    to: str
    said: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Document:
    """A file that Wardround wrote: shown as it is, without rights, or with ``name`` saved under that name."""

    content: bytes
    kind: str = "text/html; charset=utf-8"
    name: str = ""
    file: Path | None = None
    """What is sent in the place of ``content``; it is removed then, with its folder."""

    @classmethod
    def of(cls, path: Path, what: str) -> Document:
        """Return a page that was written to a file, ``what``: report or page.

        Raises:
            StorageError: it is too large for a browser.
        """
        if path.stat().st_size > LARGEST_DOCUMENT:
            raise StorageError(
                f"this {what} is too large to be shown here", where=str(path), do="Open the file itself."
            )
        return cls(path.read_bytes())


Answer = Shown | Went | Document


@dataclass(frozen=True)
class Room:
    """One path of a site, such as ``/studies/{study}``. ``acts``: it is asked by POST, and may change something."""

    path: str
    answer: Callable[[Asked], Answer]
    acts: bool = False
    live: bool = False
    """Whether the part of its template called ``live`` is sent anew whenever it changed."""


@dataclass(frozen=True)
class Plan:
    """What a role shows: whose pages they are, their links, and where its templates lie."""

    role: str
    """hospital or coordinator."""
    name: str
    links: Sequence[tuple[str, str]]
    """Paths and words of the rooms that every page links to."""
    rooms: Sequence[Room]
    templates: Path
    again: str
    """The command that prints a new address."""
    read_only: bool = False
    filters: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


def confirm(
    title: str,
    sentences: Sequence[str],
    act: str,
    back: str,
    words: str,
    *,
    risky: bool = False,
    fingerprint: str = "",
    fields: Mapping[str, str] | None = None,
) -> Shown:
    """Ask somebody whether to do what the room ``act`` does, by a button with ``words``, or to go ``back``.

    ``fingerprint`` stands below the first sentence, to be compared; ``fields`` are what the room is told.
    """
    facts = {"title": title, "sentences": sentences, "act": act, "back": back, "words": words}
    return Shown("confirm.html", facts | {"risky": risky, "fingerprint": fingerprint, "fields": fields or {}})


class Missing(Exception):  # noqa: N818  # an answer to a browser and not a fault
    """There is no such thing here."""


class Site:
    """A role's pages; ``app`` answers as ASGI, ``invite`` returns a new path at which one browser can sign in."""

    def __init__(self, plan: Plan, door: Door | None = None) -> None:
        self.door = door or Door()
        self.base = f"/{secrets.token_urlsafe(12)}"
        self.ending = threading.Event()
        self._plan = plan
        self._version = version("wardround")  # it searches what is installed
        self._said: dict[str, Went] = {}  # by session: what the next page tells
        self._live = threading.BoundedSemaphore(MOST_LIVE)
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader([plan.templates, OURS]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"moment": moment, "thousands": lambda n: f"{n:,}", "plural": count}
        self._environment.filters |= plan.filters
        routes = [
            Route(f"{self.base}/style.css", _file(style_of("style.css").encode(), "text/css")),
            Route(f"{self.base}/live.js", _file((OURS / "live.js").read_bytes(), "text/javascript")),
            Route(f"{self.base}/leave", self._acting(self._leave), methods=["POST"]),
        ]
        for room in plan.rooms:
            if room.acts and plan.read_only:
                continue
            answer = self._acting(room.answer) if room.acts else self._showing(room)
            routes.append(Route(self.base + room.path, answer, methods=["POST" if room.acts else "GET"]))
        inner = Starlette(routes=routes, exception_handlers={404: self._nothing, 405: self._nothing})
        inner.router.redirect_slashes = False
        self.app: ASGIApp = _Guard(inner)

    def invite(self) -> str:
        """Return the path, with a token that is good once, at which a browser comes in."""
        return f"{self.base}/?token={self.door.invite()}"

    def _showing(self, room: Room) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            session = self._session(request)
            token = request.query_params.get("token")
            if token is not None and request.method == "GET" and room.path == "/":
                return self._come_in(request, session, token)
            if session is None:
                return self._outside(request)
            asked = Asked(request.path_params, dict(request.query_params))
            if room.live and "text/event-stream" in request.headers.get("accept", ""):
                return self._stream(room, asked, request)
            return await run_in_threadpool(self._told, room.answer, asked, session, request)

        return answer

    def _acting(self, act: Callable[[Asked], Answer]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            session = self._session(request)
            if session is None:
                return self._outside(request)
            if not _same_origin(request):
                return self._refused(request, session, "This form was not sent by one of these pages.")
            form = await _form(request)
            if form is None:
                return self._refused(request, session, "This form is too large, or none.", 413)
            if not is_form_of(session, form.pop("_form", "")):
                return self._refused(request, session, "This form is not of this session: go back, and load it again.")
            asked = Asked(request.path_params, {}, form | {"_session": session.secret})
            return await run_in_threadpool(self._told, act, asked, session, request)

        return answer

    def _told(self, answer: Callable[[Asked], Answer], asked: Asked, session: Session, request: Request) -> Response:
        try:
            found = answer(asked)
        except Missing as error:
            text = str(error) or "There is no such page."
            return self._page(Shown("said.html", {"title": "Not found", "said": text}, 404), session, request)
        except WardroundError as error:
            facts = {"title": "This cannot be shown", "said": str(error)}
            return self._page(Shown("said.html", facts, 400), session, request)
        except Exception:
            log.exception("a page failed because of a bug")
            facts = {"title": "A bug in Wardround", "said": "This page failed: see the service's log."}
            return self._page(Shown("said.html", facts, 500), session, request)
        if isinstance(found, Went):
            if found.said:
                self._said = {key: said for key, said in self._said.items() if self.door.session(key)}
                self._said[session.secret] = found
            return RedirectResponse(self.base + found.to, 303)
        if isinstance(found, Document):
            response: Response = Response(found.content, media_type=found.kind)
            if found.file:
                gone = BackgroundTask(shutil.rmtree, found.file.parent)
                response = FileResponse(found.file, media_type=found.kind, background=gone)
            response.headers["content-security-policy"] = DOCUMENT_POLICY
            if found.name:
                response.headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(found.name)}"
            return response
        return self._page(found, session, request)

    def _page(self, shown: Shown, session: Session | None, request: Request) -> Response:
        facts = self._facts(shown, session, request)
        return Response(
            self._environment.get_template(shown.template).render(facts), shown.status, media_type="text/html"
        )

    def _facts(self, shown: Shown, session: Session | None, request: Request) -> dict[str, Any]:
        told = self._said.pop(session.secret, None) if session and "live" not in shown.facts else None
        return {
            "base": self.base,
            "here": request.url.path.removeprefix(self.base),
            "plan": self._plan,
            "inside": session is not None,
            "form": session.form if session else "",
            "told": told,
            "version": self._version,
            "now": datetime.now(UTC),
            **shown.facts,
        }

    def _stream(self, room: Room, asked: Asked, request: Request) -> Response:
        if not self._live.acquire(blocking=False):
            return Response("too many pages are kept up to date already", 503, media_type="text/plain")

        async def parts() -> AsyncIterator[str]:
            before, waited = "", LOOK_S
            try:
                while not self.ending.is_set():
                    if waited >= LOOK_S:
                        waited = 0.0
                        session = self._session(request)
                        part = await run_in_threadpool(self._part, room, asked, session, request) if session else None
                        if part is None:
                            yield "event: over\ndata:\n\n"
                            return
                        if part != before:
                            before = part
                            yield "".join(f"data: {line}\n" for line in part.splitlines()) + "\n"
                        else:
                            yield ":\n\n"  # so that one who went away is noticed
                    await asyncio.sleep(STEP_S)
                    waited += STEP_S
            finally:
                self._live.release()

        return StreamingResponse(parts(), media_type="text/event-stream")

    def _part(self, room: Room, asked: Asked, session: Session, request: Request) -> str | None:
        """Return the live part of a page; None where it cannot be had, and nobody should ask again."""
        try:
            shown = room.answer(asked)
            if not isinstance(shown, Shown):
                return None
            template = self._environment.get_template(shown.template)
            facts = self._facts(Shown(shown.template, {**shown.facts, "live": True}), session, request)
            return "".join(template.blocks["live"](template.new_context(facts)))
        except (Missing, WardroundError) as error:
            return str(escape(str(error)))
        except Exception:
            log.exception("the live part of a page failed because of a bug")
            return None

    def _session(self, request: Request) -> Session | None:
        # Another port of this machine may have set a cookie of this name too, which must sign nobody out.
        pairs = (pair.partition("=") for pair in ";".join(request.headers.getlist("cookie")).split(";"))
        found = [self.door.session(value.strip()) for name, _, value in pairs if name.strip() == COOKIE]
        return next((session for session in found if session), None)

    def _come_in(self, request: Request, session: Session | None, token: str) -> Response:
        ahead = request.headers.get("sec-purpose", "") + request.headers.get("purpose", "")
        if "prefetch" in ahead:  # a browser that looks ahead uses nothing up
            return self._outside(request)
        if session:
            self.door.use_up(token)
        entered = session or self.door.enter(token)
        if entered is None:
            return self._outside(request)
        response = RedirectResponse(f"{self.base}/", 303)
        if entered is not session:
            response.set_cookie(
                COOKIE, entered.secret, max_age=int(SESSION_S), path=f"{self.base}/", httponly=True, samesite="strict"
            )
        return response

    def _leave(self, asked: Asked) -> Answer:
        session = self.door.session(asked.form["_session"])
        if session:
            self.door.leave(session)
        return Went("/")

    def _outside(self, request: Request) -> Response:
        return self._page(Shown("outside.html", {"title": "Not signed in"}, 403), None, request)

    def _refused(self, request: Request, session: Session, said: str, status: int = 403) -> Response:
        facts = {"title": "Refused", "said": f"{said} Nothing was changed."}
        return self._page(Shown("said.html", facts, status), session, request)

    async def _nothing(self, request: Request, error: Exception) -> Response:
        """Answer where there is no room, or it is asked the wrong way: a stranger learns no more than that."""
        wrong_way = getattr(error, "status_code", 404) == 405
        session = self._session(request) if request.url.path.startswith(f"{self.base}/") else None
        if session is None:
            again = "wardround coordinator page DIR" if self._plan.role == "coordinator" else "wardround hospital page"
            text = f"There is nothing here. For the address of the pages: {again}\n"
            return Response(text, 404, media_type="text/plain")
        said = "This is not asked so. Nothing was changed." if wrong_way else "There is no such page."
        facts = {"title": "Not found", "said": said}
        return self._page(Shown("said.html", facts, 405 if wrong_way else 404), session, request)


class _Guard:
    """Refuses whoever calls this machine by another name, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {key.lower() for key, _ in message["headers"]}
                policy = [] if b"content-security-policy" in there else [(b"content-security-policy", POLICY.encode())]
                message["headers"] = [*message["headers"], *policy, *HEADERS]
            await send(message)

        hosts = [value.decode("latin-1") for key, value in scope["headers"] if key == b"host"]
        if len(hosts) == 1 and _is_ours(hosts[0]):
            await self._app(scope, receive, with_headers)
        else:
            response = Response("There is nothing here.\n", 421, media_type="text/plain")
            await response(scope, receive, with_headers)


def _is_ours(host: str) -> bool:
    name, _, port = host.partition(":")
    return name in NAMES and (not port or (port.isascii() and port.isdigit()))


def _same_origin(request: Request) -> bool:
    """Tell whether a page of this very address sent a form; every browser says so of a POST."""
    asked_by = request.headers.get("sec-fetch-site", "same-origin")
    return request.headers.get("origin") == f"http://{request.headers['host']}" and asked_by == "same-origin"


async def _form(request: Request) -> dict[str, str] | None:
    """Read a form's fields; None if it is too large or none. Of a file, its text is the field.

    Browsers end lines of what is typed or pasted by CR LF, whatever stood there: here they end by LF.
    """
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LARGEST_FORM:
            return None
    kind = request.headers.get("content-type", "")
    try:
        match kind.split(";")[0].strip():
            case "application/x-www-form-urlencoded":
                fields: Iterable[tuple[str, str]] = parse_qsl(
                    content.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, strict_parsing=True
                )
            case "multipart/form-data":
                fields = _fields(kind, content)
            case _:
                return None
        return {name: value.replace("\r\n", "\n") for name, value in fields}
    except ValueError:
        return None


def _fields(kind: str, content: bytes) -> Iterable[tuple[str, str]]:
    if not kind.isprintable() or content.count(b"\nContent-Disposition") > MOST_FIELDS:
        raise ValueError("no form")
    read = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + content)
    for part in read.iter_parts() if read.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            yield name, value.decode("utf-8", "replace")  # a picture is no form, and said to be no invitation


def _file(content: bytes, kind: str) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


def moment(when: datetime | None) -> str:
    """Write a moment for people, to the minute."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when else "never"


@dataclass(frozen=True)
class Part:
    """One page of a long list."""

    entries: Sequence[Any]
    number: int
    pages: int
    of: int
    """How many entries there are in all."""


def part_of(entries: Sequence[Any], number: int, each: int = 50) -> Part:
    """Return a page of a list; one beyond its end is the last."""
    pages = max(1, -(-len(entries) // each))
    number = min(max(number, 1), pages)
    return Part(entries[(number - 1) * each : number * each], number, pages, len(entries))

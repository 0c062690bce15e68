"""A browser without scripts, for the pages of a service: cookies, and forms as they stand on the page."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

from wardround_common.pages.port import PagePort


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((facts["action"], {}))
        elif tag == "input" and self.forms and facts.get("type") in ("hidden", "checkbox"):
            self.forms[-1][1][facts["name"]] = facts.get("value", "on")


@dataclass
class Browser:
    """Comes in by an address, and follows where it is sent."""

    address: str
    cookie: str = ""
    path_of_cookie: str = ""
    at: str = ""
    page: Answer = field(default_factory=lambda: Answer(0, {}, ""))

    def __post_init__(self) -> None:
        found = urlsplit(self.address)
        self.host, self.base = found.netloc, found.path.rstrip("/")

    def come_in(self) -> Answer:
        found = urlsplit(self.address)
        return self.go(f"{found.path}?{found.query}")

    def get(self, path: str = "/", **headers: str) -> Answer:
        return self.go(self.base + path, **headers)

    def press(self, action: str, **fields: str) -> Answer:
        """Send the form of the page that acts so, with what it holds."""
        read = _Forms()
        read.feed(self.page.text)
        (held,) = [held for path, held in read.forms if path == self.base + action]
        return self.post(action, held | fields)

    def post(self, action: str, fields: dict[str, str], **headers: str) -> Answer:
        sent = {"Origin": f"http://{self.host}", "Content-Type": "application/x-www-form-urlencoded"} | headers
        return self.go(self.base + action, "POST", urlencode(fields), **sent)

    def go(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        self.page = self.ask(path, method, body, **headers)
        self.at = path
        for _ in range(3):
            if self.page.status != 303:
                break
            self.at = self.page.headers["location"]
            self.page = self.ask(self.at)
        return self.page

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        """Ask one question and follow nothing. Headers may be named with _ for -."""
        line = http.client.HTTPConnection(self.host, timeout=60)
        given = {"Host": self.host} | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie and path.startswith(self.path_of_cookie):
            given.setdefault("Cookie", self.cookie)
        line.putrequest(method, path, skip_host=True)
        for name, value in given.items():
            line.putheader(name, value)
        if body is not None:
            line.putheader("Content-Length", str(len(body.encode())))
        line.endheaders(body.encode() if body is not None else None)
        answer = line.getresponse()
        found = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())
        line.close()
        if cookie := found.headers.get("set-cookie"):
            self.cookie = cookie.split(";")[0]
            self.path_of_cookie = re.findall(r"Path=([^;]+)", cookie)[0]
        return found


def words(page: Answer) -> str:
    """Return what a person reads on a page."""
    shown = re.sub(r"<(script|style|head)[ >].*?</\1>", " ", page.text, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", shown)).split())


def browsing(pages: PagePort) -> Browser:
    """Return a browser that has come in."""
    browser = Browser(pages.invite())
    assert browser.come_in().status == 200, browser.page.text
    return browser

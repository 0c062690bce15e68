"""Who comes in to a service's pages, what acts, and what a stranger, another page or a wrong word achieves: nothing."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from browsing import Browser, words
from wardround_common.errors import StorageError
from wardround_common.pages.door import MOST_SESSIONS, SESSION_S, UNUSED_S, Door
from wardround_common.pages.port import PagePort
from wardround_common.pages.site import (
    LARGEST_FORM,
    MOST_LIVE,
    Answer,
    Asked,
    Document,
    Plan,
    Room,
    Shown,
    Site,
    Went,
    part_of,
)

TEMPLATES = {
    "one.html": '{% extends "layout.html" %}{% from "parts.html" import deed, pager %}{% block main %}'
    '<div id="live">{% block live %}<p>{{ word }}</p>{% endblock %}</div>{{ deed(base, "/do", form, word) }}'
    '{{ pager(part, base, here, "things") }}{% endblock %}'
}


class Thing:
    """What a site acts on."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.done: list[str] = []
        self.word = "<script>alert(1)</script>"
        for name, text in TEMPLATES.items():
            (folder / name).write_text(text)
        rooms = [
            Room("/", self._show, live=True),
            Room("/do", self._act, acts=True),
            Room("/of/{name}", lambda asked: Shown("said.html", {"title": "Of", "said": asked.words["name"]})),
            Room("/file", lambda asked: Document(b"<script>alert(1)</script>")),
            Room("/bug", lambda asked: {}["no"]),
        ]
        plan = Plan("hospital", "mercy <b>", [("/", "Now")], rooms, folder, "wardround hospital page", read_only)
        self.site = Site(plan)

    def _show(self, asked: Asked) -> Answer:
        return Shown("one.html", {"title": self.word, "word": self.word, "part": part_of(range(500), asked.page())})

    def _act(self, asked: Asked) -> Answer:
        self.done.append(asked.form.get("what", ""))
        return Went("/", f"done: {self.word}")


class Shows:
    """A thing's pages at a port, and browsers that come in."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.thing = Thing(folder, read_only=read_only)
        self.port = PagePort(0, self.thing.site)

    def browser(self) -> Browser:
        found = Browser(self.port.invite())
        found.come_in()
        return found


@pytest.fixture(scope="module")
def shows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shows]:
    made = Shows(tmp_path_factory.mktemp("templates"))
    yield made
    made.port.close()


def test_an_address_opens_the_pages_for_one_browser_once(shows: Shows) -> None:
    address = shows.port.invite()
    first, second = Browser(address), Browser(address)
    assert first.come_in().status == 200
    assert first.at == f"{first.base}/", "the token does not stay in the address"
    cookie = first.ask(first.base + "/").headers.get("set-cookie")
    assert cookie is None
    assert second.come_in().status == 403
    assert "wardround hospital page" in words(second.page)
    assert second.get().status == 403
    assert first.come_in().status == 200, "who is inside may load the address again"


def test_an_address_that_somebody_inside_loads_is_used_up_too(shows: Shows) -> None:
    inside, later = shows.browser(), Browser(shows.port.invite())
    inside.address = later.address
    assert inside.come_in().status == 200
    assert later.come_in().status == 403, "it stands in the first one's history"


def test_the_cookie_is_hidden_from_scripts_other_sites_and_the_machines_other_ports(shows: Shows) -> None:
    browser = Browser(shows.port.invite())
    path = browser.address.removeprefix(f"http://{browser.host}")
    cookie = browser.ask(path).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert browser.path_of_cookie == f"{browser.base}/", "a page at another port would have to know the path"
    assert len(browser.base) > 16


def test_a_cookie_that_another_port_has_set_signs_nobody_out(shows: Shows) -> None:
    browser = shows.browser()
    for cookie in (f"{browser.cookie}; wardround=evil", f"wardround=evil;{browser.cookie}"):
        assert browser.get(Cookie=cookie).status == 200
    assert browser.get(Cookie="wardround=evil; wardround").status == 403


def test_a_stranger_is_not_told_where_the_service_lies(tmp_path: Path) -> None:
    thing = Thing(tmp_path)
    plan = replace(thing.site._plan, again="wardround coordinator page /home/somebody/coordinator")
    port = PagePort(0, Site(plan))
    try:
        page = Browser(f"http://127.0.0.1:{port.number}/").get()
    finally:
        port.close()
    assert (page.status, "somebody" in page.text) == (404, False)


def test_a_token_that_is_guessed_old_or_replaced_opens_nothing() -> None:
    now = [0.0]
    door = Door(lambda: now[0])
    assert door.enter("") is None
    token = door.invite()
    guesses = [
        "",
        token[:-1],
        token + "=",
        token.swapcase(),
        f" {token}",
        "\N{GREEK SMALL LETTER ALPHA}",
        "A" * 43,
    ]
    assert not any(door.enter(guess) for guess in guesses)
    assert door.invite() != token
    assert door.enter(token) is None, "a later one replaces it"
    last = door.invite()
    now[0] = UNUSED_S + 1
    assert door.enter(last) is None, "it was not used in time"
    session = door.enter(door.invite())
    assert session
    assert door.session(session.secret) is session
    assert door.session(session.form) is None
    assert session.secret not in repr(session)
    now[0] += SESSION_S + 1
    assert door.session(session.secret) is None


def test_only_so_many_browsers_are_inside_and_the_oldest_leaves() -> None:
    door = Door()
    made = [door.enter(door.invite()) for _ in range(MOST_SESSIONS + 1)]
    assert [bool(each and door.session(each.secret)) for each in made] == [False] + MOST_SESSIONS * [True]


def test_who_has_not_come_in_sees_and_does_nothing(shows: Shows) -> None:
    stranger = Browser(shows.port.invite())
    before = list(shows.thing.done)
    for path in ("/", "/of/x", "/file", "/bug"):
        assert stranger.get(path).status == 403
        assert shows.thing.word not in stranger.page.text
    assert stranger.get("/nothing").status == 404
    assert stranger.ask("/").status == 404
    assert stranger.post("/do", {"what": "x", "_form": ""}).status == 403
    stranger.cookie, stranger.path_of_cookie = "wardround=guess", "/"
    assert stranger.get().status == 403
    assert shows.thing.done == before


def test_a_name_that_is_a_script_is_shown_and_not_run(shows: Shows) -> None:
    browser = shows.browser()
    page = browser.get()
    assert shows.thing.word in words(page)
    assert "<script>alert" not in page.text
    assert "mercy <b>" in words(page)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy, "nothing of another host is allowed"
    crossed = browser.get("/of/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert "<script>alert" not in crossed.text
    document = browser.get("/file")
    assert document.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    for answer in (page, document, browser.get("/nothing")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_another_name_of_this_machine_is_not_answered(shows: Shows) -> None:
    browser = shows.browser()
    for host in (
        "attacker.example",
        f"attacker.example:{shows.port.number}",
        "127.0.0.1.example",
        "",
        "[::1]",
    ):
        answer = browser.get(Host=host)
        assert answer.status in (400, 421), host
        assert shows.thing.word not in answer.text
    assert browser.get(Host="localhost:9000").status == 200, "the near end of a tunnel"


def test_what_acts_is_asked_by_a_form_of_this_session_from_a_page_of_this_address(shows: Shows) -> None:
    browser, other, thing = shows.browser(), shows.browser(), shows.thing
    browser.get()
    assert browser.press("/do", what="meant").status == 200
    assert "done: <script>" in words(browser.page)
    assert "done:" not in words(browser.get()), "it is said once"
    assert thing.done[-1] == "meant"
    before = list(thing.done)
    inside = next(iter(session for session in thing.site.door._sessions if session.secret in browser.cookie))
    good = {"_form": inside.form, "what": "bad"}
    assert browser.get("/do").status == 405, "to load a page changes nothing"
    assert browser.post("/do", {"what": "bad"}).status == 403
    assert other.post("/do", good).status == 403, "the form is another session's"
    for origin in (
        "http://attacker.example",
        "null",
        f"http://127.0.0.1:{shows.port.number + 1}",
        f"https://{browser.host}",
    ):
        assert browser.post("/do", good, Origin=origin).status == 403, origin
    for site in ("cross-site", "same-site", "none"):
        assert browser.post("/do", good, Sec_Fetch_Site=site).status == 403, site
    unnamed = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.ask(f"{browser.base}/do", "POST", "what=bad", **unnamed).status == 403
    assert browser.post("/do", good, Content_Type="text/plain").status == 403 or thing.done == before
    assert browser.post("/do", good | {"long": LARGEST_FORM * "x"}).status == 413
    assert thing.done == before
    assert browser.post("/do", good).status == 200


def test_a_file_that_is_no_text_is_read_as_none_and_lines_end_as_they_did(shows: Shows) -> None:
    browser, thing = shows.browser(), shows.thing
    browser.get()
    secret = browser.page.text.split('name="_form" value="')[1].split('"')[0]
    unread = "\N{REPLACEMENT CHARACTER}"
    for given, read in ((b"a\r\nb\r\n", "a\nb\n"), (b"\x89PNG\xff", f"{unread}PNG{unread}")):
        parts = [f'name="_form"\r\n\r\n{secret}'.encode(), b'name="what"; filename="x"\r\n\r\n' + given]
        begun = b"--edge\r\nContent-Disposition: form-data; "
        body = b"".join(begun + part + b"\r\n" for part in parts) + b"--edge--\r\n"
        line = http.client.HTTPConnection(browser.host, timeout=20)
        kind = {"Content-Type": "multipart/form-data; boundary=edge", "Cookie": browser.cookie}
        line.request("POST", f"{browser.base}/do", body, {"Origin": f"http://{browser.host}", **kind})
        assert line.getresponse().status == 303
        line.close()
        assert thing.done[-1] == read


def test_signing_out_ends_the_session_of_this_browser_alone(shows: Shows) -> None:
    browser, other = shows.browser(), shows.browser()
    browser.get()
    browser.press("/leave")
    assert browser.get().status == 403
    assert other.get().status == 200


def test_no_path_leads_out_of_the_pages(shows: Shows) -> None:
    browser = shows.browser()
    crossed = ("/../site.py", "/..%2fsite.py", "/%2e%2e/door.py", "/style.css/../door.py", "/of/..%2f..%2fdoor.py")
    for path in (*crossed, "//etc/passwd"):
        answer = browser.get(path)
        assert "TOKEN_BYTES" not in answer.text, path
        assert "import " not in answer.text, path


def test_a_bug_is_told_as_one_and_shows_nothing_of_itself(shows: Shows, caplog: pytest.LogCaptureFixture) -> None:
    page = shows.browser().get("/bug")
    assert page.status == 500
    assert "KeyError" not in page.text
    assert "a page failed because of a bug" in caplog.text


def test_nothing_acts_on_pages_for_reading_only(tmp_path: Path) -> None:
    shows = Shows(tmp_path, read_only=True)
    try:
        browser = shows.browser()
        browser.get()
        assert browser.press("/do", what="x").status == 404
        assert shows.thing.done == []
    finally:
        shows.port.close()


def test_a_long_list_is_shown_a_page_at_a_time(shows: Shows) -> None:
    browser = shows.browser()
    assert "500 things, page 1 of 10" in words(browser.get())
    assert "page 10 of 10" in words(browser.get("/?page=99"))
    assert "page 1 of 10" in words(browser.get("/?page=-1"))
    assert part_of([], 3).entries == []
    assert list(part_of(range(101), 3).entries) == [100]


def test_what_is_live_is_sent_to_those_inside_and_to_so_many_at_once(shows: Shows) -> None:
    browser = shows.browser()
    open_ones = []
    for _ in range(MOST_LIVE + 1):
        line = http.client.HTTPConnection(browser.host, timeout=20)
        line.request("GET", f"{browser.base}/", headers={"Cookie": browser.cookie, "Accept": "text/event-stream"})
        open_ones.append((line, line.getresponse()))
    assert [answer.status for _, answer in open_ones] == [200] * MOST_LIVE + [503]
    sent = open_ones[0][1].readline()
    assert sent == b"data: <p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"
    stranger = Browser(shows.port.invite()).get(Accept="text/event-stream")
    assert stranger.status == 403
    for line, answer in open_ones:
        answer.close()
        line.close()


def test_a_port_that_is_taken_is_said(shows: Shows) -> None:
    with pytest.raises(StorageError, match="the pages' port cannot be opened"):
        PagePort(shows.port.number, shows.thing.site)


def test_pages_end_also_while_one_is_kept_up_to_date(tmp_path: Path) -> None:
    shows = Shows(tmp_path)
    browser = shows.browser()
    line = http.client.HTTPConnection(browser.host, timeout=20)
    line.request("GET", f"{browser.base}/", headers={"Cookie": browser.cookie, "Accept": "text/event-stream"})
    answer = line.getresponse()
    answer.readline()
    shows.port.close()
    answer.close()
    line.close()
    assert not any(thread.name == "pages" and thread is shows.port._thread for thread in threading.enumerate())

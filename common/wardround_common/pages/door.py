"""Who may see a service's pages: whoever brings a token that was given out once, and then the session that it opened.

Nothing here knows HTTP. Secrets have 256 bits of the operating system's generator, are compared in constant time and
live in memory alone: a restart ends every session.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

TOKEN_BYTES = 32
UNUSED_S = 15 * 60.0
"""A token that nobody used is void after this many seconds."""
SESSION_S = 12 * 3600.0
MOST_SESSIONS = 8
"""Whoever comes in as one more ends the oldest session."""


@dataclass(frozen=True)
class Session:
    """One browser that came in."""

    secret: str = field(repr=False)
    """What its cookie holds."""
    form: str = field(repr=False)
    """What each of its forms holds, and nobody else's page knows."""
    until: float
    """By the door's clock."""


@dataclass(eq=False)
class Door:
    """Gives out tokens and opens a session for each, once. ``clock`` counts seconds and never goes back."""

    clock: Callable[[], float] = time.monotonic
    _token: tuple[str, float] | None = None
    _sessions: list[Session] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def invite(self) -> str:
        """Return a new token; one that was given out before and not used is void."""
        with self._lock:
            token = secrets.token_urlsafe(TOKEN_BYTES)
            self._token = (token, self.clock() + UNUSED_S)
            return token

    def enter(self, token: str) -> Session | None:
        """Open a session for the token that is valid now, which is used up; None for any other."""
        with self._lock:
            if self._token is None or not _same(token, self._token[0]) or self.clock() > self._token[1]:
                return None
            self._token = None
            made = [secrets.token_urlsafe(TOKEN_BYTES) for _ in range(2)]
            session = Session(made[0], made[1], self.clock() + SESSION_S)
            self._sessions = [*self._sessions[-(MOST_SESSIONS - 1) :], session]
            return session

    def use_up(self, token: str) -> None:
        """Void a token that somebody brought who is inside already: it is good once, for them too."""
        with self._lock:
            if self._token is not None and _same(token, self._token[0]):
                self._token = None

    def session(self, secret: str) -> Session | None:
        """Return the session of a cookie, if it is open."""
        with self._lock:
            now = self.clock()
            self._sessions = [each for each in self._sessions if each.until > now]
            found = [each for each in self._sessions if _same(secret, each.secret)]
            return found[0] if found else None

    def leave(self, session: Session) -> None:
        """End a session."""
        with self._lock:
            self._sessions = [each for each in self._sessions if each is not session]


def is_form_of(session: Session, given: str) -> bool:
    """Tell whether a form came from one of this session's own pages."""
    return _same(given, session.form)


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())

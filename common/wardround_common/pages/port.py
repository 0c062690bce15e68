"""Serves a site at this machine's loopback address, in a thread of its own."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from wardround_common.errors import StorageError
from wardround_common.listening import listening
from wardround_common.pages.child import Children
from wardround_common.pages.site import Plan, Site
from wardround_common.shell.service_log import Say

LOOPBACK = "127.0.0.1"
AT_ONCE = 64  # connections; more are refused
IDLE_S = 5
START_S = 20.0


class PagePort:
    """Shows a site until it is closed; ``port`` 0 takes a free one, which ``number`` names.

    Raises:
        StorageError: the port is taken.
    """

    def __init__(self, port: int, site: Site) -> None:
        self._site = site
        try:
            self._socket = listening(LOOPBACK, port)
        except OSError as error:
            raise StorageError(
                f"the pages' port cannot be opened ({os.strerror(error.errno or 0)})",
                where=f"{LOOPBACK}:{port}",
                do="Stop whatever is using it, or name another with --page-port.",
            ) from None
        self.number: int = self._socket.getsockname()[1]
        settings = uvicorn.Config(
            site.app,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,  # it would write each token that was used
            proxy_headers=False,
            server_header=False,
            limit_concurrency=AT_ONCE,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=IDLE_S,
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="pages", daemon=True)
        self._thread.start()
        until = time.monotonic() + START_S
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)

    def invite(self) -> str:
        """Return an address at which one browser can come in, once."""
        return f"http://{LOOPBACK}:{self.number}{self._site.invite()}"

    def close(self) -> None:
        """Show no more."""
        self._site.ending.set()
        self._server.should_exit = True
        self._thread.join(2 * IDLE_S)
        self._socket.close()


@contextmanager
def showing(plan_of: Callable[[Children], Plan], port: int, say: Say) -> Iterator[PagePort]:
    """Show a role's pages while its service runs; ``plan_of`` makes their plan from what runs commands for them.

    An address is printed where a person reads it, on a terminal; a log, which may be collected, says how to get one.

    Raises:
        StorageError: the port is taken.
    """
    children = Children()
    plan = plan_of(children)
    pages = PagePort(port, Site(plan))
    try:
        say(f"pages are shown at {LOOPBACK}:{pages.number}; for an address, run: {plan.again}", event="pages")
        if sys.stdout.isatty():
            sys.stdout.write(f"Pages, for one browser: {pages.invite()}\n")
            sys.stdout.flush()
        yield pages
    finally:
        children.close()
        pages.close()

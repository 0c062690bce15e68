"""A real browser: Chromium of the system by its own driver, over the protocol that the W3C gave both (WebDriver).

Nothing is downloaded and nothing reported: the driver is named, so that nobody looks for one.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium")
WITHOUT = "no chromium with its driver (Debian: apt-get install chromium chromium-driver)"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of W3C WebDriver, section 12
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # no other host is reached, or even looked up
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars")


class Chromium:
    """One window with a profile of its own; what is saved goes to ``downloads``."""

    def __init__(self, port: int, folder: Path, downloads: Path) -> None:
        self._port = port
        quiet = ["--disable-background-networking", "--no-first-run", "--disable-component-update", "--disable-sync"]
        options: dict[str, Any] = {
            "binary": CHROMIUM,
            "args": [*SWITCHES, *quiet, f"--user-data-dir={folder}", NOWHERE],
        }
        options["prefs"] = {"download.default_directory": str(downloads), "download.prompt_for_download": False}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        self._session = ""
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"

    def go(self, address: str) -> None:
        self._ask("POST", "/url", {"url": address})

    @property
    def at(self) -> str:
        return str(self._ask("GET", "/url"))

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script of the test's own, which the page's policy does not concern."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def run_later(self, script: str) -> Any:
        """Run a script that answers by the function that is its last argument."""
        return self._ask("POST", "/execute/async", {"script": script, "args": []})

    @property
    def text(self) -> str:
        return str(self._steady(lambda: self.run("return document.body ? document.body.innerText : ''")))

    def press(self, words: str) -> None:
        """Click the link or button with these words, as a person would: it has to be seen."""
        self._steady(lambda: self._ask("POST", f"/element/{self._named(words)}/click", {}))

    def type(self, where: str, keys: str) -> None:
        self._ask("POST", f"/element/{self._find(where)}/value", {"text": keys})

    def click(self, where: str) -> None:
        self._ask("POST", f"/element/{self._find(where)}/click", {})

    def look(self, width: int, *, dark: bool) -> None:
        """Make the page so wide, in light or dark."""
        self._cdp("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._cdp("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self) -> bytes:
        """Return the whole page as PNG."""
        shot = self._cdp("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def until(self, words: str, within_s: float = 240.0) -> str:
        """Wait until a page says so by itself; it is not loaded again."""
        end = time.monotonic() + within_s
        while words not in (text := self.text):
            assert time.monotonic() < end, f"'{words}' is not said: {text}"
            time.sleep(0.2)
        return text

    def close(self) -> None:
        self._ask("DELETE", "")

    def _cdp(self, command: str, **words: Any) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": words})

    def _steady(self, act: Callable[[], Any]) -> Any:
        """Do something again if the page was replaced meanwhile, as its live part is."""
        for _ in range(5):
            try:
                return act()
            except AssertionError as error:
                if not any(word in str(error) for word in ("stale", "context", "navigat", "no such element")):
                    raise
                time.sleep(0.5)
        return act()

    def _find(self, where: str) -> str:
        return str(self._ask("POST", "/element", {"using": "css selector", "value": where})[ELEMENT])

    def _named(self, words: str) -> str:
        path = f"//*[self::a or self::button][contains(normalize-space(.), '{words}')]"
        return str(self._ask("POST", "/element", {"using": "xpath", "value": path})[ELEMENT])

    def _ask(self, method: str, path: str, words: dict[str, Any] | None = None) -> Any:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        body = None if words is None else json.dumps(words)
        line.request(method, self._session + path, body, {"Content-Type": "application/json"})
        found = json.loads(line.getresponse().read())["value"]
        line.close()
        if isinstance(found, dict) and "error" in found:
            raise AssertionError(f"{method} {path} {words}: {found['message'].splitlines()[0]}")
        return found


@contextmanager
def driven() -> Iterator[int]:
    """Start the driver; yield its port."""
    assert DRIVER
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    driver = subprocess.Popen([DRIVER, f"--port={port}"], **quiet, start_new_session=True)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        os.killpg(driver.pid, signal.SIGTERM)  # its windows too, where a test failed
        driver.wait(20)

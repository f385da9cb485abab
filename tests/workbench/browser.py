"""A browser without a screen, told what to do over WebDriver (https://www.w3.org/TR/webdriver2/)."""

from __future__ import annotations

import base64
import contextlib
import json
import pathlib
import urllib.request
from collections.abc import Iterator
from typing import Any

from workbench.daemons import Account, daemon, free_port, listens, wait_for, workspace
from workbench.machine import program

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""Key of a reference to an element, by the standard."""
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
"""Options that keep the browser from asking for anything but the pages it is told to open."""


class Browser:
    """One window."""

    def __init__(self, port: int, binary: str, profile: pathlib.Path) -> None:
        self.root = f"http://127.0.0.1:{port}/session"
        options = {"binary": binary, "args": [*QUIET, f"--user-data-dir={profile}"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self.root += "/" + self.ask("POST", "", wanted)["sessionId"]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The value of an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self.ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """What a function with this body returns in the page."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script: str, what: str) -> Any:
        """The first true value of ``script``; a page with many graphs takes its time on a busy machine."""
        return wait_for(lambda: self.run(script), what, patience=120)

    def type(self, selector: str, text: str) -> None:
        self.ask("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        self.ask("POST", f"/element/{self._find(selector)}/click", {})

    def _find(self, selector: str) -> str:
        found = self.ask("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def resize(self, width: int, height: int) -> None:
        """The page itself gets this size, in pixels of the picture."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._command("Emulation.setDeviceMetricsOverride", size)

    def picture(self) -> bytes:
        """What the window shows, as WebP: a third of what PNG takes."""
        found = self._command("Page.captureScreenshot", {"format": "webp", "quality": 80})
        return base64.b64decode(found["data"])

    def _command(self, name: str, parameters: dict[str, Any]) -> Any:
        """A command of the browser's own protocol, for which the standard has none."""
        return self.ask("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})


@contextlib.contextmanager
def browser(owner: Account) -> Iterator[Browser]:
    """A new browser, closed at the end."""
    driver, binary = program("chromium-driver", "/usr/bin/chromedriver"), program("chromium", "/usr/bin/chromium")
    with workspace(owner) as directory:
        port = free_port()
        environment = {"HOME": str(directory), "TMPDIR": str(directory)}
        with daemon([driver, f"--port={port}"], directory / "log", owner.rights, environment) as running:
            running.until(lambda: listens(port), "the driver of the browser answers")
            window = Browser(port, binary, directory / "profile")
            try:
                yield window
            finally:
                window.ask("DELETE", "")

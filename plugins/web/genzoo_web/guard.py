"""What stands before the page: who may ask, for what, and how much. ASGI, before anything of Gradio sees a request."""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import secrets
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/gradio_api"
COOKIE = "genzoo_token"
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
ROUTES = {  # all that the page asks for; nothing else is there
    "GET": re.compile(
        rf"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static)/[\w./@+-]+"
        rf"|{API}/(info|queue/data|startup-events|theme\.css|app_id|upload_progress)|{API}/heartbeat/{SESSION.pattern}"
        rf"|{API}/file=.+"
    ),
    "POST": re.compile(rf"{API}/(queue/join|upload|cancel|reset)"),
}
MOST_BODY = {f"{API}/upload": 4 * 2**20}  # bytes
MOST_BODY_ELSE = 2**18
MOST_URL = 4096
NEW_SESSIONS, WITHIN = 120, 60.0  # so many new pages in so many seconds
REMEMBERED = 4096  # sessions
DEEPEST = 12  # of nested lists in what is sent
LARGEST_NUMBER = 2.0**53  # that a browser has exactly
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:;"
        " connect-src 'self' data: blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'self';"
        " object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
ASKS = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>genzoo</title><style>:root {{ color-scheme: light dark }} body {{ font: 16px/1.5 system-ui, sans-serif;
max-width: 30rem; margin: 4rem auto; padding: 0 1rem }}</style><main><h1>genzoo</h1><p>{text}</p>
<form method="get" action="/"><label>Token <input name="token" type="password" autocomplete="off" autofocus></label>
<button>Open</button></form></main></html>"""


class Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Guard:
    """Lets through what the page itself asks for, of those who may.

    Args:
        app: the page.
        hosts: the names and addresses, without a port, that it is asked for by; others are refused, so that no foreign
            page reaches it by a name that points here.
        any_address: whether it may be asked for by any numeric address too, as it listens on all.
        files: the folder that holds what was drawn; no file outside can be had.
        token: what those have to know who are not on this machine; None: nobody has to.
    """

    def __init__(
        self, app: App, *, hosts: frozenset[str], any_address: bool, files: Path, token: str | None = None
    ) -> None:
        self.app, self.hosts, self.any_address, self.files, self.token = app, hosts, any_address, files.resolve(), token
        self._sessions: OrderedDict[str, None] = OrderedDict()
        self._began: list[float] = []  # when the newest sessions began

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there are no web sockets here
        try:
            headers = _headers(scope)
            self._check_origin(headers)
            if await self._let_in(scope, headers, send):
                receive = await self._checked(scope, headers, receive)
                await self.app(scope, receive, _with_headers(send))
        except Refused as refused:
            await _answer(send, refused.status, refused.reason.encode(), {"content-type": "text/plain; charset=utf-8"})

    # Who asks

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        """Raises `Refused` for a request by another name, and for one that another page makes."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            raise Refused(421, "this page is not known by that name")
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            raise Refused(403, "another page asks for this one")
        is_navigation = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_navigation:
            raise Refused(403, "another page asks for this one")

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.hosts or (self.any_address and _is_address(name))

    async def _let_in(self, scope: Scope, headers: Mapping[str, str], send: Send) -> bool:
        """Whether a request knows the token. Who gives it in the address has it in a cookie from then on."""
        if self.token is None:
            return True
        cookies = dict(part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";"))
        if hmac.compare_digest(cookies.get(COOKIE, "").encode(), self.token.encode()):
            return True
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and hmac.compare_digest(asked.encode(), self.token.encode()):
            cookie = f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            await _answer(send, 303, b"", {"location": "/", "set-cookie": cookie})
            return False
        text = (
            "That is not the token."
            if asked
            else "A token is needed; `genzoo serve` has shown it where it was started."
        )
        page = ASKS.format(text=escape(text)).encode()
        await _answer(send, 401, page, {"content-type": "text/html; charset=utf-8"})
        return False

    # What for

    async def _checked(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Receive:
        """What the request's body is read from, when that and its address are such as the page sends."""
        method, path = scope["method"], scope["path"]
        if len(path) + len(scope["query_string"]) > MOST_URL:
            raise Refused(414, "the address is too long")
        routes = ROUTES.get("GET" if method == "HEAD" else method)
        if routes is None or not routes.fullmatch(path) or ".." in path.split("/") or not path.isprintable():
            raise Refused(404, "there is nothing here")
        if path.startswith(f"{API}/file="):
            self._check_file(path.removeprefix(f"{API}/file="))
            if not re.fullmatch(r"(bytes=\d{0,12}-\d{0,12})?", headers.get("range", "")):
                raise Refused(416, "no such part of the file")
        if path.startswith(f"{API}/heartbeat/"):
            self._check_session(path.rpartition("/")[2])
        if path in (f"{API}/queue/data", f"{API}/upload_progress"):
            query = parse_qs(scope["query_string"].decode("latin-1"))
            sessions = query.get("session_hash", []) or query.get("upload_id", [])
            if len(sessions) != 1:
                raise Refused(422, "a session is needed")
            self._check_session(sessions[0])
        if method == "POST":
            body = await _body(receive, MOST_BODY.get(path, MOST_BODY_ELSE))
            if path == f"{API}/upload":
                _check_upload(headers, self.files)
            else:
                self._check_json(path, body)
            return _replayed(body, receive)
        return receive

    def _check_file(self, text: str) -> None:
        """Raises `Refused` for a file that is not among those that were drawn."""
        try:
            path = Path(unquote(text))
            inside = path.is_absolute() and path.resolve().is_relative_to(self.files) and path.is_file()
        except (OSError, ValueError, RuntimeError):
            inside = False
        if not inside:
            raise Refused(403, "that file is not for this page")

    def _check_named_files(self, content: object) -> None:
        """Raises `Refused` where what is sent names a file that is not of this page, or an address elsewhere: Gradio
        would copy the one into its folder and fetch the other."""
        if isinstance(content, list):
            for value in content:
                self._check_named_files(value)
        elif isinstance(content, dict):
            if isinstance(path := content.get("path"), str) and path:
                self._check_file(path)
            url = content.get("url")
            if isinstance(url, str) and not url.startswith((f"{API}/file=", "data:")):
                host, _, path = url.partition("://")[2].partition("/")
                if not self._is_ours(host) or not path.startswith(f"{API}/file=".removeprefix("/")):
                    raise Refused(403, "that file is not for this page")
            for value in content.values():
                self._check_named_files(value)

    def _check_session(self, session: object) -> None:
        """Raises `Refused` for what names no session, and where too many begin at once."""
        if not isinstance(session, str) or not SESSION.fullmatch(session):
            raise Refused(422, "that is no session")
        if session in self._sessions:
            self._sessions.move_to_end(session)
            return
        now = time.monotonic()
        self._began = [began for began in self._began if began > now - WITHIN]
        if len(self._began) >= NEW_SESSIONS:
            raise Refused(429, "too many pages at once; try again in a minute")
        self._began.append(now)
        self._sessions[session] = None
        if len(self._sessions) > REMEMBERED:
            self._sessions.popitem(last=False)

    def _check_json(self, path: str, body: bytes) -> None:
        """Raises `Refused` for what is not of the form that the page sends."""
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            raise Refused(422, "that is no JSON") from None
        if not isinstance(content, dict) or not _is_plain(content):
            raise Refused(422, "that is no request of this page")
        self._check_named_files(content)
        if path == f"{API}/queue/join":
            self._check_session(content.get("session_hash"))
            number, data = content.get("fn_index"), content.get("data")
            if type(number) is not int or not 0 <= number < 10_000 or not isinstance(data, list) or len(data) > 64:
                raise Refused(422, "that is no request of this page")
            if content.get("event_data") is not None and not isinstance(content["event_data"], dict):
                raise Refused(422, "that is no request of this page")


def new_token() -> str:
    return secrets.token_urlsafe(24)


def names_of(host: str) -> tuple[frozenset[str], bool]:
    """By which names a page is asked for that listens on `host`, and whether by any numeric address too."""
    local = {"127.0.0.1", "localhost", "::1"}
    if is_loopback(host):
        return frozenset(local), False
    everywhere = host in ("0.0.0.0", "::")
    return frozenset({*local, host, socket.gethostname().lower(), socket.getfqdn().lower()}), everywhere


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches what listens there."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in ("host", "origin") and key in headers:
            raise Refused(400, f"there are two headers {key}")
        headers[key] = value.decode("latin-1")
    return headers


async def _body(receive: Receive, most: int) -> bytes:
    """All that is sent, if it is not too much."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the sender has gone")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise Refused(413, f"more than {most:,} bytes are sent")
        if not message.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, and then what comes."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _check_upload(headers: Mapping[str, str], files: Path) -> None:
    if not headers.get("content-type", "").startswith("multipart/form-data; boundary="):
        raise Refused(415, "files are sent as multipart/form-data")
    if sum(path.stat().st_size for path in files.rglob("*") if path.is_file()) > 2**28:
        raise Refused(507, "too much was sent; try again later")


def _is_plain(content: object, depth: int = 0) -> bool:
    """Whether parsed JSON is such as a browser sends: not deep, of texts that are Unicode and numbers that it has."""
    if isinstance(content, dict):
        return all(_is_plain(name, depth) for name in content) and _is_plain([*content.values()], depth)
    if isinstance(content, list):
        return depth < DEEPEST and all(_is_plain(value, depth + 1) for value in content)
    if isinstance(content, str):
        return not any("\ud800" <= character <= "\udfff" for character in content)
    return (
        not isinstance(content, (int, float)) or abs(content) <= LARGEST_NUMBER
    )  # which is false of what is no number


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in names]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


async def _answer(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    named = {**HEADERS, "content-length": str(len(body)), "cache-control": "no-store", **headers}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(k.encode(), v.encode()) for k, v in named.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})

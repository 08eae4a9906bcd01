"""Who is let in, and for what. The page behind is a stand-in, so that nothing of it can do the refusing."""

import asyncio
import json
import sys

import pytest

from genzoo import UsageError
from genzoo.cli import main
from genzoo_web.guard import API, MOST_BODY_ELSE, NEW_SESSIONS, Guard, is_loopback, names_of
from genzoo_web.server import listen


class Behind:
    """What gets through."""

    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        body = (await receive())["body"] if scope["method"] == "POST" else b""
        self.seen.append((scope["method"], scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the page"})


class Asked:
    """A guard and what is behind it; `ask` gives the status, headers and body of the answer."""

    def __init__(self, folder, host="127.0.0.1", token=None):
        hosts, any_address = names_of(host)
        self.behind = Behind()
        self.guard = Guard(self.behind, hosts=hosts, any_address=any_address, files=folder, token=token)

    def ask(self, path, method="GET", body=b"", query="", **headers):
        headers = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
        sent, chunks = [], [body[i : i + 65536] for i in range(0, len(body), 65536)] or [b""]

        async def receive():
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        }  # fmt: skip
        asyncio.run(self.guard(scope, receive, send))
        answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], answer, b"".join(message.get("body", b"") for message in sent[1:])

    def join(self, **changes):
        content = {"session_hash": "abc", "fn_index": 3, "data": [], **changes}
        return self.ask(f"{API}/queue/join", "POST", json.dumps(content).encode())[0]


@pytest.fixture
def local(tmp_path):
    return Asked(tmp_path)


def test_the_page_is_seen_with_headers_that_keep_it_here(local):
    status, headers, body = local.ask("/")
    assert (status, body) == (200, b"the page")
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy  # no other place is allowed
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "", "192.168.0.2", "[::1"]
)
def test_a_name_that_only_points_here_is_refused(local, host):
    assert local.ask("/", host=host)[0] == 421
    assert local.behind.seen == []


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1", "[::1]:7860"])
def test_this_machines_own_names_are_known(local, host):
    assert local.ask("/", host=host)[0] == 200


def test_other_pages_are_refused(local):
    for origin in ("https://evil.example", "http://127.0.0.1:9999", "null", "http://[", "http://localhost:7860"):
        assert local.ask("/config", origin=origin)[0] == 403
    assert local.ask("/config", origin="http://127.0.0.1:7860")[0] == 200
    assert local.ask("/config", sec_fetch_site="cross-site", sec_fetch_mode="no-cors", sec_fetch_dest="image")[0] == 403
    assert local.ask("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document")[0] == 200
    assert local.ask("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="iframe")[0] == 403


@pytest.mark.parametrize("path", [
    f"{API}/proxy=http://example.org/", f"{API}/vibe-edit", "/monitoring", f"{API}/dev/reload",
    f"{API}/run-history/connect",
    f"{API}/component_server", f"{API}/custom_component/1/client/component/index.js", f"{API}/stream/1", "/login",
    "/docs",
    "/assets/../../secret", f"{API}/openapi.json", "/static/..%2f..%2fsecret\x00", "/%2e%2e/secret", f"{API}/deep_link",
])  # fmt: skip
def test_what_the_page_does_not_ask_for_is_not_there(local, path):
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        assert local.ask(path, method, b"{}")[0] == 404
    assert local.behind.seen == []


def test_files_are_those_that_were_drawn(local, tmp_path):
    (tmp_path / "drawn").mkdir()
    mine, other = tmp_path / "drawn" / "a b.png", tmp_path.parent / "secret.txt"
    for path in (mine, other):
        path.write_text("x", "utf-8")
    (tmp_path / "link").symlink_to(other)
    assert local.ask(f"{API}/file={mine}")[0] == 200
    for path in (
        other, tmp_path / "link", tmp_path / "drawn" / ".." / ".." / "secret.txt", tmp_path, "/etc/passwd", "a b.png",
        "http://example.org/x", f"{tmp_path}/drawn/%2e%2e/%2e%2e/secret.txt", tmp_path / "drawn" / "a b.png" / "x", "~",
    ):  # fmt: skip
        assert local.ask(f"{API}/file={path}")[0] in (403, 404), path
    assert [path for _, path, _ in local.behind.seen] == [f"{API}/file={mine}"]
    for bounds in ("bytes=1-2-3", "bytes=a-b", "bytes=0-1,2-3", "lines=1-2"):
        assert local.ask(f"{API}/file={mine}", range=bounds)[0] == 416
    assert local.ask(f"{API}/file={mine}", range="bytes=0-")[0] == 200


def test_what_is_sent_is_of_the_form_of_the_page(local):
    assert local.join() == 200
    deep = []
    for _ in range(50):
        deep = [deep]
    for changes in (
        {"session_hash": None}, {"session_hash": "../x"}, {"session_hash": 3}, {"fn_index": -1},
        {"fn_index": "0"}, {"fn_index": True}, {"fn_index": 10**9},
        {"data": None}, {"data": [0] * 65}, {"data": deep}, {"event_data": "x"},
        {"data": ["\ud800"]}, {"data": [float("nan")]}, {"data": [float("inf")]}, {"data": [10**40]},
        {"x": {"\udfff": 1}},
    ):  # fmt: skip
        assert local.join(**changes) == 422, changes
    urls = ("http://169.254.169.254/", "http://[", "http://127.0.0.1:7860/config", "file:///etc/passwd")
    for data in ({"path": "/etc/passwd"}, [[{"path": "../x", "meta": {}}]], *({"url": url} for url in urls)):
        assert local.join(data=[data]) == 403
    for body in (b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000):
        assert local.ask(f"{API}/queue/join", "POST", body)[0] == 422
    assert local.ask(f"{API}/queue/join", "POST", b" " * (MOST_BODY_ELSE + 1))[0] == 413
    assert local.ask(f"{API}/upload", "POST", b"x", content_type="text/plain")[0] == 415
    assert local.ask("/" + "x" * 5000)[0] == 414
    assert local.ask(f"{API}/queue/data")[0] == 422
    assert len(local.behind.seen) == 1
    assert json.loads(local.behind.seen[0][2])["fn_index"] == 3  # what was read is given on


def test_not_too_many_pages_begin_at_once(local):
    statuses = [local.join(session_hash=f"s{number}") for number in range(NEW_SESSIONS + 5)]
    assert statuses == [200] * NEW_SESSIONS + [429] * 5
    assert local.join(session_hash="s0") == 200


def test_from_elsewhere_a_token_is_asked_for(tmp_path):
    asked = Asked(tmp_path, host="0.0.0.0", token="secret")
    status, headers, body = asked.ask("/", host="192.168.0.2:7860")
    assert (status, b"A token is needed" in body) == (401, True)
    for query in ("token=", "token=wrong", "token=secret2"):
        assert asked.ask("/", query=query, host="192.168.0.2:7860")[0] == 401
    assert asked.ask("/config", query="token=secret")[0] == 401  # in the address of the page alone
    status, headers, _ = asked.ask("/", query="token=secret", host="192.168.0.2:7860")
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert asked.behind.seen == []
    assert asked.ask("/config", cookie=cookie.partition(";")[0])[0] == 200
    assert asked.ask("/config", cookie="genzoo_token=wrong; x=y")[0] == 401
    assert asked.ask("/", host="evil.example", cookie="genzoo_token=secret")[0] == 421


def test_what_is_this_machine():
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.3.2.1", "localhost", "::1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "192.168.0.2", "::", "example.org"))


def test_what_cannot_be_served_is_said_before_anything_is_imported(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["genzoo", "serve", "--no-train", "--runs-dir", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "nowhere; give --runs-dir, or begin with `genzoo train MODEL`" in capsys.readouterr().err
    assert "gradio" not in sys.modules


def test_a_place_that_is_none_or_taken_is_said():
    with pytest.raises(UsageError, match="--host is 'no such place'; allowed is an address of this machine"):
        listen("no such place", 0)
    taken = listen("127.0.0.1", 0)
    with pytest.raises(Exception, match="cannot listen on 127.0.0.1:.*; give another --port, or --port 0"):
        listen("127.0.0.1", taken.getsockname()[1])
    taken.close()

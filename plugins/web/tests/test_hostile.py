"""A thousand requests of those who mean harm, or nothing: none fails inside, and the memory stays."""

import http.client
import json
import random
import shutil
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_page import ROOT, Server

pytestmark = pytest.mark.slow
API = "/gradio_api"
COUNT = 1000
MOST = 100 * 2**20  # bytes
WEIRD = [
    None,
    True,
    -1,
    0,
    1e308,
    10**40,
    float("nan"),
    "",
    "x" * 5000,
    "\x00",
    "\ud800",
    "../../etc/passwd",
    "/etc/passwd",
    "vae/../vae",
    "link",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "' or 1=1 --",
    [],
    [[]],
    {},
    {"a": 1},
    {"path": "/etc/passwd"},
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"url": "http://169.254.169.254/", "meta": {"_type": "gradio.FileData"}, "path": "x"},
    ["real data"] * 60,
    "vae",
    "real data",
    {"__type__": "update", "value": 1},
    {"background": {"path": "/etc/passwd"}, "layers": [], "composite": None},
]
PATHS = [
    "/",
    "/config",
    "/theme.css",
    "/assets/nothing.js",
    "/static/../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//evil",
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=../../run.json",
    "/gradio_api/file=http://127.0.0.1:1/",
    "/file=/etc/passwd",
    "/gradio_api/file=%00",
    "/gradio_api/file=\\\\evil\\share",
    "/gradio_api/proxy=http://127.0.0.1:1/",
    "/gradio_api/info",
    "/gradio_api/heartbeat/..%2f",
    "/gradio_api/queue/data",
    "/gradio_api/queue/data?session_hash=%00",
    "/monitoring",
    "/gradio_api/upload_progress?upload_id=x",
    "/gradio_api/startup-events",
    "/login",
    "/gradio_api/run/predict",
    "/?x=" + "y" * 3000,
    "/gradio_api/custom_component/x/client/component/..%2f..%2fx",
    "/manifest.json",
    "/favicon.ico",
    "/?__theme=dark",
    "/?view=api",
    "/?deep_link=../../x",
    "/gradio_api/app_id",
    "/runs/vae/run.json",
    "/" + "a/" * 400,
    "/?" + "&".join("a=b" * 300),
]


class Hostile:
    """Sends a request of some kind, and gives the status of the answer."""

    def __init__(self, url, functions, rng):
        self.place, self.functions, self.rng, self.failures = urlsplit(url), functions, rng, []

    def send(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.place.hostname, self.place.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {"host": self.place.netloc, **headers}.items():
                connection.putheader(name.replace("_", "-"), value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            if "event-stream" not in (answer.getheader("content-type") or ""):
                answer.read()
            if answer.status == 500:
                self.failures.append((method, path, body and body[:300], headers))
            return answer.status
        except (http.client.HTTPException, OSError):
            return 0  # no answer: the connection was closed
        finally:
            connection.close()

    def json(self, path, content):
        try:
            body = json.dumps(content).encode()
        except (ValueError, UnicodeError):
            body = b"{"
        return self.send("POST", path, body, content_type="application/json")

    def join(self):
        """A request for a part of the page, with the wrong values."""
        rng, function = self.rng, self.rng.choice(self.functions)
        data = [rng.choice(WEIRD) for _ in range(rng.choice([len(function["inputs"]), rng.randrange(12)]))]
        content = {
            "data": data,
            "fn_index": function["id"],
            "session_hash": f"hostile{rng.randrange(200)}",
            "trigger_id": 3,
        }
        if rng.random() < 0.4:
            content[rng.choice([*content, "event_data", "event_id", "api_name"])] = rng.choice(WEIRD)
        return self.json(f"{API}/queue/join", content)

    def read(self):
        headers = self.rng.choice([
            {}, {"host": "evil.example"}, {"origin": "https://evil.example"}, {"range": "bytes=a-b"},
            {"cookie": "x" * 4000},
            {"accept_encoding": "gzip, br"}, {"x_forwarded_host": "evil.example", "x_forwarded_proto": "gopher"},
            {"content_type": "\u00ff"}, {"authorization": "Bearer x"}, {"x_gradio_server": "http://evil.example"},
            {"accept_language": "x" * 2000}, {"sec_fetch_site": "cross-site"},
        ])  # fmt: skip
        method = self.rng.choice(["GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW"])
        return self.send(method, self.rng.choice(PATHS), **headers)

    def other(self):
        rng = self.rng
        path = f"{API}/{rng.choice(['queue/join', 'cancel', 'reset', 'upload'])}"
        kind = rng.randrange(4)
        if kind == 0:
            return self.json(
                path,
                {rng.choice(["event_id", "fn_index", "session_hash", "data"]): rng.choice(WEIRD) for _ in range(3)},
            )
        if kind == 1:
            return self.send(
                "POST", path, rng.randbytes(rng.choice([0, 10, 1000, 300_000])), content_type="application/json"
            )
        boundary = {"content_type": "multipart/form-data; boundary=b"}
        if kind == 2:
            return self.send(
                "POST", f"{API}/upload?upload_id=../../x", rng.randbytes(rng.choice([10, 2**20])), **boundary
            )
        name = rng.choice(["../../../x.py", "a" * 400, "\x00", "x.html", ".."]).encode()
        part = (
            b'--b\r\nContent-Disposition: form-data; name="files"; filename="'
            + name
            + b'"\r\n\r\n'
            + b"x" * 2000
            + b"\r\n--b--\r\n"
        )
        return self.send("POST", f"{API}/upload", part, **boundary)


def test_a_thousand_hostile_requests(tmp_path):
    shutil.copytree(ROOT / "tests" / "kept" / "0.1" / "vae", tmp_path / "runs" / "vae")
    (tmp_path / "runs" / "link").symlink_to("/etc")
    serving = Server(tmp_path)
    try:
        rng = random.Random(0)
        config = http.client.HTTPConnection(urlsplit(serving.url).netloc, timeout=30)
        config.request("GET", "/config")
        functions = json.loads(config.getresponse().read())["dependencies"]
        config.close()
        hostile = Hostile(serving.url, functions, rng)
        process = psutil.Process(serving.process.pid)
        kinds = (hostile.join, hostile.read, hostile.other)
        for _ in range(60):  # all that is loaded when it is first asked for
            rng.choice(kinds)()
        before, statuses = process.memory_info().rss, Counter()
        for number in range(COUNT):
            statuses[kinds[number % 3]()] += 1
        grown = process.memory_info().rss - before
        print(f"\n{dict(sorted(statuses.items()))}, memory {grown / 2**20:+.1f} MiB of {before / 2**20:.0f}")
        assert statuses[500] == 0, hostile.failures
        assert sum(statuses.values()) == COUNT
        assert grown < MOST
        assert hostile.send("GET", "/") == 200
        assert not list(tmp_path.rglob("x.py"))
        assert sorted(path.name for path in (tmp_path / "runs").iterdir() if not path.name.startswith(".")) == [
            "link",
            "vae",
        ]
        assert not serving.left.exists()
    finally:
        serving.end()

"""The page as a server: where files go, who is let in, and what happens at the end."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

import genzoo
from genzoo import GenzooError, UsageError
from genzoo_web.guard import Guard, is_loopback, names_of, new_token

CONNECTIONS = 128  # at once, at most
AT_HOME = {  # what Gradio would else ask of others, or remember
    "GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False", "GRADIO_SSR_MODE": "False",
    "GRADIO_MCP_SERVER": "False", "GRADIO_ALLOW_FLAGGING": "never", "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Served:
    """A page that is ready: what answers its requests, and the token that it asks for, if any."""

    app: Guard
    token: str | None


@contextmanager
def page_app(
    *,
    host: str = "127.0.0.1",
    trains: bool = True,
    device: str = "auto",
    seconds: float = 300,
    runs_dir: str | None = None,
) -> Iterator[Served]:
    """The page as an ASGI application, while it lasts. Its files lie in a folder that goes with it, and the trainings
    that it began are stopped, and save."""
    with tempfile.TemporaryDirectory(prefix="genzoo-web-", ignore_cleanup_errors=True) as folder:
        os.environ.update(AT_HOME)
        os.environ["GRADIO_TEMP_DIR"] = folder
        import gradio as gr
        from fastapi import FastAPI

        from genzoo_web.drawn import Drawn
        from genzoo_web.page import Page, build, style
        from genzoo_web.runs import Models, Runs
        from genzoo_web.trainings import Trainings

        runs = Runs(runs_dir)
        page = Page(runs, Models(device), Drawn(Path(folder)), Trainings(runs.folder), seconds, trains)
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        blocks = build(page)
        inner = {"exception_handlers": {KeyError: _not_there}}
        gr.mount_gradio_app(
            app, blocks, path="/", server_name=host, footer_links=[], run_history=False, show_error=False,
            max_file_size=4 * 2**20, ssr_mode=False, mcp_server=False, enable_monitoring=False, pwa=False,
            app_kwargs=inner, **style(),
        )  # fmt: skip
        blocks.has_launched = True  # without which Gradio takes any file that a request names for one of its own
        token = None if is_loopback(host) else new_token()
        hosts, any_address = names_of(host)
        try:
            yield Served(Guard(app, hosts=hosts, any_address=any_address, files=Path(folder), token=token), token)
        finally:
            page.trainings.end()
            page.models.let_go()


async def _not_there(_request: object, _error: Exception) -> object:
    """For a request that names a part of the page that there is not."""
    from fastapi.responses import PlainTextResponse

    return PlainTextResponse("there is no such part of the page", status_code=404)


def serve_page(
    *, host: str, port: int, opens: bool, trains: bool, device: str, seconds: float, runs_dir: str | None
) -> None:
    """Serve the page until Ctrl-C. Raises `UsageError` where it cannot listen."""
    import uvicorn

    listening = listen(host, port)
    try:
        with page_app(host=host, trains=trains, device=device, seconds=seconds, runs_dir=runs_dir) as served:
            bound = listening.getsockname()[1]
            name = f"[{host}]" if ":" in host else host
            url = f"http://{name}:{bound}/"
            click.echo(f"page   {url}" + (f"?token={served.token}" if served.token else ""))
            click.echo(f"runs   {genzoo.printable(str(genzoo.runs_folder(runs_dir)))}\nend    Ctrl-C")
            if opens:
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
            config = uvicorn.Config(
                served.app, log_level="critical", access_log=False, server_header=False, ws="none",
                limit_concurrency=CONNECTIONS, timeout_keep_alive=5, timeout_graceful_shutdown=3,
            )  # fmt: skip
            uvicorn.Server(config).run([listening])
    finally:
        listening.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises `UsageError` for what is no address of this machine, `GenzooError` for a port
    that is taken."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(f"--host is {host!r}; allowed is an address of this machine ({error.strerror})") from None
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(CONNECTIONS)
    except OSError as error:
        listening.close()
        raise GenzooError(
            f"cannot listen on {host}:{port} ({error.strerror}); give another --port, or --port 0"
        ) from None
    return listening

"""Windows' rules on another system: `pytest --like windows`, and every Python process that the tests start.

The process is refused what Windows refuses, by an audit hook where Python has an event for it: to open a folder as a
file, to rename, replace or remove a file that it has open or mapped, to make a name that Windows does not have, or one
that differs from another in case alone, or a path of more than 259 characters. What Windows' Python does otherwise is
done so: text is written with CR LF where nothing else is asked for, `fsync` wants a descriptor that was opened for
writing, worker processes are spawned, `select` takes sockets only, SIGTERM ends a process at once, there is a
CTRL_BREAK, and standard output is in cp1252. Text files that are opened without an encoding are errors in genzoo's
own code. Only files of this process count as open: those of another one do not.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import functools
import io
import multiprocessing
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings

VARIABLE = "GENZOO_TESTS_LIKE"
LONGEST = 259
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$)( *\..*)?$", re.IGNORECASE)
FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$')
ELSEWHERE = ("/dev/", "/proc/", "/sys/")  # no Windows has them
OURS = r"(genzoo|tests\.|plugins\.|conftest|test_)"
ALLOWED_SIGNALS = {
    signal.SIGABRT,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGINT,
    signal.SIGSEGV,
    signal.SIGTERM,
    signal.SIGCHLD,
}  # fmt: skip  (the last for torch's loaders, which ask for it where they see Linux)

_inside = threading.local()


def _path(path: object) -> str | None:
    return None if isinstance(path, int) or path is None else os.path.abspath(os.fsdecode(path))


def _check_name(path: str) -> None:
    """A path that is about to be made. Those that are there already are left in peace."""
    if path.startswith(ELSEWHERE) or os.path.lexists(path):
        return
    if len(path) > LONGEST:
        raise FileNotFoundError(errno.ENOENT, f"Windows: a path of {len(path)} characters", path)
    folder, name = os.path.split(path)
    if FORBIDDEN.search(name) or RESERVED.match(name):
        raise OSError(errno.EINVAL, "Windows: no such name is allowed", path)
    try:
        others = os.listdir(folder)
    except OSError:
        return
    if any(other != name and other.lower() == name.lower() for other in others):
        raise FileExistsError(errno.EEXIST, "Windows: a name there differs in case alone", path)


def _in_use() -> set[str]:
    """The files that this process has open or mapped."""
    paths = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            paths.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        paths.update(line[line.index("/") :].rstrip("\n") for line in file if "/" in line)
    return {path for path in paths if path.startswith("/") and not path.startswith(ELSEWHERE)}


def _check_unused(path: str) -> None:
    """A path that is about to be renamed, replaced or removed, with all that is in it."""
    if path.startswith(ELSEWHERE):
        return
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    for other in _in_use():
        if (other == real or other.startswith(real + "/")) and os.path.isfile(other):
            raise PermissionError(errno.EACCES, f"Windows: this process uses {other}", path)


def _open(path: object, mode: object, flags: int) -> None:
    name = _path(path)
    if name is None:
        return
    if mode is None and os.path.isdir(name):
        raise PermissionError(errno.EACCES, "Windows: a folder is no file", name)
    if flags & os.O_CREAT:
        _check_name(name)


def _rename(source: object, target: object, *_folders: int) -> None:
    for name in (_path(source), _path(target)):
        assert name is not None, "paths are renamed"
        _check_unused(name)
    if os.path.abspath(os.fsdecode(source)).lower() != os.path.abspath(os.fsdecode(target)).lower():
        _check_name(os.path.abspath(os.fsdecode(target)))


def _remove(path: object, folder: int = -1) -> None:
    name = _path(path)
    if folder == -1 and name is not None and os.path.dirname(name) != tempfile.gettempdir():  # those go when closed
        _check_unused(name)


def _make(path: object, _mode: int = 0, folder: int = -1) -> None:
    if folder == -1 and (name := _path(path)) is not None:
        _check_name(name)


EVENTS = {"open": _open, "os.rename": _rename, "os.remove": _remove, "os.rmdir": _remove, "os.mkdir": _make}


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event in EVENTS and not getattr(_inside, "on", False):
        _inside.on = True
        try:
            EVENTS[event](*arguments)
        finally:
            _inside.on = False


def _patch() -> None:
    real_open, real_fsync, real_replace = io.open, os.fsync, os.replace
    real_select, real_signal, real_send = select.select, signal.signal, subprocess.Popen.send_signal

    @functools.wraps(real_open)
    def windows_open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *rest, **more):
        if "b" not in mode:
            encoding = io.text_encoding(encoding)  # it warns where there is none
            encoding = "cp1252" if encoding == "locale" else encoding
            if newline is None and not set("wax+").isdisjoint(mode):
                newline = "\r\n"
        return real_open(file, mode, buffering, encoding, errors, newline, *rest, **more)

    def fsync(file):
        descriptor = file if isinstance(file, int) else file.fileno()
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        real_fsync(descriptor)

    def rename(source, target, **more):
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "Windows: there is something of that name", target)
        real_replace(source, target, **more)

    def replace(source, target, **more):
        if os.path.isdir(target):
            raise PermissionError(errno.EACCES, "Windows: a folder cannot be replaced", target)
        real_replace(source, target, **more)

    def sockets_only(readers, *rest):
        import socket

        if any(not isinstance(reader, (int, socket.socket)) for reader in readers):
            raise OSError(10038, "Windows: an operation on something that is not a socket")
        return real_select(readers, *rest)

    def register(number, handler):
        if number not in ALLOWED_SIGNALS and number != signal.SIGBREAK:
            raise ValueError(f"Windows: no signal {number}")
        return real_signal(number, signal.SIG_DFL if number == signal.SIGTERM else handler)

    def send(process, number):
        real_send(process, signal.SIGKILL if number == signal.SIGTERM else number)

    builtins.open = io.open = windows_open
    os.fsync, os.rename, os.replace = fsync, rename, replace
    select.select = sockets_only
    signal.SIGBREAK = signal.CTRL_BREAK_EVENT = signal.SIGUSR1
    signal.signal, subprocess.Popen.send_signal = register, send
    tempfile.TemporaryFile = tempfile.NamedTemporaryFile
    shutil._use_fd_functions = False  # it opens folders


def begin() -> None:
    """From here on this process, and every Python process that it starts, has Windows' rules."""
    if getattr(signal, "SIGBREAK", None) is not None:
        return
    folder = os.path.dirname(__file__)
    os.environ |= {
        VARIABLE: "windows", "PYTHONWARNDEFAULTENCODING": "1", "PYTHONIOENCODING": "cp1252",
        "PYTHONPATH": os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }  # fmt: skip
    _patch()
    if multiprocessing.get_start_method(allow_none=True) is None:
        multiprocessing.set_start_method("spawn")
    warnings.filterwarnings("ignore", category=EncodingWarning)
    warnings.filterwarnings("error", category=EncodingWarning, module=OURS)
    tempfile.gettempdir()  # it makes a file and removes it, under a lock that the hook would wait for
    sys.addaudithook(_audit)


def standard_output() -> None:
    """Standard output in Windows' usual code page, where a test has one of its own."""
    for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
        try:
            stream.reconfigure(encoding="cp1252", errors=errors)
        except (AttributeError, io.UnsupportedOperation):
            continue

"""Hooks that watch a training, guarded: one that raises is noted, and stops neither the others nor the training."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import wraps
from typing import Any

from genzoo.interface.errors import one_line
from genzoo.interface.hookspecs import hookimpl


class Hooks:
    """What pluggy can register: hooks as attributes."""


WATCHED = ("genzoo_run_started", "genzoo_run_logged", "genzoo_run_saved", "genzoo_run_ended")


def guarded(name: str, watcher: object, failures: list[str]) -> Hooks:
    """What pluggy can register: the hooks of a plugin or watcher called `name`, with their marks (`tryfirst`,
    `wrapper`), none of which raises; what one did raise is added to `failures`."""

    def note(hook: str, error: BaseException) -> None:
        failures.append(f"{hook} of {name} failed: {one_line(error)}")

    def plain(hook: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: object) -> Any:
            try:
                return function(*arguments)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                note(hook, error)
                return None

        return call

    def wrapper(hook: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: object) -> Generator[None, Any, Any]:
            wrapping = function(*arguments)
            try:
                next(wrapping)
            except Exception as error:
                note(hook, error)
                return (yield)
            results = yield
            try:
                wrapping.send(results)
            except StopIteration as end:
                return end.value
            except Exception as error:
                note(hook, error)
            return results

        return call

    hooks = Hooks()
    for attribute in dir(watcher):
        function = getattr(watcher, attribute, None)
        marks = getattr(function, "genzoo_impl", {})  # none on the methods of a watcher
        hook = marks.get("specname") or attribute
        if hook in WATCHED and callable(function):
            around = wrapper if marks.get("wrapper") else plain
            setattr(hooks, hook, hookimpl(**{**marks, "specname": None})(around(hook, function)))
    return hooks

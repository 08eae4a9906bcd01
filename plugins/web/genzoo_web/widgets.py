"""Widgets made of options and their bounds, and what people put in them as values again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

import genzoo
from genzoo import Option, UsageError

LARGEST = 1000  # a whole number that has no smaller bound, such as steps and tokens, unless its default is large
LONGEST = 4000  # characters of a prompt
SLIDER = 1000  # values that a slider has at most


@dataclass(frozen=True)
class Field:
    """An option of a page: with its default there, which may be another than the option's own, and the largest whole
    number that it takes where it has no smaller bound and the default is not large."""

    option: Option
    default: object
    largest: int = LARGEST

    @property
    def title(self) -> str:
        return self.option.name.removesuffix("_").replace("_", " ")

    @property
    def maximum(self) -> float | None:
        """The largest value that is taken: the option's own bound, and for whole numbers a bound on what they cost."""
        option = self.option
        if option.type is not int:
            return option.maximum
        most = max(self.largest, 4 * self.default) if isinstance(self.default, int) else self.largest
        return most if option.maximum is None else min(option.maximum, most)

    def widget(self) -> Any:
        """What a person sets it with."""
        option, default = self.option, self.default
        facts: dict[str, Any] = {
            "label": self.title,
            "interactive": True,  # which Gradio does not find out of what is rendered again
            "info": option.help + (f" ({option.unit})" if option.unit else ""),
        }
        if option.choices:
            return gr.Dropdown(list(option.choices), value=_plain(default), multiselect=option.many, **facts)
        if option.type is bool and not option.many:
            return gr.Checkbox(bool(default), **facts)
        if option.many or option.type is str or option.optional:  # a field of numbers has none that is empty
            value = option.shown(default) if not option.repeated else "\n".join(default or ())  # type: ignore[arg-type]
            return gr.Textbox(value, lines=2 if option.type is str else 1, max_length=LONGEST, **facts)
        low, high = option.minimum, self.maximum
        whole = option.type is int
        if low is not None and high is not None and default is not None and (not whole or high - low <= SLIDER):
            return gr.Slider(low, high, value=default, step=1 if whole else (high - low) / 100, **facts)  # type: ignore[arg-type]
        return gr.Number(default, minimum=low, maximum=high, precision=0 if whole else None, **facts)  # type: ignore[arg-type]

    def value(self, entered: object) -> Any:
        """What was entered, checked. Raises `UsageError` for what is not allowed."""
        option = self.option
        if entered is None or (entered == "" and (option.optional or option.many)):
            return option.check(None if option.optional else () if option.many else self.default, "this page")
        if option.repeated and isinstance(entered, str):
            entered = [line for line in entered.split("\n") if line]
        if isinstance(entered, str) and len(entered) > LONGEST:
            raise UsageError(f"{self.title} has {len(entered):,} characters; allowed are {LONGEST:,}")
        if option.type is int and isinstance(entered, float) and entered.is_integer():
            entered = int(entered)
        checked = option.check(entered, "this page")
        most = self.maximum
        if most is not None and isinstance(checked, (int, float)) and checked > most:
            raise UsageError(f"{self.title} is {checked:,}; this page takes up to {most:,.0f}")
        return checked


def fields_of(config: type, defaults: Mapping[str, object] | None = None) -> list[Field]:
    """The options that a page offers: all but hidden ones, and texts that may name a file or a run."""
    changed = defaults or {}
    return [
        Field(option, changed.get(name, option.default))
        for name, option in genzoo.options_of(config).items()
        if not option.hidden and (option.type is not str or option.choices or option.prose)
    ]


def values_of(fields: list[Field], entered: tuple[object, ...]) -> dict[str, Any]:
    """The options that were entered, by name, without those that are as they are by default. Raises `UsageError`."""
    if len(fields) != len(entered):
        raise UsageError("this page is older than the run; load it again")
    values = {field.option.name: field.value(value) for field, value in zip(fields, entered, strict=True)}
    return {
        field.option.name: values[field.option.name] for field in fields if values[field.option.name] != field.default
    }


def _plain(value: object) -> Any:
    return list(value) if isinstance(value, tuple) else value

"""Options mean the same wherever they come from, and are refused in one line."""

from dataclasses import dataclass

import pytest

from genzoo import UsageError, option
from genzoo.interface.options import build, options_of, read_pairs, read_toml, to_json


@dataclass(frozen=True, kw_only=True)
class Config:
    count: int = option(3, help="How many.", minimum=1, maximum=9)
    rate: float = option(0.5, help="How fast.", above=0, below=1)
    on: bool = option(False, help="Whether.")
    kind: str = option("a", help="Which.", choices=("a", "b"))
    sizes: tuple[int, ...] = option((1, 2), help="How large.", minimum=1)
    limit: int | None = option(None, help="How far.")

    def __post_init__(self):
        if self.kind == "b" and not self.on:
            raise ValueError("--kind b needs --on")


def test_text_and_values_mean_the_same(tmp_path):
    values = {"count": 4, "rate": 0.25, "on": True, "kind": "b", "sizes": [5, 6], "limit": 7}
    text = {"count": "4", "rate": "0.25", "on": "true", "kind": "b", "sizes": "5, 6", "limit": "7"}
    file = tmp_path / "c.toml"
    file.write_text('count = 4\nrate = 0.25\non = true\nkind = "b"\nsizes = [5, 6]\nlimit = 7\n', "utf-8")
    expected = Config(count=4, rate=0.25, on=True, kind="b", sizes=(5, 6), limit=7)
    assert (
        build(Config, values, "m") == build(Config, text, "m") == build(Config, read_toml(str(file)), "m") == expected
    )
    assert build(Config, to_json(expected), "m") == expected
    assert build(Config, read_pairs(tuple(f"{k}={v}" for k, v in text.items())), "m") == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 0), ("count", "10"), ("count", 1.5), ("count", "x"), ("count", True), ("count", None),
        ("rate", 0), ("rate", 1), ("rate", "nan"), ("rate", "inf"), ("rate", 10**400), ("on", "maybe"), ("on", 1.5),
        ("kind", "c"), ("kind", 1), ("sizes", "1,0"), ("sizes", 5), ("sizes", [1.5]), ("limit", "none"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_by_name(name, value):
    with pytest.raises(UsageError, match=rf"^m: --{name} is .*allowed is ") as caught:
        build(Config, {name: value}, "m")
    assert "\n" not in str(caught.value)


def test_unknown_option_names_the_nearest():
    with pytest.raises(UsageError, match="unknown option of m 'cuont'; did you mean 'count'"):
        build(Config, {"cuont": 1}, "m")


def test_options_that_do_not_go_together():
    with pytest.raises(UsageError, match="^m: --kind b needs --on$"):
        build(Config, {"kind": "b"}, "m")


def test_fields_that_are_no_options_are_refused():
    @dataclass
    class Plain:
        x: int = 1

    @dataclass
    class Odd:
        x: dict = option(None, help="A dict.")

    for config, why in ((Plain, "not declared with"), (Odd, "has a type that options cannot have"), (int, "dataclass")):
        with pytest.raises(TypeError, match=why):
            options_of(config)


@pytest.mark.parametrize(
    ("content", "why"), [("count = ", "is not TOML"), ("[table]\ncount = 1", "has a table"), (None, "cannot read")]
)
def test_toml_that_cannot_be_used(tmp_path, content, why):
    file = tmp_path / "c.toml"
    if content is not None:
        file.write_text(content, "utf-8")
    with pytest.raises(UsageError, match=why):
        read_toml(str(file))


def test_set_without_equals():
    with pytest.raises(UsageError, match="not of the form"):
        read_pairs(("count",))

"""A plugin that fails is named with the reason; everything else works."""

import json

import pytest

from genzoo import UsageError
from genzoo.cli import TOOLS, cli
from genzoo.registry import RESERVED_COMMANDS, installed, registry

MODEL = """
    import genzoo
    from genzoo import GeneratorSpec

    @genzoo.hookimpl
    def genzoo_generators():
        return [GeneratorSpec(name={name!r}, summary="s", modality="image", target="x:Y")]
"""


def test_what_is_installed_is_what_importlib_finds(toy):
    import re
    from importlib.metadata import entry_points

    expected = {
        (e.name, e.module, re.sub("[-_.]+", "-", e.dist.name).lower(), e.dist.version)
        for e in entry_points(group="genzoo")
    }
    assert {(p.name, target, p.distribution, p.version) for p, target in installed()} == expected
    assert {"vae", "toy"} <= {name for name, *_ in expected}


def plugin(name):
    return next(p for p in registry().plugins if p.name == name)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("import genzoo\n@genzoo.hookimpl\ndef genzoo_generatorz(): return []", "did you mean 'genzoo_generators'"),
        ("import genzoo\n@genzoo.hookimpl\ndef genzoo_run_logged(run, stepp): pass", "stepp"),
        ("def genzoo_generators(): return []", "genzoo_generators is not marked @genzoo.hookimpl"),
        ("GENZOO_API = 99", "asks for plugin API 99; this genzoo has 1"),
        ("import genzoo\n@genzoo.hookimpl\ndef genzoo_generators(): return ['vae']", "gives a str"),
        ("import genzoo\n@genzoo.hookimpl\ndef genzoo_generators(): raise OSError('x')", "OSError: x"),
        (MODEL.format(name="Bad Name"), "is not lower-case"),
        (
            "import genzoo\n@genzoo.hookimpl\ndef genzoo_datasets():\n"
            "    return [genzoo.DatasetSpec(name='mnist-5k', summary='', modality='image', target='x:y')]",
            "is genzoo's own",
        ),
        (
            "import genzoo\n@genzoo.hookimpl\ndef genzoo_commands():\n"
            "    return [genzoo.CommandSpec(name='train', summary='', target='x:y')]",
            "is genzoo's own",
        ),
    ],
)
def test_a_broken_plugin_is_named_and_the_rest_works(install, genzoo_command, code, reason):
    install("bad_plugin", code)
    listed = genzoo_command("list")
    assert listed.status == 0
    assert "vae" in listed.out
    assert "bad_plugin" in listed.err
    assert genzoo_command("--help").status == 0
    assert genzoo_command("train", "vae", "--help").status == 0
    shown = {p["name"]: p for p in json.loads(genzoo_command("plugins", "--json").out)}
    assert shown["vae"]["status"] == "loaded"
    assert shown["bad_plugin"]["status"] == "failed"
    assert shown["bad_plugin"]["distribution"] == "bad-plugin"
    assert reason in shown["bad_plugin"]["problems"][0]
    text = genzoo_command("plugins").out
    assert reason in text
    assert "bad-plugin 1.0" in text


def test_a_failed_plugin_leaves_no_hook_behind(install):
    install(
        "bad_plugin",
        "import genzoo\n@genzoo.hookimpl\ndef genzoo_run_ended(): pass\n@genzoo.hookimpl\ndef genzoo_x(): pass",
    )
    assert plugin("bad_plugin").status == "failed"
    assert not any("bad" in name for name, _ in registry().manager.list_name_plugin())


def test_two_models_of_one_name_are_reached_by_distribution(install, genzoo_command):
    install("one_vae", MODEL.format(name="vae"))
    names = registry().generators.names()
    assert [name for name in names if name.endswith("vae")] == ["genzoo-vae/vae", "one-vae/vae"]
    assert registry().generators.get("one-vae/vae")[0].distribution == "one-vae"
    with pytest.raises(UsageError, match="say genzoo-vae/vae or one-vae/vae"):
        registry().generators.get("vae")
    refused = genzoo_command("train", "vae")
    assert refused.status == 2
    assert "genzoo-vae/vae or one-vae/vae" in refused.err
    assert genzoo_command("train", "genzoo-vae/vae", "--help").status == 0
    assert "also given by" in genzoo_command("plugins").out


def test_one_distribution_that_gives_a_name_twice_breaks_nothing_else(install, genzoo_command):
    install("one", MODEL.format(name="same"), distribution="two-faced", entry="first")
    install("other", MODEL.format(name="same"), distribution="two-faced", entry="first = one\nsecond")
    assert {"same", "vae"} <= set(registry().generators.names())
    assert plugin("first").status == "loaded"
    assert (plugin("second").status, plugin("second").problems) == (
        "failed",
        ["ValueError: model 'same' is given twice"],
    )
    assert genzoo_command("list").status == 0


def test_commands_that_plugins_cannot_take_are_those_there_are():
    assert {*cli.commands, *TOOLS} == RESERVED_COMMANDS


def test_allow_list_and_block_list(install, monkeypatch):
    install("other", MODEL.format(name="other"))
    monkeypatch.setenv("GENZOO_PLUGINS", "other")
    registry.cache_clear()
    assert registry().generators.names() == ["other"]
    assert plugin("vae").status == "blocked"
    monkeypatch.delenv("GENZOO_PLUGINS")
    monkeypatch.setenv("GENZOO_BLOCK", "genzoo-vae, nothing")
    registry.cache_clear()
    assert "other" in registry().generators.names()
    assert "vae" not in registry().generators.names()


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("steps: int = option(1, help='x')", "which every training has"),
        ("x: int = 1", "not declared with"),
        ("x: list = option(1, help='x')", "type that options cannot have"),
    ],
)
def test_options_of_a_model_are_checked_when_it_is_loaded(install, config, why):
    install(
        "odd",
        "import genzoo\nfrom dataclasses import dataclass\nfrom genzoo import GeneratorSpec, option\n"
        f"@dataclass(frozen=True, kw_only=True)\nclass C:\n    {config}\n"
        "@genzoo.hookimpl\ndef genzoo_generators():\n"
        "    return [GeneratorSpec(name='odd', summary='', modality='image', target='x:y', config=C)]",
    )
    assert why in plugin("odd").problems[0]


def test_a_plugin_adds_data_and_a_command(toy, genzoo_command):
    assert "dots" in genzoo_command("data").out
    assert "Say hello" in genzoo_command("--help").out
    assert genzoo_command("greet", "--name", "zoo").out == "hello zoo\n"


def test_a_watcher_that_fails_is_reported_and_ends_nothing(toy, install, genzoo_command):
    install("watch", "import genzoo\n@genzoo.hookimpl\ndef genzoo_run_logged(step): raise ValueError(f'at {step}')")
    done = genzoo_command("train", "toy")
    assert done.status == 0
    assert "genzoo_run_logged of watch:watch failed: ValueError: at 4" in done.err

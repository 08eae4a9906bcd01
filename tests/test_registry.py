"""A plugin that fails is named with the reason; everything else works."""

import json
import re
import sys
import textwrap
from importlib.metadata import entry_points

import pytest

import genzoo
from genzoo import UsageError
from genzoo.cli.command import FILE_OF
from genzoo.registry.installed import installed
from genzoo.registry.plugins import RESERVED_COMMANDS, registry

MODEL = """
    import genzoo
    from genzoo import GeneratorSpec

    @genzoo.hookimpl
    def genzoo_generators():
        return [GeneratorSpec(name={name!r}, summary="s", modality="image", target="x:Y")]
"""


MODALITY = """
    import genzoo
    from genzoo import ModalitySpec, WriteOptions

    class Files(WriteOptions):
        suffixes = (".csv",)

    @genzoo.hookimpl
    def genzoo_modalities():
        return [ModalitySpec(name={name!r}, summary="s", target="x:Y", write_options=Files)]
"""
OF_CURVES = {
    "model": ("generators", 'GeneratorSpec(name="line", summary="s", modality="curves", target="x:Y")'),
    "data": ("datasets", 'DatasetSpec(name="lines", summary="s", modality="curves", target="x:Y")'),
    "measure": ("metrics", 'MetricSpec(name="gap", summary="s", modality="curves", better="lower", target="x:Y")'),
    "features": ("metrics", 'FeatureSpec(name="ends", summary="s", modality="curves", target="x:Y")'),
}


def of_curves(kind):
    """The code of a plugin that gives one thing of the modality `curves`."""
    hook, spec = OF_CURVES[kind]
    return f"import genzoo\n@genzoo.hookimpl\ndef genzoo_{hook}():\n    return [genzoo.{spec}]\n"


WELL = """
@genzoo.hookimpl
def genzoo_commands():
    return [genzoo.CommandSpec(name="greet", summary="s", target="x:y")]
"""


def entries():
    """What importlib finds, as `installed` says it."""
    return {
        (e.name, e.module, re.sub("[-_.]+", "-", e.dist.name).lower(), e.dist.version)
        for e in entry_points(group="genzoo")
    }


def seen():
    return {(p.name, target, p.distribution, p.version) for p, target in installed()}


def test_what_is_installed_is_what_importlib_finds(toy):
    assert seen() == entries()
    assert {"vae", "toy", "image", "text"} <= {name for name, *_ in entries()}


def test_entries_behind_one_with_extras_are_seen(install):
    install("other", MODEL.format(name="other"), entry="first = other [x, y]\nsecond=other[x]\n# third = gone\nlast")
    assert seen() == entries()
    assert {"first", "second", "last"} == {name for name, _, owner, _ in seen() if owner == "other"}
    assert "other" in registry().generators.names()


def plugin(name):
    return next(p for p in registry().plugins if p.name == name)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import genzoo\n@genzoo.hookimpl\ndef genzoo_generatorz(): return []", "did you mean 'genzoo_generators'"),
        ("import genzoo\n@genzoo.hookimpl\ndef genzoo_run_logged(run, stepp): pass", "stepp"),
        ("def genzoo_generators(): return []", "genzoo_generators is not marked @genzoo.hookimpl"),
        (
            "import genzoo\n@genzoo.hookimpl(hookwrapper=True)\ndef genzoo_run_ended(): yield",
            "is a wrapper of the old style",
        ),
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
        "import genzoo\n@genzoo.hookimpl\ndef genzoo_run_ended(): 1 / 0\n@genzoo.hookimpl\ndef genzoo_x(): pass",
    )
    assert plugin("bad_plugin").status == "failed"
    assert registry().watch([])("genzoo_run_ended", {"run": None, "status": "finished", "error": None}) == []


def test_a_plugin_for_a_later_genzoo_is_not_even_imported(install):
    """A made-up next API: what its module imports is not here yet."""
    install("next_plugin", "from genzoo import NewThing", group="genzoo.v2")
    assert plugin("next_plugin").problems == ["it is for plugin API 2; this genzoo has 1: upgrade genzoo"]
    assert "next_plugin" not in sys.modules


def test_of_a_plugin_for_two_apis_the_one_that_is_here_is_taken(install, monkeypatch):
    install("old_way", MODEL.format(name="both"))
    install("new_way", "from genzoo import NewThing")
    install("unused", "", distribution="two-ways", group="genzoo]\nboth = old_way\n[genzoo.v2]\nboth = new_way\n[other")
    (both,) = [p for p in registry().plugins if p.distribution == "two-ways"]
    assert (both.name, both.api, both.status) == ("both", 1, "loaded")


def test_what_a_plugin_prints_is_not_what_was_asked_for(install, genzoo_command):
    install("chatty_plugin", "print('hello')")
    listed = genzoo_command("list", "--json")
    assert json.loads(listed.out)
    assert listed.err == "hello\n"


def test_where_a_plugin_failed_is_shown(install, genzoo_command):
    install("bad_plugin", "def half(x):\n    return x / 0\n\nhalf(1)\n")
    shown = genzoo_command("plugins", "-v").out
    assert 'bad_plugin.py", line 4, in <module>\n    half(1)' in shown
    assert 'bad_plugin.py", line 2, in half\n    return x / 0' in shown
    assert "registry" not in shown  # frames of genzoo's own
    assert shown.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "line 2" not in genzoo_command("plugins").out
    assert "line 2, in half" in genzoo_command("doctor").out


def test_a_plugin_that_loads_slowly_is_named_once(install, genzoo_command, monkeypatch):
    install("slow_plugin", "import time; time.sleep(0.06)")
    monkeypatch.setenv("GENZOO_SLOW_SECONDS", "0.05")
    monkeypatch.setenv("GENZOO_PLUGINS", "slow_plugin")
    said = genzoo_command("list").err
    assert said.count("slow_plugin of slow-plugin takes 0.1 s to load") == 1
    assert "GENZOO_BLOCK=slow_plugin leaves it out" in said
    monkeypatch.setenv("GENZOO_SLOW_SECONDS", "600")
    registry.cache_clear()
    assert genzoo_command("list").err == ""


def test_pluggy_calls_the_watchers_in_its_own_order_and_none_stops_the_others(install):
    install("last_plugin", """
        import genzoo
        @genzoo.hookimpl(trylast=True)
        def genzoo_run_logged(values):
            values["calls"].append("last")
    """)  # fmt: skip
    install("first_plugin", """
        import genzoo
        @genzoo.hookimpl(tryfirst=True)
        def genzoo_run_logged(values):
            values["calls"].append("first")
        @genzoo.hookimpl(specname="genzoo_run_saved")
        def another_name(step):
            raise OSError("no room")
    """)  # fmt: skip
    install("around_plugin", """
        import genzoo
        @genzoo.hookimpl(wrapper=True)
        def genzoo_run_logged(values):
            values["calls"].append("before all")
            result = yield
            values["calls"].append("after all")
            return 1 / 0
        @genzoo.hookimpl(wrapper=True)
        def genzoo_run_saved():
            raise ValueError("before the others")
            yield
    """)  # fmt: skip

    class Watcher:
        saved = False

        def genzoo_run_logged(self, values):
            values["calls"].append("watcher")
            raise KeyError("gone")

        def genzoo_run_saved(self):
            self.saved = True

    watcher = Watcher()
    call, calls = registry().watch([watcher]), []
    failures = call("genzoo_run_logged", {"run": None, "step": 1, "values": {"calls": calls}})
    assert calls == ["before all", "first", "watcher", "last", "after all"]
    assert [failure.partition(":")[0] for failure in failures] == [
        "genzoo_run_logged of Watcher failed", "genzoo_run_logged of around-plugin",
    ]  # fmt: skip
    assert len(call("genzoo_run_saved", {"run": None, "step": 1, "folder": None})) == 2
    assert watcher.saved


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


@pytest.mark.parametrize(("bringing", "using"), [("a_curves", "z_lines"), ("z_curves", "a_lines")])
def test_a_modality_and_what_is_of_it_load_whatever_their_plugins_are_called(install, genzoo_command, bringing, using):
    install(bringing, MODALITY.format(name="curves"))
    install(using, of_curves("model"))
    for kind in ("data", "measure", "features"):
        install(f"{using}_{kind}", of_curves(kind))
    assert {p.status for p in registry().plugins if p.name not in ("tensorboard", "trackers")} == {"loaded"}
    known = registry()
    assert known.modalities.names() == ["audio", "curves", "image", "text"]
    assert known.generators.get("line")[0].distribution == using.replace("_", "-")
    assert known.datasets.get("lines")[1].modality == "curves"
    assert [spec.name for _, spec in known.metrics.of_modality("curves") if spec.modality] == ["gap"]
    assert [spec.name for _, spec in known.features.of_modality("curves")] == ["ends"]
    assert genzoo_command("train", "line", "--help").status == 0
    assert genzoo_command("list", "--modality", "curves").out.count("\n") == 2


def test_one_plugin_may_bring_a_modality_and_what_is_of_it(install):
    install("curves", MODALITY.format(name="curves") + textwrap.indent(of_curves("model"), "    "))
    assert plugin("curves").status == "loaded"
    assert registry().generators.get("line")[0].name == "curves"


@pytest.mark.parametrize("kind", OF_CURVES)
def test_what_is_of_a_modality_that_is_not_installed_fails_alone(install, genzoo_command, kind):
    before = {p.name: p.status for p in registry().plugins}
    install("lost", f"{of_curves(kind)}\n{WELL}")
    install("other", MODEL.format(name="other"))
    assert plugin("lost").status == "failed"
    (problem,) = plugin("lost").problems
    assert problem.endswith("is of modality 'curves'; installed are audio, image, text")
    assert repr(OF_CURVES[kind][1].partition('"')[2].partition('"')[0]) in problem
    assert {p.name: p.status for p in registry().plugins} == before | {"lost": "failed", "other": "loaded"}
    assert {"other", "vae"} <= set(registry().generators.names())
    assert "greet" not in registry().commands.names()  # of a plugin all is taken, or nothing
    listed = genzoo_command("list")
    assert (listed.status, "1 plugin(s) failed: lost" in listed.err) == (0, True)


def test_what_is_of_a_modality_fails_where_that_modality_did(install):
    install("curves", MODALITY.format(name="Bad Name"))
    install("lines", of_curves("model"))
    assert "is not lower-case" in plugin("curves").problems[0]
    assert "'curves'; installed are audio, image, text" in plugin("lines").problems[0]
    assert registry().modalities.names() == ["audio", "image", "text"]


def test_a_modality_of_genzoos_own_name_is_refused(install):
    assert registry().modalities.get("image")[0].distribution == "genzoo"
    install("a_pictures", MODALITY.format(name="image"))
    assert plugin("a_pictures").status == "failed"
    assert plugin("a_pictures").problems == ["ValueError: modality 'image' is genzoo's own; choose another name"]
    images = registry().modalities.get("image")[0]
    assert (images.distribution, images.status) == ("genzoo", "loaded")


def test_commands_that_plugins_cannot_take_are_those_there_are():
    assert set(FILE_OF) == RESERVED_COMMANDS


def test_allow_list_and_block_list(install, monkeypatch):
    install("other", MODEL.format(name="other"))
    monkeypatch.setenv("GENZOO_PLUGINS", "other")
    registry.cache_clear()
    assert registry().generators.names() == ["other"]
    assert plugin("vae").status == "blocked"
    assert [plugin(name).status for name in ("image", "text")] == ["loaded", "loaded"]
    assert registry().modalities.names() == ["image", "text"]
    assert "mnist-5k" in registry().datasets.names()
    monkeypatch.delenv("GENZOO_PLUGINS")
    monkeypatch.setenv("GENZOO_BLOCK", "genzoo-vae, nothing")
    registry.cache_clear()
    assert "other" in registry().generators.names()
    assert "vae" not in registry().generators.names()


def test_an_empty_list_of_plugins_leaves_genzoos_own(monkeypatch, genzoo_command):
    monkeypatch.setenv("GENZOO_PLUGINS", "")
    registry.cache_clear()
    assert {p.name for p in registry().plugins if p.status == "loaded"} == {"image", "text"}
    assert "python-docs" in genzoo_command("data").out


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


def test_what_a_failed_plugin_may_have_given_is_not_just_unknown(toy, install, genzoo_command):
    run = genzoo.train("toy", sample_every=0)
    install("broken_plugin", "1 / 0")
    refused = genzoo_command("train", "mine")
    assert refused.status == 2
    assert "unknown model 'mine'" in refused.err
    assert "(failed to load: broken_plugin; see `genzoo plugins`)" in refused.err
    run.update(plugin="broken-plugin")
    assert "needs the plugin broken-plugin, which failed: ZeroDivisionError" in genzoo_command("sample", run.path).err

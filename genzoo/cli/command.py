"""The command itself: its verbs, loaded when they are called, and what becomes of errors and warnings."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable

import click

from genzoo.cli.options import Commands, once
from genzoo.cli.output import escape_the_unknown
from genzoo.interface.errors import GenzooError, GenzooWarning, UsageError, nearest, one_line, unknown
from genzoo.interface.parsing import printable, say
from genzoo.interface.specs import load_target
from genzoo.interface.version import __version__
from genzoo.registry.plugins import registry

VERBS = {  # by the file that has them, in the order of the help
    "catalogue": ("list", "info"),
    "training": ("train", "resume"),
    "sampling": ("sample", "export"),
    "latents": ("reconstruct", "interpolate", "walk", "latent"),
    "evaluation": ("evaluate", "compare"),
    "runs": ("runs", "show", "provenance"),
    "manage": ("prune", "rm", "rename", "note"),
    "paper": ("plot", "cite"),
    "installed": ("data", "plugins"),
    "authors": ("new", "check", "install", "uninstall", "doctor"),
}
MEANT = {  # what people type for a verb
    "delete": "rm", "remove": "rm", "del": "rm", "mv": "rename", "move": "rename", "ls": "runs", "clean": "prune",
    "generate": "sample", "draw": "sample", "fit": "train", "eval": "evaluate", "test": "evaluate", "score": "evaluate",
    "diff": "compare", "continue": "resume", "models": "list", "datasets": "data", "bibtex": "cite", "figure": "plot",
    "curves": "plot", "create": "new", "add": "install",
}  # fmt: skip
FILE_OF = {verb: file for file, verbs in VERBS.items() for verb in verbs}


class Zoo(Commands):
    """The built-in commands, and those that plugins add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*FILE_OF, *(name for name in registry().commands.names() if name not in FILE_OF)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in FILE_OF:
            command: click.Command = load_target(f"genzoo.cli.{FILE_OF[name]}:{name}_command", f"command {name!r}")
            return command
        if name not in registry().commands.names():
            return None
        spec = registry().commands.get(name)[1]
        return click.Command(name, short_help=printable(spec.summary))  # for the list; `resolve_command` loads it

    def invoke(self, ctx: click.Context) -> object:
        """As click does; whoever reads what is printed may go (`genzoo runs | head`), and that is no failure."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:  # for which click would end with status 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in FILE_OF or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        if name not in registry().commands.names():
            if name.lower() in MEANT:
                raise UsageError(f"unknown command {name!r}; did you mean {MEANT[name.lower()]!r}?")
            raise unknown("command", name, self.list_commands(ctx))
        plugin, spec = registry().commands.get(name)
        command = load_target(spec.target, f"command {name!r} of {plugin.distribution}")
        return name, once(command), args[1:]


def _register(ctx: click.Context, _param: click.Parameter, files: tuple[str, ...]) -> None:
    """Take plugins from files, before the command is looked up."""
    if files and not ctx.resilient_parsing:
        from genzoo.registry.session import register

        for file in files:
            register(file)


@click.group(cls=Zoo, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-p",
    "--plugin",
    multiple=True,
    metavar="FILE",
    callback=_register,
    expose_value=False,
    is_eager=True,
    help="A model of your own in a file of Python, for this command; may be given again.",
)
@click.version_option(__version__, prog_name="genzoo", message="%(prog)s %(version)s")
def cli() -> None:
    """Every family of generative model behind one interface and one command.

    \b
    genzoo list                 what can be trained
    genzoo train vae            train on handwritten digits, offline
    genzoo sample vae           draw from the newest run
    """


def main() -> None:
    """Run the command line: one line for an error, exit status 2 for a wrong request, 1 for a failure."""
    escape_the_unknown()
    warnings.showwarning = _show_warning(warnings.showwarning)
    try:
        status = cli.main(prog_name="genzoo", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except GenzooError as error:
        _fail(str(error), error.exit_status)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.NoSuchOption as error:
        _fail(_no_such_option(error), error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped", 130)
    except (MemoryError, RuntimeError, TypeError) as error:
        if "determine home directory" in str(error):  # of pathlib, for ~name/
            _fail("a path begins with ~ and a name that no user here has; write it out", 2)
        if "MPS" in str(
            error
        ):  # "The operator 'aten::...' is not currently implemented for the MPS device", no float64
            _fail(f"this device cannot do it ({one_line(error)}); give --device cpu", 1)
        if not isinstance(error, MemoryError) and not re.search("out of memory|can't allocate memory", str(error)):
            raise
        _fail("out of memory; try a smaller model, --batch-size or --image-size", 1)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}", 1)


def _no_such_option(error: click.NoSuchOption) -> str:
    """What click says, with the option that is likely meant, also by the initials of its words (`--lr`)."""
    if error.ctx is None:
        return error.format_message()
    options = [name for param in error.ctx.command.get_params(error.ctx) for name in param.opts if name[:2] == "--"]
    close = nearest(error.option_name, options)
    return error.message + (f" Did you mean {close!r}?" if close else "")


def _fail(message: str, status: int) -> None:
    if os.environ.get("RANK", "0") == "0":
        say(f"genzoo: {' '.join(message.split())}")
    sys.exit(status)


def _show_warning(usual: Callable[..., None]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *rest: object, **more: object) -> None:
        if issubclass(category, GenzooWarning):
            say(f"genzoo: warning: {message}")
        else:
            usual(message, category, *rest, **more)

    return show

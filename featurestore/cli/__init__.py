"""The command line: a file for each room, a library call for each command, and the one place where errors become exit codes.

In: words of a shell. Out: results on stdout, as text or with --json, and progress and messages on stderr.
Commands of `trainers` arrive by the entry-point group `featurestore.commands`.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from io import TextIOWrapper
from signal import SIGINT
from typing import Any

import click

from featurestore.cli.overview import OTHERS, OVERVIEW
from featurestore.errors import ConfigError, FeatureStoreError, Interrupted
from featurestore.system import interrupts
from featurestore.system.terminal import print_line, print_lines
from featurestore.system.text import first_line, is_utf8, printable
from featurestore.version import __version__

# Each file of this folder and its commands, in the order of `--help`. A file is imported when one of its commands is called.
COMMANDS = {
    "ingest": ("index",),
    "search": ("search", "neighbours"),
    "store": ("info", "failures", "sql"),
    "gallery": ("serve",),
    "evaluation": ("knn", "linear", "lowshot", "retrieval"),
    "comparison": ("compare",),
    "curation": ("duplicates", "leaks"),
    "review": ("outliers", "label-errors", "clusters"),
    "report": ("report", "attention"),
    "classification": ("classify",),
    "labelling": ("suggest", "coverage"),
    "metadata": ("label", "annotate"),
    "whiten": ("whiten",),
    "maintenance": (
        "encoders",
        "sources",
        "relocate",
        "delete",
        "optimize",
        "verify",
        "export-vectors",
        "import-vectors",
    ),
}
MODULES = {command: module for module, commands in COMMANDS.items() for command in commands}
WIDEST = max(map(len, MODULES))  # name of a command


class Commands(click.Group):
    """The commands of a store, and those of other packages; each is loaded when called."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of the pipe, such as `head`, has closed it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for argument in args:
            if not is_utf8(argument):
                raise click.UsageError(
                    f"{argument!r} is not valid UTF-8, as names must be; rename the file or folder", ctx
                )
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*MODULES, *sorted(point.name for point in entry_points(group="featurestore.commands"))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in MODULES:
            module = import_module(f"featurestore.cli.{MODULES[name]}")
            command: click.Command = getattr(module, name.replace("-", "_"))
            return command
        for point in entry_points(group="featurestore.commands", name=name):
            try:
                command = point.load()
            except ModuleNotFoundError as error:
                return _unavailable(name, error.name)
            return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), 2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"{error.format_message()}{hint}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        left = dict.fromkeys(self.list_commands(ctx))
        for heading, lines in OVERVIEW.items():
            _list(formatter, heading, [(name, line) for name, line in lines.items() if name in left])
            left = {name: None for name in left if name not in lines}
        found = ((name, self.get_command(ctx, name)) for name in left)
        _list(formatter, OTHERS, [(name, command.get_short_help_str()) for name, command in found if command])


def _list(formatter: click.HelpFormatter, heading: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(heading):
            formatter.write_dl([(name.ljust(WIDEST), line) for name, line in rows])


def _unavailable(name: str, module: str | None) -> click.Command:
    """Replace a command whose package is not installed by one that says what it needs."""
    needs = f"needs {module}, which is not installed: pip install 'featurestore[train]'"

    def refuse() -> None:
        raise ConfigError(f"{name} {needs}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=refuse, help=f"({needs})", context_settings=anything)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def cli() -> None:
    """Train an image encoder without labels, run it over a collection of images, then search, measure and label it."""


def main() -> None:
    """Run the command line; the one place where an error becomes a line and an exit code."""
    _use_utf8()
    with interrupts.endings_as_ctrl_c() as came:
        try:
            _run(came)
        except SystemExit as end:
            interrupts.exit_status = end.code if isinstance(end.code, int) else 0
            raise


def _run(came: Sequence[int]) -> None:
    """Run a command and exit; `came` fills with the signals that ended it."""
    try:
        sys.exit(cli.main(standalone_mode=False))
    except FeatureStoreError as error:
        print_line(f"featurestore: {error}", err=True)
        sys.exit(1)
    except OSError as error:  # a disk error that no room turned into a DiskError
        print_line(f"featurestore: {error.filename or 'the disk'}: {error.strerror or error}", err=True)
        sys.exit(1)
    except MemoryError as error:
        print_line(
            f"featurestore: not enough memory ({first_line(error)}); what was committed before is safe: end other programs, then try again",
            err=True,
        )
        sys.exit(1)
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]  # it repeats what was given
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as stop:  # click's name for Ctrl-C, and a signal that was taken as one
        cause = stop.__cause__
        print_line(f"featurestore: {cause if isinstance(cause, Interrupted) else 'interrupted'}", err=True)
        sys.exit(128 + (came[0] if came else SIGINT))
    except Exception:  # a mistake of ours; its message may repeat what a file says
        print_lines(traceback.format_exc().split("\n"), err=True)
        sys.exit(1)


def _use_utf8() -> None:
    """Read paths as UTF-8 whatever the locale says, as catalogs hold them, and let no character stop what is printed."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": f"{sys.stdout.encoding}:backslashreplace"}
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # Python chooses its encoding when it starts
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

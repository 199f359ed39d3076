"""The command line. Commands of `trainers` arrive by entry point."""

import os
import sys
from importlib.metadata import entry_points
from typing import Any

import click

from featurestore.cli import classification as classifying
from featurestore.cli import compare as comparing
from featurestore.cli import evaluation as measuring
from featurestore.cli import maintenance as keeping
from featurestore.cli import metadata as annotating
from featurestore.cli import report as reporting
from featurestore.cli import search as searching
from featurestore.cli import store as using
from featurestore.errors import ConfigError, FeatureStoreError, Interrupted
from featurestore.version import __version__


class Commands(click.Group):
    """Store commands here, those of other packages by the entry-point group `featurestore.commands`, loaded when called."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of a pipe has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *sorted(point.name for point in entry_points(group="featurestore.commands"))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in self.commands:
            return self.commands[name]
        for point in entry_points(group="featurestore.commands", name=name):
            try:
                command: click.Command = point.load()
            except ModuleNotFoundError as error:
                return _without(name, error.name)
            return command
        return None


def _without(name: str, module: str | None) -> click.Command:
    """Stand in for a command whose package is not installed: it is listed, and says what it needs."""
    needs = f"needs {module}, which is not installed: pip install 'featurestore[train]'"

    def refuse() -> None:
        raise ConfigError(f"{name} {needs}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=refuse, help=f"({needs})", context_settings=anything)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def cli() -> None:
    """Train an image encoder without labels, run it over a collection, and search, measure and label what it sees."""


for command in (
    using.index, searching.search, using.neighbours, using.info, using.failures, using.sql, using.attention,
    measuring.knn, measuring.linear, measuring.lowshot, measuring.retrieval, comparing.compare, reporting.report,
    classifying.classify, annotating.label, annotating.annotate,
    keeping.delete, keeping.optimize, keeping.verify, keeping.export_vectors, keeping.import_vectors,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run the command line; the one place where an error becomes a line and an exit status."""
    try:
        sys.exit(cli.main(standalone_mode=False))
    except FeatureStoreError as error:
        click.echo(f"featurestore: {error}", err=True)
        sys.exit(1)
    except OSError as error:  # a disk that fails where nobody expected it
        click.echo(f"featurestore: {error.filename or 'the disk'}: {error.strerror or error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as stop:  # so does click call Ctrl-C
        kept = stop.__cause__
        click.echo(f"featurestore: {kept if isinstance(kept, Interrupted) else 'interrupted'}", err=True)
        sys.exit(130)

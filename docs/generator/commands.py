"""Commands and their options, read from click."""

import re

import click

from docs.generator.text import escape, paragraphs, table
from featurestore.cli import cli


def commands() -> str:
    """Every command with its arguments and options, read from click."""
    context = click.Context(cli, info_name="featurestore")
    return "\n\n".join(_command(name, cli.get_command(context, name)) for name in cli.list_commands(context))


def _command(name: str, command: click.Command | None) -> str:
    assert command is not None
    context = click.Context(command, info_name=f"featurestore {name}")
    usage = " ".join([f"featurestore {name}", *command.collect_usage_pieces(context)])
    options = [p for p in command.get_params(context) if isinstance(p, click.Option) and "--help" not in p.opts]
    parts = [f"### {name}", f"```\n{usage}\n```", paragraphs(command.help or "")]
    if options:
        parts.append(table(("option", "meaning", "default"), (_option(option, context) for option in options)))
    return "\n\n".join(parts)


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        names += f" / {', '.join(option.secondary_opts)}"
    if not option.is_flag and not option.count:
        names += f" {option.make_metavar(context).removesuffix(' RANGE')}"
    record = option.get_help_record(context)
    text = record[1] if record else option.help or ""
    # Default and range stand at the end of the help, in brackets, written by click or by hand.
    found = re.search(r"(\s*\[[^\[\]]*\])+$", text)
    notes = re.findall(r"\[([^\[\]]*)\]", found[0]) if found else []
    default = "; ".join(note.removeprefix("default: ") for note in notes)
    return f"`{escape(names)}`", escape(text[: found.start()] if found else text), escape(default)

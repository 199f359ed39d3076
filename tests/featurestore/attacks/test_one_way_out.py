"""Nothing is printed beside the functions that make names safe, and no message suggests a command in which a name could run another."""

import ast
import re
from functools import cache
from pathlib import Path

from featurestore.cli import MODULES

ROOT = Path(__file__).parents[3]
CODE = sorted(path for package in ("featurestore", "trainers") for path in (ROOT / package).rglob("*.py"))
PRINTS = {"echo", "print", "secho", "write_err", "showwarning"}
ALLOWED = {"featurestore/system/terminal.py", "featurestore/progress.py"}  # the functions themselves, and the bar
COMMANDS = "|".join([*MODULES, "train", "export", "finetune", "field", "profile", "demo", "score"])
SUGGESTED = re.compile(rf"featurestore ({COMMANDS}) [^;:,]*$")  # a message in which a command has begun
QUOTED = re.compile(r"as_argument\(|shlex\.quote\(|join\(options\)|^(at|argument|again)$")  # these variables are quoted


@cache
def calls_and_messages() -> list[tuple[str, ast.Call | ast.JoinedStr]]:
    """Every call and f-string of both packages, with the file it stands in."""
    return [
        (str(path.relative_to(ROOT)), node)
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call | ast.JoinedStr)
    ]


def test_one_file_prints() -> None:
    found = set()
    for file, node in calls_and_messages():
        called = node.func if isinstance(node, ast.Call) else None
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        found |= {file} if name in PRINTS else set()
    assert found == ALLOWED


def test_a_suggested_command_takes_a_name_as_one_argument() -> None:
    found, unquoted = 0, []
    for file, node in calls_and_messages():
        said = ""
        for part in node.values if isinstance(node, ast.JoinedStr) else ():
            if isinstance(part, ast.FormattedValue):
                value = ast.unparse(part.value)
                found += (suggested := SUGGESTED.search(said) is not None)
                unquoted += [f"{file}: {value}"] if suggested and not QUOTED.search(value) else []
                said += "{}"
            else:
                said += str(ast.literal_eval(part))
    assert found > 20
    assert unquoted == []

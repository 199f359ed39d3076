"""What holds for every page: links lead somewhere, generated parts are those of the code, and code names pages that exist."""

import re
from functools import cache
from pathlib import Path

import click
import pytest

from docs.generator import PARTS, render
from featurestore.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
CODE = [
    path for folder in ("featurestore", "trainers", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")
]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(path: Path) -> str:
    """A page without its blocks of code, in which brackets are not links."""
    return re.sub(r"^```.*?^```", "", text(path), flags=re.DOTALL | re.MULTILINE)


@cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors that GitHub gives to the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, to_read = set[Path](), [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose(page))
        to_read += [(page.parent / link).resolve() for link in links if ":" not in link]
    assert [named(page) for page in (ROOT / "docs").rglob("*.md") if page not in seen] == []


def test_pages_that_code_names_exist() -> None:
    names = {(named(path), page) for path in CODE for page in re.findall(r"\bdocs/[\w/-]+\.md", text(path))}
    assert len(names) > 5
    assert sorted((path, page) for path, page in names if not (ROOT / page).exists()) == []


@pytest.mark.parametrize("page", REFERENCE, ids=named)
def test_generated_parts_are_those_of_the_code(page: Path) -> None:
    assert render(text(page)) == text(page), "run `make docs`"


def test_the_overview_of_commands_names_all_of_them() -> None:
    page = text(ROOT / "docs" / "reference" / "commands.md")
    overview, _, sections = page.partition("<!-- generated: commands -->")
    assert sorted(re.findall(r"\]\(#([a-z-]+)\)", overview)) == sorted(
        re.findall(r"^### ([a-z-]+)$", sections, re.MULTILINE)
    )


def test_every_generated_part_is_on_a_page() -> None:
    marks = [name for page in REFERENCE for name in re.findall(r"<!-- generated: (\w+) -->", text(page))]
    assert sorted(marks) == sorted(PARTS)


def test_the_generated_text_says_what_the_code_says() -> None:
    """The comparison above would pass on empty parts."""
    commands, settings = PARTS["commands"](), PARTS["settings"]()
    assert "### search\n" in commands
    assert "| `-k, --k K` | " in commands
    assert '| `optimizer.name` | `sgd` or `adamw` or `lars` | `"sgd"` |' in settings
    assert "| `all_items` |" not in PARTS["catalog"]()
    assert "| `path` | TEXT | absolute path" in PARTS["catalog"]()
    assert "└── ExportError" in PARTS["errors"]()
    assert "**`search`**" in PARTS["python"]()
    assert "| `where` | query | text |" in PARTS["rest"]()


def test_every_setting_has_a_meaning() -> None:
    """It is a comment beside the field."""
    rows = re.findall(r"^\| `([\w.-]+)` \|.*\| (.*) \|$", PARTS["settings"](), re.MULTILINE)
    assert len(rows) > 60
    assert [key for key, meaning in rows if not meaning.strip()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_and_options_on_the_pages_exist(page: Path) -> None:
    """Of every command line in a block of code: the command, and the long options."""
    context = click.Context(cli)
    unknown: list[str] = []
    for block in re.findall(r"^```(?:sh)?\n(.*?)^```", text(page), re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            found = re.match(r"(?:\$ )?featurestore ([a-z-]+)(.*)", line.strip())
            if not found or "COMMAND" in line:
                continue
            command = cli.get_command(context, found[1])
            options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} if command else set()
            used = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", found[2].partition("#")[0]))
            unknown += [f"{found[1]} {option}" for option in used - options - {"--help"}] if command else [found[1]]
    assert unknown == []


def test_every_command_and_every_option_has_help() -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help, name
        assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == [], name


def test_pictures_of_the_pages_are_small() -> None:
    assert [path.name for path in (ROOT / "docs").rglob("*.png") if path.stat().st_size > 200_000] == []

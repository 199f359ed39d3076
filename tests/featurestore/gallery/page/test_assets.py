"""The files of the page: small, complete, and such that the strict content security policy lets them run."""

import gzip
import re
from pathlib import Path

import pytest

import featurestore

PAGE = Path(featurestore.__file__).parent / "gallery" / "page"
FILES = sorted(path for path in PAGE.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
OWN = [path for path in SCRIPTS if path.parent == PAGE]
MOST = 100_000  # bytes of all that a browser loads, compressed
IMPORT = re.compile(r"""(?:(?<!["'\w])from\s*|\bimport\s*\(?\s*)["']([^"']+)["']""")
NAMESPACES = {
    "http://www.w3.org/2000/svg",
    "http://www.w3.org/1999/xhtml",
    "http://www.w3.org/1998/Math/MathML",
}  # names, never loaded

names = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)


def test_all_that_a_browser_loads_is_small() -> None:
    loaded = [path for path in FILES if path.suffix in {".js", ".css", ".html"}]
    assert len(loaded) > 15
    assert sum(len(gzip.compress(path.read_bytes())) for path in loaded) < MOST


@names
def test_every_import_is_a_file_of_the_page(path: Path) -> None:
    for name in IMPORT.findall(path.read_text(encoding="utf-8")):
        assert name.startswith(("./", "../")), f"{name}: a browser resolves no bare names"
        assert (path.parent / name).resolve() in FILES


@names
def test_no_text_becomes_code_or_markup(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = re.findall(
        r"\beval\(|\bnew Function\b|\bFunction\(|document\.write|\bset(?:Timeout|Interval)\(\s*[\"'`]|sourceMappingURL",
        text,
    )
    assert found == []
    if path in OWN:
        assert (
            re.findall(
                r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|setHTMLUnsafe|javascript:", text
            )
            == []
        )


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix in {".js", ".css", ".html"}], ids=lambda path: path.name
)
def test_no_file_names_another_machine(path: Path) -> None:
    found = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text(encoding="utf-8")))
    assert found <= NAMESPACES


def test_the_html_has_no_script_and_no_style_of_its_own() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"\son\w+\s*=|\sstyle\s*=|<style|javascript:", text) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>", text) == []
    assert 'type="importmap"' not in text


def test_the_html_names_every_module_so_that_they_come_at_once() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'<link rel="modulepreload" href="([^"]+)">', text)) | {"main.js"}
    assert named == {path.relative_to(PAGE).as_posix() for path in SCRIPTS}


def test_every_module_is_used() -> None:
    used = {
        (path.parent / name).resolve() for path in SCRIPTS for name in IMPORT.findall(path.read_text(encoding="utf-8"))
    }
    assert {path for path in SCRIPTS if path not in used} == {PAGE / "main.js"}


def test_what_is_of_others_stands_beside_its_licence() -> None:
    vendor = PAGE / "vendor"
    assert "Permission is hereby granted, free of charge" in (vendor / "LICENSE-preact").read_text(encoding="utf-8")
    assert "Apache License" in (vendor / "LICENSE-htm").read_text(encoding="utf-8")
    readme = (vendor / "README").read_text(encoding="utf-8")
    assert [path.name for path in vendor.glob("*.js") if path.name not in readme] == []

"""The layering of the two packages, read from their imports, and what it promises to a program that runs without torch."""

import ast
import json
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "featurestore" / "golden"
PACKAGES = ("featurestore", "trainers")
# The house: rooms of `featurestore` by floor. A room imports rooms of lower floors, and none of its own floor.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "version"),
    ("system", "progress"),
    ("sources", "metrics", "catalog", "ann"),
    ("imaging", "estimators"),
    ("encoders", "rendering"),
    ("storage",),
    ("ingest", "search", "metadata", "evaluation", "classification", "curation", "maintenance"),
    ("report",),
    ("store", "classifiers"),
    ("gallery",),
    ("cli",),
)
NEIGHBOURS = {("ingest", "metadata"), ("progress", "system")}  # on one floor: the first may import the second
ENGINES = {
    "duckdb": "catalog",
    "faiss": "ann",
    "onnxruntime": "encoders",
    "fsspec": "sources",
    "click": "cli",
    "jinja2": "rendering",
    "starlette": "gallery",
    "uvicorn": "gallery",
    "anyio": "gallery",
}
TRAINERS_UP_TO = 4  # the highest floor that trainers import
WORK_ON_STORES = {"trainers.demo", "trainers.scoring.score"}  # these go the whole road
ALONE = {  # what stands alone imports nothing of ours but errors and what is named here
    "featurestore.metrics": set(),
    "featurestore.estimators": {"featurestore.metrics"},
    "trainers.losses": set(),
    "trainers.models.heads": set(),
    "trainers.models.teacher": set(),
    "trainers.optimization.schedules": set(),
}


@cache
def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str, at_run_time: bool = True) -> frozenset[str]:
    """What a module imports anywhere in its text, dotted; without what stands under TYPE_CHECKING when `at_run_time`."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and at_run_time and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            origin = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                dotted = f"{origin}.{alias.name}"
                found.add(dotted if dotted in modules() else origin)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return frozenset(found)


def importers(library: str) -> list[str]:
    return sorted(m for m in modules() if any(name.split(".")[0] == library for name in imports(m, at_run_time=False)))


def is_ours(name: str) -> bool:
    return name.split(".")[0] in PACKAGES


def room(module: str) -> str:
    """The room that a module of `featurestore` is in: a folder, or a module at the root."""
    return module.split(".")[1] if "." in module else ""


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def test_the_reading_of_imports_is_right() -> None:
    """The other tests would pass on an empty list."""
    assert {"featurestore.errors", "featurestore.encoders.session", "hashlib"} <= imports(
        "featurestore.encoders.encoder"
    )
    assert "featurestore.catalog.schema" in imports("featurestore.catalog.migrate")
    assert len(modules()) > 20


def test_every_room_has_a_floor() -> None:
    rooms = {room(module) for module in modules() if module.startswith("featurestore.")}
    assert rooms == {name for names in FLOORS for name in names}


@pytest.mark.parametrize("module", sorted(m for m in modules() if m.startswith("featurestore.")))
def test_a_room_imports_only_lower_floors(module: str) -> None:
    own = room(module)
    for name in imports(module, at_run_time=False):
        other = room(name) if name.startswith("featurestore.") else ""
        if other and other != own and (own, other) not in NEIGHBOURS:
            assert floor(other) < floor(own), f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(m for m in modules() if m.startswith("trainers")))
def test_trainers_import_the_lower_floors_only(module: str) -> None:
    for name in imports(module, at_run_time=False):
        if name.startswith("featurestore.") and module not in WORK_ON_STORES:
            assert floor(room(name)) <= TRAINERS_UP_TO, f"{module} imports {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_code_is_installed(package: str) -> None:
    """An installation takes what setuptools finds, which are folders with an `__init__.py` under the names included."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert f"{package}*" in found["include"]
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_featurestore_never_imports_torch_or_trainers() -> None:
    found = {
        m for library in ("torch", "trainers", "torchvision", "timm", "lightning_fabric") for m in importers(library)
    }
    assert {m for m in found if m.split(".")[0] == "featurestore"} == set()


@pytest.mark.parametrize(("library", "owner"), ENGINES.items())
def test_each_engine_is_imported_in_one_room(library: str, owner: str) -> None:
    assert {room(m) for m in importers(library) if m.startswith("featurestore")} == {owner}


def test_of_the_trainers_only_int8_knows_an_engine() -> None:
    """It takes onnxruntime's tools for quantisation; what runs an encoder stays one module."""
    found = {
        m for library in ("duckdb", "faiss", "onnxruntime") for m in importers(library) if m.startswith("trainers")
    }
    assert found == {"trainers.export.quantize"}
    engine = {name for name in imports("trainers.export.quantize") if name.split(".")[0] == "onnxruntime"}
    assert {name.split(".")[1] for name in engine} == {"quantization"}


def test_of_the_trainers_only_the_command_line_knows_click() -> None:
    assert {m.split(".")[1] for m in importers("click") if m.startswith("trainers")} == {"cli"}


@pytest.mark.parametrize("part", ALONE)
def test_what_stands_alone_imports_nothing_of_ours_but_errors(part: str) -> None:
    own = [m for m in modules() if m == part or m.startswith(f"{part}.")]
    assert own
    for module in own:
        for name in imports(module, at_run_time=False):
            allowed = name == "featurestore.errors" or any(name.startswith(p) for p in (part, *ALONE[part]))
            assert allowed or not is_ours(name), f"{module} imports {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_imports_go_round_in_a_circle(package: str) -> None:
    own = [m for m in modules() if m.split(".")[0] == package and m != package]
    graph = {m: {name for name in imports(m) if name in own and name != m} for m in own}
    assert len(list(TopologicalSorter(graph).static_order())) == len(own)


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_sorted_and_there(package: str) -> None:
    tree = ast.parse(modules()[package].read_text())
    [names] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert names == sorted(names)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert set(names) <= imported | defined


# -- what it promises


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=60
    )


def test_the_command_line_loads_neither_torch_nor_trainers() -> None:
    code = """
import json, sys
import click
from featurestore.cli import MODULES, cli
for name in MODULES:
    cli.get_command(click.Context(cli), name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    done = python(code)
    assert (done.returncode, done.stderr) == (0, "")
    loaded = json.loads(done.stdout)
    assert {
        "torch",
        "trainers",
        "timm",
        "lightning_fabric",
        "sklearn",
        "onnx",
        "pandas",
        "matplotlib",
        "jinja2",
        "rich",
        "starlette",
        "uvicorn",
    } & set(loaded) == set()
    assert {"duckdb", "faiss", "onnxruntime"} & set(loaded) == {"duckdb", "faiss"}


BLOCKED = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "trainers", "timm", "lightning_fabric", "sklearn", "onnx", "onnxscript", "torchvision", "pandas", "matplotlib"}:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)
sys.meta_path.insert(0, Blocker())
from featurestore.cli import main
for words in (["index", *sys.argv[1:3], "--encoder", sys.argv[3], "--labels", "folders"], ["search", sys.argv[1], sys.argv[4]], ["knn", sys.argv[1], "--k", "1"]):
    sys.argv = ["featurestore", *words, "--json"]
    try:
        main()
    except SystemExit as done:
        assert not done.code, done.code
"""


def test_index_search_and_knn_need_no_training_library(tmp_path: Path) -> None:
    from PIL import Image

    broken_exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff"
    for name, colour in (
        ("warm/a.jpg", "red"),
        ("warm/b.jpg", "orange"),
        ("cold/c.jpg", "blue"),
        ("cold/d.jpg", "navy"),
    ):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), colour).save(tmp_path / "source" / name, exif=broken_exif)
    done = python(
        BLOCKED,
        str(tmp_path / "my.store"),
        str(tmp_path / "source"),
        str(GOLDEN / "encoder.onnx"),
        str(GOLDEN / "picture.jpg"),
    )
    said = [line.partition(",")[0] for line in done.stderr.splitlines()]
    assert said == ["4 images; 2 classes; 4 labels found", "one colour"]  # nor a warning of the broken EXIF blocks
    assert done.returncode == 0
    index, search, knn = json.loads("[" + done.stdout.replace("}\n[", "},\n[").replace("]\n{", "],\n{") + "]")
    assert index["added"] == 4
    assert sorted(hit["id"] for hit in search) == [1, 2, 3, 4]
    [result] = knn["results"]
    assert (result["k"], result["top1"], result["top1_ci95"][1]) == (1, 1.0, 1.0)

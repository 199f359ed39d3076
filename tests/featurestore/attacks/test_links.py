"""Links, pipes, devices and hard links in each place of a store: nothing outside the store is written or read, and nothing stalls."""

import os
import random
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.errors import FeatureStoreError, StoreUntrusted
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.attacks.places import BEYOND, IN_PLACE, KINDS, PLACES, WORDS, at_most, is_untrusted, put
from tests.featurestore.commands import Run

WHERE = "label = 'mixed'"
WRITING = {
    "index": ("index", "{store}", "{more}", "--labels", "folders"),
    "index another encoder": ("index", "{store}", "{more}", "--encoder", "{other}"),
    "label": ("label", "{store}", "{table}"),
    "annotate": ("annotate", "{store}", "{table}"),
    "classify --train": ("classify", "{store}", "--train", "--name", "kind", "--method", "ridge"),
    "delete": ("delete", "{store}", "--where", WHERE),
    "delete --forget": ("delete", "{store}", "--where", WHERE, "--forget"),
    "optimize": ("optimize", "{store}"),
    "verify --repair": ("verify", "{store}", "--repair"),
    "relocate": ("relocate", "{store}", "{colours}", "{more}", "--missing-ok"),
    "encoders --name": ("encoders", "{store}", "--name", "{encoder}", "mine"),
    "encoders --drop": ("encoders", "{store}", "--drop", "{encoder}"),
    "import-vectors": ("import-vectors", "{store}", "{exported}"),
    "sources --forget": ("sources", "{store}", "--forget", "{colours}"),
}
READING = {
    "search": ("search", "{store}", "id:1"),
    "info": ("info", "{store}"),
    "sql": ("sql", "{store}", "SELECT count(*) FROM items"),
    "knn": ("knn", "{store}"),
    "verify": ("verify", "{store}"),
    "export-vectors": ("export-vectors", "{store}", "{out}"),
}
COMMANDS = {**WRITING, **READING}
CASES = [case for case in product(PLACES, KINDS) if case[1] != "device" or os.geteuid() == 0]


@pytest.fixture(scope="session")
def words(
    tmp_path_factory: pytest.TempPathFactory, indexed: Path, colours: Path, encoder: Path, other_encoder: Path
) -> dict[str, str]:
    """What the commands take."""
    folder = tmp_path_factory.mktemp("given")
    more = Path(shutil.copytree(colours, folder / "more"))
    table = folder / "table.csv"
    table.write_text(f"path,label\n{colours / 'mixed' / 'cyan.png'},other\n")
    store = FeatureStore.open(indexed)
    store.export_vectors(folder / "exported.parquet")
    given = {"more": more, "table": table, "other": other_encoder, "colours": colours, "encoder": encoder}
    return {**{name: str(path) for name, path in given.items()}, "exported": str(folder / "exported.parquet")}


@pytest.fixture
def attack(
    tmp_path: Path, indexed: Path, words: dict[str, str], run: Run
) -> Callable[[str, str, str], tuple[int, str, str]]:
    """Run a command on a store with something strange in a place, and see that the canary lives."""

    def attacked(command: str, place: str, kind: str) -> tuple[int, str, str]:
        folder = tmp_path / f"{command} {place} {kind}".replace("/", "-")
        canary, store = Canary(folder / "canary"), Path(shutil.copytree(indexed, folder / "a.store"))
        path = put(store, place, kind, canary)
        beyond = folder / BEYOND
        before = beyond.read_bytes() if beyond.exists() else b""
        given = {**words, "store": str(store), "out": str(folder / "out.parquet")}
        with at_most(20):
            status, out, err = run(*(word.format(**given) for word in COMMANDS[command]))
        canary.check(out, err)
        assert before == (beyond.read_bytes() if beyond.exists() else b"")
        assert status in (0, 1)
        assert "Traceback" not in err
        if is_untrusted(place, kind) and command != "verify --repair":
            assert status == 1
            assert f"found {WORDS[kind]}" in out + err
            assert str(path.relative_to(store)) in out + err
        if is_untrusted(place, kind) and command == "verify --repair":
            assert not os.path.lexists(path) or path.is_file() or path.is_dir()
            assert run("verify", store)[1].count("found a") == 0
        if kind == "hard link" and place in IN_PLACE and command in WRITING and command != "verify --repair":
            assert status == 1
        shutil.rmtree(folder)
        return status, out, err

    return attacked


Attack = Callable[[str, str, str], tuple[int, str, str]]
SAMPLE = random.Random(7).sample([(command, *case) for command in COMMANDS for case in CASES], 12)


@pytest.mark.parametrize(("command", "place", "kind"), SAMPLE)
def test_some_places_by_some_commands(attack: Attack, command: str, place: str, kind: str) -> None:
    attack(command, place, kind)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_place_by_every_command(attack: Attack, command: str) -> None:
    for place, kind in CASES:
        attack(command, place, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_from_python(tmp_path: Path, indexed: Path, kind: str) -> None:
    for number, place in enumerate(place for place, of in CASES if of == kind):
        folder = tmp_path / str(number)
        canary, store = Canary(folder / "canary"), Path(shutil.copytree(indexed, folder / "a.store"))
        path = put(store, place, kind, canary)
        if is_untrusted(place, kind):
            with pytest.raises(StoreUntrusted, match=rf"expected a \w+ of the store, found {WORDS[kind]}") as raised:
                FeatureStore.open(store)
            assert str(raised.value).startswith(f"{path}: ")
        canary.check()


LATE = {  # what a process does that had the store open before
    "label": lambda store, words: store.label(words["table"]),
    "index": lambda store, words: store.index(words["more"]),
    "delete": lambda store, words: store.delete(WHERE),
    "optimize": lambda store, words: store.optimize(),
    "drop": lambda store, words: store.drop_encoder(words["encoder"]),
    "search": lambda store, words: store.search(1),
    "sql": lambda store, words: store.sql("SELECT 1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("action", LATE)
def test_what_appears_after_the_opening_is_refused_too(
    tmp_path: Path, indexed: Path, words: dict[str, str], action: str
) -> None:
    for number, (place, kind) in enumerate(CASES):
        folder = tmp_path / str(number)
        canary, path = Canary(folder / "canary"), Path(shutil.copytree(indexed, folder / "a.store"))
        store = FeatureStore.open(path)
        put(path, place, kind, canary)
        try:
            with at_most(20):
                LATE[action](store, words)
        except StoreUntrusted:
            assert is_untrusted(place, kind) or kind == "hard link"
        except FeatureStoreError:
            pass  # a file that it needs is missing, or another one
        else:
            assert not is_untrusted(place, kind) or action in ("search", "sql")
        canary.check()
        shutil.rmtree(folder)

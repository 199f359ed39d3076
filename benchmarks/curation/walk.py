"""The walk of the guide: ten faults of each kind are planted into a collection, and the commands of `docs/guides/clean.md` look for them."""

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from benchmarks.curation.foreign import drawn
from benchmarks.tables import table
from featurestore import FeatureStore, curation
from featurestore.curation.pairs import EXACT, MIRRORED, NEAR

FAULTS = 10  # of each kind
LOOKS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "dark": lambda picture: ImageEnhance.Brightness(picture).enhance(0.08),
    "light": lambda picture: Image.blend(picture, Image.new("RGB", picture.size, "white"), 0.93),
    "empty": lambda picture: Image.blend(picture, Image.new("RGB", picture.size, (120, 120, 120)), 0.97),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(6)),
    "tiny": lambda picture: picture.resize((24, 20)),
    "wide": lambda picture: picture.resize((900, 60)),
}


@click.command()
@click.argument("collection", type=click.Path(path_type=Path, exists=True))
@click.argument("foreign", type=click.Path(path_type=Path, exists=True))
@click.option("--encoder", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--seed", default=0, show_default=True)
def walk(collection: Path, foreign: Path, encoder: Path, seed: int) -> None:
    """Plant ten faults of each kind into COLLECTION, a folder with train and test, and look for them. FOREIGN: where strange images come from."""
    with tempfile.TemporaryDirectory() as work:
        own = Path(work) / "own"
        shutil.copytree(collection, own)
        planted = plant(own, foreign, random.Random(seed))
        store = FeatureStore.open(Path(work) / "walk.store", encoder)
        store.index(own, labels="folders")
        store.label(wrong_labels(store, own, planted, random.Random(seed)))
        table(["fault", "planted", "found", "among"], rows(store, planted))


def plant(own: Path, foreign: Path, rng: random.Random) -> dict[str, set[str]]:
    """Write the faults that are files beside the images of a collection; gives their paths by kind."""
    train = sorted(path for path in (own / "train").rglob("*") if path.is_file())
    sources = iter(rng.sample(train, FAULTS * (len(LOOKS) + 4)))
    planted: dict[str, set[str]] = {}

    def write(kind: str, number: int, picture: Image.Image, folder: Path) -> None:
        path = folder / f"{kind}-{number}.png"
        picture.save(path)
        planted.setdefault(kind, set()).add(str(path))

    for number in range(FAULTS):
        for kind, change in LOOKS.items():
            source = next(sources)
            write(kind, number, change(Image.open(source).convert("RGB")), source.parent)
        for kind, copy in (
            (NEAR, lambda picture: picture.crop((0, 0, round(picture.width * 0.9), round(picture.height * 0.85)))),
            (MIRRORED, ImageOps.mirror),
        ):
            source = next(sources)
            write(kind, number, copy(Image.open(source).convert("RGB")), source.parent)
        source = next(sources)
        same = source.with_name(f"exact-{number}{source.suffix}")
        shutil.copy(source, same)
        planted.setdefault(EXACT, set()).add(str(same))
        source = next(sources)
        leak = own / "test" / source.parent.name
        leak.mkdir(exist_ok=True)
        write("leak", number, Image.open(source).convert("RGB"), leak)
    for number, path in enumerate(drawn(foreign, FAULTS, 0)):
        write("foreign", number, Image.open(path).convert("RGB"), rng.choice(train).parent)
    return planted


def wrong_labels(store: FeatureStore, own: Path, planted: dict[str, set[str]], rng: random.Random) -> Path:
    """Write a table of labels that are wrong, of images that have no other fault."""
    faulty = set().union(*planted.values())
    items = store.sql("SELECT path, label FROM items WHERE split = 'train' ORDER BY path").to_pylist()
    labels = sorted({item["label"] for item in items})
    chosen = rng.sample([item for item in items if item["path"] not in faulty], FAULTS)
    planted["wrong label"] = {item["path"] for item in chosen}
    lines = [f"{item['path']},{rng.choice([label for label in labels if label != item['label']])}\n" for item in chosen]
    file = own.parent / "wrong.csv"
    file.write_text("path,label\n" + "".join(lines))
    return file


def rows(store: FeatureStore, planted: dict[str, set[str]]) -> list[list[str]]:
    """Run the commands, and count what they find."""
    duplicates, leaks = curation.duplicates(store), curation.leaks(store)
    outliers, suspects = curation.outliers(store), curation.label_errors(store)
    found: list[tuple[str, int, str]] = []
    for kind in (EXACT, NEAR, MIRRORED):
        groups = [{item.path for item in group.items} for group in duplicates.groups if group.kind == kind]
        hits = sum(any(path in group for group in groups) for path in planted[kind])
        found.append((kind, hits, f"{len(groups)} groups"))
    crossing = {path for leak in leaks.pairs for path in (leak.a, leak.b)}
    found.append(("leak", len(crossing & planted["leak"]), f"{len(leaks.pairs)} pairs"))
    for kind in LOOKS:
        named = {item.path for item in outliers.items if kind in item.reasons}
        found.append((kind, len(named & planted[kind]), f"{len(named)} so named"))
    first = 3 * FAULTS * (len(LOOKS) + 1) // 2
    odd = {item.path for item in outliers.items[:first]}
    found.append(("foreign", len(odd & planted["foreign"]), f"the {first} oddest"))
    listed = {suspect.path for suspect in suspects.suspects[: 3 * FAULTS]}
    found.append(("wrong label", len(listed & planted["wrong label"]), f"the first {len(listed)} suspects"))
    return [[kind, str(FAULTS), str(hits), among] for kind, hits, among in found]

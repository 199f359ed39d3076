"""Write the parts of docs/reference that follow from the code: `python -m docs.generate_reference`, or `make docs`.

A page marks such a part by `<!-- generated: NAME -->` and `<!-- end -->`. What stands between the two is replaced; the rest is
written by hand.
"""

import dataclasses
import inspect
import math
import re
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

REFERENCE = Path(__file__).parent / "reference"
PART = re.compile(r"(<!-- generated: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(text: str) -> str:
    """Fill every marked part of a page; raises KeyError for a name that no function below has."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", text)


# -- commands


def commands() -> str:
    """Every command with its arguments and options, read from click."""
    from featurestore.cli import cli

    context = click.Context(cli, info_name="featurestore")
    return "\n\n".join(_command(name, cli.get_command(context, name)) for name in cli.list_commands(context))


def _command(name: str, command: click.Command | None) -> str:
    assert command is not None
    context = click.Context(command, info_name=f"featurestore {name}")
    usage = " ".join([f"featurestore {name}", *command.collect_usage_pieces(context)])
    options = [p for p in command.get_params(context) if isinstance(p, click.Option) and "--help" not in p.opts]
    parts = [f"### {name}", f"```\n{usage}\n```", _paragraphs(command.help or "")]
    if options:
        parts.append(table(("option", "meaning", "default"), (_option(option, context) for option in options)))
    return "\n\n".join(parts)


def _paragraphs(text: str) -> str:
    return "\n\n".join(_escape(" ".join(p.split())) for p in inspect.cleandoc(text).split("\n\n") if p.strip("\b\n "))


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        names += f" / {', '.join(option.secondary_opts)}"
    if not option.is_flag and not option.count:
        names += f" {option.make_metavar(context)}"
    record = option.get_help_record(context)
    text = record[1] if record else option.help or ""
    # Default and range stand at the end of the help, in brackets, written by click or by hand.
    found = re.search(r"(\s*\[[^\[\]]*\])+$", text)
    notes = re.findall(r"\[([^\[\]]*)\]", found[0]) if found else []
    default = "; ".join(note.removeprefix("default: ") for note in notes)
    return f"`{_escape(names)}`", _escape(text[: found.start()] if found else text), _escape(default)


# -- settings of a training

LIMITS = {
    "least": "at least {}",
    "above": "more than {}",
    "most": "at most {}",
    "below": "less than {}",
    "multiple_of": "a multiple of {}",
}
MEANINGS = {  # of settings whose field has no comment, by the last part of their name
    "method": "training method",
    "backbone": "network: a timm name, or conv4",
    "recipe": "auto: what is not given is chosen by the number and size of the images",
    "seed": "of weights, order and augmentation",
    "device": "where the training runs",
    "precision": "auto: bfloat16 where the hardware has it",
    "compile": "compile the backbone with torch.compile",
    "stop_on_collapse": "end the run when the vectors collapse",
    "name": "the optimizer",
    "crop_max": "largest share of the picture's area that a view shows",
    "brightness": "strength in the colour jitter",
    "contrast": "strength in the colour jitter",
    "saturation": "strength in the colour jitter",
    "blur": "probability of blur, for each of the two views",
    "solarize": "probability of inverted bright pixels, for each of the two views",
    "hidden": "width of the hidden layers of the head",
    "dim": "length of the projection that the loss sees",
    "temperature": "of the softmax over scores; lower is stricter",
    "student_temperature": "of the student's softmax",
    "teacher_temperature": "of the teacher's softmax",
    "teacher_temperature_start": "of the teacher's softmax at the start",
    "centre_momentum": "of the running mean that is subtracted from the teacher's output",
    "prototypes": "number of outputs of the head, which the softmax compares",
    "bottleneck": "width of the layer before the prototypes",
    "local_crops": "number of small crops besides the two large views",
    "local_size": "side of a local crop as a share of the view's",
    "local_max": "largest share of the picture's area in a local crop",
    "local_min": "smallest share of the picture's area in a local crop",
    "decoder_dim": "width of the decoder",
    "decoder_depth": "blocks of the decoder",
    "decoder_heads": "attention heads of the decoder",
    "layers": "layers of the head",
    "head": "layers of the head: one, or two",
    "momentum": "of the teacher: the share that it keeps in a step",
    "queue": "number of keys",
    "groups": "parts of the batch with BatchNorm statistics of their own",
    "slices": "number of random directions",
    "weight": "of SIGReg",
    "mask": "share of the patches that are hidden",
}


def settings() -> str:
    """Every setting with its type, default, range and meaning, read from the dataclasses."""
    from trainers.config.schema import Config

    hints = typing.get_type_hints(Config)
    nested = [f.name for f in dataclasses.fields(Config) if dataclasses.is_dataclass(hints[f.name])]
    parts = ["### General", _settings(Config, "", skip={"settings", *nested})]
    for name in nested:
        parts += [f"### `{name}`", _settings(hints[name], f"{name}.")]
    for title, names, cls in _method_classes():
        parts += [f"### `{title}`", f"Of {', '.join(f'`{n}`' for n in names)}."]
        parts.append(_settings(cls.Settings, f"{title}."))
    return "\n\n".join(parts)


def methods() -> str:
    """Every method with its help line and the defaults that it changes."""
    from trainers.methods import METHODS

    rows = []
    for name in sorted(METHODS):
        changed = "; ".join(f"`{key} = {value}`" for key, value in _changed(name))
        rows.append((f"`{name}`", _method_help(name), changed))
    return table(("`--method`", "what it is", "defaults that it changes"), rows)


def _method_class(name: str) -> Any:
    from trainers.methods import METHODS

    entry: Any = METHODS[name]
    return entry if isinstance(entry, type) else entry.method


def _method_classes() -> list[tuple[str, list[str], Any]]:
    """Classes of methods, each with the names that it serves; the first name stands for its table."""
    from trainers.methods import METHODS

    classes: dict[Any, list[str]] = {}
    for name in sorted(METHODS):
        classes.setdefault(_method_class(name), []).append(name)
    return [(names[0], names, cls) for cls, names in classes.items()]


def _method_help(name: str) -> str:
    cls = _method_class(name)
    variant = getattr(cls, "variants", {}).get(name)
    text = getattr(variant, "help", "") or getattr(cls, "help", "") or cls.__doc__
    return _escape(_first_sentence(text or inspect.getmodule(cls).__doc__))


def _changed(name: str) -> Iterable[tuple[str, Any]]:
    """Settings whose default for this method differs from the field's own, without a recipe and for large images."""
    from trainers.config.resolve import resolve
    from trainers.config.schema import Config

    found = resolve({"method": name, "recipe": "none", "image_size": 224})
    plain = {**_flat(Config()), **{f"{name}.{k}": v for k, v in _flat(_method_class(name).Settings()).items()}}
    for key, value in {**_flat(found), **{f"{name}.{k}": v for k, v in _flat(found.settings).items()}}.items():
        if plain.get(key) != value and key not in ("method", "recipe", "image_size", "settings"):
            yield key, _shown(value)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for f in dataclasses.fields(value):
        inner = getattr(value, f.name)
        if f.name == "settings":
            continue
        found |= _flat(inner, f"{prefix}{f.name}.") if dataclasses.is_dataclass(inner) else {f"{prefix}{f.name}": inner}
    return found


def _settings(cls: Any, prefix: str, skip: Iterable[str] = ()) -> str:
    comments, hints = _comments(cls), typing.get_type_hints(cls)
    rows = []
    for f in dataclasses.fields(cls):
        if f.name not in skip:
            meaning = f.metadata.get("help") or comments.get(f.name) or MEANINGS.get(f.name, "")
            default = f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
            rows.append(
                (f"`{prefix}{f.name}`", _type(hints[f.name]), f"`{_shown(default)}`", _range(f), _escape(meaning))
            )
    return table(("key", "type", "default", "range", "meaning"), rows)


def _range(f: "dataclasses.Field[Any]") -> str:
    """The limits in the field's metadata, in words."""
    limits = {key: value for key, value in f.metadata.items() if key != "help" and value not in (math.inf, -math.inf)}
    return _escape(", ".join(LIMITS.get(key, f"{key} {{}}").format(_limit(value)) for key, value in limits.items()))


def _limit(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _type(hint: Any) -> str:
    text = hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
    literal = re.search(r"Literal\[(.*?)\]", text)
    if literal:
        text = text.replace(f"typing.{literal[0]}", literal[1].replace("'", "`").replace(", ", " or "))
    text = re.sub(r"tuple(\[.*?\])", r"\1", text)
    return _escape(text.replace("typing.", "").replace(" | None", ", or none"))


def _shown(value: Any) -> str:
    """A value as TOML writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_shown(v) for v in value)}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _comments(cls: Any) -> dict[str, str]:
    """The comments of a dataclass's fields: at the end of the line, or on the lines above it."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(cls).splitlines():
        if line.strip().startswith("#"):
            above.append(line.strip("# "))
            continue
        field = re.match(r"\s{4}(\w+): ", line)
        if field:
            _, _, comment = line.partition("  # ")
            found[field[1]] = " ".join([*above, comment.strip()]).strip()
        above = []
    return found


# -- the catalog

COLUMNS = {
    "meta": ("One row about the catalog itself.", {"schema_version": "version of this schema", "next_item": "the next free id"}),
    "all_items": (
        "One row for each image that the store has known. The view `items` shows the rows whose `removed_at` is empty, without that column.",
        {
            "id": "never reused",
            "path": "absolute path, URL, or `CONTAINER::MEMBER`; unique",
            "label": "text; empty where there is no label",
            "split": "`train`, `val`, `test` or your own",
            "width": "pixels, after EXIF orientation",
            "height": "pixels, after EXIF orientation",
            "bytes": "size of the file",
            "mtime_ns": "time of the last change of the file, in nanoseconds; of an image in a container, that of the container",
            "sha256": "of the file's bytes",
            "added_at": "when the item was first indexed",
            "removed_at": "when the file was found missing or unreadable; empty while it is there",
        },
    ),
    "encoders": (
        "One row for each encoder of the store.",
        {
            "fingerprint": "SHA-256 of the ONNX file",
            "name": "short name, such as `simclr-9b540aa0`",
            "dim": "length of a vector",
            "rows": "rows of its vector file that count",
            "card": "JSON: the card of the encoder file",
            "added_at": "when it was first used in this store",
            "file": "name of its vector file in `vectors/`",
        },
    ),
    "vectors": (
        "One row for each vector of an item.",
        {
            "item": "id of the item",
            "encoder": "fingerprint of the encoder",
            "row": "position in the vector file",
            "sha256": "content of the image that was encoded",
        },
    ),
    "blocks": (
        "Checksums of the vector files. A block is what one commit appended. Blocks follow each other without gaps.",
        {
            "encoder": "fingerprint of the encoder",
            "first": "first row of the block",
            "rows": "number of rows",
            "sha256": "of the bytes of these rows",
        },
    ),
    "failures": (
        "One row for each file that could not be used.",
        {"path": "as in `all_items`", "reason": "one line", "seen_at": "when it failed last"},
    ),
    "indexes": (
        "One row for each search index.",
        {
            "encoder": "fingerprint of the encoder",
            "generation": "counts up with every new index",
            "file": "name of the file in `indexes/`",
            "vectors": "name of the vector file that it covers",
            "rows": "it covers the first so many rows of that file",
            "bytes": "size of the index file",
            "sha256": "of the index file",
            "card": "JSON: kind, settings, measured recall",
            "built_at": "when `optimize` built it",
        },
    ),
    "classifiers": (
        "One row for each classifier that `classify --train` made.",
        {
            "name": "also the name of the column that it fills",
            "encoder": "fingerprint of the encoder whose vectors it learned from",
            "method": "`logistic`, `nearest-mean` or `ridge`",
            "card": "JSON: classes, temperature, measured figures",
            "weights": "little-endian float32, C order, shape (D + 1, C): the factors of the vector, then the offsets",
            "sha256": "of card and weights",
            "trained_at": "when it was trained",
            "applied_at": "when its columns were last filled; empty: the columns of this name are not its own",
        },
    ),
}  # fmt: skip


def catalog() -> str:
    """Every table and column with its type, read from the schema that is used."""
    from featurestore.catalog.schema import SCHEMA, SCHEMA_VERSION

    parts = [f"The schema has version {SCHEMA_VERSION}."]
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\);", re.sub(r"--.*", "", SCHEMA), re.DOTALL):
        about, meanings = COLUMNS[name]
        columns = [tuple(column.split(maxsplit=1)) for column in body.replace("\n", " ").split(",")]
        rows = [(f"`{column}`", kind.strip(), meanings[column]) for column, kind in columns]
        parts += [f"### {name}", about, table(("column", "type", "meaning"), rows)]
    return "\n\n".join(parts)


# -- errors and Python


def errors() -> str:
    """The tree of errors, as their module shows it."""
    from featurestore import errors as module

    _, _, tree = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    return f"```\n{tree.strip()}\n```"


def python() -> str:
    """The public names of both packages, and the methods of FeatureStore."""
    import featurestore
    import trainers

    parts = []
    for package in (featurestore, trainers):
        rows = []
        for name in package.__all__:
            doc = inspect.getdoc(getattr(package, name)) if not isinstance(getattr(package, name), str) else ""
            rows.append((f"`{package.__name__}.{name}`", _escape(_first_sentence(doc))))
        parts.append(table(("name", "what"), rows))
    parts.append("### FeatureStore")
    store = featurestore.FeatureStore
    inner = {name for base in store.__mro__ if base.__name__ == "Storage" for name in vars(base)} - {"open"}
    for name, member in inspect.getmembers(store):
        if not name.startswith("_") and callable(member) and name not in inner:
            signature = re.sub(r"^\((self|cls)(, )?", "(", str(inspect.signature(member)))
            parts.append(
                f"**`{name}`**\n\n```python\n{name}{_plain(signature)}\n```\n\n{_paragraphs(inspect.getdoc(member) or '')}"
            )
    return "\n\n".join(parts)


def _plain(signature: str) -> str:
    """A signature without the modules of its types."""
    return re.sub(r"(?<![\w'\"])(?:[a-z_]+\.)+(?=[A-Z])", "", re.sub(r"(?:[a-z_]+\.)+(?=[A-Za-z])", "", signature))


# -- text


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a Markdown table."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\b", "")


def _first_sentence(doc: str | None) -> str:
    text = " ".join((doc or "").strip().split("\n\n")[0].split())
    return re.split(r"(?<=[a-z)\]`])\. (?=[A-Z])", text)[0].removesuffix(".")


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands, "settings": settings, "methods": methods, "catalog": catalog, "errors": errors, "python": python,
}  # fmt: skip


def main() -> None:
    """Rewrite the pages that have marked parts."""
    for page in sorted(REFERENCE.glob("*.md")):
        old = page.read_text(encoding="utf-8")
        new = render(old)
        if new != old:
            page.write_text(new, encoding="utf-8")
            print(page)


if __name__ == "__main__":
    main()

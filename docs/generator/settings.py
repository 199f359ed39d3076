"""Methods and settings of a training, read from the dataclasses."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterable
from typing import Any

from docs.generator.text import escape, first_sentence, table
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.methods import METHODS
from trainers.settings import LIMITS, limits_of

MEANINGS = {  # of settings whose field has no comment, by the last part of their name
    "method": "training method",
    "backbone": "network: a timm name, or conv4",
    "recipe": "auto: what is not given is chosen by the number and size of the images",
    "seed": "of weights, order and augmentation",
    "device": "where the training runs",
    "precision": "auto: bfloat16 where the hardware has it; float16 on GPUs that are fast at that alone",
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
    hints = typing.get_type_hints(Config)
    nested = [f.name for f in dataclasses.fields(Config) if dataclasses.is_dataclass(hints[f.name])]
    parts = ["### General", _settings(Config, "", skip={"settings", *nested})]
    for name in nested:
        parts += [f"### `{name}`", _settings(hints[name], f"{name}.")]
    for title, names, cls in _method_classes():
        parts.append(f"### `{title}`")
        parts += [f"The same for `{name}`, in a table of that name." for name in names[1:]]
        parts.append(_settings(cls.Settings, f"{title}."))
    return "\n\n".join(parts)


def methods() -> str:
    """Every method with its help line and the defaults that it changes."""
    rows = []
    for name in sorted(METHODS):
        changed = "; ".join(f"`{key} = {value}`" for key, value in _changed(name))
        module = inspect.getmodule(METHODS[name])
        what = escape(first_sentence(module.__doc__ if module else ""))
        rows.append((f"`{name}`", what, escape(METHODS[name].variants[name].help), changed))
    return table(("`--method`", "what it is", "good for", "defaults that it changes"), rows)


def _method_classes() -> list[tuple[str, list[str], Any]]:
    """Classes of methods, each with the names that it serves; the first name stands for its table."""
    classes: dict[Any, list[str]] = {}
    for name in sorted(METHODS):
        classes.setdefault(METHODS[name], []).append(name)
    return [(names[0], names, cls) for cls, names in classes.items()]


def _changed(name: str) -> Iterable[tuple[str, Any]]:
    """Settings whose default for this method differs from the field's own, without a recipe and for large images."""
    found = resolve({"method": name, "recipe": "none", "image_size": 224})
    plain = {**_flat(Config()), **{f"{name}.{k}": v for k, v in _flat(METHODS[name].Settings()).items()}}
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
            meaning = comments.get(f.name) or MEANINGS.get(f.name, "")
            default = f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
            rows.append(
                (f"`{prefix}{f.name}`", _type(hints[f.name]), f"`{_shown(default)}`", _range(f), escape(meaning))
            )
    return table(("key", "type", "default", "range", "meaning"), rows)


def _range(f: "dataclasses.Field[Any]") -> str:
    """The limits in the field's metadata, in words."""
    words = [LIMITS[key][0].format(_limit(value)) for key, value in limits_of(f).items()]
    if "usual" in f.metadata:
        low, high = f.metadata["usual"]
        words.append(f"usually {low:g} to {high:g}")
    return escape(", ".join(words))


def _limit(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _type(hint: Any) -> str:
    text = hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
    literal = re.search(r"Literal\[(.*?)\]", text)
    if literal:
        text = text.replace(f"typing.{literal[0]}", literal[1].replace("'", "`").replace(", ", " or "))
    text = re.sub(r"tuple(\[.*?\])", r"\1", text)
    return escape(text.replace("typing.", "").replace(" | None", ", or none"))


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
    classes: list[Any] = [base for base in reversed(cls.__mro__) if dataclasses.is_dataclass(base)]
    for line in (line for base in classes for line in inspect.getsource(base).splitlines()):
        if line.strip().startswith("#"):
            above.append(line.strip("# "))
            continue
        field = re.match(r"\s{4}(\w+): ", line)
        if field:
            _, _, comment = line.partition("  # ")
            found[field[1]] = " ".join([*above, comment.strip()]).strip()
        above = []
    return found

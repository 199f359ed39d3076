"""The page of matches: one HTML file with all pictures inside, for any browser, without scripts."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from featurestore.errors import ImageError
from featurestore.rendering.html import PALETTE, SANS, address, embedded, text
from featurestore.rendering.thumbnails import thumbnail
from featurestore.system.disk import written_whole

if TYPE_CHECKING:
    from featurestore.rendering.shown import Shown

SIDE = 320  # pixels of a thumbnail's longer side

HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{palette}body {{ margin: 0 auto; max-width: 1600px; padding: 28px 24px 48px; background: var(--paper); color: var(--ink);
  font: 14px/1.45 {sans}; }}
h1 {{ margin: 0 0 20px; font-size: 20px; font-weight: 600; }}
h1 small {{ font-size: 14px; font-weight: 400; color: var(--pale); }}
.examples, .hits {{ display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(176px, 40vw), 1fr)); }}
.examples {{ margin-bottom: 24px; padding-bottom: 24px; border-bottom: 1px solid var(--line); }}
figure {{ margin: 0; min-width: 0; overflow: hidden; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }}
.hits figure {{ content-visibility: auto; contain-intrinsic-size: auto 190px auto 250px; }}
.example {{ border: 2px solid var(--accent); }}
.negative {{ border: 2px solid var(--negative); }}
.picture {{ display: flex; align-items: center; justify-content: center; aspect-ratio: 1; background: var(--well); }}
.picture img {{ width: 100%; height: 100%; object-fit: contain; }}
.picture img.tiny {{ image-rendering: pixelated; }}
.missing {{ padding: 16px; text-align: center; color: var(--pale); overflow-wrap: anywhere; }}
figcaption {{ padding: 8px 10px 10px; }}
.line {{ display: flex; gap: 8px; align-items: baseline; }}
.rank {{ color: var(--pale); }}
.role {{ font-weight: 600; color: var(--accent); }}
.negative .role {{ color: var(--negative); }}
.label {{ min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 600; }}
.score {{ margin-left: auto; font-variant-numeric: tabular-nums; }}
.rank, .id {{ font-variant-numeric: tabular-nums; }}
.path {{ margin-top: 2px; font-size: 12px; color: var(--pale); overflow-wrap: anywhere; }}
.path b {{ display: inline-block; max-width: 100%; font-weight: 500; color: var(--ink); }}
.id {{ font-size: 12px; color: var(--pale); }}
a {{ color: inherit; text-decoration: none; }}
a:hover b {{ text-decoration: underline; }}
</style>
"""


def write(path: Path, title: str, note: str, examples: Sequence["Shown"], hits: Sequence[dict[str, Any]]) -> None:
    """Write a page of the examples that were searched by, and of hits as `Matches.to_json` gives them, best first.

    A file that cannot be read gets a grey tile with its reason. Raises DiskError.
    """
    with written_whole(path, "expected a name such as hits.html in a folder that is there") as part, part.open("w", encoding="utf-8") as file:  # fmt: skip
        file.write(HEAD.format(title=text(title), palette=PALETTE, sans=SANS))
        file.write(f"<h1>{text(title)} <small>{text(note)}</small></h1>\n")
        if examples:
            file.write('<section class="examples" aria-label="what was searched by">\n')
            for example in examples:
                file.write(_example(example))
            file.write("</section>\n")
        file.write('<section class="hits" aria-label="hits">\n')
        for hit in hits:
            file.write(_hit(hit))
        file.write("</section>\n</html>\n")


def _example(example: "Shown") -> str:
    kind, role = ("negative", "not") if example.negative else ("example", "query")
    path = example.picture if isinstance(example.picture, str) else None
    name = "" if path == example.name else _label(example.name)
    return f"""<figure class="{kind}">{_picture(example.picture, example.name)}
<figcaption><div class="line"><span class="role">{role}</span>{name}</div>{_place(path)}</figcaption></figure>
"""


def _hit(hit: dict[str, Any]) -> str:
    label = _label(hit["label"]) if hit["label"] else ""
    return f"""<figure>{_picture(hit["path"], hit["path"])}
<figcaption><div class="line"><span class="rank">{hit["rank"]}</span>{label}<span class="score">{hit["score"]:.4f}</span></div>
{_place(hit["path"])}<div class="id">id {hit["id"]}</div></figcaption></figure>
"""


def _picture(picture: Image.Image | str | None, name: str) -> str:
    if picture is None:
        return '<div class="picture"><div class="missing">no picture</div></div>'
    try:
        small = thumbnail(picture, SIDE)
    except ImageError as error:
        return f'<div class="picture"><div class="missing">{text(error)}</div></div>'
    tiny = ' class="tiny"' if max(small.size) <= SIDE // 4 else ""
    return f'<div class="picture"><img{tiny} alt="{text(name)}" src="{embedded(small)}"></div>'


def _label(label: str) -> str:
    return f'<span class="label" title="{text(label)}">{text(label)}</span>'


def _place(path: str | None) -> str:
    """Where an image lies, its name first to the eye; a file, or what a browser can fetch, is linked."""
    if path is None:
        return ""
    folder, slash, name = path.rpartition("/")
    shown = f"{text(folder + slash)}<b>{text(name)}</b>"
    url = address(path)
    linked = shown if url is None else f'<a href="{escape(url)}">{shown}</a>'
    return f'<div class="path">{linked}</div>'

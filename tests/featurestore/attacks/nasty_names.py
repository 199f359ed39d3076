"""Names that strangers give: each tries to act on a terminal, a page, a query, a spreadsheet or the reader's eye.

And what is forbidden, written down apart from the code that is tested.
"""

import re
from collections.abc import Iterable

# What must never reach a terminal or the text of a page: code points that act on it, reorder or hide text, or start a line.
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0001\U000e0020-\U000e007f]"
)
FORGED = "forged: deleted everything"  # a line of output that begins so was forged by a name

NASTY = {
    "colour": "\x1b[31mred\x1b[0m",
    "clear screen": "\x1b[2J\x1b[H",
    "window title": "\x1b]0;title\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4K\x07",
    "hyperlink": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "answer back": "\x1b[c\x05",
    "device control": "\x1bP$q m\x1b\\",
    "alternate screen": "\x1b[?1049h",
    "C1 sequence": "\x9b31mred",
    "C1 command": "\x9d0;title\x9c",
    "next line": f"a\x85{FORGED}",
    "new line": f"a\n{FORGED}",
    "carriage return": f"a\r{FORGED}",
    "both": f"a\r\n{FORGED}",
    "backspaces": "safe\b\b\b\bevil",
    "tab": "a\tb",
    "vertical tab": "a\vb\fc",
    "null": "a\x00b",
    "delete": "a\x7fb",
    "bell": "\a\a\a",
    "shift out": "\x0eabc\x0f",
    "unit separators": "a\x1cb\x1db\x1eb\x1fc",
    "line separator": f"a\u2028{FORGED}",
    "paragraph separator": f"a\u2029{FORGED}",
    "override": "photo\u202egpj.exe",
    "embedding": "\u202aa\u202bb\u202c",
    "isolates": "\u2066a\u2067b\u2068c\u2069",
    "open isolate": "\u2067never closed",
    "marks of direction": "a\u200eb\u200fc\u061cd",
    "Arabic": "\u0634\u062c\u0631\u0629 12",
    "Hebrew with mark": "\u05e2\u05e5\u200f",
    "Persian with joiner": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "emoji of a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "zero width": "ro\u200bse",
    "joiner between Latin": "ro\u200dse",
    "byte order mark": "\ufeffrose",
    "soft hyphen": "ro\xadse",
    "word joiner": "ro\u2060se",
    "tag characters": "rose\U000e0001\U000e0072\U000e006d",
    "annotation": "\ufff9a\ufffab\ufffb",
    "selectors": "rose" + "\ufe01" * 50,
    "Zalgo": "r" + "\u0301\u0338\u0489" * 400 + "ose",
    "script": "<script>document.title='pwned'</script>",
    "image": "<img src=x onerror=\"document.title='pwned'\">",
    "end of title": "</title><script>document.title='pwned'</script>",
    "end of style": "</style></script><script>document.title='pwned'</script>",
    "end of comment": "--></textarea><svg onload=document.title='pwned'>",
    "end of attribute": "\" onmouseover=\"document.title='pwned'\" x=\"",
    "end of single quote": "' onclick='document.title=1' x='",
    "elsewhere": '<link rel=stylesheet href="http://127.0.0.1:9/x"><iframe src="http://127.0.0.1:9/"></iframe>',
    "entity": "&lt;b&gt; &amp;#60; &#x202e;",
    "script URL": "javascript:document.title='pwned'",
    "data URL": "data:text/html,<script>document.title='pwned'</script>",
    "template": "{{ 7 * 7 }}{% for x in y %}{# #}${7*7}",
    "format": "%s%n%(x)s{}{0}{x!r}",
    "markup of rich": "[bold red]a[/bold] [link=http://127.0.0.1:9]b[/link] [/]",
    "emoji code": ":smile:",
    "Markdown": "](javascript:alert(1)) | a | **b** `c` <b> # $x$",
    "TeX": r"$\frac{a}$ \input{/etc/passwd}",
    "formula": "=cmd|'/c calc'!A0",
    "formulas": "+1+1,@SUM(1),-2+3",
    "SQL": "'; DROP TABLE all_items; --",
    "SQL identifier": '"; DROP TABLE all_items; --"',
    "shell": "$(touch pwned); `touch pwned` & | > x",
    "option": "--help",
    "path": "../../../../etc/passwd",
    "fragment": "a#b?c%00%2e%2e;d&e=f+g",
    "spaces": "   ",
    "quotes": "'\"`",
    "backslashes": "a\\x1b[31m\\n\\",
    "not a number": "NaN",
}  # fmt: skip
LONG = "long" * 25_000  # 100 kB
NOT_UTF8 = "caf\udce9"  # as Python reads the byte 0xE9 of a name


def printed(text: str) -> list[str]:
    """Return what of an output must not be in it: forbidden characters with what stands around them, and forged lines."""
    found = [text[max(0, hit.start() - 30) : hit.end() + 30] for hit in FORBIDDEN.finditer(text)]
    return found + [line for line in text.split("\n") if line.lstrip().startswith(FORGED)]


def fits_a_file(name: str) -> bool:
    """Whether a file may have this name."""
    return "/" not in name and "\0" not in name and len(name.encode()) < 200


def without_control(names: Iterable[str]) -> list[str]:
    """Leave out names that a store refuses: those with control characters."""
    return [name for name in names if not re.search("[\x00-\x1f\x7f-\x9f]", name)]

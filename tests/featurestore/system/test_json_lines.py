"""Files of JSON lines: what a crash cut off is left out, wherever it stands."""

from pathlib import Path

import pytest

from featurestore.system.json_lines import read_json_lines


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}\n{"a": 2}\n',
        '{"a": 1}\n{"a": 2}\n{"a": 3, "b',
        '{"a": 1}\n{"a": 3, "b\n\n{"a": 2}',
        'text\n[1]\n5\n{"a": 1}\n{"a": 2}\n',
    ],
)
def test_whole_objects_are_read_in_order_and_all_else_is_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "lines.jsonl").write_text(text)
    assert read_json_lines(tmp_path / "lines.jsonl") == [{"a": 1}, {"a": 2}]


def test_a_line_that_is_not_text_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_bytes(b'{"a": 1}\n{"\xb7": 3}\n{"a": 2}\n')
    assert read_json_lines(tmp_path / "lines.jsonl") == [{"a": 1}, {"a": 2}]

import json
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import ConfigurationError
from criteo_audiences.tables.files.scan import HEAD


def test_json_lines_have_their_keys_as_columns(desk: Any) -> None:
    """In order of first appearance; numbers stay the text they are, what is nested holds no identifier."""
    content = '{"id": 12.50, "email": "a@b.co"}'
    layout = desk.inspect(f'\ufeff{content}\n\n{{"email": null, "tags": ["x"], "ok": true, "é": "ü"}}\n', "crm.jsonl")
    assert (layout.format, layout.names) == ("json", ("id", "email", "tags", "ok", "é"))
    assert layout.sample == (("12.50", "a@b.co", None, None, None), (None, None, None, "true", "ü"))
    assert layout.rows == 2
    assert Path(layout.path).read_text().startswith("{")  # the engine refuses a byte order mark before JSON


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"email": "planted@example.com"}\r{"email": null}', "Line 1 of crm.csv is no JSON object; expected JSON"),
        ('[{"email": "planted@example.com"}]', "crm.csv is one JSON list; expected JSON lines: one object a line"),
        ('{\n  "email": "planted@example.com"\n}\n', "Line 1 of crm.csv is no JSON object; expected JSON lines"),
        ('{"a": 1}\n{"email": "planted@example.com"', "Line 2 of crm.csv is no JSON object; expected JSON lines"),
        ('{"a": 1}\n["planted@example.com"]', "Line 2 of crm.csv is no JSON object; expected JSON lines"),
        ('{"a":' + "[" * 100_000 + "\n", "Line 1 of crm.csv is no JSON object; expected JSON lines"),
    ],
)
def test_other_json_is_explained(content: str, message: str, desk: Any) -> None:
    """The line's number is shown, nothing of the line."""
    with pytest.raises(ConfigurationError) as caught:
        desk.inspect(content)
    assert str(caught.value).startswith(message)
    assert "planted" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_long_first_line_of_json_is_an_error(desk: Any) -> None:
    """An object longer than what is looked at is no line that can be sampled."""
    with pytest.raises(ConfigurationError, match=r"The first line of crm\.csv is longer than 512 KiB"):
        desk.inspect('{"a": "' + "x" * HEAD + '"}\n')


def test_a_header_that_begins_with_a_brace_is_still_a_header(desk: Any) -> None:
    """Only what goes on as JSON is JSON."""
    assert desk.inspect("[Id],[Email]\n1,a@b.co\n").names == ("[Id]", "[Email]")
    assert desk.inspect("{id},{email}\n1,a@b.co\n", "b.csv").names == ("{id}", "{email}")


@pytest.mark.parametrize(
    ("values", "held"),
    [
        (["a@b.co", None, "12.5", 12, 123456789012345678901234567890, True], ""),
        (["a@b.co", ["c@d.co"]], "lists"),
        ([{"value": "c@d.co"}, None], "structures"),
        ([12, 12.5], "fractions"),
        ([1e300, "a"], "fractions"),
        ([12.5, ["a"], {}], "lists"),
    ],
)
def test_what_is_no_identifier_is_known_by_its_column(values: list[Any], held: str, desk: Any) -> None:
    """Lists, structures and fractions are found among the first objects."""
    lines = "".join(json.dumps({"id": value}) + "\n" for value in values)
    assert desk.inspect(lines, "crm.jsonl").held == (held,)

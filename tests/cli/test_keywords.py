"""An upload's keywords are explained in one place, from which the command line and the documentation take them."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import attrs
import pytest
import typer

import criteo_audiences
from criteo_audiences import ConfigurationError, HashAlgorithm, IdentifierType, UploadOptions
from criteo_audiences.cli.options import in_short, keyword_meanings, one_of
from criteo_audiences.cli.uploads import HashChoice, Sending
from criteo_audiences.uploads.options import Options

ROOT = Path(criteo_audiences.__file__).parent.parent
KEYWORDS = {field.name: field for field in attrs.fields(Options) if field.init}
OPTIONS = {field.name: field for field in attrs.fields(Sending)}

OF_PROGRAMS = {"before_call", "flush_after", "ledger", "on_progress"}
"""A command reads files, shows its own progress, and keeps a journal."""
ELSEWHERE = {"operation"}
"""An option of `upload`, and what `remove` stands for."""
OF_COMMANDS = {"suppress_column", "no_journal"}
OTHER_WORDS = {
    "column", "columns", "hash", "suppress", "dedupe", "threads", "deadline", "fail_on", "drain_timeout", "journal",
    "max_rejected", "max_invalid",
}  # fmt: skip
"""What a program and a command write, or have by default, in different ways."""
OTHER_DEFAULTS = {"dedupe": True, "drain_timeout": 10.0}


def script(name: str) -> ModuleType:
    """Loads a script of the project's own."""
    spec = importlib.util.spec_from_file_location("script", ROOT / ".ci" / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def option_of(name: str) -> Any:
    """Returns how the command line describes an option."""
    return get_args(OPTIONS[name].type)[-1]


def test_every_keyword_is_typed_checked_and_explained() -> None:
    """The type, the class that checks, and the docstring name the same keywords."""
    assert list(KEYWORDS) == list(keyword_meanings())
    assert KEYWORDS.keys() == UploadOptions.__annotations__.keys()


def test_every_keyword_is_an_option_of_the_command_line() -> None:
    """But for those of programs; what the command line has beyond that is known."""
    assert OPTIONS.keys() - OF_COMMANDS == KEYWORDS.keys() - OF_PROGRAMS - ELSEWHERE


def test_options_are_explained_by_the_library() -> None:
    """Only what differs on the command line has words of its own there."""
    assert {name for name in OPTIONS if option_of(name).help} == OTHER_WORDS | OF_COMMANDS


def test_defaults_are_the_same() -> None:
    """Those that differ are known; `None` leaves a keyword out."""
    own = {name: field.default for name, field in OPTIONS.items() if name in KEYWORDS and field.default is not None}
    assert {name: value for name, value in own.items() if value != KEYWORDS[name].default} == OTHER_DEFAULTS


def test_table_of_the_documentation_is_up_to_date() -> None:
    """Otherwise: python .ci/upload_options.py."""
    written = script("upload_options.py")
    assert written.PAGE.read_text(encoding="utf-8") == written.page()


def test_help_has_the_librarys_words() -> None:
    """The first sentence of a meaning, spelled as on the command line."""
    meanings = keyword_meanings()
    assert in_short(meanings["identifier_type"]) == (
        "Kind of identifier, such as phone-number (default: email); Marketing Solutions takes phone numbers of "
        "advertisers in India only."
    )
    assert in_short(meanings["dry_run"]) == "Read, clean and count, but send nothing."
    assert all(in_short(meaning).endswith(".") and "`" not in in_short(meaning) for meaning in meanings.values())


async def test_help_shows_every_option_with_its_meaning(cli: Any) -> None:
    """`upload --help` and `remove --help` alike."""
    for command in ("upload", "remove"):
        shown = " ".join((await cli(command, "--help")).out.replace("│", " ").split())
        for name in OPTIONS.keys() - OTHER_WORDS - OF_COMMANDS:
            assert in_short(keyword_meanings()[name]).split()[0] in shown, name
        assert "Read, clean and count, but send nothing." in shown


def test_columns_of_several_kinds() -> None:
    """Kind, sign, name; a name may hold the sign, and a kind may have several."""
    sending = Sending(columns=["email=E=mail", "Phone-Number=Home", "phone_number=Cell"], hash=HashChoice.SHA256)
    assert sending.keywords()["columns"] == {
        IdentifierType.EMAIL: ["E=mail"], IdentifierType.PHONE_NUMBER: ["Home", "Cell"]
    }  # fmt: skip
    assert sending.keywords()["hash"] is HashAlgorithm.SHA256
    with pytest.raises(ConfigurationError, match="Choose --hash"):
        Sending(columns=["email=Email"]).keywords()
    assert "hash" not in Sending(columns=["customer_id=Id"]).keywords()


@pytest.mark.parametrize("text", ["email", "email=", "=Email", "email= ", "emial=Email"])
def test_columns_are_a_kind_and_a_name(text: str) -> None:
    """Anything else is refused as a fault of the option, a typo in the kind with a hint."""
    with pytest.raises(ConfigurationError, match=r"--columns.*email"):
        Sending(columns=[text]).keywords()


async def test_columns_are_uploaded_by_kind(cli: Any, sandbox: Any, tmp_path: Path) -> None:
    """One file, two kinds, one command."""
    crm = tmp_path / "crm.csv"
    crm.write_text("a,b\nann@example.com,+33612345678\n")
    segment = sandbox.add_contact_list()
    done = await cli(
        "upload", "marketing-solutions", segment, str(crm), "--hash", "none",
        "--columns", "email=a", "--columns", "phone-number=b",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert sandbox.contact_list(segment).identifiers == {"ann@example.com", "+33612345678"}
    assert "add columns 'a' and 'b'" in done.err


def test_a_hash_may_be_spelled_as_criteo_does() -> None:
    """What the library takes as a synonym, the command line takes."""
    for word in ("sha256md5", "SHA256-of-MD5", "sha256_of_md5"):
        assert one_of(HashChoice)(word) is HashChoice.SHA256_OF_MD5
    with pytest.raises(typer.BadParameter, match="expected one of: sha256, md5, sha256-of-md5, none"):
        one_of(HashChoice)("sha")
    with pytest.raises(typer.BadParameter, match="expected one of: email, phone-number"):
        one_of(IdentifierType)("unknown")

"""What `--help` shows of every command, and how long that takes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from criteo_audiences import ConfigurationError
from criteo_audiences.cli import app
from criteo_audiences.cli.options import duration, share
from criteo_audiences.cli.output import one_line

PANELS = ["What", "Which rows", "Sending", "Limits", "Resuming", "Owner", "Output"]


def paths(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields every command by the words that name it."""
    yield path
    for name, each in getattr(command, "commands", {}).items():
        yield from paths(each, (*path, name))


COMMANDS = list(paths(typer.main.get_command(app)))


def help_of(capsys: pytest.CaptureFixture[str], *path: str, option: str = "--help") -> str:
    """Returns what a command's help is."""
    with pytest.raises(SystemExit) as ended:
        app([*path, option], prog_name="criteo-audiences")
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of eighty columns."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "criteo-audiences")
def test_every_command_has_a_help_with_an_example(capsys: pytest.CaptureFixture[str], path: tuple[str, ...]) -> None:
    """In eighty columns, with no word cut, no type in angle brackets and an example that begins with the program."""
    text = help_of(capsys, *path)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "<bool>" not in text
    examples = text.partition("Examples:\n")[2].splitlines()
    assert examples
    assert examples[0].startswith("  criteo-audiences " + " ".join(path))
    assert help_of(capsys, *path, option="-h") == text


@pytest.mark.parametrize("command", ["upload", "remove", "demo"])
def test_options_stand_under_headings(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Those of an upload in the order in which one thinks of them."""
    lines = help_of(capsys, command).splitlines()
    headings = [line.removesuffix(":") for line in lines if line.removesuffix(":") in PANELS]
    assert headings == [panel for panel in PANELS if command != "demo" or panel != "Owner"]
    assert any("-q, --quiet" in line for line in lines)


def test_required_options_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    """And defaults are shown."""
    assert "[required]" in help_of(capsys, "journals", "prune")
    assert "[default: on]" in help_of(capsys, "upload")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("1.5h", 5_400.0), ("15m", 900.0), ("30d", 2_592_000.0), ("10 s", 10.0)]
)
def test_durations(text: str, seconds: float) -> None:
    """Seconds, or with a unit."""
    assert duration(text) == seconds


@pytest.mark.parametrize(("text", "number"), [("0.05", 0.05), ("5%", 0.05), (".5", 0.5), ("100 %", 1.0), ("0", 0.0)])
def test_shares(text: str, number: float) -> None:
    """As a number or in percent."""
    assert share(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "-1", "nan", "1y", "1h30", "h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With the forms there are."""
    with pytest.raises(typer.BadParameter, match="expected seconds, or a number with s, m, h or d"):
        duration(text)


@pytest.mark.parametrize("text", ["", "2", "101%", "-5%", "nan", "half"])
def test_what_is_no_share_is_refused(text: str) -> None:
    """With the forms there are."""
    with pytest.raises(typer.BadParameter, match="expected a share from 0 to 1"):
        share(text)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("batch_size must be between 1 and 50,000.", "--batch-size must be between 1 and 50,000."),
        ("give allow_empty=True (--allow-empty) if", "give --allow-empty if"),
        ("give skip_rows=2 (--skip-rows 2).", "give --skip-rows 2."),
        ("fail_on='duplicates' needs dedupe=True.", "--fail-on duplicates needs --dedupe."),
        ("dedupe=False is not for this", "--no-dedupe is not for this"),
        ("resume goes with journal, which names it.", "--resume goes with --journal, which names it."),
        ("the column 'batch_size' of docs/batch_size.md", "the column 'batch_size' of docs/batch_size.md"),
    ],
)
def test_messages_speak_of_options(message: str, line: str) -> None:
    """The library's keywords are spelled as on the command line; what is quoted or a path stays."""
    assert one_line(ConfigurationError(message)) == line


@pytest.mark.parametrize("path", [(), ("upload",)])
def test_help_waits_for_no_http_library(path: tuple[str, ...]) -> None:
    """It loads neither aiohttp nor the uploads nor the engine: it is there at once."""
    code = (
        "import sys\nfrom criteo_audiences.cli import app\n"
        f"try: app([*{path!r}, '--help'])\nexcept SystemExit: pass\n"
        "slow = ('aiohttp', 'duckdb', 'numpy', 'rich.console', 'criteo_audiences.uploads', 'criteo_audiences.session')\n"
        "sys.exit(str([name for name in slow if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_shell_completes_commands_words_and_profiles(
    cli: Any, environment: dict[str, str], shell: str, tmp_path: Path
) -> None:
    """By the protocol of its script, which `--show-completion` prints."""
    folder = tmp_path / "criteo-audiences"
    folder.mkdir()
    (folder / "profiles.toml").write_text("[agency]\n[own]\n")
    (folder / "profiles.toml").chmod(0o600)

    async def completed(*words: str) -> str:
        typed = " ".join(("criteo-audiences", *words))
        environment.update(
            XDG_CONFIG_HOME=str(tmp_path),
            _CRITEO_AUDIENCES_COMPLETE=f"complete_{shell}",
            _TYPER_COMPLETE_ARGS=typed,
            _TYPER_COMPLETE_FISH_ACTION="get-args",
            _TYPER_COMPLETE_WORD_TO_COMPLETE=words[-1],
            COMP_WORDS=typed,
            COMP_CWORD=str(len(words)),
        )
        done = await cli()
        assert not done.err
        return done.out

    assert "upload" in await completed("upl")
    assert "retail-media" in await completed("upload", "ret")
    assert "agency" in await completed("--profile", "ag")
    assert "own" in await completed("whoami", "--profile", "o")
    assert "sha256-of-md5" in await completed("upload", "retail-media", "1", "x.csv", "--hash", "sha256-")

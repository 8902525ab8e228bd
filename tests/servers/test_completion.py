"""What Tab does in bash, zsh and fish themselves, after `--install-completion` in a home of its own."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import pytest
from attrs import define, frozen

from criteo_audiences import CriteoClient, journals
from criteo_audiences.sandbox import Sandbox

_PATIENCE: Final = 20.0
_PROMPT: Final = "ready> "
_START: Final = {
    "bash": ["bash", "--noprofile", "-i"],
    "zsh": ["zsh", "-i"],
    "fish": ["fish", "-i"],
}
_SETTINGS: Final = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
_PROMPTS: Final = {
    "bash": f"PS1='{_PROMPT}'\nbind 'set enable-bracketed-paste off'\n",
    "zsh": f"PS1='{_PROMPT}'\nunset zle_bracketed_paste\nsetopt nopromptsp nopromptcr\n",
}
_TAB: Final = {
    "upl": "upload ",
    "upload ret": "upload retail-media ",
    "--profile ag": "--profile agency ",
    "whoami --profile ow": "whoami --profile own ",
    "upload marketing-solutions 81": "upload marketing-solutions 812345 ",
    "upload retail-media 1 x.csv --hash sha256-": "upload retail-media 1 x.csv --hash sha256-of-md5 ",
    "upload retail-media 1 x.csv --dry": "upload retail-media 1 x.csv --dry-run ",
}


@frozen
class Home:
    """A home in which completion is installed for a shell.

    Attributes:
        shell: its name.
        path: the directory.
    """

    shell: str
    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a shell is started with: nothing of the developer's."""
        return {
            "HOME": str(self.path),
            "ZDOTDIR": str(self.path),
            "XDG_CONFIG_HOME": str(self.path / ".config"),
            "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"],
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "TERM": "dumb",
            "LANG": "C.UTF-8",
        }


@define
class Terminal:
    """A terminal in which a shell runs.

    Attributes:
        number: the descriptor of our side.
        shown: what the shell has written and nobody has looked at.
    """

    number: int
    shown: str = ""

    def type(self, text: str) -> Self:
        """Presses keys."""
        os.write(self.number, text.encode())
        return self

    def await_text(self, text: str) -> str:
        """Returns what the shell writes until it has written a text, which is left out."""
        ends_at = time.monotonic() + _PATIENCE
        while text not in self.shown:
            assert time.monotonic() < ends_at, f"{text!r} did not come, but {self.shown!r}"
            if select.select([self.number], [], [], 0.1)[0]:
                self.shown += os.read(self.number, 65_536).decode(errors="replace")
        before, _, self.shown = self.shown.partition(text)
        return before


@contextmanager
def terminal(home: Home) -> Iterator[Terminal]:
    """Runs an interactive shell in a terminal until the end of the block."""
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        _START[home.shell],
        env=home.environment,
        cwd=home.path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(ours)
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


async def upload_to(segment_id: str) -> None:
    """Makes an upload of which a journal in the state directory knows."""
    directory = journals.state_directory()
    assert directory is not None
    journals.make_directory(directory)
    async with Sandbox() as sandbox:
        sandbox.add_contact_list(segment_id=segment_id)
        async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
            upload = criteo.marketing_solutions.upload_contact_list
            await upload(segment_id, ["a@example.com"], hash="sha256", journal=directory)


@pytest.fixture(params=sorted(_START))
async def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home with two profiles, a journal of an upload to the list 812345, and completion installed."""
    home = Home(request.param, tmp_path)
    profiles = tmp_path / ".config" / "criteo-audiences" / "profiles.toml"
    profiles.parent.mkdir(parents=True)
    profiles.write_text("[agency]\n[own]\n")
    profiles.chmod(0o600)
    await upload_to("812345")
    settings = tmp_path / _SETTINGS[home.shell]
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(_PROMPTS.get(home.shell, ""))
    install = [home.shell, "-c", "criteo-audiences --install-completion; true"]  # it looks which shell it runs in
    subprocess.run(install, env=home.environment, cwd=tmp_path, check=True, capture_output=True)  # noqa: ASYNC221
    return home


def test_tab_completes_in_the_shell_itself(home: Home) -> None:
    """Commands, words of an option, options, profiles and the lists that journals know."""
    if home.shell == "fish":  # it says itself what Tab would offer
        for typed, completed in _TAB.items():
            assert completed.strip() in offered_by_fish(home, typed), typed
        return
    with terminal(home) as shell:
        shell.await_text(_PROMPT)
        if home.shell == "zsh":  # typer's function for it does nothing but define itself the first time
            shell.type("criteo-audiences upl\t").await_text("\a")
            shell.type("\x15\r")
            shell.await_text(_PROMPT)
        for typed, completed in _TAB.items():
            shell.type(f"criteo-audiences {typed}\t")
            shell.await_text(f"criteo-audiences {typed}")
            shell.await_text(completed.removeprefix(typed))
            shell.type("\x15\r")  # clears the line
            shell.await_text(_PROMPT)


def offered_by_fish(home: Home, typed: str) -> set[str]:
    """Returns the lines that Tab could make of a line."""
    line = f"criteo-audiences {typed}"
    asked = ["fish", "-c", f"complete -C '{line}'"]
    done = subprocess.run(asked, env=home.environment, cwd=home.path, check=True, capture_output=True, text=True)
    offered = [each.split("\t")[0] for each in done.stdout.splitlines()]
    return {" ".join([*typed.split(" ")[:-1], word]) for word in offered}

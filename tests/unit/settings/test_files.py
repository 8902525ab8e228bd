import os
import stat
from pathlib import Path

import pytest

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.settings.files import read_secret, write_secret

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


def test_written_secret_is_read_back(tmp_path: Path) -> None:
    """What was written last is what is read, and nothing else stays in the folder."""
    path = tmp_path / "token"
    for value in ("first", "second"):
        write_secret(path, value, source="X")
        assert read_secret(path, source="X") == value
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660, 0o644, 0o400])
def test_written_secret_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    """Who could read the old one can read the new one, and nobody else; a new file is its owner's."""
    path = tmp_path / "token"
    write_secret(path, "old", source="X")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(mode)
    write_secret(path, "new", source="X")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_text() == "new\n"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_written_secret_keeps_its_owner_and_group(tmp_path: Path) -> None:
    """A service that runs as root rotates the token of a user who reads it."""
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 12_345, 23_456)
    write_secret(path, "new", source="X")
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12_345, 23_456, 0o640)


@POSIX
@pytest.mark.parametrize(("group_is_ours", "mode"), [(True, 0o660), (False, 0o600)])
def test_what_cannot_be_given_away_gives_nobody_new_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, *, group_is_ours: bool
) -> None:
    """The owner is then this user; the group keeps its rights if it stays, and others lose theirs."""
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o666)
    replaced = os.fstat

    def other_owner(descriptor: int) -> os.stat_result:
        status = list(replaced(descriptor))
        status[4] += 1  # st_uid
        return os.stat_result(status)

    def refuse(_: int, owner: int, __: int) -> None:
        if owner != -1 or not group_is_ours:
            raise PermissionError

    monkeypatch.setattr(os, "fstat", other_owner)
    monkeypatch.setattr(os, "fchown", refuse)
    write_secret(path, "new", source="X")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@POSIX
def test_symbolic_link_stays_one(tmp_path: Path) -> None:
    """A link keeps pointing to the file, which is replaced where it is."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "token").write_text("old")
    link = tmp_path / "token"
    link.symlink_to(tmp_path / "real" / "token")
    write_secret(link, "new", source="X")
    assert link.is_symlink()
    assert (tmp_path / "real" / "token").read_text() == "new\n"


def test_disk_has_it_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is on the disk before the file is replaced, and the folder after it: a power cut finds one or the other."""
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_secret(tmp_path / "token", "new", source="X")
    assert steps == (["file", "replace"] if os.name == "nt" else ["file", "replace", "folder"])


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failed_write_leaves_the_old_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A full disk leaves the old text and no half of the new one; the sentence names the variable only."""
    path = tmp_path / "token"
    path.write_text("old")

    def refuse(*_: object) -> None:
        raise OSError(28, "planted", "planted-path")

    monkeypatch.setattr(os if step == "fsync" else Path, step, refuse)
    with pytest.raises(ConfigurationError, match="the file that X names") as caught:
        write_secret(path, "planted-new", source="X")
    assert "planted" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


def test_a_secret_that_is_no_text_stays_out_of_the_chain(tmp_path: Path) -> None:
    """The decoder's exception holds the whole file, so the one that is raised does not lead to it."""
    path = tmp_path / "token"
    path.write_bytes(b"planted\xff")
    with pytest.raises(ConfigurationError, match="UnicodeDecodeError") as caught:
        read_secret(path, source="X")
    assert caught.value.__context__ is None

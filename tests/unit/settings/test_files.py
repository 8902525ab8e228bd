import os
import stat
from pathlib import Path

import pytest

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.settings.secret_files import read_secret, write_secret

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


def test_written_secret_is_read_back(tmp_path: Path) -> None:
    """What was written last is what is read, and nothing else stays in the folder."""
    path = tmp_path / "token"
    for value in ("first", "second"):
        write_secret(path, value, source="X")
        assert read_secret(path, source="X") == value
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400, 0o660])
@pytest.mark.parametrize("umask", [0, 0o077])
def test_replaced_secret_keeps_its_mode(mode: int, umask: int, tmp_path: Path) -> None:
    """Who could read the file still can, and nobody else, whatever the umask; there is one owner and group as before."""
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(mode)
    before = path.stat()
    given = os.umask(umask)
    try:
        write_secret(path, "new", source="X")
    finally:
        os.umask(given)
    after = path.stat()
    assert path.read_text() == "new\n"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@POSIX
def test_new_secret_is_its_owners(tmp_path: Path) -> None:
    """Where there was no file, nobody else can read the new one."""
    write_secret(tmp_path / "token", "new", source="X")
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root hands files to others")
def test_replaced_secret_keeps_its_owner_and_group(tmp_path: Path) -> None:
    """A service that runs as another user can still read the token that root's job has renewed."""
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 1234, 2345)
    write_secret(path, "new", source="X")
    after = path.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (1234, 2345, 0o640)


@POSIX
@pytest.mark.parametrize("allowed", [frozenset[int](), frozenset({-1})], ids=["nothing", "the group"])
def test_secret_that_cannot_be_handed_over_is_no_wider(
    allowed: frozenset[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the owner cannot be kept, the group's rights stay only with the group that had them."""
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o460)
    stat_of = Path.stat

    def foreign(self: Path, **options: bool) -> os.stat_result:
        found = stat_of(self, **options)
        if self.name != "token":
            return found
        fields = list(found)
        fields[stat.ST_UID], fields[stat.ST_GID] = found.st_uid + 1, found.st_gid + (0 if allowed else 1)
        return os.stat_result(fields)

    def fchown(_descriptor: int, owner: int, _group: int) -> None:
        if owner not in allowed:
            raise PermissionError

    monkeypatch.setattr(Path, "stat", foreign)
    monkeypatch.setattr(os, "fchown", fchown)
    write_secret(path, "new", source="X")
    monkeypatch.undo()
    assert stat.S_IMODE(path.stat().st_mode) == (0o660 if allowed else 0o600)
    assert read_secret(path, source="X") == "new"


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


def test_a_nul_in_a_path_is_named() -> None:
    """No file's name can hold one."""
    for attempt in (lambda: read_secret(Path("a\0"), source="X"), lambda: write_secret(Path("a\0"), "b", source="X")):
        with pytest.raises(ConfigurationError, match="X holds a NUL character"):
            attempt()

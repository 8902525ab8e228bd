"""Whom a journal's files and directories belong to, and who else may write them."""

import grp
import os
import pwd
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from criteo_audiences.batches import Batch
from criteo_audiences.errors import JournalError
from criteo_audiences.journals import list_journals, sqlite_file
from criteo_audiences.journals.directory import REGISTER_NAME
from criteo_audiences.journals.journal import Job, Journal
from criteo_audiences.journals.sqlite_file import make_directory, objection_to_place

pytestmark = pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")

JOB = Job(service="marketing-solutions", host="api.criteo.com", segment_id="812345", operation="add")
NAME = "crm.journal"


def send(directory: Path) -> None:
    """Uploads a batch with a journal."""
    with Journal.open(directory / NAME, JOB) as journal:
        journal.begin(Batch(number=1, count=1, full=True, pieces=(b'"1@b.co"',)))


def refusal(directory: Path) -> str:
    """Returns why a journal cannot be used."""
    with pytest.raises(JournalError) as caught:
        send(directory)
    return str(caught.value)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a journal in it."""
    send(tmp_path / "a" / "state")
    return tmp_path / "a" / "state"


def test_directories_are_made_for_their_owner_only(tmp_path: Path) -> None:
    """All that are missing on the way, whatever the umask says."""
    umask = os.umask(0)
    try:
        send(tmp_path / "x" / "y" / "z")
        make_directory(tmp_path / "x" / "w")
    finally:
        os.umask(umask)
    made = [tmp_path / "x", *(tmp_path / "x").rglob("*")]
    assert {stat.S_IMODE(each.stat().st_mode) for each in made if each.is_dir()} == {0o700}
    assert {stat.S_IMODE(each.stat().st_mode) for each in made if each.is_file()} == {0o600}


@pytest.mark.parametrize("name", [NAME, REGISTER_NAME])
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_others_may_write_is_refused(directory: Path, name: str, mode: int) -> None:
    """It stays as it is; in the list of all it is one that cannot be used."""
    (directory / name).chmod(mode)
    message = refusal(directory)
    assert f"{directory / name} can be written by other users, so it cannot be trusted: remove it" in message
    assert stat.S_IMODE((directory / name).stat().st_mode) == mode
    assert [each.state for each in list_journals(directory)] == ["damaged"]


def test_log_that_others_may_write_is_refused(directory: Path) -> None:
    """What stands in it would be put into the journal."""
    log = directory / f"{NAME}-wal"
    log.touch()
    log.chmod(0o666)
    assert f"{log} can be written by other users" in refusal(directory)


@pytest.mark.parametrize("missing", ["", NAME])
def test_file_of_another_user_is_refused(directory: Path, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A register that somebody made beforehand would let them try out whose addresses were sent."""
    if missing:
        (directory / missing).unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    monkeypatch.setattr(sqlite_file, "objection_to_place", lambda _: None)
    assert f"The register {directory / REGISTER_NAME} belongs to another user: name another place." in refusal(
        directory
    )


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o775])
@pytest.mark.parametrize("above", [0, 1])
def test_directory_that_others_may_write_is_refused(
    directory: Path, mode: int, above: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also further up: whoever may rename a directory may put another one in its place."""
    monkeypatch.setattr(sqlite_file, "_is_own_group", lambda _: False)
    place = (directory, directory.parent)[above]
    place.chmod(mode)
    message = refusal(directory)
    assert f"cannot be trusted because the directory {place} can be written by other users: take that right" in message
    place.chmod(mode | stat.S_ISVTX)
    send(directory)


def test_the_way_behind_a_link_is_looked_at(directory: Path, tmp_path: Path) -> None:
    """A link of one's own to a directory that others may write is no better than the directory."""
    (tmp_path / "link").symlink_to(directory)
    assert objection_to_place(tmp_path / "link") is None
    directory.parent.chmod(0o777)
    assert f"the directory {directory.parent} can be written" in str(objection_to_place(tmp_path / "link"))


def status(mode: int = 0o755, uid: int = 0, gid: int = 0, kind: int = stat.S_IFDIR) -> Any:
    """Returns what the system says of a directory."""
    return SimpleNamespace(st_mode=kind | mode, st_uid=uid, st_gid=gid)


@pytest.mark.parametrize(
    ("user", "found", "is_trusted"),
    [
        (1000, status(uid=1000), True),
        (1000, status(uid=0), True),
        (1000, status(uid=1001), False),
        (1000, status(uid=1001, kind=stat.S_IFLNK, mode=0o777), False),
        (1000, status(uid=1000, kind=stat.S_IFLNK, mode=0o777), True),
        (0, status(uid=1001), True),
        (0, status(uid=1001, mode=0o777), False),
        (1000, status(uid=0, mode=0o1777), True),
        (1000, status(uid=1001, mode=0o1777), False),
        (1000, status(uid=1000, mode=0o775, gid=1000), True),
        (1000, status(uid=1000, mode=0o775, gid=100), False),
        (1000, status(uid=1000, mode=0o775, gid=0), True),
        (1000, status(uid=1000, mode=0o775, gid=4242), False),
    ],
)
def test_directories_are_trusted_like_a_careful_server_does(
    user: int, found: Any, is_trusted: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the user and of root that nobody else may write, but for their own group."""
    groups = {1000: SimpleNamespace(gr_name="jane", gr_mem=[]), 100: SimpleNamespace(gr_name="users", gr_mem=["joe"])}
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="jane"))
    monkeypatch.setattr(grp, "getgrgid", groups.__getitem__)
    assert (sqlite_file._objection(found) is None) is is_trusted

"""Which texts of ours hold a person, and what of a file of rejects is rewritten."""

import csv
import datetime as dt
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import ErasureReceipt, ErasureState, ListErasure, ServerError, ServiceErasure
from criteo_audiences.erasure.erase import LocalFiles, forget, forget_in_journals, forget_in_rejects, rejects_in
from criteo_audiences.erasure.request import ErasureRequest
from criteo_audiences.identifiers import Reject, RejectReason
from criteo_audiences.models import IdentifierType
from criteo_audiences.uploads.rejects import RejectsFile

ANNA, PHONE = "anna@example.com", "+919812345678"


@pytest.fixture(autouse=True)
def _temporary_files_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no test find what others have left behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))


def request_of(*identifiers: str) -> ErasureRequest:
    """Returns a request whose fingerprints are numbers."""
    return ErasureRequest.of(identifiers, fingerprint=lambda identifier: str(len(identifier)))


REQUEST = request_of(ANNA, PHONE)


@pytest.mark.parametrize(
    "text",
    [
        "Anna@Example.com",
        "  anna@example.com\t",
        "12|anna@example.com",
        "Anna <anna@example.com>",
        "anna@example.com; bob@example.com",
        "anna@@example.com",
        "anna @ example.com",
        "anna@example.com.",
        "\uff41nna@example.com",
        "mailto:anna@example.com",
        "e=anna@example.com&x",
        "098123 45678",
        "98123-45678",
        "00 91 98123 45678",
        "+91 (0)98123 45678",
        "98123 45678 / 98123 45679",
        "tel: +91 98123 45678",
        "anna@example.com@x",
        "bob@anna@example.com",
        "anna@example,com",
        "anna@example..com (home)",
        "Anna anna @ example. com (home)",
        "mailto:anna@example.com?subject=x",
        "mailto:anna%40example.com",
        "e=%20anna@example.com%20",
        "anna@example.com-",
        "+91 98123 45678 ext 6",
        "98123 45678 98123 45679",
        "call 98123-45678 after 6",
    ],
)
def test_a_person_is_found_however_a_rejected_value_has_it(text: str) -> None:
    """With a wrong sign, among other words, or without the country."""
    assert REQUEST.occurs_in(text)


@pytest.mark.parametrize("address", ["o'brien@example.com", "a&b@example.com", "c/d=e@example.com"])
@pytest.mark.parametrize("among", ["{}", "Mr {}", "{}; bob@example.com", "<{}>", "{}@x"])
def test_an_address_with_unusual_signs_is_found_among_other_words(address: str, among: str) -> None:
    """Signs that part words elsewhere are a part of it."""
    assert request_of(address).occurs_in(among.format(address))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "joanna@example.com",
        "anna@example.com.pl",
        "anna@example.co",
        "anna",
        "98123 45679",
        "12345678",
        "45678",
        "1998123456780",
        "a" * 64,
    ],
)
def test_another_person_is_not_found(text: str) -> None:
    """Part of a longer address or number is somebody else's."""
    assert not REQUEST.occurs_in(text)


@given(st.text(max_size=40))
def test_any_text_can_be_searched(text: str) -> None:
    """Whatever stood in a cell; without a digit or the name the person is not in it."""
    found = REQUEST.occurs_in(text)
    assert not found or "nna" in text.lower() or sum(map(str.isdigit, text)) >= 9


@given(st.sampled_from([form for forms in REQUEST.forms.values() for form in forms]), st.text(" ,;|<>\"'=", max_size=3))
def test_every_form_is_found_among_signs(form: str, noise: str) -> None:
    """In clear and hashed, in capitals as well."""
    assert REQUEST.occurs_in(f"{noise}{form}{noise}")
    assert REQUEST.occurs_in(f"{noise}{form.upper()}{noise}")


def test_a_request_holds_each_identifier_once_and_shows_none() -> None:
    """However often and in whatever spelling it was given; blank entries are passed over."""
    request = request_of(ANNA, "", " Anna@Example.com", PHONE, "+91 (0)98123 45678")
    assert [each.kinds for each in request.identifiers] == [(IdentifierType.EMAIL,), (IdentifierType.PHONE_NUMBER,)]
    assert len(set(request.forms[IdentifierType.PHONE_NUMBER])) == len(request.forms[IdentifierType.PHONE_NUMBER]) == 4
    assert "anna" not in repr(request).lower()
    assert "98123" not in repr(request)


def rejects_file(path: Path, *values: str, plain: bool = True) -> Path:
    """Writes a file of rejects."""
    file = RejectsFile(path, plain=plain)
    file.open()
    file.write(Reject("crm.csv", row, "Email", RejectReason.NO_AT_SIGN, value) for row, value in enumerate(values, 1))
    file.close()
    return path


def forgotten(path: Path, *, dry_run: bool = False) -> tuple[ErasureState, int]:
    """Takes the person out of a file and returns what came of it."""
    (outcome,) = forget_in_rejects(REQUEST, LocalFiles(rejects=[path], dry_run=dry_run))
    return outcome.state, outcome.erased


def test_only_the_cells_of_the_person_are_emptied(tmp_path: Path) -> None:
    """All other bytes of the file stay as they were, escapes and guards included; it is for its owner only."""
    others = ["=1+1", "a\nb", "'x", 'q"uo"te', "joanna@example.com", "\\x41", ""]
    whole = rejects_file(tmp_path / "rejects.csv", *others[:3], "=anna@example.com", *others[3:], "098123 45678")
    with whole.open(newline="") as file:
        before = list(csv.reader(file))
    whole.chmod(0o644)
    assert forgotten(whole, dry_run=True) == (ErasureState.PLANNED, 2)
    assert forgotten(whole) == (ErasureState.REMOVED, 2)
    with whole.open(newline="") as file:
        after = list(csv.reader(file))
    assert [row[:5] for row in after] == [row[:5] for row in before]
    changed = [number for number, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    assert changed == [4, 9]
    assert [after[number][5] for number in changed] == ["", ""]
    assert whole.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["rejects.csv"]
    assert forgotten(whole) == (ErasureState.REMOVED, 0)


def test_a_file_without_values_or_the_person_is_not_touched(tmp_path: Path) -> None:
    """It is not even written again."""
    for plain, state in ((False, ErasureState.NOTHING), (True, ErasureState.REMOVED)):
        path = rejects_file(tmp_path / f"{plain}.csv", "nobody", plain=plain)
        before = path.stat()
        assert forgotten(path) == (state, 0)
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_cannot_be_rewritten_is_a_failure_of_its_own(tmp_path: Path) -> None:
    """The others are rewritten all the same, and nothing is left of the attempt."""
    cut = rejects_file(tmp_path / "a.csv", ANNA)
    cut.write_bytes(cut.read_bytes() + b'crm.csv,2,Email,x,y,"\xff\n')
    whole = rejects_file(tmp_path / "b.csv", ANNA)
    outcomes = forget(REQUEST, LocalFiles(rejects=[cut, tmp_path / "gone.csv", whole]))
    assert [each.state for each in outcomes] == [ErasureState.FAILED, ErasureState.FAILED, ErasureState.REMOVED]
    assert "cannot be rewritten" in str(outcomes[0].remark)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_directory_stands_for_its_files_of_rejects(tmp_path: Path) -> None:
    """Other CSV files in it are left alone; a link leads to the file itself."""
    ours = rejects_file(tmp_path / "ours.csv", ANNA)
    (tmp_path / "crm.csv").write_text("email\nanna@example.com\n", encoding="utf-8")
    (tmp_path / "link.csv").symlink_to(ours)
    assert rejects_in([tmp_path, ours]) == (ours.resolve(),)


def test_a_name_that_is_an_identifier_is_not_in_the_receipt(tmp_path: Path) -> None:
    """A file may have been named after a person."""
    path = rejects_file(tmp_path / f"{ANNA}.csv", "nobody")
    named = tmp_path / ANNA
    named.mkdir()
    (outcome, other) = forget_in_rejects(REQUEST, LocalFiles(rejects=[rejects_file(named / "rejects.csv", ANNA), path]))
    assert outcome.path == f"{tmp_path}/…/rejects.csv"
    assert ANNA not in other.path


def test_what_a_killed_upload_left_behind_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold anybody, and nobody will need it; what is in use, or another program's, stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, young = tmp_path / "criteo-audiences-a.run", tmp_path / "criteo-audiences-b.run"
    for directory in (left, young, tmp_path / "other"):
        directory.mkdir(mode=0o700)
        (directory / "staged").write_text(ANNA, encoding="utf-8")
    os.utime(left, (0, 0))
    for dry_run, state in ((True, ErasureState.PLANNED), (False, ErasureState.REMOVED)):
        (outcome,) = forget(REQUEST, LocalFiles(dry_run=dry_run))
        assert (outcome.kind, outcome.path, outcome.state) == ("temporary", str(left), state)
        assert left.exists() is dry_run
    assert young.exists()
    assert forget(REQUEST, LocalFiles()) == ()


def test_a_directory_of_journals_that_cannot_be_read_is_a_failure_of_its_own(tmp_path: Path) -> None:
    """The lists were asked by then, and what became of them must not be lost."""
    path = tmp_path / "file"
    path.touch()
    (outcome,) = forget_in_journals(REQUEST, LocalFiles(journals=[path]))
    assert (outcome.state, outcome.path) == (ErasureState.FAILED, str(path))


NOW = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)


def receipt_of(services: list[ErasureState], lists: list[ErasureState]) -> ErasureReceipt:
    """Returns a receipt with these outcomes."""
    return ErasureReceipt(
        identifiers=REQUEST.identifiers,
        key_is_kept=True,
        host="api.criteo.com",
        services=tuple(ServiceErasure(service="retail-media", owner_id=None, state=state) for state in services),
        lists=tuple(
            ListErasure(
                service="retail-media",
                owner_id="1",
                segment_id="1",
                kind=IdentifierType.EMAIL,
                forms=4,
                state=state,
                error=ServerError(503) if state is ErasureState.UNKNOWN else None,
            )
            for state in lists
        ),
        began=NOW,
        ended=NOW,
    )


@pytest.mark.parametrize("state", ErasureState)
def test_a_receipt_is_right_when_nothing_remains_to_be_done(state: ErasureState) -> None:
    """Each state of a list decides; what is not right is counted, and the first error is named."""
    receipt = receipt_of([ErasureState.SEARCHED], [ErasureState.REMOVED, state])
    assert receipt.ok is state.is_right
    assert receipt.contact_lists == 1
    if not receipt.ok:
        assert f"1 request to a list {state.value}" in receipt.explain()
        assert ("HTTP 503" in receipt.explain()) is (state is ErasureState.UNKNOWN)
    else:
        assert receipt.explain() == ""


def test_a_receipt_without_a_service_that_was_searched_is_not_right() -> None:
    """Nobody knows then whether there is a list."""
    receipt = receipt_of([ErasureState.NOT_PERMITTED, ErasureState.NOT_OFFERED], [])
    assert not receipt.ok
    assert "no service could be searched" in receipt.explain()
    assert receipt_of([ErasureState.SEARCHED, ErasureState.NOT_PERMITTED], []).ok

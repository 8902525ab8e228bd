import copy
import datetime as dt
import pickle
from typing import Any

import attrs
import pytest

from criteo_audiences.marketing_solutions import Gender, SegmentType
from criteo_audiences.models import (
    UNSET,
    ContactListOperation,
    ContactListStatistics,
    HashAlgorithm,
    IdentifierType,
    Operation,
    Problem,
    ProblemType,
    RateLimit,
    Unset,
    Word,
    printable_trace_id,
)

EMAIL = "john.doe@example.com"


def pickled(value: Any) -> Any:
    """Returns what comes back from a pickle."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("words", "text", "member"),
    [
        (IdentifierType, "email", IdentifierType.EMAIL),
        (IdentifierType, "Email", IdentifierType.EMAIL),
        (IdentifierType, "EMAIL", IdentifierType.EMAIL),
        (IdentifierType, "phoneNumber", IdentifierType.PHONE_NUMBER),
        (IdentifierType, "phonenumber", IdentifierType.PHONE_NUMBER),
        (IdentifierType, "phone-number", IdentifierType.PHONE_NUMBER),
        (IdentifierType, "IdentityLink", IdentifierType.IDENTITY_LINK),
        (HashAlgorithm, "SHA256", HashAlgorithm.SHA256),
        (HashAlgorithm, "sha-256", HashAlgorithm.SHA256),
        (HashAlgorithm, "Sha256OfMd5", HashAlgorithm.SHA256_OF_MD5),
        (Operation, "Add", Operation.ADD),
        (SegmentType, "In-market", SegmentType.IN_MARKET),
        (SegmentType, "in market", SegmentType.IN_MARKET),
        (ProblemType, "access-control", ProblemType.ACCESS_CONTROL),
    ],
)
def test_word_is_known_in_any_spelling(words: type[Word], text: str, member: Word) -> None:
    """Case and punctuation of a word are of no account."""
    assert words(text) is member
    assert member.is_known


@pytest.mark.parametrize("text", [EMAIL, "", "-", "emails", "⚙"])
def test_unknown_word_keeps_its_text_and_equals_nothing_else(text: str) -> None:
    """A word that is not known keeps its text, equals only the same unknown word, and is not shown."""
    word = IdentifierType(text)
    assert (word.name, word.value, str(word), word.is_known) == ("UNKNOWN", text, text, False)
    assert word == IdentifierType(text)
    assert repr(word) == "<IdentifierType.UNKNOWN>"
    for other in (text, HashAlgorithm(text), IdentifierType("another"), *IdentifierType, None, 5):
        assert not word == other  # noqa: SIM201 - both operators are meant
        assert not other == word  # noqa: SIM201 - and both sides
        assert word != other
        assert other != word
    assert not word != IdentifierType(text)  # noqa: SIM202 - the operator is meant


def test_unknown_word_is_not_the_unknown_of_the_vocabulary() -> None:
    """Where Criteo's own vocabulary has `Unknown`, a word that is not known is another; neither counts as known."""
    assert SegmentType("Telepathic") != SegmentType.UNKNOWN
    assert SegmentType("Telepathic") != SegmentType.UNKNOWN
    assert SegmentType("unknown") is SegmentType.UNKNOWN
    assert not SegmentType.UNKNOWN.is_known


def test_known_word_equals_its_text() -> None:
    """A known word is a `str` that equals its text and nothing else."""
    assert IdentifierType.EMAIL == "email"
    assert not IdentifierType.EMAIL != "email"  # noqa: SIM202 - the operator is meant
    assert IdentifierType.EMAIL != "Email"
    assert f"{IdentifierType.EMAIL}" == "email"
    assert {"email": 1}[IdentifierType.EMAIL] == 1
    assert IdentifierType.GUM not in {"email": 1}


def test_unknown_words_can_be_keys() -> None:
    """Unknown words can stand in sets and mappings."""
    assert {IdentifierType("x"), IdentifierType("x"), IdentifierType("y")} == {IdentifierType("x"), IdentifierType("y")}
    assert len({IdentifierType("x"), "x"}) == 2


def test_unknown_word_does_not_join_the_vocabulary() -> None:
    """Reading an unknown word adds no member."""
    before = list(Gender)
    Gender("Neutral")
    assert list(Gender) == before


@pytest.mark.parametrize("word", [IdentifierType.EMAIL, IdentifierType("telepathy"), SegmentType.UNKNOWN], ids=repr)
@pytest.mark.parametrize("remake", [copy.copy, copy.deepcopy, pickled])
def test_word_survives_copying(word: Word, remake: Any) -> None:
    """A word, known or not, can be copied and pickled."""
    again = remake(word)
    assert again == word
    assert (type(again), again.name, again.value) == (type(word), word.name, word.value)


@pytest.mark.parametrize("value", [None, 5, b"email", ["email"]])
def test_what_is_no_text_is_no_word(value: object) -> None:
    """Only text can be a word."""
    with pytest.raises(ValueError):  # noqa: PT011 - the message is Python's
        IdentifierType(value)


@pytest.mark.parametrize(
    ("instance", "index"),
    [
        (None, None),
        ("", None),
        ("@data/0", 0),
        ("@data/17", 17),
        ("@data/3/attributes/name", 3),
        ("@data/", None),
        ("@data/x", None),
        ("@data/-1", None),
        ("@data/1234567890", None),
        ("/2026-07/marketing-solutions/audience-segments", None),
        ("x @data/1", None),
    ],
)
def test_problem_names_its_item(instance: str | None, index: int | None) -> None:
    """A problem's `index` is the position in `@data/N`, `None` where it names no item."""
    assert Problem(instance=instance).index == index


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem(code="name-must-be-unique", instance="@data/1"), "name-must-be-unique at @data/1"),
        (Problem(code="audience-invalid"), "audience-invalid"),
        (Problem(code="audience-invalid", instance=""), "audience-invalid"),
        (Problem(code="x", instance="/2026-07/a/{id}/b"), "x at /2026-07/a/{id}/b"),
        (Problem(), "no readable code"),
        (Problem(code=EMAIL, instance="@data/1"), "no readable code at @data/1"),
        (Problem(code="x", instance=f"@data/1/{EMAIL}"), "x"),
        (Problem(code="x" * 81), "no readable code"),
        (Problem(code="33-6-12-34-56-78"), "no readable code"),
        (Problem(code="phone.33_612.345678"), "no readable code"),
        (Problem(code="rule-123456"), "rule-123456"),
        (Problem(code="x", instance="@data/1/33-6-12-34-56-78"), "x"),
        (Problem(code="x", instance="/a/33612345678/b"), "x"),
        (Problem(code="x", instance="/a/123456789012345678/b"), "x at /a/123456789012345678/b"),
        (Problem(code="two words"), "no readable code"),
        (Problem(code="line\nbreak"), "no readable code"),
        (Problem(code="code\n"), "no readable code"),
        (Problem(code="x", instance="@data/1\n"), "x"),
    ],
)
def test_problem_as_text(problem: Problem, text: str) -> None:
    """A problem's text is its code and its item, each only in the shape such a thing has."""
    assert str(problem) == text


def test_problem_hides_free_text() -> None:
    """`title` and `detail` are attributes and not in the `repr`, nor is a field out of shape."""
    problem = Problem(
        type=ProblemType(EMAIL), code=EMAIL, instance=EMAIL, title=f"t {EMAIL}", detail=f"d {EMAIL}", trace_id=EMAIL
    )
    assert EMAIL not in f"{problem} {problem!r}"
    assert (problem.title, problem.detail, problem.trace_id) == (f"t {EMAIL}", f"d {EMAIL}", EMAIL)
    plain = repr(Problem(type=ProblemType.QUOTA, code="c-1", instance="@data/2", trace_id="abc-1"))
    assert plain == "Problem(type=<ProblemType.QUOTA>, code='c-1', instance='@data/2', trace_id='abc-1')"


@pytest.mark.parametrize(
    ("trace_id", "shown"),
    [
        (None, None),
        ("", None),
        ("0HMVB-1", "0HMVB-1"),
        ("a" * 48, "a" * 48),
        ("a" * 49, None),
        ("33612345678", None),
        ("33-6-12-34-56-78", None),
        ("+33612345678", None),
        ("tel-33-6-12-34-56-78", None),
        ("a-33612345678", None),
        ("336123456789012", None),
        ("1234567890123456", "1234567890123456"),
        ("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("6d92078a-8246-4ba4-ae5b-76104861e7dc", "6d92078a-8246-4ba4-ae5b-76104861e7dc"),
        ("00f067aa0ba902b7", "00f067aa0ba902b7"),
        (EMAIL, None),
        ("a b", None),
        ("a\n", None),
    ],
)
def test_trace_id_is_shown_in_its_shape_only(trace_id: str | None, shown: str | None) -> None:
    """A trace id stands in messages only when it looks like one."""
    assert printable_trace_id(trace_id) == shown


def test_unset_is_false_and_alone() -> None:
    """`UNSET` is one object, false, and stays itself when copied."""
    assert not UNSET
    assert repr(UNSET) == "UNSET"
    assert copy.deepcopy(UNSET) is UNSET
    assert pickled(UNSET) is UNSET
    assert list(Unset) == [UNSET]


@pytest.mark.parametrize(
    "model",
    [
        Problem(code="x"),
        RateLimit(limit=250, reset_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        ContactListOperation(valid=1, sample_invalid=("x",), identifier_type=IdentifierType("telepathy")),
        ContactListStatistics(match_rate=0.5),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_are_frozen_values(model: Any) -> None:
    """A model cannot be changed, is equal to its like, can be pickled and takes keywords only."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        model.limit = 5
    assert pickled(model) == model == copy.deepcopy(model)
    assert hash(model) == hash(copy.deepcopy(model))
    with pytest.raises(TypeError):
        type(model)(1)


def test_receipt_hides_its_sample() -> None:
    """The sample of invalid identifiers is in clear text: an attribute, never in the `repr`."""
    receipt = ContactListOperation(valid=1, invalid=1, sample_invalid=(EMAIL,))
    assert EMAIL not in repr(receipt)
    assert receipt.sample_invalid == (EMAIL,)


@pytest.mark.parametrize(
    "text",
    [
        "33612345678",
        "e13743a7f1db7f4246badd6fd6ff54ff",
        "a-375320dd9ae7ed408002f3768e16cb5f28c861062fd50dff9a3bff62e9dce4ef",
    ],
)
def test_a_code_that_may_be_an_identifier_is_not_shown(text: str) -> None:
    """A phone number or a digest echoed as a code has a code's characters and still stays out of sight."""
    problem = Problem(code=text)
    assert text not in str(problem) + repr(problem)

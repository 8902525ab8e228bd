import contextlib
import itertools
from collections import Counter
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from criteo_audiences.identifiers import DIGESTS_OF_NOTHING, Fingerprints, OptOuts, Preparation, digest, rule_for
from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.tables import Table
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.reader import Reader
from criteo_audiences.tables.table import Plan, Selection

COLUMN = "value"
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ADDRESS = st.from_regex(r"\A[ \t\u00a0]?[a-zA-Z0-9._+-]{1,12}@[a-zA-Z0-9.-]{1,12}\.[a-zA-Z]{1,3}[ \n\u200b]?\Z")
LONG = st.builds(lambda local, domain: f"{'a' * local}@{'b' * domain}.example", st.integers(60, 66), st.integers(1, 66))
DIGEST = st.from_regex(r"\A ?(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{64}) ?\Z")
PHONE = st.from_regex(r"\A['p:]{0,2}(?:\+|00)?[0-9 ().-]{5,16}(?: x[0-9]{1,3}|\.0)?\Z")
MIXED = st.tuples(ANY_TEXT, ADDRESS, ANY_TEXT).map("".join)
FEW = st.sampled_from(["a@b.co", "A@B.co ", "c@d.co", "5" * 32, "", "\u0130@b.co", "\u212a@b.co", "\u017f@b.co"])
# What stands around values in exports, and hashes of nothing and in other forms, in either case.
GUARDS = st.sampled_from(
    ["'{}", "'{}'", '="{}"', '"{}"', '"""{}"""', " ={}", "email: {}", "p:{}", "Tel. {}", "0x{}", "sha256:{}", "X'{}'"]
)
GUARDED = st.builds(str.format, GUARDS, FEW | ADDRESS | DIGEST | PHONE)
NOTHING = st.builds(
    lambda digest, change: change(digest),
    st.sampled_from(sorted(DIGESTS_OF_NOTHING)),
    st.sampled_from(
        [str, str.upper, str.title, " {}".format, lambda digest: digest[:-1] + "7", lambda digest: digest[1:]]
    ),
)
OTHER_FORM = st.from_regex(r"\A(?:[0-9a-f]{40}|[0-9a-f]{128}|[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{22}==)\Z")
SPELLINGS = [
    "+33123456789",
    "+330123456789",
    "+33 (0)1 23 45 67 89",
    "00330123456789",
    "+7 8 912 345 67 89",
    "+79123456789",
]
SPELLED = st.sampled_from(
    [*SPELLINGS, *(digest(number, HashAlgorithm.SHA256) for number in ("33123456789", "330123456789", "79123456789"))]
)
WIDE = ADDRESS.map(lambda text: text.translate({ord("@"): "\uff20", ord("."): "\uff0e", ord("a"): "\uff41"}))
FORMS = st.one_of(GUARDED, NOTHING, OTHER_FORM, WIDE, SPELLED)
VALUES = st.lists(st.one_of(FEW, ADDRESS, LONG, DIGEST, PHONE, MIXED, FORMS, ANY_TEXT, st.none()), max_size=30)


def table_lane(table: Table, plan: Plan) -> tuple[list[str], Counter[int], int]:
    """Returns the identifiers, the codes of the rows, and how many came as digests."""
    identifiers: list[str] = []
    codes: Counter[int] = Counter()
    already_hashed = 0
    with contextlib.closing(Reader(table, plan).chunks()) as chunks:
        for chunk in chunks:
            codes += chunk.codes
            already_hashed += chunk.already_hashed
            for batch in chunk.batches:
                held = orjson.loads(b"[" + b"".join(batch.pieces) + b"]")
                assert len(held) == batch.count <= plan.batch_size
                identifiers += held
    return identifiers, codes, already_hashed


def values_of(values: list[str | None]) -> Table:
    """Returns a table with one column."""
    return Table.from_arrow(pl.DataFrame({COLUMN: values}, schema={COLUMN: pl.String}), column=COLUMN)


@pytest.mark.parametrize(
    ("kind", "algorithms"),
    [
        (IdentifierType.EMAIL, [None, *HashAlgorithm]),
        (IdentifierType.PHONE_NUMBER, [None, HashAlgorithm.SHA256]),
        (IdentifierType.MADID, [None]),
        (IdentifierType.CUSTOMER_ID, [None]),
    ],
    ids=lambda value: value.value if isinstance(value, IdentifierType) else "",
)
@given(
    data=st.data(),
    values=VALUES,
    opted_out=st.none() | st.lists(FEW | ADDRESS | DIGEST | FORMS, max_size=5),
    dedupe=st.booleans(),
)
@example(data=None, values=["a@b.co", "A@b.co", " a@b.co", None, "", "x"], opted_out=None, dedupe=True)
@settings(max_examples=settings.default.max_examples * 4 // 15)  # each is several uploads
def test_both_lanes_send_the_same_identifiers_and_reject_for_the_same_reasons(
    kind: IdentifierType,
    algorithms: list[HashAlgorithm | None],
    data: Any,
    values: list[str | None],
    opted_out: list[str] | None,
    dedupe: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whatever text a row holds: byte for byte, in the same order, with the same counts."""
    algorithm = algorithms[-1] if data is None else data.draw(st.sampled_from(algorithms))
    rule = rule_for(kind, keep_trunk_zero=data is not None and data.draw(st.booleans()))
    preparation = Preparation(algorithm=algorithm, rule=rule, seen=Fingerprints() if dedupe else None)
    if opted_out is not None:
        preparation.opt_outs = OptOuts(rule)
        preparation.opt_outs.add(opted_out)
    expected = preparation.prepare(values)
    selection = Selection(kind=kind, rule=rule, algorithm=algorithm, columns=(COLUMN,))
    plan = Plan(selections=(selection,), dedupe=dedupe, suppress=opted_out, batch_size=7, threads=2)

    identifiers, codes, already_hashed = table_lane(values_of(values), plan)

    assert identifiers == expected
    rejected = {query.REASONS[code - query.FIRST_REASON]: n for code, n in codes.items() if code >= query.FIRST_REASON}
    assert rejected == dict(preparation.rejected)
    assert codes.total() == preparation.read
    assert codes[query.DUPLICATE] == (preparation.duplicates or 0)
    assert codes[query.SUPPRESSED] == preparation.suppressed
    assert already_hashed == preparation.already_hashed


def spellings(number: int) -> list[str]:
    """Returns the spellings of a French number, with and without the trunk zero."""
    return [f"+33{number}", f"+330{number}", f"+33 (0){number // 10**8} {number % 10**8}", f"00330{number}"]


@pytest.mark.parametrize("algorithm", [None, HashAlgorithm.SHA256])
def test_whoever_opted_out_is_left_out_with_or_without_a_trunk_zero(algorithm: HashAlgorithm | None) -> None:
    """Where zeros are kept, a number has two spellings: either one opts both out, in clear and hashed, in both lanes."""
    kind = IdentifierType.PHONE_NUMBER
    rule = rule_for(kind, keep_trunk_zero=True)
    people = [spellings(123456780 + person) for person in range(7)]  # each of them opts out in another form
    opted_out = [people[form][form] for form in range(4)]
    opted_out += [digest(people[4 + form][form][1:], HashAlgorithm.SHA256) for form in range(2)]
    stays = people[6][:2]
    values = [*itertools.chain(*people[:6]), *stays]
    preparation = Preparation(algorithm=algorithm, rule=rule, opt_outs=OptOuts(rule))
    preparation.opt_outs.add(opted_out)
    selection = Selection(kind=kind, rule=rule, algorithm=algorithm, columns=(COLUMN,))
    plan = Plan(selections=(selection,), dedupe=False, suppress=opted_out, batch_size=7, threads=2)
    expected = [digest(value[1:], algorithm) if algorithm else value for value in stays]
    assert preparation.prepare(values) == table_lane(values_of(values), plan)[0] == expected

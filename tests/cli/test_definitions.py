"""Segments of every kind, from options and from files; what `--json` prints is read again."""

import io
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import criteo_audiences
from criteo_audiences import ConfigurationError, Segment, marketing_solutions, retail_media
from criteo_audiences.cli.entities import Definitions, shown
from criteo_audiences.sandbox import Sandbox

MS, RM, CG = "marketing-solutions", "retail-media", "commerce-grid"
ADVERTISER = ("--advertiser-id", "9")
ACCOUNT = ("--account-id", "1")

KINDS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "in-market": (
        ("--country", "FR", "--interest", "166", "--interest", "222", "--gender", "male", "--price-range", "low"),
        {"country": "FR", "interest_ids": ["166", "222"], "gender": "Male", "price_range": ["Low"]},
    ),
    "location": (
        ("--point", "Louvre, Paris,48.8606,2.3376", "--radius-in-km", "5"),
        {
            "points_of_interest": [{"name": "Louvre, Paris", "latitude": 48.8606, "longitude": 2.3376}],
            "radius_in_km": 5,
            "registry_type": "PointOfInterest",
        },
    ),
    "prospecting": (
        ("--users-type", "prospects-or-non-buyers", "--days-since-last-visit-min", "3"),
        {"users_type": "ProspectsOrNonBuyers", "days_since_last_visit_min": 3},
    ),
    "retargeting": (
        ("--visitors-type", "buyers", "--days-since-last-visit-min", "3", "--days-since-last-visit-max", "30"),
        {"visitors_type": "Buyers", "days_since_last_visit_min": 3, "days_since_last_visit_max": 30},
    ),
}
CHANGES = {
    "in-market": (("--gender", "female"), {"gender": "Female"}),
    "location": (("--radius-in-km", "7"), {"radius_in_km": 7}),
    "prospecting": (("--days-since-last-visit-max", "9"), {"days_since_last_visit_max": 9}),
    "retargeting": (("--days-since-last-visit-max", "60"), {"days_since_last_visit_max": 60}),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_options_create_and_change_a_segment_of_every_kind(cli, kind: str) -> None:
    """`--json` shows all of its settings as Criteo has them; an update changes the one that it names."""
    options, settings = KINDS[kind]
    created = await cli("segments", "create", MS, "Name", *ADVERTISER, "--type", kind, *options, "--json")
    assert created.code == 0, created.err
    segment = json.loads(created.out)["segment"]
    assert segment[kind.replace("-", "_")] == settings
    assert (segment["advertiser_id"], segment["description"]) == ("9", None)
    new, expected = CHANGES[kind]
    changed = await cli("segments", "update", MS, segment["id"], "--type", kind, *new, "--json")
    assert changed.code == 0, changed.err
    assert json.loads(changed.out)["segment"][kind.replace("-", "_")] == settings | expected


async def test_a_lookalike_is_made_of_a_list_and_resized(cli, sandbox: Sandbox) -> None:
    """Its seed is a segment of the same advertiser."""
    seed = sandbox.add_contact_list(advertiser_id="9")
    options = ("--type", "lookalike", "--seed-segment-id", seed, "--target-size", "100000")
    created = await cli("segments", "create", MS, "Like them", *ADVERTISER, *options)
    changed = await cli("segments", "update", MS, created.out.strip(), *options[:2], "--target-size", "7", "--json")
    assert json.loads(changed.out)["segment"]["lookalike"] == {"seed_segment_id": seed, "target_size": 7}


async def test_an_events_segment_of_retail_media(cli, environment: dict[str, str]) -> None:
    """It is created, changed, listed with its retailer, and estimated under the experimental version."""
    owner = (*ACCOUNT, "--retailer-id", "12")
    settings = ("--type", "events", "--shopper-activity", "buy", "--lookback-days", "last-30-days", "--brand", "7")
    created = await cli("segments", "create", RM, "Buyers", *owner, *settings, "--min-price", "1.5")
    assert created.code == 0, created.err
    segment = created.out.strip()
    changed = await cli("segments", "update", RM, segment, *ACCOUNT, "--type", "events", "--max-price", "9", "--json")
    assert json.loads(changed.out)["segment"]["events"]["max_price"] == 9
    listed = await cli("segments", "list", RM, *ACCOUNT, "--retailer-id", "12", "--type", "events")
    assert segment in listed.out
    assert "retailer 12" in listed.out
    environment["CRITEO_API_VERSION"] = "experimental"
    found = await cli("segments", "list", RM, *ACCOUNT, "--json")
    asked = ("segments", "estimate", RM, *ACCOUNT, "--channel", "onsite")
    by_options = await cli(*asked, "--retailer-id", "12", *settings, "--json")
    (entry,) = json.loads(found.out)["segments"]
    del entry["events"]["min_price"], entry["events"]["max_price"]
    by_file = await cli(*asked, "--from-file", "-", "--json", stdin=json.dumps(entry).encode())
    assert json.loads(by_file.out) == json.loads(by_options.out)
    assert json.loads(by_file.out).keys() == {"ok", "size", "relative_size"}


async def test_criteos_own_json_is_read_with_many_kinds_in_it(cli, sandbox: Sandbox, tmp_path: Path) -> None:
    """One call creates them all; what fails is named, and the rest is there."""
    sandbox.add_contact_list(name="taken", advertiser_id="9")
    path = tmp_path / "segments.json"
    samples: list[dict[str, Any]] = [
        {"name": "crm", "contactList": {}},
        {"name": "taken", "contactList": {}},
        {"name": "new", "prospecting": {"usersType": "Prospects", "daysSinceLastVisitMin": None}},
    ]
    data = [{"type": "AudienceSegment", "attributes": {"advertiserId": "9", **each}} for each in samples]
    path.write_text(json.dumps({"data": data}))
    done = await cli("segments", "create", MS, "--from-file", str(path), "--json")
    document = json.loads(done.out)
    assert done.code == 7
    assert [each["name"] for each in document["segments"]] == ["crm", "new"]
    ((failed, problem),) = [each.values() for each in document["problems"]]
    assert failed == "taken"
    assert problem.startswith("name-must-be-unique at @data/1")


async def test_what_list_prints_is_taken_by_update_and_create(cli, sandbox: Sandbox) -> None:
    """A list with every kind of segment goes back unchanged, and to another owner as a copy."""
    for kind, (options, _) in KINDS.items():
        await cli("segments", "create", MS, kind, *ADVERTISER, "--type", kind, *options)
    sandbox.add_contact_list(name="crm", advertiser_id="9")
    listed = await cli("segments", "list", MS, *ADVERTISER, "--json")
    again = await cli("segments", "update", MS, "--from-file", "-", "--json", stdin=listed.out.encode())
    assert again.code == 0, again.err

    def plain(text: str) -> list[dict[str, Any]]:
        return [{**each, "updated_at": None} for each in json.loads(text)["segments"]]

    assert plain(again.out) == plain(listed.out)
    copies = [{**each, "advertiser_id": "10"} for each in json.loads(listed.out)["segments"]]
    copied = await cli("segments", "create", MS, "--from-file", "-", stdin=json.dumps(copies).encode())
    assert copied.code == 0, copied.err
    theirs = await cli("segments", "list", MS, "--advertiser-id", "10", "--json")
    settings = [[each.get(kind.replace("-", "_")) for kind in KINDS] for each in plain(theirs.out)]
    assert settings == [[each.get(kind.replace("-", "_")) for kind in KINDS] for each in copies]


async def test_a_list_of_commerce_grid_keeps_its_remote_id_in_a_copy(cli) -> None:
    """Criteo answers it next to the name and takes it among the settings."""
    created = await cli("segments", "create", CG, "a", "--data-provider-id", "4", "--remote-id", "r-1", "--json")
    copy = {**json.loads(created.out)["segment"], "name": "b"}
    done = await cli("segments", "create", CG, "--from-file", "-", stdin=json.dumps(copy).encode())
    assert (done.code, done.err) == (0, "")
    found = await cli("segments", "list", CG, "--remote-id", "r-1", "--json")
    assert [each["name"] for each in json.loads(found.out)["segments"]] == ["a", "b"]


async def test_what_an_update_does_not_take_is_named(cli, sandbox: Sandbox) -> None:
    """A seed cannot be changed: a file that has one is sent without it, and the command says so."""
    seed = sandbox.add_contact_list(advertiser_id="9")
    options = ("--type", "lookalike", "--seed-segment-id", seed)
    created = await cli("segments", "create", MS, "Like them", *ADVERTISER, *options)
    entry = {"id": created.out.strip(), "lookalike": {"seedSegmentId": seed, "targetSize": 5}}
    done = await cli("segments", "update", MS, "--from-file", "-", stdin=json.dumps(entry).encode())
    assert done.code == 0
    assert "Not sent, because Criteo does not take it here: lookalike.seed_segment_id." in done.err


async def test_lists_are_found_by_kind_id_name_and_mode(cli, sandbox: Sandbox) -> None:
    """All filters must fit; a list made outside the API is noted as read-only."""
    crm = sandbox.add_contact_list(name="CRM buyers", advertiser_id="9")
    closed = sandbox.add_contact_list(name="CRM old", advertiser_id="9", read_only=True)
    await cli("segments", "create", MS, "CRM new", *ADVERTISER, "--type", "prospecting", "--users-type", "prospects")

    async def ids(*options: str) -> list[str]:
        done = await cli("segments", "list", MS, *ADVERTISER, *options, "--json")
        return [each["id"] for each in json.loads(done.out)["segments"]]

    assert await ids("--type", "contact-list") == [crm, closed]
    assert await ids("--type", "ContactList", "--read-only") == [closed]
    assert await ids("--writable", "--type", "contactlist") == [crm]
    assert await ids("--id", crm, "--id", closed, "--name", "BUYERS") == [crm]
    shown_table = await cli("segments", "list", MS, *ADVERTISER, "--id", closed)
    assert shown_table.out.splitlines()[1].endswith("read-only")


async def test_estimates_of_both_kinds(cli) -> None:
    """Of options and of a file, which may be what a creation would take."""
    for kind in ("in-market", "location"):
        options, _ = KINDS[kind]
        done = await cli("segments", "estimate", MS, *ADVERTISER, "--type", kind, *options, "--json")
        assert done.code == 0, done.err
        assert isinstance(json.loads(done.out)["size"], int)
    definition = {"advertiserId": "9", "name": "Louvre", "location": KINDS["location"][1]}
    by_file = await cli("segments", "estimate", MS, "--from-file", "-", "--json", stdin=json.dumps(definition).encode())
    assert json.loads(by_file.out) == json.loads(done.out)


@pytest.mark.parametrize("service", [MS, RM, CG])
async def test_an_unknown_segment_has_one_exit_code(cli, service: str) -> None:
    """Whichever command asks for it, in whichever service."""
    account = ACCOUNT if service == RM else ()
    for command in (
        ("stats", service, "99", *account),
        ("clear", service, "99", "--yes"),
        ("segments", "update", service, "99", "--name", "x", *account),
        ("segments", "delete", service, "99", "--yes", *account),
        *([("segments", "size", service, "99")] if service == MS else []),
        *([("audiences", "delete", service, "99", "--yes")] if service == MS else []),
    ):
        done = await cli(*command)
        assert done.code == 6, (command, done.err)


BAD = {
    "": "is empty; expected JSON",
    " \n": "is empty; expected JSON",
    '{"data": [': "is no JSON, from line 1",
    "[]": "defines no segment",
    '{"data": []}': "defines no segment",
    "[7]": "@data/0 must be an object",
    '{"dta": []}': "Did you mean 'data'?",
    '[{"name": "n", "advertizerId": "1"}]': "unknown field, 'advertizerId'. Did you mean 'advertiser_id'?",
    '[{"name": "n", "lookalikes": {}}]': "Did you mean 'lookalike'?",
    '[{"name": "n", "inMarket": {"contry": "FR"}}]': "in_market has an unknown field, 'contry'. Did you mean 'country'?",
    '[{"name": "n", "anna@example.com": 1}]': "has an unknown field. Expected one of: advertiser_id",
    '[{"name": "n", "type": "Lookalik"}]': "Did you mean 'lookalike'?",
    '[{"name": "n", "type": "Behavioral"}]': "a type that cannot be used here",
    '[{"name": "n", "type": "InMarket"}]': "in_market needs country",
    '[{"name": "n", "type": "InMarket", "lookalike": {"seedSegmentId": "1"}}]': "does not go with lookalike",
    '[{"name": "n", "advertiserId": "8", "contactList": {}}]': "has another advertiser_id than --advertiser-id",
    '[{"name": "n"}]': "Exactly one of contact_list",
    '[{"contactList": {}}]': "needs name",
    '[{"name": "n", "contactList": []}]': "contact_list must be an object",
    '[{"name": "n", "location": {"pointsOfInterest": {}}}]': "location.points_of_interest must be a list",
    '[{"name": "n", "contactList": {}}, {"name": 5, "contactList": {}}]': "@data/1 cannot be sent: name must be a str",
}


def test_a_bad_file_is_answered_with_one_line(misuse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place and the nearest name are in it, what the file holds is not, and nothing is sent."""
    for text, words in BAD.items():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        done = misuse("segments", "create", MS, "--from-file", "-", *ADVERTISER)
        assert done.code == 2, text
        assert words in done.err, text
        assert done.err.count("\n") == 1, done.err
        assert "anna" not in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", MS, "n", *ADVERTISER, "--type", "lookalke"), "Did you mean 'lookalike'?"),
        (("create", MS, "n", *ADVERTISER, "--type", "events"), "Give one of: contact-list, in-market"),
        (("create", MS, "n", *ADVERTISER, "--type", "in-market"), "--type in-market needs --country"),
        (("create", MS, "n", *ADVERTISER, "--country", "FR"), "--country goes with --type in-market"),
        (("create", MS, "n", *ADVERTISER, "--type", "lookalike", "--country", "FR"), "--country does not go with"),
        (("create", MS, "n", *ADVERTISER, "--type", "location", "--radius-in-km", "1", "--point", "x"), "--point must"),
        (("create", MS, *ADVERTISER), "Give NAME, or --from-file"),
        (("create", MS, "n", "--from-file", "x.json"), "--from-file says what to create"),
        (("create", RM, "--from-file", "x.json"), "needs --account-id"),
        (("list", MS, "--type", "lookalke"), "Did you mean 'Lookalike'?"),
        (("list", MS, "--retailer-id", "1"), "has no --retailer-id"),
        (("list", CG, "--read-only"), "does not say which segments are read-only"),
        (("update", MS, "--name", "n"), "Give SEGMENT_ID, or --from-file"),
        (("update", MS, "1", "--from-file", "x.json"), "--from-file says what to change"),
        (("update", MS, "1", "--type", "lookalike", "--seed-segment-id", "2"), "--seed-segment-id cannot be changed"),
        (("update", MS, "1", "--type", "contact-list"), "changes no settings of segments of that --type"),
        (("estimate", MS, *ADVERTISER), "needs --type here: in-market or location"),
        (("estimate", MS, *ADVERTISER, "--type", "lookalike"), "estimates no segments of that --type"),
        (("estimate", CG, "--type", "in-market"), "commerce-grid estimates no sizes"),
        (("estimate", RM, *ACCOUNT, "--type", "events"), "needs --shopper-activity"),
    ],
)
def test_mistakes_in_options_are_one_line(misuse, arguments: tuple[str, ...], words: str) -> None:
    """An option that is missing or does not fit is named, with the nearest word."""
    done = misuse("segments", *arguments)
    assert done.code == 2, done.err
    assert words in done.err
    assert done.err.count("\n") == 1, done.err


def test_a_file_that_is_not_there_is_a_file_error(misuse, tmp_path: Path) -> None:
    """As everywhere, it has the exit code of files."""
    done = misuse("segments", "create", MS, "--from-file", str(tmp_path / "none.json"))
    assert (done.code, done.err.count("\n")) == (3, 1)


ids = st.text("0123456789", min_size=1, max_size=9)
algebras = st.recursive(
    ids.map(Segment),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
        inner.map(lambda each: ~each),
    ),
    max_leaves=8,
)
SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda name: name.partition("_")[0] + name.partition("_")[2].title().replace("_", ""),
)


@given(algebra=algebras, spell=st.sampled_from(SPELLINGS))
def test_an_audience_is_read_as_it_is_shown(
    tmp_path_factory: pytest.TempPathFactory, algebra: Any, spell: Callable[[str], str]
) -> None:
    """Whatever its algebra, in the library's spelling and in Criteo's."""
    answered = marketing_solutions.Audience(id="1", advertiser_id="9", name="n", algebra=algebra, ad_set_ids=("5",))
    path = tmp_path_factory.getbasetemp() / "audience.json"
    path.write_text(json.dumps({spell(name): value for name, value in shown(answered).items()}))
    definitions = Definitions(
        kind=marketing_solutions.AudienceCreate, answer=marketing_solutions.Audience, noun="audience"
    )
    assert definitions.read(str(path)) == [
        marketing_solutions.AudienceCreate(advertiser_id="9", name="n", algebra=algebra)
    ]


def test_a_null_takes_away_only_what_can_be(tmp_path: Path) -> None:
    """In either of Criteo's spellings of it."""
    definitions = Definitions(
        kind=retail_media.AudienceSegmentUpdate, answer=retail_media.AudienceSegment, noun="segment"
    )
    path = tmp_path / "changes.json"
    path.write_text('[{"id": "1", "events": {"minPrice": null, "maxPrice": {"value": null}}}]')
    (update,) = definitions.read(str(path))
    assert update.events == retail_media.EventsUpdate(min_price=None, max_price=None)
    path.write_text('[{"id": "1", "name": null}]')
    with pytest.raises(ConfigurationError, match="name cannot be removed"):
        definitions.read(str(path))


async def test_the_page_on_segments_can_be_pasted(cli, sandbox: Sandbox, tmp_path: Path) -> None:
    """Its commands by options run as they stand, and its file is taken."""
    page = (Path(criteo_audiences.__file__).parents[1] / "docs" / "how-to" / "segments.md").read_text("utf-8")
    commands = re.findall(r"^\$ criteo-audiences (.*?[^\\])\n(?!    )", page.replace("\\\n   ", ""), re.MULTILINE)
    creations = [shlex.split(each) for each in commands if not re.search(r"--from-file|[|]|[$][(]", each)]
    assert len(creations) == 4
    for words in creations:
        assert (await cli(*words)).code == 0, words
    (document,) = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    path = tmp_path / "segments.json"
    path.write_text(document)
    done = await cli("segments", "create", MS, "--from-file", str(path), "--advertiser-id", "123")
    assert (done.code, len(done.out.split())) == (0, 2), done.err
    assert sum("/create" in call.path for call in sandbox.requests) == 5

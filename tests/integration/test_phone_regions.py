from pathlib import Path

import polars as pl
import pytest

from criteo_audiences import ConfigurationError, CriteoClient, Table
from criteo_audiences.sandbox import Sandbox


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """A file whose rows say in which country each number is dialed, or fail to."""
    path = tmp_path / "crm.csv"
    path.write_text(
        "phone,country\n"
        "01 23 45 67 89,FR\n"  # national, by its own country
        "(201) 555-0123, us \n"
        "+49 30 123456,FR\n"  # international: the country is not asked
        "020 7946 0018,\n"  # no country: that of the upload
        "030 654321,Germany\n"  # a name
        "612345678,Narnia\n"  # no country that is understood: never that of the upload
        "+34612345678,Narnia\n"  # which an international number has no need of
    )
    return path


async def test_each_row_is_dialed_in_its_own_country(numbers: Path) -> None:
    """A country in the column overrides the upload's region, which stands in for empty cells and for nothing else."""
    async with Sandbox() as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        segment = sandbox.add_contact_list()
        report = await criteo.marketing_solutions.upload_contact_list(
            segment,
            numbers,
            identifier_type="phone_number",
            column="phone",
            region_column="Country",
            region="GB",
            hash=None,
        )
        assert sandbox.contact_list(segment).identifiers == {
            "+33123456789",
            "+12015550123",
            "+4930123456",
            "+442079460018",
            "+4930654321",
            "+34612345678",
        }
    assert report.rejected == {"unknown_country": 1}


OUTCOMES = {
    **dict.fromkeys(["ES", "Spain", "ESP", "España", "Spanien", "ES - Spain", '="ES"', "'es"], "+34"),
    **dict.fromkeys(["", " \u00a0\u200b"], "+33"),  # nothing is given: the upload's region
    **dict.fromkeys(["Narnia", "Spain, France", "-", "NULL", "34"], "unknown_country"),
    "Antarctica": "unknown_country",  # a country without numbers of its own
    "Deutschland": "+49",
    "UK": "no_such_number",
}


async def test_a_country_that_is_given_is_never_replaced_by_another(tmp_path: Path) -> None:
    """A national number is dialed in the country of its row or rejected; sources and opt-outs alike."""
    numbers = [f"6123456{row}" for row, _ in enumerate(OUTCOMES, start=10)]
    dialed = {code + number for code, number in zip(OUTCOMES.values(), numbers, strict=True) if code.startswith("+")}
    rows = Table.from_arrow(pl.DataFrame({"tel": numbers, "country": list(OUTCOMES)}), column="tel")
    readings = [code + number for number in numbers for code in ("+34", "+33", "+49")]
    countries = ["", "UK", "?"] * len(numbers)
    kept = Table.from_arrow(pl.DataFrame({"tel": readings, "country": countries}), column="tel")
    choices = {"identifier_type": "phone_number", "region": "FR", "region_column": "country", "hash": None}
    async with Sandbox() as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        segment, upload = sandbox.add_contact_list(), criteo.marketing_solutions.upload_contact_list
        await upload(segment, rows, rejects=tmp_path / "rejects.csv", **choices)
        assert sandbox.contact_list(segment).identifiers == dialed
        rejected = pl.read_csv(tmp_path / "rejects.csv")
        assert {list(OUTCOMES)[row - 1]: reason for row, reason in rejected.select("row", "reason").iter_rows()} == {
            country: outcome for country, outcome in OUTCOMES.items() if not outcome.startswith("+")
        }
        other = sandbox.add_contact_list()
        report = await upload(other, kept, suppress=rows, suppress_strict=False, **choices)
        assert report.suppressed == len(dialed)
        assert sandbox.contact_list(other).identifiers == {*readings} - dialed


async def test_a_table_may_name_its_own_region_column() -> None:
    """Of a source and of its opt-outs, each its own; an iterable's opt-outs as well."""
    rows = Table.from_arrow(
        pl.DataFrame({"tel": ["612345678", "612345679"], "country": ["Spain", "Spain"]}),
        column="tel",
        region_column="country",
    )
    gone = Table.from_arrow(pl.DataFrame({"tel": ["612345678"], "land": ["ES"]}), column="tel", region_column="land")
    choices = {"identifier_type": "phone_number", "region": "FR", "hash": None, "suppress": gone}
    async with Sandbox() as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        segment, upload = sandbox.add_contact_list(), criteo.marketing_solutions.upload_contact_list
        assert (await upload(segment, rows, **choices)).suppressed == 1
        assert (await upload(segment, ["+34612345678", "+34612345679"], **choices)).suppressed == 1
        assert sandbox.contact_list(segment).identifiers == {"+34612345679"}
        with pytest.raises(ConfigurationError, match="region_column goes with identifier_type='phone_number'"):
            await upload(segment, rows, hash=None)


async def test_a_region_column_goes_with_phone_numbers_of_a_table(numbers: Path) -> None:
    """Other kinds, iterables and columns that are not there are refused before a call."""
    async with Sandbox() as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        segment, ms = sandbox.add_contact_list(), criteo.marketing_solutions
        with pytest.raises(ConfigurationError, match="region_column goes with identifier_type='phone_number'"):
            await ms.upload_contact_list(segment, numbers, hash=None, region_column="country")
        with pytest.raises(ConfigurationError, match="region_column is about the columns of a table"):
            await ms.upload_contact_list(
                segment, ["1"], identifier_type="phone_number", hash=None, region_column="country"
            )
        with pytest.raises(ConfigurationError, match="its columns are: 'phone', 'country'"):
            await ms.upload_contact_list(
                segment, numbers, identifier_type="phone_number", column="phone", hash=None, region_column="land"
            )
        assert sandbox.requests == []

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError
from criteo_audiences.validation import encoding_of

MIXED = "Prénom;E-mail;Ort\nJosé;a@b.co;Köln Süd\nZoë;c@d.co;Málaga €\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_text_is_read_in_the_encoding_it_is_in(encoding: str, compress: Callable[[bytes], bytes], desk: Any) -> None:
    """What is no UTF-8 is copied into it, for the owner's eyes only."""
    content = MIXED.encode(encoding)
    layout = desk.inspect(compress(b"\xfe\xff" * encoding.endswith("16-be") + content))
    assert layout.names == ("Prénom", "E-mail", "Ort")
    assert layout.sample == (("José", "a@b.co", "Köln Süd"), ("Zoë", "c@d.co", "Málaga €"))
    if encoding.startswith("utf-8"):
        assert desk.copies() == []
        return
    assert desk.copies() == [Path(layout.path)]
    assert (Path(layout.path).read_bytes(), layout.compression) == (MIXED.encode(), "none")
    assert Path(layout.path).stat().st_mode & 0o777 == 0o600


def test_damaged_places_in_utf8_stay_damaged_places(desk: Any) -> None:
    """One bad byte does not turn all other letters into another encoding's; its own cell becomes unusable."""
    content = (MIXED * 3).encode() + b"Ann;jos\xe9@d.co;Ulm\n"
    layout = desk.inspect(content)
    assert layout.names == ("Prénom", "E-mail", "Ort")
    assert layout.sample[-1] == ("Ann", "jos\ufffd@d.co", "Ulm")


def test_bytes_that_a_code_page_leaves_undefined_are_replaced(desk: Any) -> None:
    """Five bytes mean nothing in cp1252."""
    assert desk.inspect(b"name,email\nJos\xe9,a\x81\x8d\x8f\x90\x9db@b.co\n").sample == (
        ("José", "a\ufffd\ufffd\ufffd\ufffd\ufffdb@b.co"),
    )


def test_a_damaged_byte_is_found_wherever_it_is(desk: Any) -> None:
    """Also at the end of a large file, within a character that two pieces share, and at its very end."""
    begun = b"email,name\n" + b"a@b.co,\xc3\xa4nn\n" * 60_000
    for number, tail in enumerate((b"c@d.co,\xff\n", b"c@d.co,\xc3")):
        layout = desk.inspect(begun + tail, f"{number}.csv")
        assert Path(layout.path).read_bytes() == begun + tail.replace(b"\xff", b"\xef\xbf\xbd").replace(
            b"\xc3", b"\xef\xbf\xbd"
        )
        Path(layout.path).unlink()


@pytest.mark.parametrize("shift", range(4))
def test_characters_are_whole_across_pieces(shift: int, desk: Any) -> None:
    """A file of clean UTF-8 is clean wherever its pieces end."""
    content = "email," + "x" * shift + "\n" + "a@b.co,äöü€😀\n" * 30_000
    assert desk.inspect(content).path == str(desk.files / "crm.csv")


CELLS = st.text(st.characters(codec="cp1252", exclude_categories=["Cc"], include_characters="\n\r,;\t"), max_size=12)


@example(rows=[("", "", " "), ("", "", "\r")], encoding="utf-8", dialect="unix")
@example(rows=[("", " ", "\r")], encoding="utf-8", dialect="excel")
@example(rows=[("", "\r\t", "")], encoding="utf-8", dialect="excel-tab")
@example(rows=[("a", "b\rc,d@e.fr,f", "g")], encoding="utf-8", dialect="excel")
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    dialect=st.sampled_from(["excel", "excel-tab", "unix"]),
)
def test_a_table_is_sampled_as_python_reads_it(rows: list[Any], encoding: str, dialect: str, desks: Any) -> None:
    """Whatever the cells hold, names and sample are those of Python's own reader, but for blanks that begin a cell."""
    text = io.StringIO(newline="")
    # The same letters in every row keep a code page apart from damaged UTF-8, and pure ASCII from both.
    csv.writer(text, dialect).writerows([("id", "E-Mail", "ÄÖÜ ß"), *rows, ("1", "a@b.co", "éèêë ôöò äàâ")])
    expected = [
        row for row in csv.reader(io.StringIO(text.getvalue(), newline=""), dialect, skipinitialspace=True) if row
    ]
    said = encoding if encoding == "cp1252" else None  # letters without words speak for many code pages
    layout = desks().inspect(text.getvalue().encode(encoding), encoding=said)
    assert list(layout.names) == expected[0]
    assert [[(cell or "").lstrip(" ") for cell in row] for row in layout.sample] == [
        [cell.lstrip(" ") for cell in row] for row in expected[1:]
    ]
    assert layout.rows == len(expected) - 1


ALPHABETS = {
    "cp1251": "Иван Мария Ольга Сергей Дмитрий Наталья Москва Казань Пётр Юлия Щукин Эдуард",
    "cp1253": "Γιώργος Μαρία Ελένη Κωνσταντίνος Αθήνα Θεσσαλονίκη Παναγιώτης Δημήτρης Σοφία Πάτρα",
    "gb18030": "王伟 李娜 张敏 刘洋 陈静 北京 上海 广州 深圳 赵磊 黄丽 周杰 杨帆 吴刚 徐明 孙燕",
    "cp949": "김민준 이서연 박지훈 최수빈 서울 부산 대구 인천 정하은 강도윤 조은우 윤서준",
    "euc_jp": "田中さくら 佐藤ゆい 鈴木ケンジ 東京 大阪 高橋みさき 京都 まつもと サトウ",
    "cp932": "田中さくら 佐藤ゆい 鈴木ケンジ 東京 大阪 高橋みさき 京都 まつもと サトウ",
    "cp950": "王小明 陳美玲 林志豪 黃淑芬 台北 高雄 台中 張雅婷 李建國 吳宗憲 劉德華 新竹",
    "cp1250": "Paweł Łukasz Małgorzata Żaneta Łódź Kraków Bożena Michał Gdańsk Jiří Šárka Růžena Plzeň",
}
WESTERN = {
    "French": "José François Hélène Zoé Orléans Béziers Anaïs Noël Benoît sœur Cécile Paul Marc",
    "German": "Jürgen Köln Müller Björn Günther Österreich Düsseldorf Weiß Anna Paul Änne",
    "Swedish": "Åsa Åke Örjan Malmö Göteborg Märta Håkan Växjö Erik Anna Ängelholm",
    "Spanish": "José María Muñoz Peña Málaga León Íñigo Ángel Cádiz Juan 3ª nº",
    "Portuguese": "João São Conceição Gonçalves Simões Guimarães Ana Luís Brasília",
    "Danish": "Søren Jørgen Århus Ærø København Bjørn Tromsø Lærke Anna",
    "Italian": "Niccolò Forlì Cantù Città Perù Mosè Anna Marco è più",
    "Icelandic": "Þórður Guðrún Sigríður Björk Æsa Reykjavík Ísafjörður Jón Ýr",
}


def crm(names: str, rows: int) -> str:
    """Returns a list of people, most of whose names are ASCII."""
    given = names.split()
    filled = (given[row // 3 % len(given)] if row % 3 == 0 else "Ann" for row in range(rows))
    return "name,email\r\n" + "".join(f"{name},person{row}@b.co\r\n" for row, name in enumerate(filled))


@pytest.mark.parametrize("encoding", ALPHABETS)
def test_other_alphabets_are_told_by_their_letters(encoding: str, desk: Any) -> None:
    """Where a few dozen words speak for one encoding, it is no guess."""
    text = crm(ALPHABETS[encoding], 60)
    layout = desk.inspect(text.encode(encoding))
    assert (Path(layout.path).read_bytes().decode(), layout.guess) == (text, "")


@pytest.mark.parametrize("rows", [4, 12, 60])
@pytest.mark.parametrize("language", WESTERN)
def test_western_text_stays_western(language: str, rows: int, desk: Any) -> None:
    """However few of its letters are beyond ASCII."""
    text = crm(WESTERN[language], rows)
    layout = desk.inspect(text.encode("cp1252"))
    assert Path(layout.path).read_bytes().decode() == text


@given(
    encoding=st.sampled_from([*ALPHABETS, "cp1252", "koi8-r", "iso8859-2", "cp1254", "cp1255", "cp874"]),
    data=st.data(),
)
def test_a_wrong_guess_never_changes_an_address(encoding: str, data: Any, desks: Any) -> None:
    """Addresses are ASCII in every encoding, whatever the letters beside them are taken for."""
    letters = "".join(bytes([byte]).decode(encoding, "ignore") for byte in range(0x80, 0x100)) + ALPHABETS.get(
        encoding, ""
    )
    word = st.text(st.sampled_from([*letters.replace(" ", ""), *"abc"]), min_size=1, max_size=8)
    words = [word for word in data.draw(st.lists(word, min_size=1, max_size=12)) if word.isalpha()]
    text = "email,name\n" + "".join(f"person{row}@b.co,{word}\n" for row, word in enumerate(words))
    layout = desks().inspect(text.encode(encoding))
    assert [row[0] for row in layout.sample] == [f"person{row}@b.co" for row in range(len(words))]


@pytest.mark.parametrize(("encoding", "said"), [("cp1251", "Windows-1251"), ("euc_kr", "EUC-KR"), ("cp037", "cp037")])
def test_the_encoding_that_the_caller_names_is_used(encoding: str, said: str, desk: Any) -> None:
    """Whatever the bytes look like, also where they are no ASCII."""
    text = (
        "name,email\nAnn \u00a9,a@b.co\n" if encoding == "cp037" else f"name,email\n{ALPHABETS['cp949'][:3]},a@b.co\n"
    )
    text = text if encoding != "cp1251" else "имя,email\nЯ,a@b.co\n"
    layout = desk.inspect(text.encode(encoding), encoding=encoding_of(said))
    assert Path(layout.path).read_bytes().decode() == text
    assert layout.guess == ""


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "idna"])
def test_an_encoding_that_cannot_read_the_text_is_refused(encoding: str, desk: Any) -> None:
    """Some codecs give up, whatever is asked to stand in for damage; the message says what to name instead."""
    with pytest.raises(ConfigurationError, match=f"cannot be read with encoding='{encoding}'") as caught:
        desk.inspect(b"email\na@b.co\n" * 10, encoding=encoding_of(encoding))
    assert "@" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("value", ["klingon", "", "base64", "rot13", 1252, b"cp1252", "cp1252\0", "undefined"])
def test_an_encoding_that_is_none_is_refused(value: Any) -> None:
    """The message names a few; what was given is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        encoding_of(value)
    assert str(caught.value) == (
        "encoding must be a codec that Python knows, such as 'cp1252', 'cp1251', 'gb18030', 'euc-kr' or 'utf-16'."
    )

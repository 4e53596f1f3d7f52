"""Files of every kind are opened as tables, with the reasons, or refused in one sentence."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import os
import tracemalloc
import zipfile
from pathlib import Path

import openpyxl
import pytest

from crm.importing.detecting import normalised, repaired
from crm.importing.files import MIB, FileRefused, Limits, ReadOptions
from crm.importing.mapping import known_words
from crm.importing.reading import Table, open_table
from tests.importing.conftest import CUSTOMER_TARGETS, workbook


@pytest.fixture
def table(tmp_path: Path):
    """Opens bytes as a table."""

    def opened(data: bytes | str, options: ReadOptions | None = None, *, name: str = "file", **more) -> Table:
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return open_table(path, options, **more)

    return opened


def names(found: Table) -> list[str]:
    return [column.name for column in found.columns]


@pytest.mark.parametrize(
    ("file", "rows", "width", "options"),
    [
        ("adventureworks_DimCustomer.csv.gz", 18_484, 7, {"encoding": "utf-8-sig", "header": 1}),
        ("cdnow_sample.txt", 6_919, 1, {"header": 0}),
        ("cdnow_summary_39_weeks.csv", 2_357, 5, {"header": 1}),
        ("maven_crm_accounts.csv", 85, 7, {"encoding": "utf-8", "delimiter": ","}),
        ("nhtsa_complaints_311.csv", 311, 61, {"header": 1}),
        ("nhtsa_complaints_headerless.txt", 101, 49, {"delimiter": "\t", "header": 0}),
        ("salesforce_import_contacts.csv", 100, 6, {"header": 1}),
        ("salesforce_import_opportunities.csv", 1_000, 11, {"header": 1}),
        ("superstore.csv", 10_194, 21, {"encoding": "utf-8-sig"}),
        ("superstore.xls", 10_194, 21, {"sheet": "Orders"}),
        ("telco_customer_churn.csv", 7_043, 21, {"header": 1}),
        ("vehicle_maintenance_5000.csv", 5_000, 13, {"header": 1}),
    ],
)
def test_the_public_files_are_read_to_the_last_row(shared, file, rows, width, options):
    found = open_table(shared / file)
    assert len(found.columns) == width
    for name, value in options.items():
        assert getattr(found.options, name) == value, found.found.reasons
    read = list(found.rows())
    assert len(read) == rows
    assert not [row for row in read if row.problem]
    assert all(len(row.cells) == width for row in read)


def test_the_sheet_that_fits_what_is_imported_is_chosen_and_can_be_overruled(shared):
    path = shared / "maven_crm_sales.xlsx"
    found = open_table(path, words=known_words(CUSTOMER_TARGETS))
    assert found.options.sheet == "Account"
    assert len(list(found.rows())) == 85
    assert len(found.found.sheets) == 20
    deals = open_table(path, ReadOptions(sheet="sales_pipeline"))
    assert len(list(deals.rows())) == 8_800
    assert deals.columns[5].samples[0] == "2016-10-20"
    with pytest.raises(FileRefused, match="no sheet 'Nowhere'"):
        open_table(path, ReadOptions(sheet="Nowhere"))


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-8", "valid UTF-8"),
        ("utf-8-sig", "byte order mark of UTF-8"),
        ("utf-16", "byte order mark of UTF-16"),
        ("utf-16-le", "every second byte is empty"),
        ("utf-16-be", "every second byte is empty"),
        ("utf-32", "byte order mark of UTF-32"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_encodings_are_found_with_the_reason(table, encoding, told):
    text = "name,city\n" + "".join(f"Jürgen Müller {n},Köln am Rhein\n" for n in range(50))
    found = table(text.encode(encoding))
    assert told in found.found.reasons["encoding"]
    assert next(found.rows()).cells == ["Jürgen Müller 0", "Köln am Rhein"]


def test_cyrillic_is_not_taken_for_western(table):
    text = "имя;город\n" + "".join(f"Иван Петрович Сидоров {n};Нижний Новгород\n" for n in range(60))
    found = table(text.encode("cp1251"))
    assert next(found.rows()).cells == ["Иван Петрович Сидоров 0", "Нижний Новгород"]


def test_an_accent_far_behind_the_start_still_decides_the_encoding(table):
    text = "name\n" + "Anna Smith\n" * 200_000 + "José\n"
    assert table(text.encode("cp1252")).options.encoding == "cp1252"
    assert table(text.encode()).options.encoding == "utf-8"


def test_a_damaged_byte_in_utf8_costs_one_row(table):
    good = "".join(f"Zoë {n},Übersee\n" for n in range(100)).encode()
    rows = list(table(b"name,city\n" + good + b"Br\xffken,Nowhere\n" + good).rows())
    assert len(rows) == 201
    assert [row.number for row in rows if row.problem] == [102]
    assert "no text in this encoding" in rows[100].problem


def test_a_lone_surrogate_and_a_nul_cost_one_row_each(table):
    data = "name,city\nÄnn,Bonn\nBob,Köln\nCyd,Ulm\nDan,Jena\n".encode("utf-16-le")
    data = data.replace("Bob".encode("utf-16-le"), b"B\x00\x00\xd8b\x00")
    rows = list(table(b"\xff\xfe" + data).rows())
    assert [bool(row.problem) for row in rows] == [False, True, False, False]
    rows = list(table("name,city\nAnn,Bonn\nBob\0,Ulm\nCyd,Ulm\n").rows())
    assert [row.problem for row in rows] == [None, "it holds a NUL character", None]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found_also_when_the_others_stand_in_values(table, delimiter):
    text = delimiter.join(("name", "note", "city")) + "\n"
    text += "".join(delimiter.join((f"Ann {n}", '"a, b; c | d"', "Bonn")) + "\n" for n in range(20))
    found = table(text)
    assert found.options.delimiter == delimiter
    assert next(found.rows()).cells == ["Ann 0", "a, b; c | d", "Bonn"]


def test_what_is_decided_is_not_found_out(table):
    found = table("a;b\n1;2\n", ReadOptions(delimiter=",", header=0, encoding="latin-1"))
    assert names(found) == ["Column 1"]
    assert found.found.reasons.keys() == {"quote"}
    assert [row.cells for row in found.rows()] == [["a;b"], ["1;2"]]


def test_excel_notes_and_single_quotes_are_understood(table):
    assert [row.cells for row in table("sep=;\nname;city\nAnn;Bonn\n").rows()] == [["Ann", "Bonn"]]
    found = table("name,city\n" + "'Ann, the first','Bonn'\n" * 5)
    assert found.options.quote == "'"
    assert next(found.rows()).cells == ["Ann, the first", "Bonn"]


def test_mixed_line_ends_and_blank_lines(table):
    rows = list(table(b"name,city\r\nAnn,Bonn\nBob,Ulm\r\n\r\n,\nCyd,Jena\rDan,Kiel").rows())
    assert [(row.number, row.cells[0]) for row in rows] == [(2, "Ann"), (3, "Bob"), (6, "Cyd"), (7, "Dan")]


def test_ragged_rows_are_refused_with_the_reason(table):
    rows = list(
        table("name,email,city\nAnn,a@x.org,Bonn\nBob,b@x.org\nCyd,c@x.org,Ulm,more\nDan,d@x.org,Kiel,,\n").rows()
    )
    assert [row.problem for row in rows] == [
        None,
        "it has 2 values, the file has 3 columns",
        "it has 4 values, the file has 3 columns",
        None,
    ]
    assert all(len(row.cells) == 3 for row in rows)


def test_headers_get_names_of_their_own(table):
    found = table("name,email,Email,,name\nAnn,a@x.org,b@x.org,x,y\n", words={"name", "email"})
    assert names(found) == ["name", "email", "Email (2)", "Column 4", "name (2)"]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("Ann Smith,ann@x.org,2020-01-01\nBob Jones,bob@x.org,2020-01-02\n", 0),
        ("Customers of 2024,,\n\nname,email,city\nAnn,a@x.org,Bonn\n", 3),
        ("name,email,city\n", 1),
        ("1,2,3\n4,5,6\n", 0),
    ],
)
def test_a_header_is_told_from_data(table, text, header):
    assert table(text).options.header == header


def test_samples_and_fill_rate(table):
    column = table("name,fax\n" + "Ann,\nBob,1\n" * 10).columns[1]
    assert column.samples == ("1",)
    assert column.fill_rate == 0.5


def test_text_read_in_the_wrong_encoding_is_recognised_and_mended_on_wish(table):
    broken = "name,city\n" + "".join(f"José Núñez {n},Łódź – “quoted”\n" for n in range(3)).encode().decode(
        "cp1252", "replace"
    )
    whole = "name,city\nJosé,Müller\n"
    garbled = whole.encode().decode("cp1252")
    found = table(garbled)
    assert found.found.repair_offered == "JosÃ© → José"
    assert next(table(garbled, ReadOptions(repair=True)).rows()).cells == ["José", "Müller"]
    assert table(whole).found.repair_offered is None
    assert repaired("plain ÄÖÜ") == "plain ÄÖÜ"
    assert table(broken).found.repair_offered


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(table):
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(200):
            file.write(b"a,b\n" * (MIB // 4))
    tracemalloc.start()
    with pytest.raises(FileRefused, match="bomb"):
        list(table(packed.getvalue()).rows())
    assert tracemalloc.get_traced_memory()[1] < 32 * MIB
    tracemalloc.stop()


def test_gzip_cut_off_damaged_twice_or_in_members(table):
    data = gzip.compress(b"name,city\n" + b"".join(b"Ann %d,Bonn\n" % n for n in range(20_000)))
    with pytest.raises(FileRefused, match="cut off"):
        list(table(data[:-5_000]).rows())
    with pytest.raises(FileRefused, match="damaged"):
        list(table(data[:3_000] + os.urandom(2_000) + data[5_000:]).rows())
    with pytest.raises(FileRefused, match="packed twice"):
        table(gzip.compress(data))
    assert len(list(table(gzip.compress(b"name,city\nAnn,Bonn\n") + gzip.compress(b"Bob,Ulm\n")).rows())) == 2


def test_a_workbook_bomb_is_refused_from_its_directory(table):
    data = workbook("<row r='1'><c r='A1'><v>1</v></c></row>", extra={"xl/media/big.bin": b"\0" * (64 * MIB)})
    with pytest.raises(FileRefused, match="bomb"):
        table(data)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ('<row r="1"><c r="A1"><v>1</v></c><c r="XFD1"><v>2</v></c></row>', "column XFD"),
        (
            '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="A1048576"><v>2</v></c></row>',
            "lone cell",
        ),
        ('<row r="9000000"><c r="A9000000"><v>2</v></c></row>', "at most 1,048,576"),
    ],
)
def test_far_cells_are_refused(table, cells, told):
    with pytest.raises(FileRefused, match=told):
        table(workbook(cells))


def test_a_workbook_that_needs_too_much_memory_dies_alone(table):
    rows = "".join(
        f'<row r="{n}"><c r="A{n}" t="inlineStr"><is><t>name {n}</t></is></c><c r="ZZ{n}"><v>1</v></c></row>'
        for n in range(1, 30_000)
    )
    with pytest.raises(FileRefused, match="memory"):
        table(workbook(rows), limits=Limits(workbook_memory=300 * MIB))


def test_workbooks_that_are_none(table):
    with pytest.raises(FileRefused, match="damaged"):
        table(b"PK\x03\x04" + os.urandom(500))
    with pytest.raises(FileRefused, match="damaged or no Excel"):
        table(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + os.urandom(2_000))
    with pytest.raises(FileRefused, match=r"damaged|memory"):
        table(workbook("<row r='1'><c r='A1'><v>1</v></c>")[:-300])
    made = io.BytesIO(workbook(""))
    with pytest.raises(FileRefused, match="empty"):
        table(made.getvalue())


def test_a_zip_of_csv_says_what_to_do(table, tmp_path):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("customers.csv", "name\nAnn\n")
    with pytest.raises(FileRefused, match=r"unpack it and send 'customers\.csv'"):
        table(made.getvalue())


def test_cells_of_a_workbook_read_as_a_person_sees_them(table):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Name", "Since", "Revenue", "Active", "Note"])
    day, moment = dt.datetime(2024, 2, 29), dt.datetime(2024, 2, 29, 13, 5)  # noqa: DTZ001 - Excel has no zones
    sheet.append(["Ann", day, 1100.04, True, "a\nb"])
    sheet.append([None, None, None, None, None])
    sheet.append([12, moment, 251.41, False, "=1+1"])
    made = io.BytesIO()
    book.save(made)
    rows = list(table(made.getvalue()).rows())
    assert rows[0][:2] == (2, ["Ann", "2024-02-29", "1100.04", "yes", "a\nb"])
    assert rows[1].number == 4
    assert rows[1].cells[:4] == ["12", "2024-02-29 13:05:00", "251.41", "no"]


@pytest.mark.parametrize("size", [3_000, 30 * MIB])
def test_a_quote_that_never_ends_is_refused_with_its_line(table, size):
    data = b"name,city\nAnn,Bonn\n" + b'"Bob,Ulm\n' + b"Cyd,Jena\n" * (size // 9)
    with pytest.raises(FileRefused, match="line 3 starts"):
        list(table(data).rows())
    assert len(list(table(data[:2_000], ReadOptions(quote="", header=1, delimiter=",")).rows())) > 200


def test_huge_lines_fields_and_widths_are_refused(table):
    with pytest.raises(FileRefused, match="longer than"):
        list(table(b"x" * (12 * MIB)).rows())
    with pytest.raises(FileRefused, match="columns"):
        list(table("a,b\n1,2\n" + "," * 500_000 + "x\n", ReadOptions(header=1, delimiter=",")).rows())
    with pytest.raises(FileRefused, match="columns"):
        table(",".join(f"c{n}" for n in range(1_000_000)) + "\n")
    rows = list(table("name,note\nAnn," + "x" * 200_000 + "\n").rows())
    assert len(rows[0].cells[1]) == 200_000


def test_what_is_no_table_is_refused(table):
    for data, told in (
        (b"", "empty"),
        (b"\n\n  \n", "no values"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"\x89PNG\r\n", "picture"),
        (b"\0" * 5_000, "no text"),
    ):
        with pytest.raises(FileRefused, match=told):
            table(data)


def test_bytes_of_every_kind_make_no_good_row(table):
    found = table(bytes(range(256)) * 50)
    rows = list(found.rows())
    assert rows
    assert all(row.problem for row in rows)


def test_wrong_options_are_refused():
    for options in (
        {"encoding": "klingon"},
        {"encoding": "rot13"},
        {"encoding": "unicode_escape"},
        {"encoding": "undefined"},
        {"delimiter": ""},
        {"delimiter": "ab"},
        {"delimiter": "\n"},
        {"header": -1},
    ):
        with pytest.raises(FileRefused):
            ReadOptions(**options)
    assert ReadOptions.from_data(ReadOptions(delimiter=";").as_data()) == ReadOptions(delimiter=";")
    with pytest.raises(FileRefused, match="unknown"):
        ReadOptions.from_data({"sheets": 1})


def test_memory_stays_flat_over_a_large_file(tmp_path):
    path = tmp_path / "large.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("name,email,city\n")
        for n in range(60_000):
            file.write(f"Person number {n},person{n}@example.org,City {n % 500}\n")
    found = open_table(path)
    tracemalloc.start()
    count = sum(1 for _ in found.rows())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 8 * MIB


@pytest.mark.parametrize(
    "header", ["DateFirstPurchase", " date_first-purchase ", "Date  First Purchase", "DATE FIRST PURCHASE"]
)
def test_headers_are_compared_without_their_spelling(header):
    assert normalised(header) == "date first purchase"

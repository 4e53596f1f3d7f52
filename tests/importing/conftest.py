"""Files to import: the public ones in ../shared/data, and small hostile ones made on the spot."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from crm.core.entity import db, face_named
from crm.core.jobs import Job, JobState
from crm.importing import loading
from crm.importing.mapping import Target
from crm.importing.running import run_import
from crm.importing.start import by_number, draft, replan, start
from crm.models.imports import Import

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"

# The customer document of INTERFACE, as far as the mapping needs it.
CUSTOMER_TARGETS = [
    Target(
        name,
        name.replace("_", " ").capitalize(),
        kind,
        options=("Male", "Female") if name == "gender" else (),
    )
    for name, kind in (
        ("name", "text"),
        ("first_name", "text"),
        ("middle_name", "text"),
        ("last_name", "text"),
        ("company_name", "text"),
        ("account_number", "text"),
        ("email", "email"),
        ("email2", "email"),
        ("phone", "phone"),
        ("phone2", "phone"),
        ("fax", "phone"),
        ("website", "url"),
        ("industry", "text"),
        ("tax_id", "text"),
        ("annual_revenue", "money"),
        ("employees", "integer"),
        ("gender", "choice"),
        ("date_of_birth", "date"),
        ("customer_since", "date"),
        ("status", "text"),
        ("type", "text"),
        ("description", "long_text"),
        ("tags", "tags"),
        ("address", "text"),
        ("city", "text"),
        ("state", "text"),
        ("postal_code", "text"),
        ("country", "country"),
        ("billing_address", "text"),
        ("billing_city", "text"),
        ("shipping_city", "text"),
    )
]


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"LOUD: the public data is not at {SHARED}: nothing of it was imported")
    return SHARED


def workbook(rows_xml: str, *, sheets: int = 1, extra: dict[str, bytes] | None = None) -> bytes:
    """The bytes of a minimal .xlsx whose sheets hold ``rows_xml``."""
    names = "".join(f'<sheet name="Sheet{n}" sheetId="{n}" r:id="rId{n}"/>' for n in range(1, sheets + 1))
    links = "".join(
        f'<Relationship Id="rId{n}" Target="worksheets/sheet{n}.xml" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"/>'
        for n in range(1, sheets + 1)
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    parts = {
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="rId1" Type="{office}" '
        'Target="xl/workbook.xml"/></Relationships>',
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/'
        f'relationships"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        f'relationships">{links}</Relationships>',
    }
    for number in range(1, sheets + 1):
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{rows_xml}</sheetData></worksheet>'
        )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return made.getvalue()


@pytest.fixture
def bring(session):
    return brought


def asked(
    data: bytes | str | Path, into="customer", *, columns=None, by=None, name="file.csv", **more
) -> tuple[Import, Job]:
    """An import of bytes into a face that was started, and its job."""
    face = face_named(into)
    later = {
        key: more.pop(key) for key in ("styles", "constants", "words", "rules", "known_only", "only") if key in more
    }
    stream = data.open("rb") if isinstance(data, Path) else io.BytesIO(data.encode() if isinstance(data, str) else data)
    with stream:
        record, table = draft(face, stream, name, by=by, again=True, **more)
    plan = record.plan
    if columns and not all(isinstance(key, int) for key in columns):
        columns = by_number(table, columns)
    for key in {"styles", "only"} & later.keys():
        later[key] = by_number(table, later[key])
    replan(record, face, table, columns or {int(number): name for number, name in plan["columns"].items()}, **later)
    job = start(record, by=by)
    db.session.commit()
    return record, job


def brought(data: bytes | str | Path, into="customer", **more) -> Import:
    """Imports bytes into a face and answers the record with its counts."""
    record, job = asked(data, into, **more)
    for _ in run_import(record.id, {}):
        db.session.commit()
    job.state = JobState.DONE
    db.session.commit()
    return record


def counts(record: Import) -> dict[str, int]:
    found = {name: getattr(record, f"rows_{name}") for name in loading.OUTCOMES}
    assert sum(found.values()) == record.rows, "the counts must add up to the rows"
    return {name: number for name, number in found.items() if number}


@pytest.fixture
def face(session):
    return face_named("customer")

"""The customer document, look-ups, row scope and what a program may do to a customer."""

from __future__ import annotations

import pytest
from sqlalchemy import event, func, select, text

from crm.commands.duplicate_search import search_changed
from crm.core.entity import db, face_named
from crm.models.access import AuditEntry
from crm.models.parties import Contact, Party
from crm.models.party_duplicates import CandidateState, DuplicateCandidate
from tests.api.conftest import new_program

FIRST = [
    "id",
    "code",
    "account_number",
    "name",
    "kind",
    "type",
    "roles",
    "first_name",
    "middle_name",
    "last_name",
    "company_name",
    "gender",
    "date_of_birth",
]


@pytest.fixture
def ana(program):
    answer = program()(
        "POST",
        "/customers",
        {
            "first_name": "Ana",
            "last_name": "Ng",
            "email": "Ana@Example.com",
            "email2": "ana.second@example.com",
            "phone": "+60 12-345 6789",
            "phone2": "+60 3 1234 5678",
            "account_number": "A-7",
            "tax_id": "de 123/45-x",
            "annual_revenue": 1200.5,
        },
    )
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return answer.get_json()


def test_the_document_reads_like_a_card(ana, program):
    assert list(ana)[:13] == FIRST
    assert (ana["name"], ana["email"], ana["phone"]) == ("Ana Ng", "ana@example.com", "+60123456789")
    assert (ana["code"], ana["status"], ana["annual_revenue"]) == (f"C-{ana['id']:06d}", "active", "1200.50")
    ask = program()
    place = ask("POST", "/addresses", {"party": ana["id"], "city": "Kuala Lumpur", "country": "malaysia"})
    assert place.status_code == 201, place.get_data(as_text=True)
    ask("POST", "/addresses", {"party": {"id": ana["id"]}, "kind": "billing", "city": "Ipoh", "country": "MY"})
    shown = ask.get(f"/customers/{ana['id']}")
    assert (shown["city"], shown["country"], shown["billing_city"]) == ("Kuala Lumpur", "MY", "Ipoh")
    assert shown["shipping_city"] is None


def test_the_tag_moves_with_what_is_shown(ana, program):
    ask = program()
    place = f"/customers/{ana['id']}"
    tag = ask("GET", place).headers["ETag"]
    ask("POST", "/addresses", {"party": ana["id"], "city": "Ipoh"})
    moved = ask("GET", place, If_None_Match=tag)
    assert (moved.status_code, moved.get_json()["city"]) == (200, "Ipoh")
    assert ask("PATCH", place, {"city": "Penang"}, If_Match=tag).status_code == 412
    tag = moved.headers["ETag"]
    done = ask("PATCH", place, {"city": "Penang"}, If_Match=tag)
    assert (done.status_code, done.get_json()["city"]) == (200, "Penang")
    assert ask("PATCH", place, {"city": "Klang"}, If_Match=tag).status_code == 412


def test_a_first_address_is_made_with_its_customer(program):
    ask = program()
    made = ask("POST", "/customers", {"name": "Kim", "city": "Ipoh", "country": "Malaysia"})
    assert (made.status_code, made.get_json()["city"], made.get_json()["country"]) == (201, "Ipoh", "MY")
    places = ask.get(f"/addresses?flt_party_eq={made.get_json()['id']}")["items"]
    assert [(place["city"], place["is_default"]) for place in places] == [("Ipoh", True)]


@pytest.mark.parametrize(
    ("query", "matched"),
    [
        ("email=ANA@example.com", "email"),
        ("email=Ana.Second@example.com", "email2"),
        ("email=kim@example.com", "contact.email"),
        ("phone=%2B60123456789", "phone"),
        ("phone=+60 12 345 6789", "phone"),
        ("phone=012-345 6789&country=MY", "phone"),
        ("phone=012-345 6789&country=malaysia", "phone"),
        ("phone=%2B60312345678", "phone2"),
        ("phone=%2B601111111111", "contact.phone"),
        ("account_number=A-7", "account_number"),
        ("tax_id=DE12345X", "tax_id"),
        ("tax_id=de-123.45 x", "tax_id"),
    ],
)
def test_a_look_up_says_what_matched(ana, program, query, matched):
    ask = program()
    contact = ask(
        "POST",
        "/contacts",
        {"party": ana["id"], "name": "Kim", "email": "kim@example.com", "phone": "+60 11-1111 1111"},
    )
    assert contact.status_code == 201, contact.get_data(as_text=True)
    found = ask.get(f"/customers?{query}")
    assert [(item["id"], item["matched_on"]) for item in found["items"]] == [(ana["id"], matched)]
    assert found["next"] is None


def test_look_ups_find_archived_ones_come_by_number_and_go_on(ana, program):
    ask = program()
    others = [
        ask("POST", "/customers", {"name": f"Twin {n}", "email2": "ana@example.com"}).get_json()["id"] for n in range(4)
    ]
    assert ask("POST", f"/customers/{ana['id']}/archive", {}).status_code == 200
    found, cursor = [], ""
    while True:
        page = ask.get(f"/customers?email=ana@example.com&limit=2{cursor}")
        found += [(item["id"], item["matched_on"], item["status"]) for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == [(ana["id"], "email", "archived"), *((number, "email2", "active") for number in others)]
    assert ask.get(f"/customers?code={ana['code'].lower()}")["items"][0]["id"] == ana["id"]
    assert ask.get("/customers?email=nobody@example.com") == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("email=x", "email"),
        ("email=", "email"),
        ("phone=123", "phone"),
        ("phone=0123456789&country=Nowhere", "country"),
        ("email=a@b.co&phone=%2B60123456789", "phone"),
        ("email=a@b.co&country=MY", "country"),
        ("tax_id=--", "tax_id"),
        ("email=a@b.co&q=x", "q"),
        ("email=a@b.co&email=c@d.co", "email"),
        ("code=%00", "code"),
        ("code=C-1&limit=0", "limit"),
        ("code=C-1&cursor=99999999999999999999", "cursor"),
        ("vin=--", "vin"),
        ("external_id=erp", "external_id"),
    ],
)
def test_a_look_up_that_cant_be_done_names_the_parameter(program, query, field):
    answer = program()("GET", f"/customers?{query}")
    assert (answer.status_code, list(answer.get_json()["errors"])) == (422, [field])


def test_each_look_up_goes_by_index(own_database, owner_sql):
    owner_sql(
        "INSERT INTO party (name, email, phone, account_number, tax_id, roles) SELECT 'P', 'p' || i || '@example.com', "
        "'+6012' || lpad(i::text, 7, '0'), 'A' || i, 'T' || i, '{business_customer}' "
        "FROM generate_series(1, 5000) i"
    )
    owner_sql("INSERT INTO contact (party_id, name, email, phone) SELECT id, 'C', 'c' || email, phone FROM party")
    owner_sql("ANALYZE party, contact")
    ask = new_program(own_database.app, "customers:read")
    plans: list[str] = []
    queries = ("email=p7@example.com", "email=cp7@example.com", "phone=%2B60120000007", "code=C-000007")
    for query in (*queries, "account_number=A7", "tax_id=t-7"):
        plans.clear()
        with own_database.app.app_context(), Watch(plans):
            found = ask.get(f"/customers?{query}")
        assert [item["account_number"] for item in found["items"]] == ["A7"], query
        assert len(plans) == 1
        assert "Seq Scan" not in plans[0], (query, plans[0])


class Watch:
    """Explains every statement of a look-up while it runs."""

    def __init__(self, plans: list[str]) -> None:
        self.plans = plans

    def __enter__(self) -> None:
        self.engine = db.engine
        event.listen(self.engine, "before_cursor_execute", self.explain)

    def __exit__(self, *_: object) -> None:
        event.remove(self.engine, "before_cursor_execute", self.explain)

    def explain(self, connection, cursor, statement, parameters, context, many):
        if "AS best" in statement:
            cursor.execute("EXPLAIN " + statement, parameters)
            self.plans.append("\n".join(row[0] for row in cursor.fetchall()))


def test_blocking_answers_the_document_and_a_reason_when_refused(ana, program, session):
    ask = program("customers:command", role="manager")
    path = f"/customers/{ana['id']}/block"
    assert ask("POST", path, {"reason": ""}).get_json()["errors"] == {"reason": "is required"}
    assert ask("POST", path, {"reason": "Fraud", "until": "yesterday"}).get_json()["errors"].keys() == {"until"}
    done = ask("POST", f"/customers/{ana['code']}/block", {"reason": "Fraud"})
    assert (done.status_code, done.get_json()["status"], done.get_json()["block_reason"]) == (
        200,
        "blocked",
        "Fraud",
    )
    again = ask("POST", path, {"reason": "Fraud"})
    assert (again.status_code, again.get_json()["detail"]) == (409, "Not done: it is blocked already.")
    entry = session.scalars(
        select(AuditEntry)
        .where(AuditEntry.entity == "party", AuditEntry.record_id == ana["id"])
        .order_by(AuditEntry.id.desc())
        .limit(1)
    ).one()
    assert entry.via.startswith("api cdk_")
    assert (entry.actor_id, "block_state" in entry.changes) == (ask.user_id, True)


def test_verbs_are_written_with_hyphens_or_underscores(ana, program):
    ask = program()
    assert ask("POST", f"/customers/{ana['id']}/mark-prospect", {}).get_json()["status"] == "prospect"
    assert (
        ask("POST", f"/customers/{ana['id']}/mark_churned", {"code": "moved", "reason": "gone"}).get_json()["status"]
        == "churned"
    )


def test_what_lies_outside_the_row_scope_is_not_there(ana, program):
    rep = program(role="sales_rep")
    place = f"/customers/{ana['id']}"
    assert rep("GET", place).status_code == 404
    assert rep("PATCH", place, {}, If_Match="*").status_code == 404
    assert rep("POST", f"{place}/activate", {}).status_code == 404
    assert rep("POST", f"{place}/block", {"reason": "x"}).status_code == 403
    assert rep.get("/customers?email=ana@example.com")["items"] == []
    assert rep.get("/customers?q=ana")["items"] == []
    mine = rep("POST", "/customers", {"name": "Mine"}).get_json()
    assert mine["owner"] == {"id": rep.user_id, "name": "sales_rep of a test"}
    assert [item["id"] for item in rep.get("/customers")["items"]] == [mine["id"]]
    refused = rep("POST", "/contacts", {"party": ana["id"], "name": "Kim"})
    assert (refused.status_code, list(refused.get_json()["errors"])) == (422, ["party"])


def test_a_name_is_shown_only_to_who_may_see_the_record(ana, program, session):
    contact = Contact(party_id=ana["id"], name="Kim")
    session.add(contact)
    session.commit()
    number = contact.id
    assert program().get(f"/contacts/{number}")["party"] == {"id": ana["id"], "name": "Ana Ng"}
    # Under no face at all: nobody may see it.
    for roles, name in (([], None), (face_named("vendor").defaults["roles"], "Ana Ng")):
        session.execute(text("UPDATE party SET roles = :roles WHERE id = :id"), {"roles": roles, "id": ana["id"]})
        session.commit()
        assert program().get(f"/contacts/{number}")["party"] == {"id": ana["id"], "name": name}
    assert program()("GET", f"/customers/{ana['id']}").status_code == 404
    assert program().get(f"/vendors/{ana['id']}")["name"] == "Ana Ng"


def test_a_taken_number_is_refused_with_its_field(ana, program):
    answer = program()("POST", "/customers", {"name": "Twin", "account_number": "A-7"})
    assert (answer.status_code, list(answer.get_json()["errors"])) == (422, ["account_number"])


def test_every_fault_is_told_at_once(program, session):
    answer = program()(
        "POST",
        "/customers",
        {
            "email": "x",
            "phone": "12",
            "tags": [1],
            "owner": {"id": 9**15},
            "kind": ["individual"],
            "code": "C-1",
        },
    )
    assert set(answer.get_json()["errors"]) == {"name", "email", "phone", "tags", "owner", "kind", "code"}
    assert session.scalars(select(Party.id)).first() is None


@pytest.fixture
def searched(app, ana):
    with app.app_context():
        search_changed()
        db.session.commit()
    return ana


TWIN = {"name": "Ana Ng", "email": "ANA@example.com", "phone": "+60123456789"}


def test_who_is_likely_to_be_there_already_is_told_before_anything_is_saved(session, searched, program):
    refused = program()("POST", "/customers", TWIN)
    assert (refused.status_code, refused.mimetype) == (409, "application/problem+json")
    assert searched["code"] in refused.get_json()["detail"]
    (possible,) = refused.get_json()["possible_duplicates"]
    assert {name: possible[name] for name in ("id", "code", "name")} == {
        name: searched[name] for name in ("id", "code", "name")
    }
    assert possible["score"] > 90
    assert "same e-mail" in possible["why"]
    assert list(session.scalars(select(Party.id))) == [searched["id"]]
    assert "possible_duplicates" not in program()("POST", "/customers", {"name": "Bo Xu"}).get_json()


def test_whom_the_user_of_a_key_may_not_see_is_not_told(searched, program):
    blind = program("customers:read", "customers:write", role="sales_rep")
    made = blind("POST", "/customers", TWIN)
    assert made.status_code == 201
    assert "possible_duplicates" not in made.get_json()


def test_what_a_program_says_it_is_not_is_made_and_not_proposed_again(session, searched, program):
    ask = program()
    assert ask("POST", "/customers?not_same=C-999999", TWIN).status_code == 409
    made = ask("POST", f"/customers?not_same={searched['code'].lower()},%207", TWIN)
    assert made.status_code == 201
    known = session.scalars(select(DuplicateCandidate)).one()
    assert (known.first_party_id, known.second_party_id) == (searched["id"], made.get_json()["id"])
    assert (known.state, known.decided_by_id is None) == (CandidateState.DIFFERENT, False)
    search_changed()
    assert session.scalars(select(DuplicateCandidate)).one() is known


def test_a_program_that_makes_many_need_not_be_asked(session, searched, program):
    ask = program()
    made = ask("POST", "/customers?duplicates=create", TWIN)
    assert made.status_code == 201
    assert [one["id"] for one in made.get_json()["possible_duplicates"]] == [searched["id"]]
    assert session.scalars(select(DuplicateCandidate.id)).first() is None
    for wrong, field in (("duplicates=skip", "duplicates"), ("not_same=1&not_same=2", "not_same")):
        answer = ask("POST", f"/customers?{wrong}", TWIN)
        assert (answer.status_code, list(answer.get_json()["errors"])) == (422, [field])


def test_an_answer_that_asks_back_is_not_kept_for_its_idempotency_key(session, searched, program):
    ask, key = program(), {"Idempotency_Key": "till 4, customer 7"}
    assert [ask("POST", "/customers", TWIN, **key).status_code for _ in range(2)] == [409, 409]
    path = f"/customers?not_same={searched['id']}"
    made = ask("POST", path, TWIN, **key)
    assert made.status_code == 201
    search_changed()
    again = ask("POST", path, TWIN, **key)
    assert (again.status_code, again.get_json(), again.headers["Idempotent-Replayed"]) == (201, made.get_json(), "true")
    assert ask("POST", "/customers", TWIN, **key).status_code == 422, "the key stands for what was done"
    assert session.scalar(select(func.count()).select_from(Party)) == 2


def test_the_description_tells_how_a_program_is_asked(program):
    made = program()("GET", "/openapi.json").get_json()["paths"]["/api/v1/vendors"]["post"]
    assert {"duplicates", "not_same"} <= {one.get("name") for one in made["parameters"]}
    problem = made["responses"]["409"]["content"]["application/problem+json"]["schema"]
    assert "possible_duplicates" in problem["allOf"][1]["properties"]

"""Customers with what belongs to them, and rules over them, at random from a seed."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from crm.core.entity import db, face_named
from crm.core.fields import Choice
from crm.core.figures import settle
from crm.models.access import AuditEntry
from crm.models.parties import Party
from crm.models.segments import SegmentMembership
from crm.queries.segment_rules.catalogue import RuleField, field_at, fields_of, related_of, root
from tests.factories import make, sample
from tests.rule_oracle import KIN, World

CUSTOMER = face_named("customer")
TODAY = dt.datetime.now(dt.UTC).date()
ODD = ("100% Wool_x", "ΣΑΣ İstanbul", "back\\slash", "O'Neil", "%", "_", "ÄRGER", "ärger")
LEFT_ALONE = {"id", "roles", "archived_at", "block_state", "lifecycle", "code", "account_number", "preferred_dealer", "owner", "team",
              "preferred_advisor", "referral_code", "photo_at", "price_from", "price_to"}  # fmt: skip


def day_near(rng: random.Random) -> dt.date:
    """Often today, a week, a month or a year ago, to the day; sometimes a 29th of February."""
    near = rng.choice((0, 0, 1, 6, 7, 8, 30, 31, 89, 90, 91, 365, 366, -1, -7, -30, rng.randrange(-50, 900)))
    day = TODAY - dt.timedelta(days=near)
    return rng.choice((day, day, day, day.replace(year=day.year - 30, day=min(day.day, 28)), dt.date(1992, 2, 29)))


def moment_near(rng: random.Random) -> dt.datetime:
    at = rng.choice((dt.time(), dt.time(23, 59, 59, 999999), dt.time(rng.randrange(24), rng.randrange(60))))
    return dt.datetime.combine(day_near(rng), at, dt.UTC)


def some(rng: random.Random, declared: Any) -> Any:
    """A value of few, so that rules meet them; or none."""
    if rng.random() < 0.4:
        return None
    match declared.kind:
        case "text" | "long_text":
            return rng.choice(ODD)[: declared.max_length] if rng.random() < 0.5 else sample(declared, rng.randrange(3))
        case "date":
            return day_near(rng)
        case "datetime":
            return moment_near(rng)
    return sample(declared, rng.randrange(4))


def new_world(rng: random.Random, number: int = 25) -> World:
    products = [
        make(face_named("product"), category_id=make(face_named("product_category")).id, brand=rng.choice(ODD))
        for _ in range(3)
    ]
    vip, other = (make(face_named("segment"), name=name) for name in ("VIP ä", "Other"))
    for _ in range(number):
        values = {declared.attribute: value for declared in CUSTOMER.form_fields
                  if declared.name in CUSTOMER.fields and declared.kind != "reference" and declared.name not in LEFT_ALONE
                  and (value := some(rng, declared)) is not None}  # fmt: skip
        _belongings(rng, make(CUSTOMER, **values), products, (vip, other))
    gone = make(CUSTOMER, archived_at=dt.datetime.now(dt.UTC), annual_revenue=Decimal(10**9))
    make(face_named("vendor"))
    make(face_named("order"), customer_id=gone.id)
    for one in db.session.scalars(select(Party).where(Party.id.in_(rng.sample(_ids(), number // 3)))):
        one.industry = f"changed {rng.random()}"
    settle()
    db.session.expire_all()
    return read_world()


def _ids() -> list[int]:
    return list(
        db.session.scalars(select(Party.id).where(*root().where(), Party.archived_at.is_(None)).order_by(Party.id))
    )


def _belongings(rng: random.Random, party: Any, products: list[Any], segments: tuple[Any, ...]) -> None:
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        order = make(face_named("order"), customer_id=party.id, ordered_at=moment_near(rng), state=rng.choice(("pending", "completed", "cancelled")),
                     currency=rng.choice(("EUR", "USD")), exchange_rate=rng.choice((Decimal(1), Decimal("0.91234567"))),
                     satisfaction=rng.choice((None, 1, 3, 5)))  # fmt: skip
        for _ in range(rng.choice((0, 1, 3))):
            product = rng.choice((None, *products))
            make(face_named("order_line"), order_id=order.id, product_id=product and product.id, sku=rng.choice((None, "SKU-1", "sku-1")),
                 unit_price=Decimal(rng.randrange(1, 400)) / 4, quantity=Decimal(rng.randrange(1, 8)) / 2, discount=0, tax=0)  # fmt: skip
    if rng.random() < 0.5:
        make(
            face_named("address"),
            party_id=party.id,
            kind="main",
            is_default=True,
            city=rng.choice(ODD),
            country=rng.choice(("DE", "MY", None)),
        )
    for _ in range(rng.choice((0, 0, 1, 2))):
        make(
            face_named("address"),
            party_id=party.id,
            kind=rng.choice(("billing", "shipping")),
            city=rng.choice(ODD),
            country=rng.choice(("DE", "US")),
        )
    for face, of, at in (("interaction", "party_id", "occurred_at"), ("ticket", "party_id", "opened_at")):
        for _ in range(rng.choice((0, 0, 1, 2))):
            make(face_named(face), **{of: party.id, at: moment_near(rng)})
    if rng.random() < 0.3:
        make(face_named("contact"), party_id=party.id, designation=rng.choice((None, *ODD)))
        make(face_named("vehicle"), customer_id=party.id, end_customer_id=rng.choice((None, party.id)))
    if rng.random() < 0.3:
        account = make(face_named("credit_account"), party_id=party.id)
        make(face_named("invoice"), account_id=account.id, issued_on=day_near(rng), due_on=None)
    for segment in segments:
        if rng.random() < 0.4:
            make(face_named("segment_membership"), segment_id=segment.id, party_id=party.id,
                 left_at=rng.choice((None, None, dt.datetime.now(dt.UTC))))  # fmt: skip


def read_world() -> World:
    faces = sorted({kin.face for kin in KIN.values()} | {"address"})
    world = World(TODAY, list(db.session.scalars(select(Party).where(Party.id.in_(_ids())))))
    world.rows = {name: list(db.session.scalars(select(face_named(name).entity))) for name in faces}
    open_now = db.session.scalars(select(SegmentMembership).where(SegmentMembership.left_at.is_(None)))
    world.members = {"vip ä": set(), "other": set()}
    for one in open_now:
        world.members.setdefault(one.segment.name.lower(), set()).add(one.party_id)
    for entry in db.session.scalars(
        select(AuditEntry).where(AuditEntry.entity == "party", AuditEntry.action == "update")
    ):
        for name in entry.changes:
            known = world.changed.setdefault(name, {})
            known[entry.record_id] = max(entry.created_at, known.get(entry.record_id, entry.created_at))
    return world


# Rules

_RELATED = {place: sorted(name for where, name in KIN if where == place) for place in ("customer", "order")}
_DOTTED = {"order_line": ("product.category.name", "product.brand", "order.state", "order.ordered_at"), "order": ("owner.name",),
           "invoice": ("account.party",)}  # fmt: skip


class Rules:
    """Makes rules whose values are mostly such as records have."""

    def __init__(self, rng: random.Random, world: World) -> None:
        self.rng, self.world = rng, world

    def rule(self, place: str = "customer", depth: int = 0) -> dict[str, Any]:
        rng, kind = self.rng, self.rng.random()
        if depth < 4 and kind < (0.6 if depth == 0 else 0.25):
            return {
                rng.choice(("all", "any", "none")): [
                    self.rule(place, depth + 1) for _ in range(rng.choice((0, 1, 2, 2, 3)))
                ]
            }
        if depth < 4 and kind < 0.8 and place in _RELATED:
            return self.related(place, depth)
        if kind > 0.96 and place == "customer":
            return {"in_segment": rng.choice(("VIP ä", "vip Ä", "other"))}
        return self.condition(place)

    def condition(self, place: str) -> dict[str, Any]:
        face = face_named(place)
        name = self.rng.choice((*fields_of(face), *_DOTTED.get(place, ())))
        wanted = field_at(face, name)
        assert wanted is not None, name
        return {"field": name, **self.test(wanted, self.rows(place))}

    def rows(self, place: str) -> list[Any]:
        return self.world.customers if place == "customer" else self.world.rows[place]

    def related(self, place: str, depth: int) -> dict[str, Any]:
        name, rng = self.rng.choice(_RELATED[place]), self.rng
        kin = KIN[place, name]
        face = related_of(face_named(place))[name].face
        rule: dict[str, Any] = {"related": name}
        if rng.random() < 0.5:
            rule["where"] = self.rule(kin.face, depth + 1)
        if rng.random() < 0.4:
            rule["within_last"] = self.period()
        word = rng.choice(("", "count", "count", "sum", "avg", "min", "max", "last"))
        if word == "count":
            rule["count"] = {rng.choice(("eq", "ne", "lt", "le", "gt", "ge")): rng.randrange(4)}
        elif word:
            fitting = [one for one in fields_of(face).values() if one.field.family in _FITS[word]]
            of = rng.choice(fitting)
            if word in ("sum", "avg"):
                kept = tuple(op for op in of.operators if op not in ("empty", "not_empty"))
                test = self.test(replace(of, operators=kept), self.rows(kin.face))
            else:
                test = self.test(of, self.rows(kin.face))
            rule[word] = {"of": of.name, test["op"]: test.get("value")}
        return rule

    def period(self) -> dict[str, int]:
        return self.rng.choice(({"days": 0}, {"days": 1}, {"days": 7}, {"days": 90}, {"weeks": 1}, {"months": 1}, {"months": 3},
                                {"years": 1}, {"years": 30}))  # fmt: skip

    def test(self, wanted: RuleField, rows: list[Any]) -> dict[str, Any]:
        rng = self.rng
        op = rng.choice(wanted.operators)
        match op:
            case "empty" | "not_empty":
                return {"op": op}
            case "within_last" | "before_last" | "within_next" | "anniversary_within" | "changed_within":
                return {"op": op, "value": self.period()}
            case "top_n":
                return {"op": op, "value": rng.choice((1, 2, 5, 20, 1000))}
            case "top_percent":
                return {"op": op, "value": rng.choice((1, 10, 33.3, 50, 100))}
            case "in" | "not_in":
                return {"op": op, "value": [self.value(wanted, rows) for _ in range(rng.choice((1, 2, 3)))]}
            case "between":
                return {"op": op, "value": [self.value(wanted, rows), self.value(wanted, rows)]}
            case "contains" | "starts" if wanted.field.family == "text":
                word = str(self.value(wanted, rows))
                start = 0 if op == "starts" else rng.randrange(len(word))
                return {"op": op, "value": word[start : start + rng.randrange(1, 6)].strip() or "%"}
        return {"op": op, "value": self.value(wanted, rows)}

    def value(self, wanted: RuleField, rows: list[Any]) -> Any:
        """As JSON has it, of some record; or another one."""
        rng, declared = self.rng, wanted.field
        there = [
            value
            for one in rng.sample(rows, min(8, len(rows)))
            if (value := self._there(one, wanted)) not in (None, [], "")
        ]
        given = rng.choice(there) if there and rng.random() < 0.85 else sample(declared, rng.randrange(4))
        if declared.kind == "reference" and not isinstance(given, int):
            return rng.randrange(1, 50)
        if declared.family == "list":
            return rng.choice(list(given))
        if isinstance(given, Choice):
            return given.value
        if isinstance(given, dt.datetime):
            return given.date().isoformat() if rng.random() < 0.5 else given.astimezone(dt.UTC).isoformat()
        if isinstance(given, dt.date):
            return given.isoformat()
        if isinstance(given, Decimal):
            short = given.quantize(Decimal(1).scaleb(-min(declared.decimals, 2)))
            return int(short) if short == int(short) else str(short)
        if declared.family == "text" and rng.random() < 0.3:
            return str(given).swapcase() if declared.kind not in ("phone", "code", "url", "email") else given
        return given

    def _there(self, row: Any, wanted: RuleField) -> Any:
        try:
            return self.world.value(row, wanted.face if not wanted.path else face_of(row), wanted.name)[1]
        except (KeyError, AttributeError):
            return None


def face_of(row: Any) -> Any:
    return type(row).faces[0]


_FITS = {"sum": ("number",), "avg": ("number",), "min": ("number", "date"), "max": ("number", "date"),
         "last": ("number", "date", "text", "choice", "boolean")}  # fmt: skip

"""Demo data: customers, vendors and partners with contacts and addresses, made by SQL from lists of names.

The same seed makes the same people. Every record carries the tag `demo` and an account number `DEMO-…`.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import bindparam, exists, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from crm.commands.demo_accounts import load_requests
from crm.commands.demo_catalogue import load_catalogue
from crm.commands.demo_dealings import load_dealings
from crm.commands.demo_segments import load_segments
from crm.commands.demo_sql import choice, pick, roll
from crm.commands.demo_story import load_story
from crm.core.command import Refused
from crm.core.entity import db
from crm.core.jobs import Job, ask_once
from crm.models.access import Role, User
from crm.models.parties import Party
from crm.queries import demo_data

TASK = "jobs.demo.load"
TAG = "demo"
MOST = 5_000_000
OWNING_ROLES = ("sales_rep", "manager")


def ask_for_demo(*, customers: int, seed: int, by: int | None) -> Job:
    """Ask for demo data in the background. Raises Refused when some is there, or on its way."""
    refuse(customers)
    label, args = f"Load demo data: {customers:,} customers", {"customers": customers, "seed": seed}
    return ask_once(
        TASK, label=label, args=args, by=by, total=all_records(customers), busy="demo data is being loaded already"
    )


def load_demo(*, customers: int, seed: int) -> int:
    """Load all of it within this transaction; answers how many parties. Raises Refused if some are there."""
    refuse(customers)
    load_catalogue()
    return load_part(1, all_records(customers), customers=customers, seed=seed)


def all_records(customers: int) -> int:
    """The customers, and some vendors and partners besides."""
    return customers + max(4, customers // 40)


def has_demo(on: Any = db.session) -> bool:
    """Whether some is there; `on` is the session, or a connection."""
    # By a range, because the index of account numbers answers it; no index has the tags.
    return bool(on.scalar(select(exists().where(Party.account_number.between("DEMO-", "DEMO-~")))))


def refuse(customers: int, on: Any = db.session) -> None:
    if not 1 <= customers <= MOST:
        raise Refused(f"give 1 to {MOST:,} customers")
    if has_demo(on):
        raise Refused(f"demo data is there already: you find it by the tag “{TAG}”")


def load_story_of_demo() -> int:
    """The hand-made part; answers how many parties. Flushes."""
    number = load_story(_owners(db.session))
    load_what_follows()
    return number


def load_what_follows() -> None:
    """What goes by the figures of those that are there: segments, and requests for more credit. Flushes."""
    load_segments()
    load_requests()


def load_part(first: int, last: int, *, customers: int, seed: int, dealings: bool = True, on: Any = db.session) -> int:
    """The records from one number to another, both included, and what they have done; answers how many parties were
    made.

    Some of them are vendors and partners. The catalogue must be there. The caller commits; `on` is the session, or a
    connection.
    """
    known: dict[str, Any] = {
        "first": first, "last": last, "customers": customers, "all": all_records(customers),
        "seed": seed % 1_000_000 * 1000, "places": json.dumps(demo_data.places()), "tag": TAG,
    }  # fmt: skip
    lists = {"industries": demo_data.INDUSTRIES, "more_tags": demo_data.TAGS, "titles": demo_data.TITLES,
             "departments": demo_data.DEPARTMENTS, "reasons": demo_data.BLOCK_REASONS}  # fmt: skip
    statement = text(_SQL).bindparams(
        bindparam("owners", _owners(on), ARRAY(BigInteger)),
        *(bindparam(name, list(values), ARRAY(Text)) for name, values in lists.items()),
    )
    made, first_id, last_id = on.execute(statement, known).one()
    if dealings and made:
        # By id: that index is there when all others are put aside (`crm.commands.demo_in_bulk`).
        load_dealings(first_id, last_id, seed=seed, on=on)
    return int(made)


def _owners(on: Any) -> list[int]:
    """Who may own customers: sales people and managers; where there are none, every active user."""
    active = select(User.id).where(User.active).order_by(User.id)
    selling = list(on.scalars(active.where(User.roles.any(Role.name.in_(OWNING_ROLES)))))
    return selling or list(on.scalars(active))


def _name(name: str) -> str:
    return f"split_part({name}, '|', 1)"


def _latin(name: str) -> str:
    """The Latin letters of a name, for an address."""
    return f"split_part({name}, '|', 2)"


def _full(given: str, family: str) -> str:
    given, family = _name(given), _name(family)
    return (
        f"CASE WHEN family_first THEN {family} || between_names || {given} "
        f"ELSE {given} || between_names || {family} END"
    )


_PLACES = """
places AS MATERIALIZED (
  SELECT *, row_number() OVER () - 1 AS nr FROM ROWS FROM (jsonb_to_recordset(CAST(:places AS jsonb)) AS (
    country text, language text, currency text, dial text[], digits int, women text[], men text[],
    families text[], families_of_women text[], family_first bool, "between" text, cities text[],
    streets text[], firms text[])) AS place (country, language, currency, dial, digits, women, men, families,
    families_of_women, family_first, between_names, cities, streets, firms)
)"""

# How many of the first i records are vendors and partners: they lie evenly among the customers.
_EXTRAS = "div(i * (:all - :customers), :all)"

# Nothing in these statements comes from outside: they are put together from the constants of this module.
_PICKED = f"""
picked AS MATERIALIZED (
  SELECT i, extra, nth_extra, female, country, language, currency, digits, family_first, between_names,
         {roll(2, 100)} < 45 OR extra AS org,
         {pick(3, "dial")} AS dial,
         {pick(4, "CASE WHEN female THEN women ELSE men END")} AS given,
         {pick(5, "CASE WHEN female THEN families_of_women ELSE families END")} AS family,
         {pick(6, "families")} AS firm_family,
         {pick(7, "men")} AS second_given,
         {pick(8, "cities")} AS city,
         {pick(9, "streets")} AS street,
         {pick(12, "firms")} AS firm_name,
         CURRENT_TIMESTAMP - interval '730 days' * (1 - i::float / (:all + 1))
           - interval '1 hour' * {roll(10, 24)} AS born
    FROM (SELECT i, {roll(1, 2)} = 0 AS female, {_EXTRAS} AS nth_extra,
                 {_EXTRAS} > {_EXTRAS.replace("i *", "(i - 1) *")} AS extra
            FROM generate_series(CAST(:first AS bigint), :last) AS i) AS numbers
    JOIN places ON places.nr = {roll(11, "(SELECT count(*) FROM places)")}
), ready AS MATERIALIZED (
  SELECT *, {_full("given", "family")} AS person, format(firm_name, {_name("firm_family")}) AS firm,
         {_latin("given")} || '.' || {_latin("family")} || i AS mailbox,
         {_latin("firm_family")} || '-' || i AS slug,
         CASE WHEN extra THEN 'active'
              ELSE {choice(13, active=68, prospect=17, inactive=9, churned=6)} END AS lifecycle,
         CASE WHEN extra THEN 'none' ELSE {choice(14, blocked=3, blacklisted=1, none=96)} END AS block_state,
         dial || lpad({roll(15, "(10 ^ digits)::bigint")}::text, digits, '0') AS phone
    FROM picked
)"""  # noqa: S608

# Column of the party → SQL over `ready`.
_PARTY: dict[str, str] = {
    "code_letter": "CASE WHEN NOT extra THEN 'C' WHEN nth_extra % 2 = 0 THEN 'V' ELSE 'P' END",
    "account_number": "'DEMO-' || lpad(i::text, 7, '0')",
    "name": "CASE WHEN org THEN firm ELSE person END",
    "kind": "CASE WHEN org THEN 'organization' ELSE 'individual' END",
    "type": f"CASE WHEN org THEN {choice(20, business=72, wholesaler=14, government=8, ngo=6)} "
            f"ELSE {choice(21, individual=95, vip=5)} END",
    "roles": "CASE WHEN extra AND nth_extra % 2 = 0 THEN ARRAY['vendor'] "
             f"WHEN extra THEN CASE WHEN {roll(22, 2)} = 0 THEN ARRAY['partner'] ELSE ARRAY['dealer'] END "
             f"WHEN org THEN CASE WHEN {roll(22, 30)} = 0 THEN ARRAY['business_customer', 'vendor'] "
             "ELSE ARRAY['business_customer'] END ELSE ARRAY['end_customer'] END",
    "first_name": f"CASE WHEN NOT org THEN {_name('given')} END",
    "last_name": f"CASE WHEN NOT org THEN {_name('family')} END",
    "gender": "CASE WHEN NOT org THEN CASE WHEN female THEN 'female' ELSE 'male' END END",
    "date_of_birth": f"CASE WHEN NOT org THEN date '1946-01-01' + {roll(23, 21900)} END",
    "language": "language",
    "tags": f"CASE WHEN {roll(24, 3)} = 0 THEN ARRAY[:tag, {pick(25, ':more_tags')}] ELSE ARRAY[:tag] END",
    "owner_id": f"CASE WHEN {roll(26, 20)} > 0 THEN {pick(27, ':owners')} END",
    "lifecycle": "lifecycle",
    "block_state": "block_state",
    "block_reason": f"CASE WHEN block_state <> 'none' THEN {pick(28, ':reasons')} END",
    "blocked_at": "CASE WHEN block_state <> 'none' THEN born + (CURRENT_TIMESTAMP - born) * 0.8 END",
    "blocked_until": f"CASE WHEN block_state = 'blocked' AND {roll(29, 2)} = 0 "
                     f"THEN CURRENT_DATE + 7 + {roll(30, 90)} END",
    "status_reason": "CASE WHEN block_state <> 'none' THEN NULL WHEN lifecycle = 'churned' THEN "
                     "'Went to a competitor' END",
    "archived_at": f"CASE WHEN NOT extra AND block_state = 'none' AND {roll(31, 100)} = 0 "
                   "THEN born + (CURRENT_TIMESTAMP - born) * 0.9 END",
    "stage": "CASE lifecycle WHEN 'prospect' THEN 'prospect' WHEN 'active' THEN "
             f"CASE WHEN {roll(32, 4)} = 0 THEN 'loyalty' ELSE 'active' END END",
    "sub_stage": "CASE lifecycle WHEN 'prospect' THEN "
                 f"{choice(33, lead_capture=40, qualification=35, nurturing=25)} "
                 "WHEN 'churned' THEN 'win_back' END",
    "customer_since": "CASE WHEN lifecycle <> 'prospect' THEN (born + interval '3 days')::date END",
    "email": "email", "email_given": "email",
    "email_state": choice(34, verified=60, unverified=36, bounced=4),
    "phone": "phone", "phone_given": "phone",
    "phone_state": choice(35, verified=45, unverified=55),
    "website": "CASE WHEN org THEN 'https://www.example.com/' || slug END",
    "company_name": "CASE WHEN org THEN firm END",
    "industry": f"CASE WHEN org THEN {pick(36, ':industries')} END",
    "tax_id": f"CASE WHEN org THEN country || lpad({roll(37, 1_000_000_000)}::text, 9, '0') END",
    "annual_revenue": f"CASE WHEN org THEN round((10 ^ (4.5 + {roll(38, 400)} / 100.0))::numeric, -3) END",
    "annual_revenue_currency": "CASE WHEN org THEN currency END",
    "employees": f"CASE WHEN org THEN greatest(1, (10 ^ ({roll(38, 400)} / 100.0))::int / 2) END",
    "preferred_currency": "currency",
    "preferred_contact_method": choice(39, email=55, phone=30, sms=15),
    "preferred_payment_method": choice(40, bank=45, card=40, cash=15),
    "communication_frequency": choice(41, monthly=50, quarterly=30, when_needed=20),
    "income_level": f"CASE WHEN NOT org THEN {choice(42, budget=35, mid_market=50, luxury=15)} END",
    "life_stage": "CASE WHEN NOT org THEN "
                  f"{choice(43, student=10, family=35, professional=40, retiree=15)} END",
    "created_at": "born", "updated_at": "born",
}  # fmt: skip

_CONTACT_PHONE = f"""dial || lpad({roll(50, "(10 ^ digits)::bigint")}::text, digits, '0')"""
_SQL = f"""
WITH {_PLACES}, {_PICKED}, known AS MATERIALIZED (
  SELECT *, CASE WHEN org THEN 'info.' || slug ELSE mailbox END || '@' ||
            (ARRAY['example.com', 'example.org', 'example.net'])[1 + {roll(16, 3)}] AS email
    FROM ready
), made AS (
  INSERT INTO party ({", ".join(_PARTY)}) SELECT {", ".join(_PARTY.values())} FROM known ORDER BY i
  RETURNING id AS party_id, account_number
), owned AS (
  SELECT party_id, known.* FROM made JOIN known ON made.account_number = {_PARTY["account_number"]}
), contacts AS (
  INSERT INTO contact (party_id, name, first_name, last_name, email, email_given, phone, phone_given,
                       designation, department, is_primary, created_at, updated_at)
  SELECT party_id, {_full("person.given", "person.family")}, {_name("person.given")},
         {_name("person.family")}, mail, mail, {_CONTACT_PHONE}, {_CONTACT_PHONE}, {pick(51, ":titles")},
         {pick(52, ":departments")}, is_first, born, born
    FROM owned CROSS JOIN LATERAL (VALUES
      (true, given, family, mailbox || '@example.com'),
      (false, second_given, firm_family,
       {_latin("second_given")} || '.' || {_latin("firm_family")} || i || '@example.org')
    ) AS person (is_first, given, family, mail)
   WHERE org AND (is_first OR {roll(53, 3)} = 0)
), addresses AS (
  INSERT INTO address (party_id, kind, is_default, address, city, state, postal_code, country, area_type,
                       created_at, updated_at)
  SELECT party_id, place.kind, place.kind = 'main', format(street, 1 + {roll(54, 120)} + houses_on),
         split_part(city, '|', 1), nullif(split_part(city, '|', 2), ''), split_part(city, '|', 3), country,
         {choice(55, urban=60, suburban=28, rural=12)}, born, born
    FROM owned
    CROSS JOIN (VALUES ('main', 0), ('shipping', 7), ('billing', 12)) AS place (kind, houses_on)
   WHERE place.kind = 'main' OR (org AND place.kind = 'shipping' AND {roll(56, 4)} = 0)
      OR (org AND place.kind = 'billing' AND {roll(57, 5)} = 0)
)
SELECT count(*), min(party_id), max(party_id) FROM made
"""  # noqa: S608

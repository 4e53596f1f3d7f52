"""How fast and how well somebody who is there already is found when he is entered again, and how often a stranger is taken
for one: in a database that is filled, read only."""

from __future__ import annotations

import datetime as dt
import os
import random
import time
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import select, text

from app import create_app
from bench.mistakes import typo
from crm.config import load
from crm.core.entity import db, face_named
from crm.core.permissions import Asking
from crm.duplicates.keys import keys_of
from crm.duplicates.records import Records
from crm.logins import dsn
from crm.models.access import User
from crm.queries.duplicates import likely_duplicates, model, rows_of
from crm.servers import running

NAMES = ("first_name", "last_name", "date_of_birth", "email", "email2", "phone", "phone2", "tax_id", "street", "house", "postal_code",
         "city", "country")  # fmt: skip
FLOOR = "SELECT k, ARRAY(SELECT id FROM duplicate_keys WHERE keys @> ARRAY[k] LIMIT 61) FROM unnest(%s::int[]) AS k"
Row = list[Any]


def measure(number: int, seed: int) -> str:
    """So many who are there, entered with one to three mistakes each, and as many strangers with names that are there."""
    settings, chance = load(os.environ), random.Random(seed)
    with running(settings) as servers:
        app = create_app(settings, servers, screens=False)
        with app.app_context(), psycopg.connect(dsn(servers.database_url), autocommit=True) as plain:
            actor = Asking.of(db.session.scalars(select(User).order_by(User.id)).first())
            there = db.session.scalar(text("SELECT count(*) FROM duplicate_keys")) or 0
            last = db.session.scalar(text("SELECT max(id) FROM party")) or 0
            rows = [list(row) for row in rows_of(chance.randint(1, last) for _ in range(4 * number))]
            chance.shuffle(rows)
            known, others = rows[:number], rows[number : 3 * number]
            near: dict[Any, list[Row]] = {}
            for row in rows:
                near.setdefault(row[14], []).append(row)
            again = [_again(row, chance.choice(near[row[14]]), chance) for row in known]
            strangers = [_stranger(*chance.sample(others, 3), chance) for _ in known]
            found, times, bare = _entered(again, actor, plain)
            right = sum(row[0] in ids for row, ids in zip(known, found, strict=True))
            warned, _, _ = _entered(strangers, actor, plain)
            db.session.remove()
            db.engine.dispose()
    return (f"{len(known):,} known ones among {there:,}, seed {seed}: found {right / len(known):.4f}, "
            f"strangers warned of {sum(map(bool, warned)) / len(known):.4f}; "
            f"{_told(times[:, 0])}, own processor {_told(times[:, 1])}; floor, the keys alone: {_told(bare)} "
            f"(x{np.median(times[:, 0]) / np.median(bare):.1f}, x{np.quantile(times[:, 0], 0.95) / np.quantile(bare, 0.95):.1f})")  # fmt: skip


def _entered(rows: list[Row], actor: Any, plain: psycopg.Connection[Any]) -> tuple[list[list[int]], Any, Any]:
    """Whom each looks like, with the milliseconds of clock and processor; and of asking for its keys alone, in turns."""
    face, found, times, bare = face_named("customer"), [], [], []
    crowded = model().crowded
    for number, row in enumerate([rows[0], *rows]):
        values = _values(row)
        keys = [int(key) for key in keys_of(Records.read([row]))[0] if key and int(key) not in crowded]
        began, worked = time.perf_counter(), time.process_time()
        likely = likely_duplicates(face, values, actor)
        took = [(time.perf_counter() - began) * 1000, (time.process_time() - worked) * 1000]
        began = time.perf_counter()
        plain.execute(FLOOR, [keys]).fetchall()
        if number:  # the first one warms up
            found.append([one.party.id for one in likely])
            times.append(took)
            bare.append((time.perf_counter() - began) * 1000)
    return found, np.array(times), np.array(bare)


def _again(row: Row, other: Row, chance: random.Random) -> Row:
    """As somebody else writes it down: mistyped, with swapped names, another number, address or home in the same country."""
    twice = list(row)
    for mistake in chance.sample(range(7), chance.randint(1, 3)):
        match mistake:
            case 0 | 1 if twice[2 + mistake]:
                twice[2 + mistake] = typo(twice[2 + mistake], chance)
            case 2 if not twice[1]:
                twice[2], twice[3] = twice[3], twice[2]
            case 3:
                twice[7] = f"+49{chance.randint(10**9, 10**10 - 1)}"
            case 4:
                twice[10:] = [typo(other[10] or "x", chance), str(chance.randint(1, 200)), *other[12:]]
            case 5:
                twice[5] = None if chance.random() < 0.5 else f"{chance.randint(1, 10**9)}@web.example"
            case 6 if twice[4]:
                twice[4] = typo(twice[4], chance, "0123456789")
    return twice


def _stranger(one: Row, two: Row, three: Row, chance: random.Random) -> Row:
    """Somebody with the first name of one, the last name of another and the street of a third."""
    new = list(one)
    new[3] = typo(typo(typo(one[3], chance), chance), chance) if one[1] else two[3]
    new[4] = None if one[1] else f"{chance.randint(1935, 2006)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
    new[5], new[7], new[9] = f"{chance.randint(1, 10**12)}@web.example", f"+49{chance.randint(10**9, 10**10 - 1)}", None
    new[10:] = [three[10], str(chance.randint(1, 200)), *three[12:]]
    return new


def _values(row: Row) -> dict[str, Any]:
    values = dict(zip(NAMES, row[2:], strict=True))
    values["address"] = " ".join(part for part in (values.pop("street"), values.pop("house")) if part)
    if row[1]:
        values |= {"kind": "organization", "name": values.pop("last_name")}
    try:
        values["date_of_birth"] = dt.datetime.strptime(values["date_of_birth"] or "", "%Y%m%d").date()  # noqa: DTZ007 - a day
    except ValueError:  # mistyped, the form would refuse it
        values["date_of_birth"] = None
    return values


def _told(milliseconds: Any) -> str:
    return f"p50 {np.median(milliseconds):.1f} p95 {np.quantile(milliseconds, 0.95):.1f} ms"

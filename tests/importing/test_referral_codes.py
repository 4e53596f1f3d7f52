"""A file of members or referrals may name who referred by the code that they told."""

from __future__ import annotations

import datetime as dt

from crm.core.entity import db, face_named
from crm.models.loyalty_rewards import Referral
from tests.factories import make
from tests.importing.conftest import counts
from tests.importing.test_linked_files import refused


def test_a_code_finds_who_referred_and_a_wrong_one_refuses_its_row(bring, session):
    anna, friend, other = (make(face_named("customer")) for _ in range(3))
    club = make(face_named("loyalty_program"), kinds=["points", "referral"], state="active", currency="EUR",
                valid_from=dt.date(2020, 1, 1), valid_until=None, segment_id=None, minimum_purchase=None)  # fmt: skip
    db.session.refresh(anna)
    code = anna.referral_code
    db.session.commit()
    members = bring(
        f"party,program,referral_code\n{friend.code},{club.name},{code.lower()}\n{other.code},{club.name},2222-2222\n{anna.code},{club.name},\n",
        "loyalty-accounts",
    )
    assert counts(members) == {"created": 2, "refused": 1}
    assert [(row["_row"], row["_error"]) for row in refused(members)] == [
        ("3", "Came by the code: is nobody's code: look at it again")
    ]
    found = bring(
        f"referral_code,referred\n{code},{other.code}\nXXXX,{other.code}\n,{other.code}\n{code},{anna.code}\n",
        "referrals",
    )
    assert counts(found) == {"created": 1, "refused": 3}
    assert [(row["_row"], row["_field"], row["_error"]) for row in refused(found)] == [
        ("3", "referral_code", "Referral code: is nobody's code: look at it again"),
        ("4", "referrer", "Referrer: is required where there is no code"),
        ("5", "referral_code", "Referral code: is their own code: nobody refers themselves"),
    ]
    assert [(one.referrer_id, one.referred_id, one.program_id) for one in db.session.query(Referral).order_by(Referral.id)] == [
        (anna.id, friend.id, club.id), (anna.id, other.id, club.id)]  # fmt: skip

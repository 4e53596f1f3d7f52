"""What a person may bring in by a file, and whom no file brings back."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from crm.commands.access import create_user
from crm.commands.privacy import check_identity, complete
from crm.core.command import Refused, perform
from crm.core.entity import db, face_named
from crm.importing import rights
from crm.importing.plan import PlanRefused
from crm.importing.storage import uploads
from crm.models.imports import Duplicates
from crm.models.parties import Party
from crm.models.privacy import Consent, PrivacyRequest
from crm.models.privacy_choices import RequestKind
from crm.models.privacy_suppressions import Suppression
from tests.factories import make
from tests.importing.conftest import counts
from tests.importing.test_linked_files import refused


def test_no_file_brings_back_who_was_erased_and_nothing_readable_is_kept_of_them(bring, session):
    admin, _ = create_user(email="boss@x.org", role="admin")
    bring("name,email,phone\nAnn Alder,Ann@x.org,+49 30 1234567\n")
    ann = db.session.scalars(select(Party)).one()
    request = PrivacyRequest(party=ann, kind=RequestKind.ERASURE)
    db.session.add(request)
    db.session.flush()
    for made, values in ((check_identity, {"how": "Passport"}), (complete, {"outcome": "All gone"})):
        assert all(done.done for done in perform(made, [request.id], by=admin, values=values))
    kept = db.session.scalars(select(Suppression)).all()
    assert sorted(one.kind for one in kept) == ["E-mail", "Phone"]
    assert "ann@x.org" not in repr([vars(one) for one in kept])

    record = bring("name,email,phone\nAnn,ANN@X.ORG,\nBob,b@x.org,0049 30 123 45 67\nCy,c@x.org,\n",
                   duplicates=Duplicates.UPDATE, country="DE")  # fmt: skip
    assert (record.rows_created, record.rows_updated, record.rows_refused) == (1, 0, 2)
    assert "was erased at their request" in (uploads() / record.refused_name).read_text("utf-8-sig")
    # Whoever takes the line away lets that address in again.
    for one in kept:
        db.session.delete(one)
    db.session.flush()
    assert bring("name,email\nAnna,ann@x.org\n", duplicates=Duplicates.UPDATE).rows_updated == 1


def test_who_imports_into_own_records_brings_few_at_once(bring, session, monkeypatch):
    rep, _ = create_user(email="rep@x.org", role="sales_rep")
    monkeypatch.setattr(rights, "OWN_ROWS", 2)
    assert bring("name,email\nAnn,a@x.org\nBob,b@x.org\n", by=rep.id).rows_created == 2
    with pytest.raises(Refused, match="split it, or ask a manager"):
        bring("name,email\nCy,c@x.org\nDan,d@x.org\nEve,e@x.org\n", by=rep.id)
    assert session.query(Party).count() == 2


def test_nobody_agreed_to_anything_without_evidence(bring, session):
    code = make(face_named("customer")).code
    db.session.commit()
    head, row = "party,purpose,state,source", f"{code},marketing,given,form"
    record = bring(f"{head},evidence\n{row},\n{row},  \n{row},NULL\n{row},Signed form 12\n", "consents")
    assert counts(record) == {"created": 1, "refused": 3}
    assert {(line["_field"], line["_error"]) for line in refused(record)} == {("evidence", "Evidence: is empty")}
    assert [consent.evidence for consent in db.session.query(Consent)] == ["Signed form 12"]
    with pytest.raises(PlanRefused, match="Evidence"):
        bring(f"{head}\n{row}\n", "consents")

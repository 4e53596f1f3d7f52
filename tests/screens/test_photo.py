"""The photo or logo of a party."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from sqlalchemy import text

from crm.core.entity import db, face_named
from tests.factories import make


@pytest.fixture
def customer(session):
    return make(face_named("customer"), name="Ada")


def picture(kind: str = "JPEG", size: tuple[int, int] = (1200, 800)) -> io.BytesIO:
    """A red picture that tells where it was taken."""
    exif = Image.Exif()
    exif[0x010F] = "Camera of Ada"
    written = io.BytesIO()
    Image.new("RGB", size, "red").save(written, kind, **({"exif": exif} if kind == "JPEG" else {}))
    written.seek(0)
    return written


def post(person, customer, file, name="ada.jpg"):
    return person.client.post(
        "/admin/customers/photo/change/", query_string={"id": customer.id}, data={"photo": (file, name)}
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_picture_is_kept_small_and_without_metadata(as_user, customer, kind):
    person = as_user("admin")
    assert post(person, customer, picture(kind)).status_code == 303
    answer = person.client.get("/admin/customers/photo/", query_string={"id": customer.id})
    assert answer.mimetype == "image/webp"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"Camera" not in answer.data
    with Image.open(io.BytesIO(answer.data)) as kept:
        assert kept.size == (256, 171)
    assert "/photo/?id=" in person.client.get("/admin/customers/details/", query_string={"id": customer.id}).text


@pytest.mark.parametrize(
    "raw",
    [b"", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"GIF89a", b"%PDF-1.7", b"\xff\xd8\xff\xe0"],
)
def test_what_is_no_picture_is_refused_and_nothing_changes(as_user, customer, raw):
    answer = post(as_user("admin"), customer, io.BytesIO(raw))
    assert answer.status_code == 422
    assert "Photo or logo" in answer.text
    db.session.expire_all()
    assert customer.photo_at is None


def test_a_picture_of_too_many_pixels_is_refused(as_user, customer):
    assert post(as_user("admin"), customer, picture("PNG", (9000, 9000))).status_code == 422


def test_it_can_be_removed(as_user, customer):
    person = as_user("admin")
    post(person, customer, picture())
    assert (
        person.client.post(
            "/admin/customers/photo/change/", query_string={"id": customer.id}, data={"_remove": "1"}
        ).status_code
        == 303
    )
    assert person.client.get("/admin/customers/photo/", query_string={"id": customer.id}).status_code == 404


def test_who_may_not_edit_may_not_change_it(as_user, customer):
    assert post(as_user("auditor"), customer, picture()).status_code == 403
    db.session.expire_all()
    assert customer.photo_at is None


def test_a_changed_address_is_unverified_again_and_tells_since_when(session, customer):
    session.execute(
        text("UPDATE party SET email = 'a@example.com', email_state = 'verified' WHERE id = :id"), {"id": customer.id}
    )
    session.refresh(customer)
    assert (customer.email_state, customer.email_state_at is not None) == ("verified", True)
    session.execute(text("UPDATE party SET email = 'b@example.com' WHERE id = :id"), {"id": customer.id})
    session.refresh(customer)
    assert customer.email_state == "unverified"
    session.execute(text("UPDATE party SET email_state = 'bounced', name = 'Bea' WHERE id = :id"), {"id": customer.id})
    session.refresh(customer)
    assert customer.email_state == "bounced"

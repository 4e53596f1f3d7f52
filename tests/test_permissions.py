"""The functions that decide: rows and fields, over any mix of lines; a deny wins, else the widest counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import crm.commands  # noqa: F401 - declares the commands
from crm.core.entity import all_faces, face_named
from crm.core.fields import FieldClass
from crm.core.permissions import (
    Access,
    FieldGrant,
    Grant,
    Scope,
    access_of,
    allowed,
    decide,
    names_of,
    reach,
    widest,
)

OWN, ALL, DENY = Grant("customer.edit", Scope.OWN), Grant("customer.*"), Grant("*.edit", deny=True)


@pytest.mark.parametrize(("grants", "decided"), [
    ([], None), ([OWN], Scope.OWN), ([ALL], Scope.ALL), ([OWN, ALL], Scope.ALL), ([ALL, OWN], Scope.ALL),
    ([Grant("*")], Scope.ALL), ([Grant("*.edit")], Scope.ALL), ([Grant("customer.read")], None),
    ([Grant("vendor.*")], None), ([Grant("customer")], None), ([Grant("Customer.edit")], None),
    ([DENY], None), ([ALL, DENY], None), ([DENY, ALL], None), ([OWN, DENY, Grant("*")], None),
    ([ALL, Grant("customer.block", deny=True)], Scope.ALL),
])  # fmt: skip
def test_the_widest_grant_counts_and_an_explicit_deny_wins(grants: list[Grant], decided: Scope | None) -> None:
    assert decide(grants, "customer.edit") is decided


@given(st.lists(st.sampled_from([OWN, ALL, DENY, Grant("vendor.*"), Grant("*.read")]), max_size=6), st.randoms())
def test_the_order_of_grants_never_matters(grants: list[Grant], random: Any) -> None:
    shuffled = list(grants)
    random.shuffle(shuffled)
    assert decide(grants, "customer.edit") is decide(shuffled, "customer.edit")


_LINES = st.builds(Grant, st.sampled_from(["customer.edit", "customer.*", "*.edit", "*", "Customers.edit", "business.*",
                                           "vendor.edit", "customer.read"]), st.sampled_from(Scope), st.booleans())  # fmt: skip


@given(st.lists(_LINES, max_size=8))
def test_deciding_is_the_widest_given_less_what_is_denied(grants: list[Grant]) -> None:
    face = face_named("customer")
    names = names_of(face, "edit")
    fitting = [line for line in grants if line.pattern not in ("vendor.edit", "customer.read")]
    given = widest(line.scope for line in fitting if not line.deny)
    denied = widest(line.scope for line in fitting if line.deny)
    person = SimpleNamespace(id=1, grants=tuple(grants), field_grants=())
    wanted = given if given and (denied is None or denied.rank < given.rank) else None
    assert decide(grants, *names) is wanted
    assert allowed(person, "customer.edit") is wanted
    assert reach(person, face, "edit")[0] is wanted
    # One more line gives never less, and one more deny never more.
    more, fewer = decide([*grants, Grant("customer.edit", Scope.TEAM)], *names), decide([*grants, DENY], *names)
    assert fewer is None
    assert (more.rank if more else -1) >= (wanted.rank if wanted else -1)


_FIELD_LINES = st.builds(FieldGrant, st.sampled_from(["customer.email", "customer.*", "Customers.*", "business.*", "*",
                                                      "customer.name", "vendor.*"]), st.sampled_from(Access),
                         st.sampled_from([None, FieldClass.CONTACT, FieldClass.PERSONAL]))  # fmt: skip


@given(st.lists(_FIELD_LINES, max_size=6), st.randoms())
def test_a_field_shows_by_its_widest_line_and_not_at_all_after_a_deny(lines: list[FieldGrant], random: Any) -> None:
    face, shuffled = face_named("customer"), list(lines)
    random.shuffle(shuffled)
    person, other = (SimpleNamespace(id=1, grants=(), field_grants=tuple(some)) for some in (lines, shuffled))
    fitting = [line.access for line in lines if line.pattern not in ("customer.name", "vendor.*")
               and line.field_class in (None, FieldClass.CONTACT)]  # fmt: skip
    found = access_of(person, face, "email")
    assert found is access_of(other, face, "email")
    if Access.HIDDEN in fitting or not fitting:
        assert found is Access.HIDDEN
    else:
        assert found is max(fitting, key=lambda one: one.rank)
    # What is kept beside the value or said of it shows no more than the value.
    assert access_of(person, face, "email_given") is found
    assert access_of(person, face, "email_state").rank <= found.rank
    assert access_of(None, face, "email") is Access.HIDDEN


def test_a_new_role_sees_open_fields_and_nothing_else() -> None:
    person = SimpleNamespace(id=1, grants=(Grant("*"),), field_grants=())
    for face in all_faces():
        for name, declared in face.fields.items():
            if declared.field_class not in (None, FieldClass.OPEN):
                assert access_of(person, face, name) is Access.HIDDEN, (face.name, name)
            elif not declared.of and not name.endswith("_given"):
                assert access_of(person, face, name) in (Access.READ, Access.HIDDEN if face.through else Access.READ)


def test_everybody_is_shown_by_the_narrowest_of_the_faces_that_show_them() -> None:
    lines = (FieldGrant("customer.*", Access.WRITE), FieldGrant("vendor.*", Access.MASKED, FieldClass.CONTACT),
             FieldGrant("vendor.*", Access.READ, FieldClass.PERSONAL))  # fmt: skip
    everybody = face_named("party")
    one = SimpleNamespace(id=1, grants=(Grant("customer.read"),), field_grants=lines)
    both = SimpleNamespace(id=1, grants=(Grant("customer.read"), Grant("vendor.read")), field_grants=lines)
    assert [str(access_of(one, everybody, name)) for name in ("email", "name")] == ["write", "write"]
    assert [str(access_of(both, everybody, name)) for name in ("email", "name")] == ["masked", "read"]

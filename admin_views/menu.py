"""The menu: about ten headings in the order of a day's work; what is opened daily stands there, the rest folds."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from flask import render_template, request, url_for
from markupsafe import Markup

from admin_views.cells import asking, html, icon
from admin_views.lists import endpoint, may
from crm.core.entity import Face, all_faces
from crm.core.permissions import Grant


class Heading(NamedTuple):
    """A part of the menu: the areas that stand in it, and by name the faces that are opened daily, in this order."""

    label: str
    areas: tuple[str, ...]
    daily: tuple[str, ...]


HEADINGS = (
    Heading("Customers", ("Customers",), ("customer", "end_customer", "contact", "interaction", "task", "check_in", "segment")),
    Heading("Sales", ("Sales", "Products"), ("lead", "deal", "quote", "order", "order_line", "product")),
    Heading("Loyalty", ("Loyalty",), ("loyalty_account", "reward", "redemption", "referral")),
    Heading("Credit", ("Credit",), ("credit_account", "credit_request", "invoice", "payment")),
    Heading("Service", ("Service", "Vehicles"), ("ticket", "service_appointment", "service_record", "vehicle")),
    Heading("Credit", ("Credit",), ("credit_account", "credit_request", "invoice", "payment")),
    Heading("Loyalty", ("Loyalty",), ("loyalty_account", "redemption", "referral")),
    Heading("Partners", ("Partners",), ("vendor", "partner", "contract")),
    Heading("Marketing", ("Marketing",), ("campaign", "offer")),
    Heading("Insight", ("Insight",), ("alert", "recommendation", "target")),
    Heading("Privacy", ("Privacy",), ("consent", "privacy_request")),
    Heading("System", ("Setup", "System"), ("import", "export", "job", "user", "role")),
)  # fmt: skip
FEW = 6  # as many entries need no second fold


class Fold(NamedTuple):
    """Links that open and fold together, drawn without a mark on the one that is shown."""

    label: str
    addresses: frozenset[str]
    links: str
    more: Fold | None = None

    def has(self, here: str) -> bool:
        return here in self.addresses or (self.more is not None and self.more.has(here))

    def marked(self, here: str) -> Markup:
        """The links, with a mark on the one whose address this is."""
        return Markup(self.links.replace(f'href="{here}"', f'href="{here}" aria-current="page"'))  # noqa: S704 - drawn by `html`


def menu() -> Markup:
    """The menu as this person has it on this page."""
    here = "/".join(request.path.split("/")[:3]).rstrip("/") + "/"
    # Tests declare entities for a while; otherwise there are always as many.
    drawn = render_template("desk/_nav.html", home=_home(), folds=_folds(asking().grants, len(all_faces())), here=here)
    return Markup(drawn)  # noqa: S704 - our own template


@lru_cache(maxsize=256)
def _folds(_grants: tuple[Grant, ...], _faces: int) -> list[Fold]:
    """The headings with what the person may open: the same for all whose roles give the same."""
    found: dict[str, list[Face]] = {}
    for face in all_faces():
        if face.about.screen and may(face, "read"):
            found.setdefault(_heading(face).label, []).append(face)
    order = [heading.label for heading in HEADINGS]
    ranked = sorted(found, key=lambda label: order.index(label) if label in order else len(order) - 1.5)
    return [_fold(label, found[label]) for label in ranked]


def _heading(face: Face) -> Heading:
    """Where a face is opened daily, else where its area stands; an area that nobody has placed has a heading of its own."""
    named = (heading for heading in HEADINGS if face.name in heading.daily)
    placed = (heading for heading in HEADINGS if face.about.area in heading.areas)
    return next(named, None) or next(placed, None) or Heading(face.about.area, (face.about.area,), ())


def _fold(label: str, faces: list[Face]) -> Fold:
    """A heading's links, the daily ones first; where there are many the others fold under “More”."""
    daily = _heading(faces[0]).daily
    ranked = sorted(faces, key=lambda face: daily.index(face.name) if face.name in daily else len(daily))
    links = [(url_for(endpoint(face, "index_view")), face.about.icon, face.label_plural) for face in ranked]
    if any(face.name == "role" for face in faces):
        links.append((url_for("admin.rights"), "lock", "Rights"))
    shown = sum(face.name in daily for face in faces)
    if len(links) <= FEW or not shown:
        return _drawn(label, links)
    return _drawn(label, links[:shown], _drawn(f"More of {label}", links[shown:]))


def _drawn(label: str, links: list[tuple[str, str, str]], more: Fold | None = None) -> Fold:
    return Fold(label, frozenset(address for address, _, _ in links), "".join(_link(*link) for link in links), more)


def _link(address: str, name: str, label: str) -> Markup:
    return html('<li><a class="nav-item" href="%s">%s<span>%s</span></a></li>', address, icon(name or "list"), label)


def _home() -> Fold:
    return _drawn("", [(url_for("admin.index"), "house", "Home")])

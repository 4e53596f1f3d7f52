"""A handful of demo customers whose records hang together: a dealer group, a fleet, a family, a wholesaler in trouble, a
VIP who stays away, an open complaint, a supplier, somebody who asks what we know.

Fields are given as the declarations have them; each record's code is made by the database.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import select

from crm.commands.demo_ledgers import load_accounts
from crm.core.entity import Entity, db
from crm.models.communications import DigitalEvent, Interaction, Task
from crm.models.compliance import ComplianceRecord, ComplianceRequirement
from crm.models.contracts import Contract, ContractObligation
from crm.models.feedback import Feedback
from crm.models.insights import Alert, Prediction, Recommendation
from crm.models.marketing import CampaignRecipient, CustomerOffer, Offer
from crm.models.parties import Address, Contact, Party
from crm.models.partners import PerformanceScore, RelationshipHealth, RiskAssessment
from crm.models.party_documents import Document
from crm.models.party_identifiers import Identifier
from crm.models.party_notes import Note
from crm.models.party_preferences import ChannelPreference
from crm.models.party_relations import Relation
from crm.models.privacy import Consent, PrivacyRequest
from crm.models.products import Product
from crm.models.sales_deals import Deal, DealLine, Demo, Quote, QuoteLine
from crm.models.sales_fulfilment import Delivery, Financing, Orientation
from crm.models.sales_journey import JourneyStep, Onboarding, OnboardingStep, Touchpoint
from crm.models.sales_leads import Lead
from crm.models.sales_orders import Order, OrderLine, Return, ReturnLine
from crm.models.support import Escalation, Ticket
from crm.models.vehicle_service import ServiceAppointment, ServiceRecord, Warranty, WarrantyClaim
from crm.models.vehicles import Ownership, Reading, Vehicle

E = TypeVar("E", bound=Entity)
EUR = "EUR"
_LETTERS = {"business_customer": "C", "end_customer": "E", "vendor": "V", "partner": "P", "dealer": "P"}


def load_story(owners: list[int]) -> int:
    """Make them; answers how many parties. The catalogue must be there. Flushes."""
    story = _Story(owners)
    for chapter in (story.dealer_group, story.fleet, story.family, story.wholesaler, story.lapsed_vip, story.complaint,
                    story.supplier, story.asks_what_we_know, story.leads, story.entered_twice):  # fmt: skip
        chapter()
    load_accounts(story.people)
    db.session.flush()
    return story.number


class _Story:
    """Who is told of, one chapter each; days count from today."""

    def __init__(self, owners: list[int]) -> None:
        self.owners, self.number = owners, 0
        self.people: dict[str, Party] = {}
        self.now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        self.today = self.now.date()
        self.products = {one.sku: one for one in db.session.scalars(select(Product).where(Product.sku.like("DEMO-%")))}
        self.steps = {one.name: one.id for one in db.session.scalars(select(JourneyStep))}

    # What the chapters are made of

    def add(self, entity: type[E], **values: Any) -> E:
        record = entity(**values)
        db.session.add(record)
        db.session.flush()
        return record

    def ago(self, days: float) -> dt.datetime:
        return self.now - dt.timedelta(days=days)

    def day(self, days: int) -> dt.date:
        """So many days from today, before it where negative."""
        return self.today + dt.timedelta(days=days)

    @property
    def owner(self) -> int | None:
        return self.owners[self.number % len(self.owners)] if self.owners else None

    def party(
        self, name: str, role: str, *, city: str, country: str, org: bool = True, days: int = 700, **more: Any
    ) -> Party:
        self.number += 1
        given, _, family = name.rpartition(" ")
        mail = f"{name.split()[-1].lower().encode('ascii', 'ignore').decode()}{self.number}@example.com"
        person = {} if org else {"first_name": given, "last_name": family}
        made = self.people[name] = self.add(Party, name=name, kind="organization" if org else "individual", roles=[role],
                        code_letter=_LETTERS[role], email=mail,
                        account_number=f"DEMO-S{self.number:02}", tags=["demo", "story"], owner_id=self.owner,
                        phone=f"+4930200{self.number:04}", preferred_currency=EUR, created_at=self.ago(days),
                        **({"lifecycle": "active", "customer_since": self.day(-days)} | person | more))  # fmt: skip
        self.add(Address, party_id=made.id, kind="main", is_default=True, address=f"{self.number} Station Road", city=city,
                 postal_code=f"10{self.number:03}", country=country)  # fmt: skip
        return made

    def contact(self, party: Party, name: str, designation: str, *, primary: bool = True) -> Contact:
        first, _, last = name.partition(" ")
        return self.add(Contact, party_id=party.id, name=name, first_name=first, last_name=last, designation=designation,
                        email=f"{first}.{last}@example.com".lower(), is_primary=primary)  # fmt: skip

    def bought(self, party: Party, days: int, *skus: str, state: str = "completed", **more: Any) -> Order:
        order = self.add(Order, customer_id=party.id, ordered_at=self.ago(days), state=state, currency=EUR,
                         owner_id=party.owner_id, payment_method="bank", **more)  # fmt: skip
        for sku in skus:
            product = self.products[sku]
            self.add(OrderLine, order_id=order.id, product_id=product.id, name=product.name, sku=sku,
                     unit_price=product.price, unit_cost=product.unit_cost)  # fmt: skip
        return order

    def drives(self, party: Party, sku: str, *, days: int, plate: str, mileage: int, use: str = "personal") -> Vehicle:
        product = self.products[sku]
        vehicle = self.add(Vehicle, vin=f"DEMSTRY{self.number:03}{abs(hash_of(plate)) % 10_000_000:07}", plate=plate,
                           brand=product.brand, model=product.model, year=self.day(-days).year, product_id=product.id,
                           customer_id=party.id, engine="electric" if "lectric" in product.name else "hybrid", color="Blue",
                           mileage=mileage, mileage_on=self.day(-9), registered_on=self.day(-days),
                           service_interval_days=365, next_service_on=self.day(365 - days % 365))  # fmt: skip
        self.add(Ownership, vehicle_id=vehicle.id, party_id=party.id, use=use, owned_from=self.day(-days),
                 purchase_price=product.price, currency=EUR, satisfaction=4)  # fmt: skip
        return vehicle

    def talked(self, party: Party, days: float, channel: str, subject: str, content: str, **more: Any) -> Interaction:
        return self.add(Interaction, party_id=party.id, channel=channel, subject=subject, content=content, state="done",
                        occurred_at=self.ago(days), handled_by_id=party.owner_id,
                        **({"direction": "inbound", "outcome": "neutral"} | more))  # fmt: skip

    # The chapters

    def dealer_group(self) -> None:
        """A group of dealers, one of which lets a paper run out."""
        group = self.party("Berger Mobility Group", "partner", city="München", country="DE", days=1400)
        self.contact(group, "Klara Berger", "Managing director")
        for name, city, expires in (
            ("Autohaus Berger München", "München", 240),
            ("Autohaus Berger Augsburg", "Augsburg", 9),
        ):
            dealer = self.party(name, "dealer", city=city, country="DE", days=1300)
            self.contact(dealer, f"Jonas {city}", "Head of sales")
            self.add(Relation, from_party_id=group.id, kind="parent", to_party_id=dealer.id, valid_from=self.day(-1300))
            self.add(Document, party_id=dealer.id, kind="trade_licence", number=f"HRB {20_000 + dealer.id}",
                     issued_on=self.day(expires - 365), expires_on=self.day(expires))  # fmt: skip
            licence = db.session.scalar(
                select(ComplianceRequirement).where(ComplianceRequirement.name == "Trade licence")
            )
            if licence is not None:
                self.add(ComplianceRecord, party_id=dealer.id, requirement_id=licence.id, issuer="Chamber of Commerce",
                         issued_on=self.day(expires - 365), valid_until=self.day(expires), state="accepted",
                         checked_at=self.ago(300))  # fmt: skip
        self.add(RelationshipHealth, party_id=group.id, standing="good", score=82, reasons="Volume grows, papers in order",
                 assessed_on=self.day(-12), next_action="Invite to the launch of the Nordwind X", action_due_on=self.day(6))  # fmt: skip

    def fleet(self) -> None:
        """A haulier that renews its vans, with a deal that is nearly won."""
        firm = self.party("Nordlicht Logistik GmbH", "business_customer", city="Hamburg", country="DE", days=1100,
                          industry="Transport and logistics", employees=240, annual_revenue=Decimal(31_000_000),
                          annual_revenue_currency=EUR, stage="active", type="business")  # fmt: skip
        buyer = self.contact(firm, "Svenja Petersen", "Fleet manager")
        self.contact(firm, "Malik Yilmaz", "Purchasing", primary=False)
        vans = [self.drives(firm, "DEMO-TRAG-3", days=1000 - 40 * n, plate=f"HH-NL {100 + n}", mileage=118_000 - 4_000 * n,
                            use="business") for n in range(6)]  # fmt: skip
        self.bought(firm, 1000, *["DEMO-TRAG-3"] * 4, satisfaction=4)
        self.bought(firm, 620, "DEMO-TRAG-3", "DEMO-TRAG-3", "DEMO-CARE")
        parts = self.bought(firm, 80, "DEMO-BRAKE", "DEMO-BRAKE", "DEMO-FILTER")
        line = db.session.scalars(
            select(OrderLine).where(OrderLine.order_id == parts.id).order_by(OrderLine.id)
        ).first()
        back = self.add(Return, order_id=parts.id, state="refunded", reason="wrong_item", requested_on=self.day(-70),
                        approved_on=self.day(-69), received_on=self.day(-65), refunded_on=self.day(-64), refund_method="bank")  # fmt: skip
        assert line is not None
        self.add(ReturnLine, sales_return_id=back.id, order_line_id=line.id, quantity=Decimal(1), amount=Decimal(89))
        for number, van in enumerate(vans[:3]):
            self.add(ServiceRecord, vehicle_id=van.id, customer_id=firm.id, kind="maintenance", state="done",
                     served_on=self.day(-120 + 20 * number), mileage=105_000, work="Service B, brake fluid", satisfaction=5,
                     parts_charged=Decimal(180), labour_charged=Decimal(240), parts_cost=Decimal(96), labour_cost=Decimal(130),
                     currency=EUR)  # fmt: skip
            self.add(Reading, vehicle_id=van.id, name="brake pad thickness", value=Decimal("2.6") + number, unit="mm",
                     measured_at=self.ago(2), source="telematics")  # fmt: skip
        deal = self.add(Deal, name="Six electric vans for the Kiel depot", customer_id=firm.id, contact_id=buyer.id,
                        owner_id=firm.owner_id, stage="negotiation", amount=Decimal(286_800), currency=EUR, probability=75,
                        opened_on=self.day(-48), close_on=self.day(12), next_step="Meet the board about charging",
                        source="Existing customer")  # fmt: skip
        product = self.products["DEMO-TRAG-3"]
        self.add(DealLine, deal_id=deal.id, product_id=product.id, name=product.name, sku=product.sku, quantity=Decimal(6),
                 unit_price=product.price)  # fmt: skip
        quote = self.add(Quote, customer_id=firm.id, contact_id=buyer.id, deal_id=deal.id, issued_on=self.day(-14),
                         valid_until=self.day(16), currency=EUR, state="sent")  # fmt: skip
        self.add(QuoteLine, quote_id=quote.id, product_id=product.id, name=product.name, sku=product.sku,
                 quantity=Decimal(6), unit_price=product.price, discount=Decimal(12_000))  # fmt: skip
        self.add(Financing, customer_id=firm.id, kind="lease", lender="Hanseatic Leasing", amount=Decimal(286_800),
                 currency=EUR, term_months=48, rate=Decimal("3.9"), state="requested", deal_id=deal.id)  # fmt: skip
        self.talked(firm, 3, "meeting", "Charging at the depot", "Power for four chargers is there; two more need the grid.",
                    duration_minutes=75, outcome="positive")  # fmt: skip
        self.talked(firm, 20, "call", "Asked for a quote", "Six vans, delivery before summer.", duration_minutes=12,
                    direction="inbound", outcome="positive")  # fmt: skip
        self.add(Task, subject="Send the board a comparison with diesel", kind="task", priority="high", party_id=firm.id,
                 assignee_id=firm.owner_id, due_at=self.ago(-1))  # fmt: skip
        self.add(Note, party_id=firm.id, author_id=firm.owner_id, pinned_at=self.ago(30),
                 text="Decides together with the **works council**. Never call on Mondays.")  # fmt: skip
        self.add(Recommendation, party_id=firm.id, kind="service", subject="Care contract for the new vans", score=88,
                 reason="Had one for the last two, no breakdown since", state="new")  # fmt: skip

    def family(self) -> None:
        """Two people of one household, with their cars, and the friend they brought."""
        anna = self.party("Anna Hoffmann", "end_customer", org=False, city="Köln", country="DE", days=900, gender="female",
                          date_of_birth=dt.date(1987, 4, 12), life_stage="family", income_level="mid_market", stage="loyalty")  # fmt: skip
        paul = self.party("Paul Hoffmann", "end_customer", org=False, city="Köln", country="DE", days=600, gender="male",
                          date_of_birth=dt.date(1985, 9, 3), life_stage="family")  # fmt: skip
        friend = self.party("Inês Carvalho", "end_customer", org=False, city="Lisboa", country="PT", days=40, language="pt",
                            gender="female", stage="active", sub_stage="onboarding")  # fmt: skip
        self.add(Relation, from_party_id=anna.id, kind="household", to_party_id=paul.id)
        self.add(Relation, from_party_id=anna.id, kind="referral", to_party_id=friend.id, valid_from=self.day(-40))
        tourer = self.drives(anna, "DEMO-LUMA-T", days=850, plate="K-AH 1204", mileage=41_200)
        self.drives(paul, "DEMO-LUMA-E", days=560, plate="K-PH 309", mileage=17_900)
        new = self.drives(friend, "DEMO-LUMA-E", days=30, plate="AA-31-BC", mileage=640)
        self.bought(anna, 850, "DEMO-LUMA-T", "DEMO-RACK", satisfaction=5)
        self.bought(anna, 35, "DEMO-TYRES")
        self.bought(paul, 560, "DEMO-LUMA-E")
        order = self.bought(friend, 36, "DEMO-LUMA-E", "DEMO-MATS", satisfaction=5)
        self.add(Delivery, order_id=order.id, vehicle_id=new.id, state="delivered", method="pickup", planned_at=self.ago(30),
                 delivered_at=self.ago(30), received_by="Inês Carvalho", satisfaction=5)  # fmt: skip
        for step, days in (("Vehicle demo", 44), ("Order placement", 36), ("Vehicle delivery", 30)):
            if step in self.steps:
                self.add(
                    Touchpoint,
                    customer_id=friend.id,
                    step_id=self.steps[step],
                    happened_at=self.ago(days),
                    satisfaction=5,
                )
        self.add(Orientation, customer_id=friend.id, order_id=order.id, vehicle_id=new.id, topics="App, charging, assistants",
                 held_at=self.ago(30), state="done", satisfaction=5)  # fmt: skip
        self.add(ChannelPreference, party_id=anna.id, purpose="service", channels=["phone", "sms"], hours_from=9, hours_to=18,
                 time_zone="Europe/Berlin")  # fmt: skip
        for kind, subject, days in (
            ("visit", "Luma E-City", 52),
            ("configuration", "Luma E-City, blue", 50),
            ("form", "Test drive", 46),
        ):
            self.add(
                DigitalEvent, party_id=friend.id, source="site", kind=kind, subject=subject, occurred_at=self.ago(days)
            )
        onboarding = self.add(Onboarding, customer_id=friend.id, started_on=self.day(-30))
        for name, due, done in (
            ("Welcome call", -30, True),
            ("Explain the app", -27, True),
            ("Ask about the first drives", 2, False),
        ):
            self.add(OnboardingStep, onboarding_id=onboarding.id, name=name, due_on=self.day(due), team="sales",
                     done_at=self.ago(-due) if done else None)  # fmt: skip
        self.add(Feedback, party_id=friend.id, rating=5, comment="Test drive, papers, keys: everything took a week.",
                 source="review_site", topic="order", order_id=order.id, vehicle_id=new.id, given_on=self.day(-25))  # fmt: skip
        self.add(ServiceAppointment, customer_id=anna.id, vehicle_id=tourer.id, requested_work="Yearly inspection, winter tyres",
                 starts_at=self.ago(-4), state="confirmed", channel="workshop")  # fmt: skip
        warranty = self.add(Warranty, number="W-2024-1107", vehicle_id=tourer.id, customer_id=anna.id, coverage="battery",
                            starts_on=self.day(-850), ends_on=self.day(21), currency=EUR, limit_amount=Decimal(9_000))  # fmt: skip
        self.add(WarrantyClaim, warranty_id=warranty.id, fault="Range dropped by a third", claimed_on=self.day(-8),
                 mileage=41_000, state="in_review", amount_claimed=Decimal(2_400), currency=EUR)  # fmt: skip
        self.talked(anna, 8, "whatsapp", "Range of the car", "Since autumn only two thirds of the range.", outcome="negative",
                    follow_up_required=True, follow_up_on=self.day(-1))  # fmt: skip

    def wholesaler(self) -> None:
        """A wholesaler who doesn't pay: blocked, with warnings and somebody on it."""
        firm = self.party("Mercantile Parts Ltd", "business_customer", city="Leeds", country="GB", days=1500, type="wholesaler",
                          industry="Wholesale", block_state="blocked", block_reason="Three invoices overdue by more than 60 days",
                          blocked_at=self.ago(11), status_code="unpaid")  # fmt: skip
        self.contact(firm, "Gareth Hughes", "Accounts payable")
        for days in (400, 260, 130, 95, 70):
            self.bought(firm, days, "DEMO-BRAKE", "DEMO-BATT", "DEMO-FILTER", due_on=self.day(30 - days))
        self.add(RiskAssessment, party_id=firm.id, kind="credit", score=81, early_warning=True, assessed_on=self.day(-12),
                 reasons="Pays ever later; supplier insurance was cancelled", review_on=self.day(18))  # fmt: skip
        self.add(Alert, subject="Owes more than the terms allow", kind="credit", severity="urgent", party_id=firm.id,
                 assignee_id=firm.owner_id, due_on=self.day(1))  # fmt: skip
        self.talked(firm, 6, "call", "Payment promised", "Will pay the oldest invoice by Friday.", follow_up_required=True,
                    follow_up_on=self.day(-2), outcome="negative", duration_minutes=9)  # fmt: skip
        self.add(Note, party_id=firm.id, author_id=firm.owner_id, text="New owner since May. **Deliver against payment only.**",
                 pinned_at=self.ago(11))  # fmt: skip

    def lapsed_vip(self) -> None:
        """Somebody who bought the dearest things and hasn't come back."""
        elena = self.party("Elena Marchetti", "end_customer", org=False, city="Milano", country="IT", days=2200, type="vip",
                           gender="female", language="it", income_level="luxury", life_stage="professional", lifecycle="inactive",
                           sub_stage="win_back", stage="loyalty")  # fmt: skip
        for days in (2100, 1500, 760):
            self.bought(elena, days, "DEMO-NORD-X", "DEMO-CARE", satisfaction=4)
        self.drives(elena, "DEMO-NORD-X", days=760, plate="MI 771 EM", mileage=22_500)
        self.add(Prediction, party_id=elena.id, kind="churn_risk", chance_percent=Decimal(78), model="demo", computed_at=self.ago(1),
                 reasons="No visit for 14 months; two surveys unanswered")  # fmt: skip
        self.add(Recommendation, party_id=elena.id, kind="action", subject="Personal invitation to the test day", score=93,
                 reason="VIP, car is two years old, leasing of the neighbour ended", state="new", channel="call")  # fmt: skip
        offer = db.session.scalar(select(Offer).limit(1))
        if offer is not None:
            self.add(CustomerOffer, offer_id=offer.id, party_id=elena.id, state="seen", channel="email", sent_at=self.ago(5),
                     seen_at=self.ago(4))  # fmt: skip
            if offer.campaign_id is not None:
                self.add(CampaignRecipient, campaign_id=offer.campaign_id, party_id=elena.id, variant="a", sent_at=self.ago(5),
                         opened_at=self.ago(4))  # fmt: skip
        self.add(Alert, subject="VIP without contact for a year", kind="lifecycle", severity="warning", party_id=elena.id,
                 assignee_id=elena.owner_id)  # fmt: skip

    def complaint(self) -> None:
        """A complaint that went up."""
        yuki = self.party(
            "Yuki Tanaka", "end_customer", org=False, city="Düsseldorf", country="DE", days=420, language="ja"
        )
        car = self.drives(yuki, "DEMO-NORD-S", days=400, plate="D-YT 88", mileage=12_300)
        self.bought(yuki, 400, "DEMO-NORD-S", satisfaction=4)
        self.add(ServiceRecord, vehicle_id=car.id, customer_id=yuki.id, kind="repair", state="done", served_on=self.day(-9),
                 mileage=12_250, work="Brake pads replaced", satisfaction=1)  # fmt: skip
        call = self.talked(yuki, 7, "call", "Brakes squeal after the repair", "Came twice already, nobody heard it.",
                           outcome="negative", satisfaction=1, duration_minutes=18)  # fmt: skip
        ticket = self.add(Ticket, party_id=yuki.id, kind="complaint", topic="service", priority="urgent", state="open",
                          subject="Brakes squeal after the repair", description="Third visit. Wants a courtesy car.",
                          channel="call", interaction_id=call.id, assignee_id=yuki.owner_id, opened_at=self.ago(7),
                          first_response_at=self.ago(6.9), due_at=self.ago(-1))  # fmt: skip
        self.add(Escalation, ticket_id=ticket.id, level=1, reason="Third visit without a cure", escalated_at=self.ago(2),
                 to_user_id=yuki.owner_id, state="open")  # fmt: skip

    def supplier(self) -> None:
        """The maker of vans, with contract, duties and marks."""
        maker = self.party("Trago Werke AG", "vendor", city="Linz", country="AT", days=2000, industry="Automotive")
        self.contact(maker, "Florian Gruber", "Key account manager")
        self.add(
            Identifier, party_id=maker.id, kind="vat", number="ATU12345678", country="AT", valid_until=self.day(300)
        )
        contract = self.add(Contract, number="SUP-2024-07", subject="Supply of vans and spare parts", party_id=maker.id,
                            kind="supply", state="active", value=Decimal(4_200_000), currency=EUR, signed_on=self.day(-330),
                            starts_on=self.day(-320), ends_on=self.day(45), renewal="automatic", renewal_months=12,
                            notice_days=30, remind_days=60)  # fmt: skip
        self.add(ContractObligation, contract_id=contract.id, subject="Deliver spare parts within 48 hours", side="theirs",
                 due_on=self.day(20), recurrence="monthly")  # fmt: skip
        self.add(ContractObligation, contract_id=contract.id, subject="Take 80 vans a year", side="ours", due_on=self.day(45),
                 recurrence="yearly")  # fmt: skip
        self.add(PerformanceScore, party_id=maker.id, period_from=self.day(-180), period_to=self.day(-90), delivery=74, quality=91,
                 cost=80, response=66, volume=Decimal(1_480_000), volume_target=Decimal(1_600_000), currency=EUR)  # fmt: skip

    def asks_what_we_know(self) -> None:
        """Somebody who takes a consent back and asks for a copy."""
        amelie = self.party(
            "Amélie Laurent", "end_customer", org=False, city="Lyon", country="FR", days=510, language="fr"
        )
        self.bought(amelie, 500, "DEMO-LUMA-E")
        self.add(Consent, party_id=amelie.id, purpose="marketing", channel="email", state="given", legal_basis="consent",
                 decided_at=self.ago(510), source="form", evidence="Box ticked on the sign-up form")  # fmt: skip
        self.add(Consent, party_id=amelie.id, purpose="marketing", channel="email", state="withdrawn", legal_basis="consent",
                 decided_at=self.ago(6), source="opt_out_link", evidence="Link in the winter mail")  # fmt: skip
        self.add(PrivacyRequest, party_id=amelie.id, kind="access", law="gdpr", state="in_work", channel="email",
                 received_on=self.day(-6), details="A copy of all that is kept about me", assignee_id=self.owner)  # fmt: skip

    def leads(self) -> None:
        """Who might become a customer."""
        van = self.products["DEMO-TRAG-1"]
        for name, firm, state, intent, score, country in (
            ("Sofia Almeida", "Padaria Almeida", "qualified", "high", 86, "PT"), ("Tom Becker", "", "contacted", "medium", 54, "DE"),
            ("Grace Okafor", "Okafor Catering", "new", "high", 71, "GB"), ("Piotr Zieliński", "", "nurturing", "low", 32, "PL"),
        ):  # fmt: skip
            first, _, last = name.partition(" ")
            self.add(Lead, name=name, first_name=first, last_name=last, company_name=firm or None, state=state, intent=intent,
                     capability="medium", score=score, source="form", source_detail="Website", email=f"{first}@example.org".lower(),
                     country=country, interest_id=van.id, budget=Decimal(35_000), currency=EUR, buys_by=self.day(60),
                     owner_id=self.owner, tags=["demo"])  # fmt: skip
        firm_of = db.session.scalar(select(Party).where(Party.account_number == "DEMO-S04"))
        if firm_of is not None:
            self.add(
                Demo,
                customer_id=firm_of.id,
                kind="test_drive",
                product_id=van.id,
                starts_at=self.ago(-2),
                state="planned",
            )

    def entered_twice(self) -> None:
        """Three who were entered a second time by somebody else: the search for duplicates finds them by itself."""
        for name, again in (
            ("Nordlicht Logistik GmbH", "Nordlicht Logistk"),
            ("Elena Marchetti", "Elena Marcheti"),
            ("Paul Hoffmann", "Paul Hofmann"),
        ):
            first = self.people[name]
            place = db.session.scalars(select(Address).where(Address.party_id == first.id)).first()
            assert place is not None, "everybody of the story lives somewhere"
            second = self.party(again, first.roles[0], org=first.kind == "organization", city=place.city or "", country=place.country or "",
                                days=20, lifecycle="prospect", customer_since=None)  # fmt: skip
            second.phone = first.phone
            for own in db.session.scalars(select(Address).where(Address.party_id == second.id)):
                own.address, own.postal_code = place.address, place.postal_code


def hash_of(word: str) -> int:
    """The same number for the same word in every run, unlike `hash`."""
    return int.from_bytes(word.encode()[-6:], "big")

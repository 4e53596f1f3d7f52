"""What other systems and people call the things we import; declared synonyms come on top of these."""

from __future__ import annotations

# Target → what a header may say, as `detecting.normalised` writes it. The first ones are the surest.
WORDS: dict[str, str] = {
    "name": (
        "name, full name, display name, customer name, client name, contact name, customer, client, account "
        "name, account, party name, nom, nombre, nazwa, kunde, kundenname, nama"
    ),
    "first_name": (
        "first name, firstname, forename, given name, vorname, prénom, prenom, nombre de pila, imię, imie, fname"
    ),
    "middle_name": "middle name, second name, middle initial",
    "last_name": (
        "last name, lastname, surname, family name, nachname, apellido, apellidos, nazwisko, lname, nom de famille"
    ),
    "company_name": (
        "company name, company, organization, organisation, organization name, organisation name, firm, "
        "firma, business name, business, employer, legal name, trading name, account name, account, "
        "société, societe, empresa, unternehmen, billing company"
    ),
    "title": "title, job title, position, designation, role, function",
    "account_number": (
        "account number, account no, account id, customer id, customer number, customer no, customer key, "
        "customer code, client id, client number, client no, member number, member id, kundennummer, kunden "
        "nr, numéro client, account, id, external id, record id, contact id"
    ),
    "email": (
        "email, e mail, email address, e mail address, mail, primary email, work email, business email, "
        "contact email, correo, correo electrónico, courriel, email 1, e mail 1 value, email1"
    ),
    "email2": (
        "email 2, secondary email, second email, other email, alternate email, personal email, e mail 2 value, email2"
    ),
    "phone": (
        "phone, telephone, phone number, telephone number, tel, primary phone, work phone, business phone, "
        "contact number, telefon, téléphone, teléfono, telefono, phone 1 value, phone1, main phone, mobile, "
        "mobile phone, cell, cell phone, handy"
    ),
    "phone2": (
        "phone 2, secondary phone, second phone, other phone, alternate phone, mobile, mobile phone, mobile "
        "number, cell, cell phone, home phone, phone 2 value, phone2, handy"
    ),
    "fax": "fax, fax number, telefax",
    "website": (
        "website, web site, web, homepage, url, web address, company domain name, domain, webseite, site web, www"
    ),
    "industry": "industry, sector, branch, branche, line of business, vertical, secteur, industria",
    "tax_id": (
        "tax id, tax number, vat, vat number, vat id, vat no, tin, ein, gst number, tax registration "
        "number, ust id, steuernummer, nip, siret, cif"
    ),
    "annual_revenue": ("annual revenue, revenue, turnover, yearly revenue, sales volume, umsatz, chiffre d affaires"),
    "employees": (
        "employees, number of employees, no of employees, employee count, staff, headcount, company size, "
        "mitarbeiter, num employees"
    ),
    "gender": "gender, sex, geschlecht, sexe, género, genero",
    "date_of_birth": "date of birth, birthday, birth date, birthdate, dob, born, geburtsdatum, geburtstag",
    "language": "language, preferred language, locale, sprache, langue, idioma",
    "status": "status, customer status, account status, lifecycle, lifecycle stage, state of customer",
    "type": "type, customer type, account type, customer category",
    "kind": "kind, party kind, individual or organization",
    "description": "description, notes, note, comment, comments, remarks, about, bemerkung, notiz",
    "tags": "tags, labels, keywords, groups",
    "owner": "owner, account owner, assigned to, assigned user, sales rep, salesperson, responsible",
    "customer_since": (
        "customer since, date first purchase, first purchase, first purchase date, first order date, client "
        "since, member since, joined, join date, signup date, registration date, kunde seit"
    ),
    "year_established": "year established, founded, founding year, year founded",
    "income_level": "income level, income, income bracket",
    "life_stage": "life stage",
    "referral_code": "referral code",
    "address": (
        "address, street, street address, address 1, address line 1, address1, street 1, line 1, street "
        "name, strasse, straße, adresse, rue, dirección, direccion, ulica, mailing street, primary address "
        "street"
    ),
    "address2": "address 2, address line 2, address2, street 2, line 2, apartment, suite, unit",
    "city": "city, town, municipality, ort, stadt, ville, ciudad, miasto, mailing city, primary address city",
    "state": (
        "state, province, state province, region, county, bundesland, state region, mailing state, federal state"
    ),
    "postal_code": (
        "postal code, post code, postcode, zip, zip code, zip postal code, plz, code postal, codigo postal, "
        "mailing zip, pin code"
    ),
    "country": (
        "country, country region, nation, land, pays, país, pais, kraj, country code, mailing country, country name"
    ),
}

# Where a header only says 'location', its values decide which of these is meant.
PLACES = ("country", "state", "city", "address")
PLACE_WORDS = ("location", "office location", "place", "based in", "headquarters", "hq", "site", "standort")

# Words before a name that only repeat whose data it is: 'Customer City' is the city.
FILLERS = (
    "customer",
    "client",
    "account",
    "contact",
    "person",
    "company",
    "party",
    "primary",
    "main",
    "mailing",
    "home",
    "work",
    "business",
    "office",
    "kunden",
)

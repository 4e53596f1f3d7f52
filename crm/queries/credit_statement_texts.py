"""What a statement of account says, in the languages it is written in."""

from __future__ import annotations

from crm.models.credit_choices import Ageing

# The language and the locale of its dates and numbers; customers of any other language get the first.
LOCALES = {"en": "en_GB", "de": "de", "fr": "fr", "es": "es"}
_WORDS: dict[str, tuple[str, str, str, str]] = {
    "title": ("Statement of account", "Kontoauszug", "Relevé de compte", "Estado de cuenta"),
    "account": ("Account", "Konto", "Compte", "Cuenta"),
    "period": ("Period", "Zeitraum", "Période", "Período"),
    "made": ("Date of issue", "Ausgestellt am", "Établi le", "Fecha de emisión"),
    "in": ("Amounts in", "Beträge in", "Montants en", "Importes en"),
    "day": ("Date", "Datum", "Date", "Fecha"),
    "entry": ("Entry", "Vorgang", "Opération", "Operación"),
    "number": ("Number", "Nummer", "Numéro", "Número"),
    "due": ("Due", "Fällig", "Échéance", "Vence"),
    "debit": ("Debit", "Soll", "Débit", "Debe"),
    "credit": ("Credit", "Haben", "Crédit", "Haber"),
    "balance": ("Balance", "Saldo", "Solde", "Saldo"),
    "opening": ("Opening balance", "Anfangssaldo", "Solde initial", "Saldo inicial"),
    "closing": ("Closing balance", "Endsaldo", "Solde final", "Saldo final"),
    "invoice": ("Invoice", "Rechnung", "Facture", "Factura"),
    "payment": ("Payment", "Zahlung", "Paiement", "Pago"),
    "credit_note": ("Credit note", "Gutschrift", "Avoir", "Nota de crédito"),
    "write_off": ("Write-off", "Ausbuchung", "Annulation de créance", "Cancelación de deuda"),
    "taken_back": ("Payment taken back", "Zahlung zurückgenommen", "Paiement annulé", "Pago anulado"),
    "exchange": ("Exchange difference", "Kursdifferenz", "Écart de change", "Diferencia de cambio"),
    "ages": ("What is open on {}, by the days it is overdue", "Offen am {}, nach Tagen der Überfälligkeit",
             "Encours au {}, par jours de retard", "Pendiente al {}, por días de retraso"),
    Ageing.CURRENT.value: ("Not due", "Nicht fällig", "Non échu", "No vencido"),
    Ageing.UP_TO_30.value: ("1–30 days", "1–30 Tage", "1–30 jours", "1–30 días"),
    Ageing.UP_TO_60.value: ("31–60 days", "31–60 Tage", "31–60 jours", "31–60 días"),
    Ageing.UP_TO_90.value: ("61–90 days", "61–90 Tage", "61–90 jours", "61–90 días"),
    Ageing.OVER_90.value: ("Over 90 days", "Über 90 Tage", "Plus de 90 jours", "Más de 90 días"),
    "unallocated": ("Not allocated", "Nicht zugeordnet", "Non affecté", "Sin asignar"),
    "page": ("Page {} of {}", "Seite {} von {}", "Page {} sur {}", "Página {} de {}"),
}  # fmt: skip
TEXTS = {language: {name: words[at] for name, words in _WORDS.items()} for at, language in enumerate(LOCALES)}


def language_of(*wanted: str | None) -> str:
    """The first of the wanted languages, if statements are written in it, else English."""
    first = next((one for one in wanted if one), "")
    return first if first in TEXTS else next(iter(LOCALES))

"""What the statement of a membership says besides the words of every statement, in the same languages."""

from __future__ import annotations

from crm.queries.credit_statement_texts import LOCALES

# A word of one ledger only stands after the ledger's name.
_WORDS: dict[str, tuple[str, str, str, str]] = {
    "points title": ("Points statement", "Punkteauszug", "Relevé de points", "Extracto de puntos"),
    "cashback title": ("Cashback statement", "Cashback-Auszug", "Relevé de cashback", "Extracto de cashback"),
    "account": ("Membership", "Mitgliedschaft", "Adhésion", "Membresía"),
    "points in": ("Counted in", "Angaben in", "Exprimé en", "Expresado en"),
    "unit": ("points", "Punkten", "points", "puntos"),
    "number": ("Order", "Bestellung", "Commande", "Pedido"),
    "due": ("Expires", "Verfällt", "Expire", "Vence"),
    "debit": ("Received", "Erhalten", "Reçu", "Recibido"),
    "credit": ("Used", "Verwendet", "Utilisé", "Usado"),
    "earn": ("Earned", "Gesammelt", "Gagné", "Ganado"),
    "bonus": ("Bonus", "Bonus", "Bonus", "Bonificación"),
    "adjust": ("Adjusted", "Angepasst", "Ajusté", "Ajustado"),
    "redeem": ("Redeemed", "Eingelöst", "Échangé", "Canjeado"),
    "expire": ("Expired", "Verfallen", "Expiré", "Vencido"),
    "reverse": ("Reversed", "Zurückgebucht", "Annulé", "Revertido"),
    "transfer": ("Transferred", "Übertragen", "Transféré", "Transferido"),
    "merge": ("Memberships merged", "Zusammengeführt", "Adhésions fusionnées", "Membresías unidas"),
    "payout": ("Paid out", "Ausgezahlt", "Versé", "Pagado"),
    "set_off": ("Set off against an invoice", "Mit Rechnung verrechnet", "Déduit d’une facture", "Compensado con una factura"),
    "points ages": ("When the points expire, as of {}", "Wann die Punkte verfallen, Stand {}", "Expiration des points au {}",
                    "Cuándo vencen los puntos, al {}"),
    "cashback ages": ("What is left on {}", "Übrig am {}", "Solde au {}", "Queda al {}"),
    "gone": ("Expired, not written off", "Verfallen, noch nicht ausgebucht", "Expirés, pas encore retirés", "Vencidos, aún no retirados"),
    "soon": ("Within 30 days", "In 30 Tagen", "Sous 30 jours", "En 30 días"),
    "later": ("Later", "Später", "Plus tard", "Más tarde"),
    "never": ("Never", "Nie", "Jamais", "Nunca"),
}  # fmt: skip
TEXTS = {language: {name: words[at] for name, words in _WORDS.items()} for at, language in enumerate(LOCALES)}

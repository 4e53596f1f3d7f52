"""Forms from declarations: one WTForms field for every kind, read by `Field.parse`, drawn by its kind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Self

from flask import url_for
from flask_admin.form import BaseForm
from markupsafe import Markup
from wtforms import Field as WTField

from admin_views.cells import html, icon, zone
from crm.core.entity import face_named
from crm.core.fields import Field
from crm.core.permissions import Access


class DeclaredField(WTField):
    """A declared field in a form; keeps what was typed, so that a refused form shows it again."""

    def __init__(self, declared: Field, **kwargs: Any) -> None:
        super().__init__(declared.label, description=declared.help, **kwargs)
        self.declared = declared
        self.typed: str | list[str] | None = None
        self.shown: Any = None

    def process_data(self, value: Any) -> None:
        self.shown = value
        self.data = value

    def process_formdata(self, valuelist: list[Any]) -> None:
        valuelist = [item for item in valuelist if isinstance(item, str)]  # a file is no value of any declared field
        if not valuelist:
            return  # not in the form at all: ticks come with a hidden field, so that none ticked is said
        if self.declared.family == "list" and self.declared.kind == "choices":
            self.typed = [item for item in valuelist if item]
        elif self.declared.kind == "boolean":
            self.typed = "true" if any(item in ("true", "on", "1", "y") for item in valuelist) else "false"
        elif self.declared.kind == "datetime":
            self.typed = _in_utc(self.declared, valuelist[-1])
        else:
            self.typed = valuelist[-1]

    @property
    def given(self) -> Any:
        """What was typed, for `crm.commands.records.read_values`; None when the form didn't hold it."""
        return self.typed

    def opened_with(self) -> str:
        """What the field would send if nobody touched it."""
        text = self.declared.text(self.shown)
        return _in_utc(self.declared, _in_zone(text)) if self.declared.kind == "datetime" else text

    def text(self) -> str:
        if self.typed is not None:
            return self.typed if isinstance(self.typed, str) else ", ".join(self.typed)
        value = self.shown
        return self.declared.text(value)

    def __call__(self, **_: Any) -> Markup:
        return draw(self.declared, self.text(), self.id, bad=bool(self.errors), named=getattr(self, "shown_as", ""))


class DeskForm(BaseForm):
    """A form made from declarations; `given` is what a person typed, by public name."""

    def given(self) -> dict[str, Any]:
        return {name: field.given for name, field in self._fields.items() if field.given is not None}

    def only_writable(self, access: Mapping[str, Access]) -> Self:
        """Without the fields that this person may not set."""
        for name in list(self._fields):
            if access[name] is not Access.WRITE:
                del self[name]
        return self

    def blame(self, errors: Mapping[str, str]) -> None:
        for name, sentence in errors.items():
            if name in self._fields:
                self._fields[name].errors = [*self._fields[name].errors, sentence]


@lru_cache(maxsize=1024)
def form_class(fields: tuple[Field, ...]) -> type[DeskForm]:
    """A WTForms class with these fields, named by their public names."""
    return type("DeclaredForm", (DeskForm,), {declared.name: DeclaredField(declared) for declared in fields})


def _attributes(pairs: Mapping[str, Any]) -> Markup:
    return Markup("").join([html(" %s", name) if value is True else html(' %s="%s"', name, value)
                            for name, value in pairs.items() if value not in (None, False)])  # fmt: skip


def draw(declared: Field, text: str, ident: str, *, bad: bool = False, named: str = "") -> Markup:
    """The control of a field with its present text; `named` is the title of a referred record."""
    # Most of a form is empty, and that is the same in each; where a picker asks depends on the request.
    return (_draw if text or declared.kind == "reference" else _drawn_empty)(declared, text, ident, bad, named)


def _draw(declared: Field, text: str, ident: str, bad: bool, named: str) -> Markup:
    described = [f"{ident}-error"] * bad + [f"{ident}-help"] * bool(_help(declared))
    common = {"class": "input", "id": ident, "name": declared.name, "aria-invalid": "true" if bad else None,
              "aria-describedby": " ".join(described) or None,
              "aria-required": "true" if declared.required or declared.required_on_screen else None}  # fmt: skip
    maker = _CONTROLS.get(declared.kind, _text_input)
    return maker(declared, text, common, named)


_drawn_empty = lru_cache(maxsize=4096)(_draw)


def _text_input(declared: Field, text: str, common: dict[str, Any], _named: str) -> Markup:
    kinds = {"email": "email", "phone": "tel", "url": "text", "date": "date", "datetime": "datetime-local"}
    numeric = {"money": "decimal", "decimal": "decimal", "integer": "numeric"}.get(declared.kind)
    pairs = common | {"type": kinds.get(declared.kind, "text"), "inputmode": numeric,
                      "value": _in_zone(text) if declared.kind == "datetime" else text,
                      "placeholder": declared.example or None, "autocomplete": "off",
                      "maxlength": declared.max_length if declared.family == "text" else None}  # fmt: skip
    if numeric:
        pairs["class"] = "input num"
    control = html("<input%s>", _attributes(pairs))
    if declared.kind == "money" and declared.currency:
        return html('<span class="affix">%s<span class="affix-text">%s</span></span>', control, declared.currency)
    return control


def _in_zone(text: str) -> str:
    """A time as its control takes it: the person's own, to the minute where there is no more to it."""
    try:
        local = dt.datetime.fromisoformat(text).astimezone(zone()).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return text
    return local.isoformat(timespec="milliseconds" if local.second or local.microsecond else "minutes")


def _in_utc(declared: Field, typed: str) -> str:
    """And back, as values are kept; what is no time, or says its zone itself, stays as it was typed."""
    try:
        local = dt.datetime.fromisoformat(typed)
        return typed if local.tzinfo else declared.text(local.replace(tzinfo=zone()))
    except (ValueError, OverflowError):
        return typed


def _textarea(declared: Field, text: str, common: dict[str, Any], _named: str) -> Markup:
    pairs = common | {"rows": 3, "maxlength": declared.max_length}
    return html("<textarea%s>\n%s</textarea>", _attributes(pairs), text)


@lru_cache(maxsize=1024)
def _options(declared: Field) -> tuple[Mapping[str, Markup], Markup]:
    """Each value's option, and all of them in a row: some lists are hundreds long, and a form has several."""
    drawn = {value: html('<option value="%s">%s</option>', value, label) for value, label in declared.options()}
    return drawn, Markup("").join(drawn.values())


def _select(declared: Field, text: str, common: dict[str, Any], _named: str) -> Markup:
    drawn, options = _options(declared)
    chosen = html('<option value="%s" selected>', text)
    if text in drawn:
        options = options.replace(html('<option value="%s">', text), chosen, 1)
    elif text:
        options += html("%s%s</option>", chosen, text)
    return html('<select%s><option value=""></option>%s</select>', _attributes(common), options)


def _ticks(declared: Field, text: str, common: dict[str, Any], _named: str) -> Markup:
    chosen = {part.strip() for part in text.split(",")}
    boxes = [html('<label class="tick"><input class="input" type="checkbox" name="%s" value="%s" id="%s"%s>'
                  "<span>%s</span></label>", declared.name, value,
                  common["id"] if number == 0 else f"{common['id']}-{number}", " checked" if value in chosen else "", label)
             for number, (value, label) in enumerate(declared.options())]  # fmt: skip
    hidden = html('<input type="hidden" name="%s" value="">', declared.name)
    return html('<span class="ticks">%s%s</span>', hidden, Markup("").join(boxes))


def _tick(declared: Field, text: str, common: dict[str, Any], _named: str) -> Markup:
    pairs = common | {"type": "checkbox", "value": "true", "checked": text == "true"}
    hidden = html('<input type="hidden" name="%s" value="false">', declared.name)
    return hidden + html("<input%s>", _attributes(pairs))


def _picker(declared: Field, text: str, common: dict[str, Any], named: str) -> Markup:
    target = face_named(declared.refers_to)
    address = url_for(f"{target.plural.replace('-', '_')}.lookup_view")
    chosen = html('<option value="%s" selected>%s</option>', text, named or f"#{text}") if text else ""
    pairs = common | {
        "data-picker": True,
        "data-url": address,
        "data-placeholder": f"Search {target.label_plural.lower()}",
    }
    return html('<select%s><option value=""></option>%s</select>', _attributes(pairs), chosen)


_CONTROLS: dict[str, Callable[..., Markup]] = {
    "long_text": _textarea, "json": _textarea, "choice": _select, "country": _select, "language": _select, "currency": _select, "time_zone": _select,
    "choices": _ticks, "boolean": _tick, "reference": _picker,
}  # fmt: skip


def described(field: DeclaredField) -> dict[str, Any]:
    """A field as the form's template takes it."""
    declared = field.declared
    return {"errors": list(field.errors), "html": row(
        field(), name=declared.name, label=declared.label, kind=declared.kind, ident=field.id, help=_help(declared),
        required=declared.required or declared.required_on_screen, wide=declared.wide, only_for=declared.only_for,
        errors=field.errors)}  # fmt: skip


def row(control: Markup, *, name: str, label: str, kind: str, ident: str, help: str = "", required: bool = False,
        wide: bool = False, only_for: tuple[str, str] | None = None, errors: Sequence[str] = ()) -> Markup:  # fmt: skip
    """A control with what it is called, what is wrong with it and what helps with it. Put together in Python, and what is
    the same for everybody once: a customer has eighty of them, and templates took a third of the page's time for them."""
    before, after, said = _around(name, label, kind, ident, help, required, wide, only_for, bool(errors))
    wrong = [html('<p class="field-error" id="%s-error%s">%s<span>%s</span></p>', ident, number if number > 1 else "", icon("circle-alert"),
                  sentence) for number, sentence in enumerate(errors, 1)]  # fmt: skip
    return html("%s%s%s%s%s</div>\n", before, control, after, Markup("").join(wrong), said)


_MUST = Markup('<span class="must" title="Required" aria-hidden="true">*</span><span class="sr"> (required)</span>')


@lru_cache(maxsize=4096)
def _around(name: str, label: str, kind: str, ident: str, help: str, required: bool, wide: bool,
            only_for: tuple[str, str] | None, bad: bool) -> tuple[Markup, Markup, Markup]:  # fmt: skip
    tick, group = kind == "boolean", kind == "choices"
    classes = "field" + " field-wide" * wide + " field-tick" * tick + " field-bad" * bad
    only = html(' data-only-for="%s" data-only-value="%s"', *only_for) if only_for and not bad else Markup("")
    start = html('<div class="%s" data-field="%s"%s>', classes, name, only)
    said = html('<p class="field-help" id="%s-help">%s</p>', ident, help) if help else Markup("")
    if tick:
        return html('%s<span class="tick">', start), html('<label for="%s">%s</label></span>', ident, label), said
    must = _MUST if required else ""
    called = (html('<span class="label" id="%s-label">%s%s</span><div class="control" role="group" aria-labelledby="%s-label">',
                   ident, label, must, ident) if group else
              html('<label class="label" for="%s">%s%s</label><div class="control">', ident, label, must))  # fmt: skip
    return html("%s%s", start, called), Markup("</div>"), said


def _help(declared: Field) -> str:
    """What a person should know of the field; of a time, in which zone it is read."""
    parts = [declared.help, f"Time zone: {zone()}" if declared.kind == "datetime" else ""]
    return ". ".join(part for part in parts if part)


def summary(form: DeskForm, errors: Mapping[str, str], more: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Every fault with a link to its field; `more` are the labels of fields beside the form's own, by their ids."""
    labels = dict(more or {}) | {name: field.declared.label for name, field in form._fields.items()}
    return [{"field_id": name if name in labels else "", "label": labels.get(name, name), "text": sentence}
            for name, sentence in errors.items()]  # fmt: skip


def hidden(pairs: list[tuple[str, str]]) -> Markup:
    return Markup("").join(html('<input type="hidden" name="%s" value="%s">', name, value) for name, value in pairs)

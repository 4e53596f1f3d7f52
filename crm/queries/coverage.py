"""Where each thing that was asked for is kept and seen: worked out from the declarations and one list of names."""

from __future__ import annotations

from pathlib import Path

from crm.core.entity import DeclarationError, Face, face_named

LATER = "later:"
_HEAD = """# Where everything is

Made by `flask coverage` from the declarations and `docs/coverage.in`; mend those, not this page. What has no record
yet says so.
"""
_COLUMNS = "| What | Kept in | Seen at |\n|---|---|---|\n"


def coverage(asked: str) -> str:
    """The page for a list of lines `what | face.field face … | later: why`; `##` begins a table. Raises
    DeclarationError for a line that leads nowhere."""
    page = [_HEAD]
    for line in asked.splitlines():
        if line.startswith("## "):
            page.append(f"\n{line}\n\n{_COLUMNS}")
        elif line and not line.startswith("#"):
            page.append(_row(line))
    return "".join(page)


def named(asked: str) -> set[str]:
    """What the list speaks of, by its first word: the ids of the features among them."""
    return {line.split()[0] for line in asked.splitlines() if line and not line.startswith("#")}


def _row(line: str) -> str:
    what, *parts = (part.strip() for part in line.split("|"))
    names = [name for part in parts if not part.startswith(LATER) for name in part.split()]
    later = [part for part in parts if part.startswith(LATER)]
    if not names and not later:
        raise DeclarationError(f"coverage: “{what}” leads nowhere")
    places = dict.fromkeys(_place(*name.partition(".")[::2]) for name in names)
    return f"| {what} | {', '.join(f'`{name}`' for name in names)} | {'<br>'.join([*places, *later])} |\n"


def _place(entity: str, name: str) -> str:
    """Area / screen / sections in which a person meets the field."""
    try:
        face = face_named(entity)
        if name:
            face.field(name)
    except KeyError:
        raise DeclarationError(f"coverage: there is no {entity}.{name}") from None
    parts = [face.about.area, face.label_plural]
    return " / ".join(parts if not name else [*parts, _part(face, name)])


def _part(face: Face, name: str) -> str:
    about = face.about
    for section in (*about.detail, *about.sections):
        if name in section.fields:
            return section.title
    if name in about.columns:
        return "list"
    if name in ("id", "created_at", "updated_at", "photo_at"):
        return "head of the page"
    raise DeclarationError(f"coverage: nobody sees {face.name}.{name}")


def refresh(root: Path) -> bool:
    """Write docs/coverage.md anew below the project's root; whether that changed it."""
    page, text = root / "docs" / "coverage.md", coverage((root / "docs" / "coverage.in").read_text("utf-8"))
    changed = not page.exists() or page.read_text("utf-8") != text
    page.write_text(text, "utf-8")
    return changed

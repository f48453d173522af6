"""The page's catalogues: read the texts out of templates and code anew, and compile what is translated.

``make languages`` runs this; a text that is new stands untranslated in each ``.po`` file until somebody translates it,
and tests/gateway/page/test_page_languages.py says so.
"""

import io
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "gonio" / "gateway" / "page"
LOCALE = PAGE / "locale"
TRANSLATED = ("de", "es")
_HOW = [("**/locale/**", "ignore"), ("**.py", "python"), ("**/templates/**.html", "jinja2")]
_OPTIONS = {"**/templates/**.html": {"newstyle_gettext": "true", "trim_blocks": "true", "lstrip_blocks": "true"}}
_UNUSED = tuple(
    f'"{name}'.encode()
    for name in ("Project", "Report", "POT-Creation", "PO-Revision", "Last-Tr", "Language-Team", "Generated")
)
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None, "said": None, "count": (1, 2)}


def extracted() -> Catalog:
    """Give all texts of the page, in English."""
    found = Catalog()
    for _file, _line, text, _comments, _context in extract_from_dir(
        str(PAGE), _HOW, options_map=_OPTIONS, keywords=_KEYWORDS
    ):
        found.add(text)
    return found


def path_of(code: str, suffix: str) -> Path:
    """Give where a catalogue stands."""
    return LOCALE / code / "LC_MESSAGES" / f"page.{suffix}"


def read(code: str) -> Catalog:
    """Read a language's ``.po`` file."""
    with path_of(code, "po").open("rb") as file:
        return read_po(file, locale=code)


def _written(catalogue: Catalog) -> bytes:
    """Write a catalogue so that it changes only where its texts do: no dates, no names to be filled in."""
    catalogue.fuzzy = False
    catalogue.header_comment = "# What the patient's page says; see tests/gateway/page/catalogues.py."
    text = io.BytesIO()
    write_po(text, catalogue, width=120, sort_output=True, no_location=True)
    lines = text.getvalue().split(b"\n")
    return b"\n".join(line for line in lines if not line.startswith(_UNUSED))


def main() -> None:
    """Bring every catalogue up to date."""
    texts = extracted()
    for code in TRANSLATED:
        catalogue = read(code) if path_of(code, "po").exists() else Catalog(locale=code)
        catalogue.update(texts, no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        path_of(code, "po").parent.mkdir(parents=True, exist_ok=True)
        path_of(code, "po").write_bytes(_written(catalogue))
        with path_of(code, "mo").open("wb") as file:
            write_mo(file, catalogue)
        missing = sum(1 for one in catalogue if one.id and not one.string)
        print(f"{code}: {len(catalogue)} texts, {missing} untranslated")  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()

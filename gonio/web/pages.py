"""Server-rendered pages: one Jinja2 environment that escapes everything, and the folder of static files."""

from gettext import NullTranslations
from pathlib import Path
from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from gonio import __version__
from gonio.web.words import degrees

STATIC: Final = Path(__file__).parent / "static"


class Pages:
    """The templates of one set of pages, with the shared ones behind them.

    Args:
        package: the package whose ``templates`` folder holds the pages' own templates.
        texts: the catalogue of the language that they are shown in; None where they have but one.
    """

    def __init__(self, package: str, texts: NullTranslations | None = None) -> None:
        self._templates = Environment(
            loader=ChoiceLoader([PackageLoader(package), PackageLoader("gonio.web")]),
            autoescape=True,
            undefined=StrictUndefined,  # a name misspelt in a template is an error, never an empty place
            trim_blocks=True,
            lstrip_blocks=True,
        )
        if texts is not None:
            self._templates.add_extension("jinja2.ext.i18n")
            self._templates.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]
        self._templates.globals["version"] = __version__
        self._templates.filters["degrees"] = degrees

    def render(self, template: str, status: int = 200, **context: object) -> HTMLResponse:
        """Render a template to an answer; every value in ``context`` is escaped where it is written."""
        return HTMLResponse(self._templates.get_template(template).render(**context), status_code=status)

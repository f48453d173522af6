"""What every page of the clinic's bears: who is signed in, where they may go, what must not be overlooked."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gonio.cloud_sink.accounts import Role
from gonio.cloud_sink.review.gate import House, identity_or_none, token_of
from gonio.cloud_sink.review.rules import LISTS, OVERSIGHT, RULES
from gonio.cloud_sink.review.words import BANDS
from gonio.errors import GonioError
from gonio.web.forms import form_token
from gonio.web.pages import Pages
from gonio.web.words import clock, count, day

_PLACES: Final = (
    ("/patients", "Patients"),
    ("/completeness", "Completeness"),
    ("/stock", "Stock"),
    ("/users", "Users"),
    ("/log", "Audit log"),
    ("/account", "Your account"),
)
_ROLES: Final = {
    Role.THERAPIST: "therapist",
    Role.ASSISTANT: "assistant",
    Role.BILLER: "biller",
    Role.ADMIN: "administrator",
    Role.AUDITOR: "auditor",
}


class PageMaker:
    """Renders the templates with what they all need."""

    def __init__(self, house: House, now: Callable[[], datetime]) -> None:
        self._house = house
        self._now = now
        self._pages = Pages("gonio.cloud_sink.review")

    def page(
        self, request: Request, template: str, *, status: int = 200, sources: Iterable[str] = (), **context: object
    ) -> Response:
        """Render a template; ``sources`` are those of what is shown, for the bands that say so."""
        made = self._now()
        identity = identity_or_none(request)
        bands = [BANDS[source] for source in BANDS if source in set(sources)]
        places: list[tuple[str, str]] = []
        who = clinic = ""
        if identity is not None:
            who, clinic = f"{identity.name}, {_ROLES[identity.role]}", self._clinic_name(identity.clinic_id)
            places = [place for place in _PLACES if identity.role in RULES[("GET", place[0])].roles]
            if identity.role in OVERSIGHT and (recent := self._recent_glass(identity.clinic_id)):
                bands.append(("Emergency access", f"{count(recent, 'time')} in the last 7 days: see the audit log"))
        return self._pages.render(
            template,
            status,
            bands=bands,
            made=f"{day(made)}, {clock(made)} UTC",
            who=who,
            clinic=clinic,
            places=places,
            form_token=form_token(token_of(self._house, request)) if identity is not None else "",
            home="/patients" if identity is None or identity.role in LISTS else "/",
            idle_s=int(self._house.accounts.lifetimes.idle.total_seconds()) if identity is not None else 0,
            **context,
        )

    def _clinic_name(self, clinic_id: object) -> str:
        try:
            return next((one.name for one in self._house.accounts.clinics() if one.clinic_id == clinic_id), "")
        except GonioError:  # the page says so itself
            return ""

    def _recent_glass(self, clinic_id: object) -> int:
        try:
            return len(self._house.accounts.recent_break_glass(clinic_id))  # type: ignore[arg-type]
        except GonioError:
            return 0

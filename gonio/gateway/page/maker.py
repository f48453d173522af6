"""What every page of the kit bears: whose it is, in which language, what is sent, what to do in an emergency."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gonio.gateway.page import words
from gonio.gateway.page.door import phone_or_none, token_for
from gonio.gateway.page.home import Home, Look
from gonio.gateway.page.languages import LANGUAGES, Speech, preferred, speech
from gonio.gateway.page.live import bend_target
from gonio.messages import new_record_id
from gonio.messages.down import Prescribed
from gonio.web.exercise_pictures import exercise_picture
from gonio.web.pages import Pages

PACKAGE: Final = "gonio.gateway.page"
MOST_BEND_DEG: Final = 140
LEAST_BEND_DEG: Final = -10


@dataclass(frozen=True, slots=True)
class Place:
    """What the page is told about where the kit is."""

    emergency: str = "911"


class PageMaker:
    """Renders the templates with what they all need."""

    def __init__(self, home: Home, place: Place) -> None:
        self.home = home
        self._place = place

    def speech(self, request: Request) -> Speech:
        """Choose the language: the phone's own, else the browser's."""
        phone = phone_or_none(request)
        chosen = phone.language if phone is not None else None
        return speech(chosen or preferred(request.headers.get("accept-language", "")))

    async def page(
        self, request: Request, template: str, *, look: Look | None = None, status: int = 200, **context: object
    ) -> Response:
        """Render a template for a paired phone.

        Args:
            request: whose answer it is.
            template: its name.
            look: what was read already; None to read it now.
            status: of the answer.
            context: what the template shows beside what all pages do.
        """
        look = look or await self.home.look()
        said, phone = self.speech(request), phone_or_none(request)
        program = look.newest_program
        return _pages(said.code).render(
            template,
            status,
            say=said,
            languages=LANGUAGES,
            look=look,
            phone=phone,
            live=self.home.live.view,
            clinic=program.clinic if program else None,
            telephone=program.telephone if program else None,
            emergency=self._place.emergency,
            form_token=token_for(request),
            record_id=new_record_id(),
            words=words,
            name_of=lambda exercise: said(_name(exercise)),
            dose_of=lambda one: dose(one, said),
            picture=lambda exercise, side: exercise_picture(exercise, said(_name(exercise)), mirrored=side == "left"),
            **context,
        )

    def lone_page(self, request: Request, template: str, *, status: int = 200, **context: object) -> Response:
        """Render a template that shows nothing of the patient."""
        said = self.speech(request)
        return _pages(said.code).render(
            template, status, say=said, emergency=self._place.emergency, phone=None, **context
        )


def dose(one: Prescribed, said: Speech) -> str:
    """Say in a line how much is asked."""
    parts = []
    if one.reps is not None:
        parts.append(said.count("%(num)s time", "%(num)s times", one.reps))
    elif one.duration_s is not None:
        minutes = round(one.duration_s / 60)
        parts.append(
            said.count("%(num)s minute", "%(num)s minutes", minutes)
            if minutes
            else said.count("%(num)s second", "%(num)s seconds", round(one.duration_s))
        )
    goal = one.goal
    if goal is not None and goal.flexion_deg is not None:
        parts.append(said("bend to %(angle)s", angle=said.degrees(bend_target(one) or 0.0)))
    if goal is not None and goal.extension_deg is not None:
        parts.append(said("straighten to %(angle)s", angle=said.degrees(goal.extension_deg)))
    if goal is not None and goal.hold_s:
        parts.append(said.count("hold %(num)s second", "hold %(num)s seconds", round(goal.hold_s)))
    return ", ".join(parts)


def go(path: str) -> Response:
    """Send the browser on after a form: going back does not send it again."""
    return RedirectResponse(path, 303)


def _name(exercise: str) -> str:
    known = words.EXERCISES.get(exercise)
    return known.name if known else exercise


@cache
def _pages(code: str) -> Pages:
    return Pages(PACKAGE, speech(code).texts)

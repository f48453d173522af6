"""Progress, messages, reminders, pauses, this phone and the others, my data."""

import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import segno
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gonio.gateway.notes import SHARING
from gonio.gateway.page.door import form_of, let_in, phone_of
from gonio.gateway.page.forms import MOST_REMINDERS, FormError, read_pause, read_reminders
from gonio.gateway.page.home import Home
from gonio.gateway.page.languages import LANGUAGES
from gonio.gateway.page.languages import mark as _
from gonio.gateway.page.maker import PageMaker, go
from gonio.gateway.page.phones import PairingError
from gonio.gateway.page.pictures import draw_days, draw_pain, draw_range
from gonio.gateway.page.words import PAUSE_REASONS
from gonio.gateway.patient.progress import corridor
from gonio.gateway.patient.reminders import OPT_OUT
from gonio.messages import Kind
from gonio.messages.patient import PatientMessage, Preference

if TYPE_CHECKING:
    from gonio.messages.check_in import Author

WEEKS_SHOWN = 6
SNOOZES = (30, 60, 120)


class MorePages:
    """All pages but those of an exercise."""

    def __init__(self, home: Home, maker: PageMaker) -> None:
        self._home = home
        self._maker = maker

    # --- progress ----------------------------------------------------------------------------------------------------

    async def progress(self, request: Request) -> Response:
        """Show how far the knee bends over the weeks, on which days something was done, and the pain."""
        look = await self._home.look()
        said = self._maker.speech(request)
        first = look.today - timedelta(days=7 * WEEKS_SHOWN - 1)
        days = look.days(first)
        program = look.newest_program
        surgery = program.surgery if program is not None else None
        lines = {}
        if surgery is not None:
            lines = {day: found for day, _kind in days if (found := corridor((day - surgery).days)) is not None}
        sides = sorted({one.summary.side for one in look.history.sessions})
        ranges = {side: [one for one in look.history.range_days(look.zone, side) if one.day >= first] for side in sides}
        pain = {day: worst for day, worst in look.history.worst_pain_by_day(look.zone).items() if day >= first}
        return await self._maker.page(
            request,
            "progress.html",
            look=look,
            streak=look.streak,
            days=days,
            strip=draw_days(days, said),
            ranges={side: found for side, found in ranges.items() if any(one.bend_deg is not None for one in found)},
            charts={side: draw_range(found, lines, (first, look.today), said) for side, found in ranges.items()},
            pain=pain,
            pain_chart=draw_pain(pain, (first, look.today), said),
            surgery=surgery,
        )

    # --- messages ----------------------------------------------------------------------------------------------------

    async def messages(self, request: Request) -> Response:
        """Show what therapist and patient wrote; the clinic is told that it was read."""
        look = await self._home.look()
        for one in look.received:
            await self._home.read(one)
        written = [(one.at, None, one) for one in look.history.messages]
        got = [(one.at, one, None) for one in look.received]
        thread = sorted([*written, *got], key=lambda entry: entry[0], reverse=True)
        return await self._maker.page(
            request,
            "messages.html",
            look=look,
            thread=thread,
            states=await run_in_threadpool(self._home.kit.store.states, [one.record_id for _, _, one in written]),
            sent=request.query_params.get("sent"),
        )

    async def write(self, request: Request) -> Response:
        """Send a message to the therapist."""
        form = form_of(request)
        text = form.text("text").strip()
        if not text:
            return go("/messages")
        message = PatientMessage(
            text=text[:4000],
            author=phone_of(request).author,
            about=form.identifier("about"),
            answers=form.identifier("answers"),
            ask=bool(form.text("ask")),
        )
        await self._home.tell(message, form.identifier("record_id"))
        return go("/messages?sent=1")

    # --- reminders and pauses ----------------------------------------------------------------------------------------

    async def reminders(self, request: Request) -> Response:
        """Show when the patient wants to be reminded."""
        return await self._reminders(request)

    async def _reminders(self, request: Request, error: str | None = None) -> Response:
        look = await self._home.look()
        kept = look.history.preference
        return await self._maker.page(
            request,
            "reminders.html",
            look=look,
            kept=kept,
            off=OPT_OUT in kept.opt_outs,
            slots=range(MOST_REMINDERS),
            error=error,
            saved=request.query_params.get("saved"),
            status=200 if error is None else 422,
        )

    async def remind(self, request: Request) -> Response:
        """Keep it; who opts out is reminded no more, and the clinic knows."""
        form = form_of(request)
        try:
            reminders, quiet_from, quiet_to = read_reminders(form)
        except FormError as error:
            return await self._reminders(request, str(error))
        off = bool(form.text("off"))

        def change(before: Preference) -> Preference:
            outs = {*before.opt_outs} - {OPT_OUT} | ({OPT_OUT} if off else set())
            return before.model_copy(
                update={
                    "author": phone_of(request).author,
                    "reminders": reminders,
                    "quiet_from": quiet_from,
                    "quiet_to": quiet_to,
                    "opt_outs": tuple(sorted(outs)),
                }
            )

        await self._home.prefer(change, form.identifier("record_id"))
        return go("/reminders?saved=1")

    async def snooze(self, request: Request) -> Response:
        """Remind later."""
        minutes = form_of(request).text("minutes")
        await self._home.snooze(next((one for one in SNOOZES if str(one) == minutes), SNOOZES[0]))
        return go("/")

    async def pause(self, request: Request) -> Response:
        """Show what a pause means, before it is taken."""
        return await self._pause(request)

    async def _pause(self, request: Request, error: str | None = None) -> Response:
        look = await self._home.look()
        return await self._maker.page(
            request,
            "pause.html",
            look=look,
            kept=look.history.preference.pause,
            reasons=PAUSE_REASONS,
            error=error,
            status=200 if error is None else 422,
        )

    async def take_pause(self, request: Request) -> Response:
        """Take a pause, or end it."""
        form = form_of(request)
        pause = None
        if not form.text("end"):
            try:
                pause = read_pause(form, (await self._home.look()).today)
            except FormError as error:
                return await self._pause(request, str(error))
        author = phone_of(request).author
        await self._home.prefer(
            lambda before: before.model_copy(update={"pause": pause, "author": author}), form.identifier("record_id")
        )
        return go("/pause")

    # --- phones ------------------------------------------------------------------------------------------------------

    async def more(self, request: Request) -> Response:
        """Show what else there is."""
        return await self._maker.page(request, "more.html")

    async def help(self, request: Request) -> Response:
        """Say what discomfort may mean, and what to do."""
        return await self._maker.page(request, "help.html")

    async def phones(self, request: Request) -> Response:
        """Show who may look, and how this phone is set."""
        phones = await run_in_threadpool(self._home.phones.all)
        return await self._maker.page(request, "phones.html", phones=phones, invitation=None)

    async def invite(self, request: Request) -> Response:
        """Show a picture that lets one more phone in."""
        code = self._home.phones.invite()
        address = f"{request.url.scheme}://{request.headers.get('host', '')}/pair?code={code}"
        phones = await run_in_threadpool(self._home.phones.all)
        return await self._maker.page(
            request,
            "phones.html",
            phones=phones,
            invitation=address,
            qr=_qr(address, self._maker.speech(request)(_("Picture for the other phone's camera"))),
        )

    async def set_phone(self, request: Request) -> Response:
        """Keep how this phone is set, or let another one in no more."""
        form, phone = form_of(request), phone_of(request)
        if form.text("remove"):
            await run_in_threadpool(self._home.phones.remove, form.text("remove"))
            return go("/phones")
        language = form.text("language")
        author: Author = "caregiver" if form.text("author") == "caregiver" else "patient"
        changes = {
            "name": form.text("name").strip()[:64] or phone.name,
            "author": author,
            "left_handed": bool(form.text("left_handed")),
            "language": language if language in LANGUAGES else None,
        }
        await run_in_threadpool(lambda: self._home.phones.change(phone, **changes))
        return go("/phones")

    async def pair(self, request: Request) -> Response:
        """Ask for the kit's code; the picture on the card brings it along."""
        return self._maker.lone_page(
            request, "pair.html", code=request.query_params.get("code", "")[:64], error=None, wait_s=0
        )

    async def enter(self, request: Request) -> Response:
        """Let a phone in that has the code."""
        form = form_of(request)
        author: Author = "caregiver" if form.text("author") == "caregiver" else "patient"
        try:
            token = await run_in_threadpool(
                self._home.phones.pair, form.text("code")[:64], form.text("name"), author, self._home.kit.now()
            )
        except PairingError as error:
            return self._maker.lone_page(
                request, "pair.html", code="", error=error, wait_s=round(error.wait_s), status=403
            )
        return let_in(go("/"), token, secure=request.url.scheme == "https")

    # --- my data -----------------------------------------------------------------------------------------------------

    async def data(self, request: Request) -> Response:
        """Say what is recorded, who sees it, and let the patient take it along or share no more."""
        look = await self._home.look()
        sessions, told = len(look.history.sessions), len(look.history.check_ins)
        return await self._maker.page(request, "data.html", look=look, sessions=sessions, told=told)

    async def share(self, request: Request) -> Response:
        """Pause sharing, or share again."""
        form = form_of(request)
        off = form.text("sharing") == "off"
        author = phone_of(request).author

        def change(before: Preference) -> Preference:
            outs = {*before.opt_outs} - {SHARING} | ({SHARING} if off else set())
            return before.model_copy(update={"author": author, "opt_outs": tuple(sorted(outs))})

        await self._home.prefer(change, form.identifier("record_id"))
        return go("/data")

    async def export(self, _request: Request) -> Response:
        """Give all that the kit has recorded, as one file."""
        kinds = (Kind.SESSION, Kind.CHECK_IN, Kind.VOID, Kind.MESSAGE, Kind.PREFERENCE)
        found = await run_in_threadpool(self._home.kit.store.of_kinds, kinds)
        records = [
            {
                "record_id": str(one.record_id),
                "kind": one.kind.value,
                "captured_at": one.captured_at,
                "state": state,
                "content": json.loads(one.payload),
            }
            for _, one, state in found
        ]
        text = json.dumps({"made_by": "gonio", "records": records}, ensure_ascii=False, indent=1)
        name = f"my-exercises-{self._home.kit.now().date()}.json"
        return Response(
            text, media_type="application/json", headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )


def _qr(text: str, title: str) -> Markup:
    """Draw a QR code (ISO/IEC 18004) as SVG."""
    out = io.BytesIO()
    segno.make(text, error="m").save(out, kind="svg", scale=6, border=3, xmldecl=False, title=title, light="white")
    return Markup(out.getvalue().decode())  # noqa: S704 - segno writes shapes and the title, escaped

"""What the patient wishes: when to be reminded, when not to be asked, what leaves the kit; and a copy of all."""

import json
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gonio.gateway.notes import SHARING
from gonio.gateway.page.door import form_of, phone_of
from gonio.gateway.page.forms import MOST_REMINDERS, FormError, read_pause, read_reminders
from gonio.gateway.page.home import KINDS, Home
from gonio.gateway.page.maker import PageMaker, go
from gonio.gateway.page.words import PAUSE_REASONS
from gonio.gateway.patient.reminders import OPT_OUT
from gonio.messages.patient import Preference

SNOOZES: Final = (30, 60, 120)


class WishPages:
    """Reminders, pauses, sharing."""

    def __init__(self, home: Home, maker: PageMaker) -> None:
        self._home = home
        self._maker = maker

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
            return before.model_copy(
                update={
                    "author": phone_of(request).author,
                    "reminders": reminders,
                    "quiet_from": quiet_from,
                    "quiet_to": quiet_to,
                    "opt_outs": _with(before, OPT_OUT, wanted=off),
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
            return before.model_copy(update={"author": author, "opt_outs": _with(before, SHARING, wanted=off)})

        await self._home.prefer(change, form.identifier("record_id"))
        return go("/data")

    async def export(self, _request: Request) -> Response:
        """Give all that the kit has recorded, as one file."""
        found = await run_in_threadpool(self._home.kit.store.of_kinds, KINDS)
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


def _with(before: Preference, opt_out: str, *, wanted: bool) -> tuple[str, ...]:
    """Give the opt-outs with one of them chosen or not; the others stay."""
    return tuple(sorted({*before.opt_outs} - {opt_out} | ({opt_out} if wanted else set())))

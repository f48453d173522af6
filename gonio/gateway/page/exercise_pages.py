"""Today's exercises, one exercise, and the live view while it is done."""

import json
import math
from collections.abc import AsyncIterator
from typing import Literal, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gonio.gateway.page.door import form_of, phone_of
from gonio.gateway.page.home import Home
from gonio.gateway.page.languages import Speech
from gonio.gateway.page.live import LiveView, Phase, Wanted, wanted_of
from gonio.gateway.page.maker import LEAST_BEND_DEG, MOST_BEND_DEG, PageMaker, go
from gonio.gateway.page.words import ERROR, ERRORS, EXERCISES, FLAGS, STOP_REASONS, TROUBLES
from gonio.signal.consts import Side


class ExercisePages:
    """From today's list to the end of an exercise."""

    def __init__(self, home: Home, maker: PageMaker) -> None:
        self._home = home
        self._maker = maker

    async def today(self, request: Request) -> Response:
        """Show what is left of today."""
        look = await self._home.look()
        due = look.due()
        return await self._maker.page(
            request,
            "today.html",
            look=look,
            due=due,
            left=[one for one in due if one.left],
            streak=look.streak,
            struck=request.query_params.get("struck"),
            paused=look.history.paused_on(look.today, look.zone) or (look.program is not None and look.program.paused),
        )

    async def exercise(self, request: Request) -> Response:
        """Show how an exercise is done, and how much of it is asked."""
        look = await self._home.look()
        name, side = _asked(request)
        return await self._maker.page(
            request,
            "exercise.html",
            look=look,
            exercise=name,
            side=side,
            how=EXERCISES[name],
            due=look.line(name, side),
        )

    async def start(self, request: Request) -> Response:
        """Begin it; while another one runs that one goes on."""
        name, side = _asked(request)
        look = await self._home.look()
        due = look.line(name, side)
        stranger, author = form_of(request).text("who") == "other", phone_of(request).author
        if due is None:
            wanted = Wanted(name, side, stranger=stranger, author=author)
        else:
            wanted = wanted_of(due.prescribed, stranger=stranger, author=author)
        self._home.begin(wanted)
        return go("/live")

    async def live(self, request: Request) -> Response:
        """Show the exercise as it is done; without one, what became of the last."""
        view = self._home.live.view
        if not view.runs and view.error is None and view.done is not None and not view.unsaved:
            return go(f"/after/{view.done}")
        said = self._maker.speech(request)
        wanted = view.wanted
        target = None if wanted is None or wanted.goal is None else wanted.goal
        return await self._maker.page(
            request,
            "live.html",
            view=view,
            error=None if view.error is None else said(ERRORS.get(type(view.error).__name__, ERROR)),
            bend=None if target is None or target.flexion is None else math.degrees(target.flexion),
            straight=None if target is None or target.extension is None else math.degrees(target.extension),
            hold_s=None if target is None else target.hold_s,
            least=LEAST_BEND_DEG,
            most=MOST_BEND_DEG,
            reasons=STOP_REASONS,
        )

    async def events(self, request: Request) -> Response:
        """Send each new view (server-sent events)."""
        said = self._maker.speech(request)

        async def lines() -> AsyncIterator[str]:
            async for view in self._home.live.views():
                yield f"data: {json.dumps(_shown(view, said))}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def pause(self, request: Request) -> Response:
        """Rest, or go on."""
        self._home.live.pause(on=form_of(request).text("pause") == "on")
        return go("/live")

    async def stop(self, request: Request) -> Response:
        """End the exercise, with the reason."""
        wanted = self._home.live.view.wanted
        record_id = await self._home.live.stop()
        if wanted is not None and wanted.stranger:
            return go("/?struck=1")
        reason = form_of(request).text("why")
        why = f"?why={reason}" if reason in STOP_REASONS else ""
        return go(f"/after/{record_id}{why}" if record_id is not None else "/live")

    async def state(self, _request: Request) -> Response:
        """Tell a page that waits whether there is something new."""
        look = await self._home.look()
        reminder = look.reminder is not None
        return JSONResponse({"reminder": reminder, "runs": self._home.live.view.runs, "unread": look.unread})


def _asked(request: Request) -> tuple[str, Side]:
    name, side = request.path_params["exercise"], request.path_params["side"]
    if name not in EXERCISES or side not in {"left", "right"}:
        raise HTTPException(404)
    return name, cast("Literal['left', 'right']", side)


def _shown(view: LiveView, said: Speech) -> dict[str, object]:
    """Give a view as the page's script reads it; nothing in it is needed to go on without script."""
    notices = [said(FLAGS[flag]) for flag in view.flags if flag in FLAGS]
    notices += [said(TROUBLES[one]) for one in view.troubles if one in TROUBLES]
    ceiling = view.wanted.ceiling_deg if view.wanted is not None else None
    return {
        "n": view.number,
        "phase": view.phase,
        "deg": None if view.deg is None else round(view.deg, 1),
        "reps": view.reps,
        "lost": list(view.lost),
        "notices": notices,
        "paused": view.paused,
        "beyond": view.deg is not None and ceiling is not None and view.deg > ceiling,
        "over": view.phase is Phase.IDLE,
        "wall_ms": view.wall_ms,
        "latency_ms": round(view.latency_ms, 1),
    }

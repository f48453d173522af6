"""How far it has come over the weeks."""

from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gonio.gateway.page.home import Home
from gonio.gateway.page.maker import PageMaker
from gonio.gateway.page.pictures import draw_days, draw_pain, draw_range
from gonio.gateway.patient.progress import corridor

WEEKS_SHOWN: Final = 6


class ProgressPages:
    """Range of motion, days, pain."""

    def __init__(self, home: Home, maker: PageMaker) -> None:
        self._home = home
        self._maker = maker

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
            strip=draw_days(days, said),
            ranges={side: found for side, found in ranges.items() if any(one.bend_deg is not None for one in found)},
            charts={side: draw_range(found, lines, (first, look.today), said) for side, found in ranges.items()},
            pain=pain,
            pain_chart=draw_pain(pain, (first, look.today), said),
            surgery=surgery,
        )

"""What the patient tells: after an exercise, at any time, that a session does not count; and the kind word after it."""

from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gonio.gateway.page.door import form_of, phone_of
from gonio.gateway.page.forms import Form, FormError, read_check_in
from gonio.gateway.page.home import Home, Look
from gonio.gateway.page.live import bend_target
from gonio.gateway.page.maker import PageMaker, go
from gonio.gateway.page.words import EXERCISES, STOP_REASONS, VOID_REASONS
from gonio.gateway.patient.discomfort import Guidance, advise
from gonio.gateway.patient.history import KeptCheckIn, KeptSession
from gonio.gateway.patient.progress import word_of_bend, word_of_straight
from gonio.messages.check_in import VoidReport


class DiaryPages:
    """Check-ins and what follows them."""

    def __init__(self, home: Home, maker: PageMaker) -> None:
        self._home = home
        self._maker = maker

    async def after(self, request: Request) -> Response:
        """Ask how an exercise was."""
        look = await self._home.look()
        session = _session(look, request)
        why = request.query_params.get("why", "")
        told = look.history.check_in_after(session.record_id)
        if told is not None:  # the back button: it is told already
            return go(f"/done/{session.record_id}")
        form = Form({"stop_reason": [why]} if why in STOP_REASONS else {})
        return await self._ask(request, look, form, session=session)

    async def tell_after(self, request: Request) -> Response:
        """Keep how it was."""
        look = await self._home.look()
        session = _session(look, request)
        form = form_of(request)
        if form.text("skip"):
            return go(f"/done/{session.record_id}")
        try:
            check_in = read_check_in(form, author=phone_of(request).author, follows=session.record_id)
        except FormError as error:
            return await self._ask(request, look, form, session=session, error=str(error))
        await self._home.tell(check_in, form.identifier("record_id"))
        return go(f"/done/{session.record_id}")

    async def log(self, request: Request) -> Response:
        """Ask how it is, without an exercise, or with one that was done without sensors."""
        query = request.query_params
        values = {name: [query[name]] for name in ("exercise", "side", "stop_reason") if name in query}
        return await self._ask(request, await self._home.look(), Form(values))

    async def tell(self, request: Request) -> Response:
        """Keep it."""
        form = form_of(request)
        try:
            check_in = read_check_in(form, author=phone_of(request).author)
        except FormError as error:
            return await self._ask(request, await self._home.look(), form, error=str(error))
        envelope = await self._home.tell(check_in, form.identifier("record_id"))
        return go(f"/told/{envelope.record_id}" if envelope is not None else "/")

    async def done(self, request: Request) -> Response:
        """Say what came of an exercise, kindly and truly."""
        look = await self._home.look()
        session = _session(look, request)
        told = look.history.check_in_after(session.record_id)
        guidance = None if told is None else _guidance(look, told)
        side = session.summary.side
        days = look.history.range_days(look.zone, side)
        line = look.line(session.summary.exercise, side)
        may_praise = guidance is None or guidance.may_praise
        bend = straight = None
        if session.sure and not session.summary.interrupted:
            prescribed = line.prescribed if line is not None else None
            goal = prescribed.goal if prescribed is not None else None
            bend = word_of_bend(
                days,
                look.today,
                goal_deg=bend_target(prescribed) if prescribed is not None else None,
                ceiling_deg=prescribed.ceiling_deg if prescribed is not None else None,
                may_praise=may_praise,
            )
            straight = word_of_straight(
                days, look.today, goal_deg=goal.extension_deg if goal is not None else None, may_praise=may_praise
            )
        return await self._maker.page(
            request,
            "done.html",
            look=look,
            session=session,
            told=told,
            advice=None if guidance is None else guidance.advice.name,
            bend=None if bend is None else bend.name,
            straight=None if straight is None else straight.name,
            best=next((one for one in days if one.day == look.today), None),
            state=await self._home.state_of(session.record_id),
            left=[one for one in look.due() if one.left],
            reasons=VOID_REASONS,
        )

    async def told(self, request: Request) -> Response:
        """Say what to do after a check-in without an exercise."""
        look = await self._home.look()
        record_id = _record_id(request)
        told = next((one for one in look.history.check_ins if one.record_id == record_id), None)
        if told is None:
            raise HTTPException(404)
        guidance = _guidance(look, told)
        return await self._maker.page(
            request,
            "told.html",
            look=look,
            told=told,
            advice=guidance.advice.name,
            state=await self._home.state_of(record_id),
        )

    async def void(self, request: Request) -> Response:
        """Strike a session out: kept, and never counted."""
        look = await self._home.look()
        session = _session(look, request)
        form = form_of(request)
        reason = form.text("reason")
        if reason not in VOID_REASONS:
            return go(f"/done/{session.record_id}")
        await self._home.tell(
            VoidReport(record_id=session.record_id, reason=reason, author=phone_of(request).author),
            form.identifier("record_id"),
        )
        return go("/?struck=1")

    async def _ask(
        self, request: Request, look: Look, form: Form, *, session: KeptSession | None = None, error: str | None = None
    ) -> Response:
        return await self._maker.page(
            request,
            "check_in.html",
            look=look,
            form=form,
            session=session,
            error=error,
            exercises=EXERCISES,
            status=200 if error is None else 422,
        )


def _guidance(look: Look, told: KeptCheckIn) -> Guidance:
    return advise(told.check_in, look.history.usual_pain(told.at))


def _record_id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["record_id"])
    except ValueError:
        raise HTTPException(404) from None


def _session(look: Look, request: Request) -> KeptSession:
    record_id = _record_id(request)
    found = next((one for one in look.history.sessions if one.record_id == record_id), None)
    if found is None:
        raise HTTPException(404)
    return found

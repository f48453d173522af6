"""The stock room's pages: where each box is, what became of it, and what may be entered next."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gonio.cloud_sink.review.gate import House, field, identity_of
from gonio.cloud_sink.review.page import PageMaker
from gonio.cloud_sink.review.rules import RULES
from gonio.cloud_sink.stock import Box, StockRoom, boxes_csv
from gonio.cloud_sink.stock_life import LifeEvent
from gonio.cloud_sink.stock_states import MOVES, BoxEvent, BoxState
from gonio.errors import UsageError
from gonio.web.words import clock, day

#: Boxes on one page of the list; the table to download has all.
BOXES_SHOWN: Final = 500
WORDS: Final = {
    BoxState.IN_STOCK: "in stock",
    BoxState.SHIPPED: "shipped",
    BoxState.DELIVERED: "delivered, no patient",
    BoxState.ACTIVE: "with a patient",
    BoxState.LOST: "lost",
    BoxState.RETURNED: "returned, to be cleaned",
    BoxState.CLEANED: "cleaned",
    BoxState.RETIRED: "retired",
    BoxEvent.ENTERED: "entered",
    BoxEvent.CLAIMED: "its kit was claimed",
    BoxEvent.SENSORS_NAMED: "sensors named",
    BoxEvent.SENSOR_SWAPPED: "sensor swapped",
}


class StockPages:
    """The pages of whoever packs, sends and cleans boxes."""

    def __init__(self, house: House, maker: PageMaker) -> None:
        self._house = house
        self._page = maker.page

    def list(self, request: Request, state: Annotated[str | None, Query(max_length=24)] = None) -> Response:
        """List the boxes, all or those in one state."""
        boxes = self._room.boxes(clinic_id=identity_of(request).clinic_id)
        counts = [(one.value, WORDS[one], sum(box.state is one for box in boxes)) for one in BoxState]
        wanted = [box for box in boxes if not state or box.state.value == state]
        return self._page(
            request,
            "stock.html",
            rows=[_row(box) for box in wanted[:BOXES_SHOWN]],
            more=len(wanted) - BOXES_SHOWN,
            counts=[one for one in counts if one[2]],
            state=state or "",
            total=len(boxes),
        )

    def csv(self, request: Request) -> Response:
        """Give all boxes as CSV."""
        boxes = self._room.boxes(clinic_id=identity_of(request).clinic_id)
        name = {"Content-Disposition": 'attachment; filename="boxes.csv"'}
        return Response(boxes_csv(boxes), media_type="text/csv; charset=utf-8", headers=name)

    def box(self, request: Request, item_id: UUID) -> Response:
        """Show one box with its history."""
        return self._box(request, item_id)

    def change(self, request: Request, item_id: UUID) -> Response:
        """Move a box, or name its sensors."""
        identity, room = identity_of(request), self._room
        self._found(request, item_id)
        reason = field(request, "reason")
        try:
            if field(request, "do") == "sensors":
                room.name_sensors(
                    item_id,
                    field(request, "thigh"),
                    field(request, "shank"),
                    reason,
                    clinic_id=identity.clinic_id,
                    actor=identity.actor,
                )
            else:
                room.move(
                    item_id,
                    _state(field(request, "to")),
                    reason,
                    wipe_first=field(request, "wipe_first") == "yes",
                    by_hand=field(request, "by_hand") == "yes",
                    clinic_id=identity.clinic_id,
                    actor=identity.actor,
                )
        except UsageError as error:
            return self._box(request, item_id, error=str(error))
        return RedirectResponse(f"/stock/{item_id}", status_code=303)

    @property
    def _room(self) -> StockRoom:
        return self._house.stock

    def _found(self, request: Request, item_id: UUID) -> Box:
        box = self._room.box(item_id, clinic_id=identity_of(request).clinic_id)
        if box is None:
            raise HTTPException(404)
        return box

    def _box(self, request: Request, item_id: UUID, *, error: str = "") -> Response:
        box, identity = self._found(request, item_id), identity_of(request)
        life = self._room.life(item_id, clinic_id=identity.clinic_id)
        return self._page(
            request,
            "box.html",
            status=400 if error else 200,
            box=_row(box),
            moves=[(to.value, WORDS[to]) for to in MOVES[box.state]],
            move_names={to.value for to in MOVES[box.state]},
            may=identity.role in RULES["POST", "/stock/{item_id}"].roles,
            connects=box.may_connect,
            thigh=box.thigh_sensor or "",
            shank=box.shank_sensor or "",
            serial=box.serial,
            life=[_line(event) for event in reversed(life)],
            error=error,
        )


def _state(word: str) -> BoxState:
    try:
        return BoxState(word)
    except ValueError as error:
        raise UsageError("choose where the box is now") from error


def _row(box: Box) -> dict[str, object]:
    sensors = ", ".join(name for name in (box.thigh_sensor, box.shank_sensor) if name)
    return {
        "item_id": box.item_id,
        "label": box.label or "(no label)",
        "kit": box.kit_id or "not claimed yet",
        "kit_id": box.kit_id,
        "state": WORDS[box.state],
        "since": day(box.changed_at),
        "sensors": sensors or "not named",
    }


def _line(event: LifeEvent) -> dict[str, str]:
    return {
        "at": f"{day(event.at)}, {clock(event.at)} UTC",
        "what": WORDS[event.what],
        "by": event.by,
        "reason": event.reason,
    }

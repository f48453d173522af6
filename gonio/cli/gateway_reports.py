"""``gonio gateway check-in``, ``void``, ``message``, ``messages`` and ``records``: also beside a kit that runs."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar
from uuid import UUID

import typer

from gonio.cli.names import EXERCISE_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from gonio.gateway.reports import Report
    from gonio.gateway.settings import KitSettings
    from gonio.messages import HandExercise

_Made = TypeVar("_Made", bound="BaseModel")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where the kit keeps its data [GONIO_KIT_DATA_DIR].", show_default=False),
]
Author = Annotated[Literal["patient", "caregiver"], typer.Option("--author", help="Who says it.")]
Note = Annotated[str, typer.Option("--note", help="In words.", show_default=False)]
About = Annotated[
    datetime | None, typer.Option("--about", formats=["%Y-%m-%d"], help="The day, where it is not today.")
]
RecordArgument = Annotated[UUID, typer.Argument(metavar="RECORD", help="Its id: gonio gateway records.")]


def _scale(name: str, text: str) -> object:
    return typer.Option(name, min=0, max=10, metavar="0-10", help=text, show_default=False)


def check_in(
    pain: Annotated[int | None, _scale("--pain", "Pain now, after what was done.")] = None,
    pain_before: Annotated[int | None, _scale("--pain-before", "Pain before it.")] = None,
    pain_during: Annotated[int | None, _scale("--pain-during", "The worst pain while doing it.")] = None,
    effort: Annotated[int | None, _scale("--effort", "How hard it was.")] = None,
    symptom: Annotated[list[str] | None, typer.Option("--symptom", help="Such as swelling; repeat it.")] = None,
    red_flag: Annotated[list[str] | None, typer.Option("--red-flag", help="Such as fever; repeat it.")] = None,
    stop_reason: Annotated[
        Literal["done", "pain", "tired", "other"] | None, typer.Option("--stop-reason", help="Why it ended.")
    ] = None,
    exercise: Annotated[
        list[str] | None,
        typer.Option("--exercise", help=f"Done by hand, without sensors; repeat it. One of: {EXERCISE_NAMES}."),
    ] = None,
    reps: Annotated[
        list[int] | None, typer.Option("--reps", min=0, help="Of each set; once for each --exercise, in order.")
    ] = None,
    sets: Annotated[list[int] | None, typer.Option("--sets", min=1, help="Likewise.")] = None,
    side: Annotated[Literal["left", "right"] | None, typer.Option("--side", help="The leg.")] = None,
    follows: Annotated[
        UUID | None, typer.Option("--follows", metavar="RECORD", help="The session that it follows.")
    ] = None,
    about: About = None,
    note: Note = "",
    author: Author = "patient",
    data_dir: DataDir = None,
) -> None:
    """Say how it is, what hurts, and what was done without sensors; the clinic sees that nobody measured it."""
    from gonio.messages import CheckIn

    settings = _settings(data_dir)
    by_hand = _by_hand(exercise or [], reps or [], sets or [], side or settings.side)
    _send(
        settings,
        _made(
            CheckIn,
            author=author,
            about=about.date() if about else None,
            follows=follows,
            pain_before=pain_before,
            pain_during=pain_during,
            pain_after=pain,
            effort=effort,
            symptoms=tuple(symptom or ()),
            red_flags=tuple(red_flag or ()),
            stop_reason=stop_reason,
            by_hand=by_hand,
            note=note,
        ),
    )


def void(
    record: RecordArgument,
    reason: Annotated[
        Literal["not-me", "test", "mistake", "other"], typer.Option("--reason", help="Why it does not count.")
    ],
    note: Note = "",
    author: Author = "patient",
    data_dir: DataDir = None,
) -> None:
    """Strike out a session or a check-in: it is kept, and never counted."""
    from gonio.errors import UsageError
    from gonio.gateway.store import KitStore
    from gonio.messages import Kind, VoidReport

    settings = _settings(data_dir)
    with KitStore.peek(settings.data_dir, settings.keys()) as store:
        found = store.record(record)
    if found is None or found.kind not in {Kind.SESSION, Kind.CHECK_IN}:
        raise UsageError(f"{record} is no session and no check-in of this kit: 'gonio gateway records' lists them")
    _send(settings, _made(VoidReport, record_id=record, reason=reason, note=note, author=author))


def message(
    text: Annotated[str, typer.Argument(help="What to tell the therapist.")],
    answers: Annotated[
        UUID | None, typer.Option("--answers", metavar="MESSAGE", help="The clinic's message that it answers.")
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="An answer is hoped for.")] = False,
    author: Author = "patient",
    data_dir: DataDir = None,
) -> None:
    """Write to the therapist."""
    from gonio.messages import PatientMessage

    _send(_settings(data_dir), _made(PatientMessage, text=text, answers=answers, ask=ask, author=author))


def messages(data_dir: DataDir = None) -> None:
    """Show what the clinic wrote; it is told that somebody has seen it."""
    from gonio.gateway.store import KitStore
    from gonio.messages import ClinicMessage, DownKind, Receipt, read_down

    settings = _settings(data_dir)
    with KitStore.peek(settings.data_dir, settings.keys()) as store:
        found = [one for one in store.clinic_records(DownKind.MESSAGE) if one.state != "refused"]
    for one in found:
        payload = read_down(one.envelope)
        if isinstance(payload, ClinicMessage):
            made_up = " [simulated]" if payload.simulated else ""
            _say(f"{one.envelope.created_at}  {one.envelope.record_id}  {payload.sender}{made_up}: {payload.text}")
    if not found:
        _say("The clinic has written nothing yet.")
    for one in found:
        if one.state == "received":
            _submit(settings, Receipt(of=one.envelope.record_id, of_kind=DownKind.MESSAGE, status="read"))


def records(
    newest: Annotated[int, typer.Option("--newest", min=1, max=5000, metavar="N", help="How many to show.")] = 20,
    data_dir: DataDir = None,
) -> None:
    """List the newest records of the kit: when, id, kind, and how each stands with the clinic."""
    from gonio.gateway.store import KitStore

    settings = _settings(data_dir)
    with KitStore.peek(settings.data_dir, settings.keys()) as store:
        for envelope, state in store.newest(newest):
            _say(f"{envelope.captured_at}  {envelope.record_id}  {envelope.kind.value:10}  {state}")


def _by_hand(
    exercises: Sequence[str], reps: Sequence[int], sets: Sequence[int], side: Literal["left", "right"]
) -> tuple[HandExercise, ...]:
    from gonio.errors import UsageError
    from gonio.messages import HandExercise
    from gonio.signal.consts import EXERCISES

    for name in exercises:
        if name not in EXERCISES:
            raise UsageError(f"the exercise {name} is not known; it is one of {', '.join(EXERCISES)}")
    for option, values in (("--reps", reps), ("--sets", sets)):
        if values and len(values) != len(exercises):
            raise UsageError(f"{option} is given once for each --exercise, in their order, or not at all")
    return tuple(
        _made(
            HandExercise,
            exercise=name,
            side=side,
            reps=reps[number] if reps else None,
            sets=sets[number] if sets else 1,
        )
        for number, name in enumerate(exercises)
    )


def _made(kind: type[_Made], **given: object) -> _Made:
    """Make a report of what was typed.

    Raises:
        UsageError: it would not be accepted; the text never repeats what was typed.
    """
    from pydantic import ValidationError

    from gonio.errors import UsageError
    from gonio.messages import reason_of

    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise UsageError(f"this cannot be sent: {reason_of(error)}") from None


def _send(settings: KitSettings, report: Report) -> None:
    if _submit(settings, report) == "committed":
        _say("It is in the kit's outbox; it goes to the clinic when the kit runs.")
    else:
        _say("It is handed to the kit that runs, which sends it to the clinic.")


def _submit(settings: KitSettings, report: Report) -> Literal["committed", "handed over"]:
    from gonio.gateway.clock import KitClock
    from gonio.gateway.reports import report_draft
    from gonio.gateway.spool import submit

    return submit(settings.data_dir, settings.keys(), report_draft(report, KitClock().capture()))


def _settings(data_dir: Path | None) -> KitSettings:
    from gonio.gateway.settings import KitSettings

    return KitSettings.load(data_dir=data_dir)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")

"""What people send with the page's forms, read strictly: what cannot be meant is told and nothing is kept of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Final, cast, get_args
from uuid import UUID

from pydantic import ValidationError

from gonio.gateway.page.languages import mark as _
from gonio.gateway.page.words import PAUSE_REASONS, RED_FLAGS, STOP_REASONS, SYMPTOMS
from gonio.messages.check_in import Author, CheckIn, HandExercise, StopReason
from gonio.messages.patient import Pause, Reminder
from gonio.signal.consts import EXERCISES, Side

LONGEST_NOTE: Final = 4000
MOST_REMINDERS: Final = 4
TOO_LONG: Final = _("Your note is too long: please shorten it. Nothing was lost, it still stands below.")
NOTHING_TOLD: Final = _("Please tell at least one thing, then save.")


class FormError(Exception):
    """A form says what cannot be kept; the text says what to do, in English."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form's fields, each with all its values in order."""

    values: Mapping[str, list[str]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Give a field's first value, "" where it lacks; line ends are one character."""
        return next(iter(self.values.get(name, ())), "").replace("\r\n", "\n")

    def chosen(self, name: str, among: Mapping[str, str]) -> tuple[str, ...]:
        """Give the boxes of a list that were ticked, in the list's order."""
        given = set(self.values.get(name, ()))
        return tuple(one for one in among if one in given)

    def whole(self, name: str, least: int, most: int) -> int | None:
        """Give a whole number, None where nothing was said.

        Raises:
            FormError: it is none, or out of its bounds.
        """
        text = self.text(name).strip()
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most and len(text) < len("123456789")):
            raise FormError(_("Please write whole numbers only."))
        return int(text)

    def identifier(self, name: str) -> UUID | None:
        """Give an id, None where it is none."""
        try:
            return UUID(self.text(name))
        except ValueError:
            return None


def read_check_in(form: Form, *, author: Author, follows: UUID | None = None) -> CheckIn:
    """Read what the patient tells.

    Args:
        form: with the fields of the check-in page; all of them may lack.
        author: who writes.
        follows: the session that it is about.

    Raises:
        FormError: nothing is told, or something that cannot be.
    """
    note = form.text("note")
    if len(note) > LONGEST_NOTE:
        raise FormError(TOO_LONG)
    reason = form.text("stop_reason")
    stop = cast("StopReason", reason) if reason in STOP_REASONS else None
    exercise, side = form.text("exercise"), form.text("side")
    by_hand: tuple[HandExercise, ...] = ()
    if exercise in EXERCISES and side in get_args(Side):
        sets, reps = form.whole("sets", 1, 100), form.whole("reps", 0, 2000)
        by_hand = (HandExercise(exercise=exercise, side=side, sets=sets or 1, reps=reps),)
    try:
        return CheckIn(
            author=author,
            follows=follows,
            pain_before=form.whole("pain_before", 0, 10),
            pain_during=form.whole("pain_during", 0, 10),
            pain_after=form.whole("pain_after", 0, 10),
            effort=form.whole("effort", 0, 10),
            symptoms=form.chosen("symptoms", SYMPTOMS),
            red_flags=form.chosen("red_flags", RED_FLAGS),
            stop_reason=stop,
            by_hand=by_hand,
            steps=form.whole("steps", 0, 200_000),
            note=note,
        )
    except ValidationError as error:
        raise FormError(NOTHING_TOLD) from error


def read_reminders(form: Form) -> tuple[tuple[Reminder, ...], time | None, time | None]:
    """Read when to remind, and the quiet hours.

    Raises:
        FormError: a time is none, or a reminder has no day.
    """
    days = tuple(number for number in range(1, 8) if str(number) in form.values.get("weekdays", ()))
    moments = sorted(
        {moment for number in range(MOST_REMINDERS) if (moment := _time(form, f"at_{number}")) is not None}
    )
    if moments and not days:
        raise FormError(_("Please choose at least one day."))
    return tuple(Reminder(at=at, weekdays=days) for at in moments), _time(form, "quiet_from"), _time(form, "quiet_to")


def read_pause(form: Form, today: date) -> Pause:
    """Read from when to when nothing is to be expected.

    Raises:
        FormError: a date is none, or they are not in order.
    """
    reason = form.text("reason")
    try:
        since = date.fromisoformat(form.text("since")) if form.text("since") else today
        until = date.fromisoformat(form.text("until")) if form.text("until") else None
        return Pause(since=since, until=until, reason=reason if reason in PAUSE_REASONS else "other")
    except ValueError as error:  # pydantic's errors are ValueErrors too
        raise FormError(_("Please check the dates: the last day is not before the first.")) from error


def _time(form: Form, name: str) -> time | None:
    text = form.text(name)
    if not text:
        return None
    try:
        return time.fromisoformat(text).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError as error:
        raise FormError(_("Please write times as 9:30 or choose them.")) from error

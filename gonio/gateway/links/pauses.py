"""How long to wait before the next attempt to get a sensor back, and when a silence is one."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkTiming:
    """How patient the kit is with a sensor, real s.

    Attributes:
        unheard_s: without an advertisement, after which a person should look.
        settle_s: after the first adapter has heard a sensor, for the others to hear it too.
        slice_s: of listening at a stretch, so that a connection can be made between two.
        first_pause_s: bound of the pause after the second failure in a row; it doubles with each.
        longest_pause_s: its limit.
        refused_pause_s: after a refusal.
        suspect_notifications: silence in notifications of the stream after which it is suspect ...
        suspect_s: ... but no shorter than this.
        first_data_s: from the start of a stream to its first notification.
        silence_s: after which a suspect sensor is lost although it answers.
        steady_s: of streaming, after which earlier failures are forgotten.
        deaf_s: of listening without an advertisement of anybody, after which an adapter is suspected to hear nothing.
        revive_s: after which it may be switched off and on again, once more.
        full_pause_s: where no adapter has room.
        unavailable_s: before Bluetooth is tried again although nothing told that it is back.
    """

    unheard_s: float = 15.0
    settle_s: float = 0.5
    slice_s: float = 5.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 15.0
    refused_pause_s: float = 20.0
    suspect_notifications: int = 5
    suspect_s: float = 0.5
    first_data_s: float = 10.0
    silence_s: float = 3.0
    steady_s: float = 10.0
    deaf_s: float = 60.0
    revive_s: float = 300.0
    full_pause_s: float = 5.0
    unavailable_s: float = 3.0

    def __post_init__(self) -> None:
        waits = (
            self.unheard_s,
            self.slice_s,
            self.suspect_s,
            self.first_data_s,
            self.silence_s,
            self.deaf_s,
            self.unavailable_s,
        )
        pauses = (
            self.first_pause_s,
            self.longest_pause_s,
            self.refused_pause_s,
            self.settle_s,
            self.steady_s,
            self.revive_s,
            self.full_pause_s,
        )
        if min(waits) <= 0 or min(pauses) < 0 or self.suspect_notifications < 1:
            raise ValueError("every wait is above 0, no pause is negative, suspect_notifications is at least 1")

    def suspect_after_s(self, period_s: float) -> float:
        """Give the silence after which a stream is suspect, s.

        Args:
            period_s: from one of its notifications to the next, s.
        """
        return max(self.suspect_s, self.suspect_notifications * period_s)


def pause_s(failures: int, timing: LinkTiming, rng: random.Random) -> float:
    """Give the pause before the next attempt, s.

    The first attempt after a loss is made at once: most losses are over when they are noticed. From then on the bound
    doubles, and the pause is anywhere in its upper half, so that several sensors (or kits) do not come in step.

    Args:
        failures: failed attempts in a row, the loss included; at least 1.
        timing: whose bounds hold.
        rng: where the randomness comes from.
    """
    if failures <= 1:
        return 0.0
    bound = min(timing.longest_pause_s, timing.first_pause_s * 2.0 ** min(failures - 2, 30))
    return bound * rng.uniform(0.5, 1.0)

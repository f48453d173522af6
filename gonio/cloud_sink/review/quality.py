"""How far a session can be trusted, in plain sentences, each with what to do about it.

A bad number must never become evidence unseen: whatever limits the trust in a session is a finding, and the worst
finding is the session's verdict. What is not known here (a flag of newer software) is shown as it is, never hidden.
"""

from dataclasses import dataclass, replace
from typing import Final

from gonio.cloud_sink.review.flags import FIRST, FLAGS, WEAR, Finding, flag_finding
from gonio.cloud_sink.review.measures import raises
from gonio.cloud_sink.review.words import ZERO
from gonio.messages import SensorReport, SessionSummary
from gonio.signal.consts import INCLINATION_ONLY
from gonio.web.words import Level, count, duration, percent

#: Share of the time after calibration with a trustworthy angle: below the first a warning, below the second no
#: evidence.
OK_WATCH: Final = 0.9
OK_ACT: Final = 0.5
#: Share of a sensor's samples that were lost, above which its stream is a finding.
LOST_WATCH: Final = 0.05
LOST_ACT: Final = 0.25
#: A gap long enough to hide a repetition, s.
LONG_GAP_S: Final = 1.0
BATTERY_LOW_PERCENT: Final = 20

VERDICTS: Final = {Level.GOOD: "Sound", Level.WATCH: "With care", Level.ACT: "Not evidence"}

_NO_ANGLE: Final = frozenset({"not-calibrated", "sign-uncertain", "no-standing", "zero-assumed"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """The findings of a session, worst first, and what they come to."""

    level: Level
    findings: tuple[Finding, ...]

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        return VERDICTS[self.level]


def judge(summary: SessionSummary, *, clock: str) -> Verdict:
    """Judge a session.

    Args:
        summary: the session.
        clock: "synchronised" or "unsynchronised", the kit's clock when it was captured, or "repaired" since.
    """
    findings = [
        *_angle_findings(summary),
        *(finding for sensor in summary.sensors for finding in sensor_findings(sensor)),
        *_record_findings(summary, clock),
    ]
    told = frozenset[str]().union(*(finding.covers for finding in findings))
    findings += [flag_finding(flag) for flag in summary.flags if flag not in told]
    order = [Level.ACT, Level.WATCH, Level.GOOD]
    findings.sort(key=lambda finding: order.index(finding.level))
    return Verdict(findings[0].level if findings else Level.GOOD, tuple(findings))


def known_share(summary: SessionSummary) -> float:
    """Share of the time after calibration in which the angle was trustworthy, 0 to 1."""
    if summary.calibrated_at_s is None:
        return summary.ok_fraction
    after = summary.duration_s - summary.calibrated_at_s
    return min(1.0, summary.ok_fraction * summary.duration_s / after) if after > 0 else summary.ok_fraction


def _angle_findings(summary: SessionSummary) -> list[Finding]:
    if INCLINATION_ONLY in summary.flags:  # which says all that there is to say of an angle
        return []
    raised = raises(summary) and any(rep.measured for rep in summary.reps)
    if summary.calibrated_at_s is None or summary.ok_fraction == 0:
        if raised:  # what is counted is the leg's tilt, which needs no knee
            what = "The knee's angle was never known: count, heights and times hold, a lag cannot be told."
            return [Finding(Level.WATCH, what, FIRST + " Then a few bends before the leg is raised.", _NO_ANGLE)]
        what = "The knee's angle was never known in this session."
        do = FIRST + " Then the first repetitions slowly and far."
        return [Finding(Level.ACT, what, do, _NO_ANGLE)]
    findings = []
    if summary.zero == "stored":
        findings.append(Finding(Level.WATCH, ZERO["stored"][1], FIRST, frozenset({"no-standing"})))
    elif summary.zero in ("range", "none"):
        level = Level.WATCH if summary.zero == "range" else Level.ACT
        level = Level.WATCH if raised else level
        findings.append(Finding(level, ZERO[summary.zero][1], FIRST, frozenset({"no-standing", "zero-assumed"})))
    share = known_share(summary)
    if share < OK_WATCH:
        level = Level.ACT if share < OK_ACT and not raised else Level.WATCH
        what = f"After calibration the angle was trustworthy only {percent(share)} of the time."
        findings.append(Finding(level, what, "Look at the hatched parts of the curve. " + WEAR))
    return findings


def sensor_findings(sensor: SensorReport) -> list[Finding]:
    """Judge one sensor's stream."""
    findings = []
    who = f"The {sensor.segment}'s sensor"
    share = lost_share(sensor)
    if sensor.samples == 0:
        flag = f"no-{sensor.segment}-samples"
        findings.append(replace(FLAGS[flag], covers=frozenset({flag})))
    elif share > LOST_WATCH:
        level = Level.ACT if share > LOST_ACT else Level.WATCH
        do = "Keep the kit within a few metres of the leg, with nothing metal between."
        findings.append(Finding(level, f"{who} lost {percent(share)} of its samples on the way.", do))
    if sensor.longest_gap_s >= LONG_GAP_S:
        what = f"{who} was silent {count(sensor.gaps, 'time')}, the longest for {duration(sensor.longest_gap_s)}."
        do = "A repetition in that time may be missing from the count; the curve is hatched there."
        findings.append(Finding(Level.WATCH, what, do, frozenset({"gap"})))
    if sensor.battery_percent is not None and sensor.battery_percent < BATTERY_LOW_PERCENT:
        what = f"{who} had {sensor.battery_percent} % of its battery left."
        findings.append(Finding(Level.WATCH, what, "Ask the patient to charge it before the next session."))
    return findings


def lost_share(sensor: SensorReport) -> float:
    """Share of a sensor's samples that never arrived, 0 to 1."""
    return sensor.lost / (sensor.lost + sensor.samples) if sensor.lost else 0.0


def _record_findings(summary: SessionSummary, clock: str) -> list[Finding]:
    findings = []
    if summary.interrupted:
        what = "The session was cut off by a loss of power or a crash, and closed when the kit started again."
        do = "The repetitions shown were completed; later ones may be missing. Ask the patient how far they got."
        findings.append(Finding(Level.WATCH, what, do))
    if not all(rep.measured for rep in summary.reps):
        unsure = sum(not rep.measured for rep in summary.reps)
        what = f"{count(unsure, 'repetition was', 'repetitions were')} not measured throughout: no evidence in them."
        findings.append(Finding(Level.WATCH, what, "They are marked in the table and paler on the curve."))
    if clock == "unsynchronised":
        what = "The kit's clock was not set when this was captured, so its day and time may be wrong."
        do = "Ask the patient when it was done. It counts for no data day until the time is repaired."
        findings.append(Finding(Level.ACT, what, do))
    if summary.recognised:
        what = "The exercise was recognised from the motion, not chosen by the patient."
        findings.append(Finding(Level.GOOD, what, "Check that it is the one you expect."))
    return findings

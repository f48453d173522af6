"""The table of a chaos run, for people."""

from collections.abc import Iterator

from tests.chaos.fire import Report
from tests.chaos.schedule import Kind


def table(report: Report) -> str:
    """Write it."""
    rows = list(_rows(report))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    options, verdict = report.options, report.verdict
    yield "book", options.store
    yield "seed", str(options.seed)
    yield "faults for", f"{options.seconds:g} s"
    for kind in Kind:
        if kind in options.kinds:
            full = f" ({report.full_s[kind]} s in all)" if kind in report.full_s else ""
            yield kind.value, f"{report.done[kind]}{full}"
    for how, times in sorted(report.ended.items()):
        yield how, f"{times} (and started again)"
    yield "errors nobody had foreseen", str(report.tracebacks)
    if report.tracebacks:
        yield from ((f"  {line}", str(times)) for line, times in report.said.most_common(8))
    if report.late_callbacks:
        yield "callbacks of the MQTT library for a closed socket", str(report.late_callbacks)
    yield "healed after", "not healed" if report.healed_s is None else f"{report.healed_s:.1f} s"
    yield "answers that left the workers: stored", str(report.answers["stored"])
    yield "answers that left the workers: repeats suppressed", str(report.answers["repeated"])
    yield "answers that left the workers: refused", str(report.answers["rejected"])
    if verdict is not None:
        yield "records that kits committed", str(verdict.records)
        yield "lost", str(verdict.lost)
        yield "doubled", str(verdict.doubled)
        yield "altered", str(verdict.altered)
        yield "not of any kit", str(verdict.strange)
        yield "forged records that an attacker sent", str(report.attacks)
        yield "of these in quarantine", str(verdict.refused)
        yield "of these in the book", str(verdict.forged)
        yield "records in the book without a kit's signature", str(verdict.unproven)
        yield "unanswered at the kits", str(verdict.unanswered)
        yield "entries of the ledgers of days, voids, check-ins", str(verdict.entries)
        yield "ledger differences", str(verdict.ledger)
        yield "audit", "; ".join(verdict.audit) or "clean"
    yield "verdict", "nothing lost, nothing counted twice" if report.passed else "FAILED"

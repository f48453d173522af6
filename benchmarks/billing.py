"""How long a month of bills takes: episodes of some weeks with sessions, work and calls, decided one after another.

    python benchmarks/billing.py [--patients 10000]

Each episode has up to 90 days of one to four sessions, and some work and calls in each week. Measured is the decision
on one core, from records that are in memory; reading them from the book is not in it. Beside it stands the time to read
the same episodes from JSON, which is the bound of what a case file costs before anything is decided.
"""

import argparse
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from gonio.cloud_sink.billing.case import Case
from gonio.cloud_sink.billing.engine import evaluate

START = datetime(2026, 3, 2, 12, tzinfo=UTC)


def episode(rng: random.Random, number: int) -> Case:
    """Make an episode."""
    records: list[dict[str, Any]] = []
    intervals: list[dict[str, Any]] = []
    for day in range(rng.randint(20, 90)):
        if rng.random() < rng.choice((0.3, 0.5, 0.9)):
            for session in range(rng.randint(1, 4)):
                moment = START + timedelta(days=day, hours=session, minutes=rng.randint(0, 59))
                row = {"kind": "session", "captured_at": moment, "source": "sensor"}
                records.append(row | {"received_at": moment + timedelta(minutes=5)})
        if day % 7 in {1, 4}:
            begin = START + timedelta(days=day, hours=5)
            kind = "work" if day % 7 == 1 else "call"
            one = {"clinician": "a", "credential": rng.choice(("PT", "PTA")), "start": begin, "kind": kind}
            intervals.append(one | {"end": begin + timedelta(minutes=rng.randint(2, 15))})
            if kind == "call":
                intervals[-1] |= {"mode": "phone", "with": "patient", "answered": True}
    set_up = {"date": START.date(), "education_documented": True, "by": "PT"}
    return Case.model_validate(
        {
            "as_of": START.date() + timedelta(days=100),
            "payer": "medicare-b",
            "clinic_time_zone": "America/Chicago",
            "patient": {"time_zone": "America/New_York"},
            "episode": {"id": str(number), "activation": START.date(), "setup": set_up},
            "consents": [{"given": START.date()}],
            "plans": [{"from": START.date(), "names_rtm": True, "discipline": "PT"}],
            "device": {"attested": True},
            "records": records,
            "intervals": intervals,
        }
    )


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=10_000)
    patients = parser.parse_args().patients
    rng = random.Random(1)  # noqa: S311 - made-up episodes
    cases = [episode(rng, number) for number in range(min(patients, 1000))]
    texts = [case.model_dump_json(by_alias=True) for case in cases]
    begin = time.perf_counter()
    for text in texts:
        Case.model_validate_json(text)
    read_s = (time.perf_counter() - begin) / len(cases)
    records = sum(len(case.records) for case in cases) / len(cases)
    begin, charges = time.perf_counter(), 0
    for number in range(patients):
        charges += len(evaluate(cases[number % len(cases)]).charges)
    took_s = time.perf_counter() - begin
    print(f"{patients} episodes of {records:.0f} records on average: {took_s:.1f} s")
    print(f"each: {1e3 * took_s / patients:.2f} ms")
    print(f"charges: {charges}; reading an episode from JSON alone: {1e3 * read_s:.2f} ms")


if __name__ == "__main__":
    main()

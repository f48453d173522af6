"""``gonio devices``: the supported sensors, and what the support of each rests on."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from gonio.firmware_profiles import Profile

#: What a packet with known content is worth, best first.
KINDS: Final = {
    "captured": "captured from hardware",
    "vendor_test": "of a maker's or library's tests",
    "vendor_doc": "of the maker's documents",
    "constructed": "built from the layout",
}
#: What a profile as a whole rests on.
EVIDENCE: Final = {
    "hardware": "packets of real devices",
    "vendor-spec": "the maker's specification",
    "third-party": "other people's software",
}


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array, an object for each family.")] = False,
) -> None:
    """List the supported sensors with the evidence for each: how many packets with known content are in the tests."""
    from gonio.firmware_profiles import builtin_profiles

    described = [_describe(profile) for profile in builtin_profiles()]
    if as_json:
        sys.stdout.write(json.dumps(described) + "\n")
    else:
        _show(described)


def _describe(profile: Profile) -> dict[str, Any]:
    vectors = profile.vectors.model_dump()
    motion = profile.sequences is not None
    return {
        "family": profile.family,
        "title": profile.title,
        "evidence": profile.evidence,
        "packets": {kind: len(vectors[kind]) for kind in KINDS},
        "motion_stream": motion,
        "device_time": profile.time.source == "field",
        "rates_hz": sorted(profile.settings["rate_hz"].values) if motion and "rate_hz" in profile.settings else [],
        "min_mtu": profile.min_mtu(profile.resolve()) if motion else None,
        "quirks": [quirk.text for quirk in profile.quirks],
        "sources": list(profile.sources),
    }


def _show(described: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table

    table = Table(title="Supported sensors", title_justify="left")
    table.add_column("family", no_wrap=True)
    table.add_column("rates, Hz", no_wrap=True)
    table.add_column("own clock")
    table.add_column("known packets in the tests", overflow="fold")
    for one in described:
        rates = one["rates_hz"]
        table.add_row(
            one["family"],
            f"{rates[0]:g} to {rates[-1]:g}" if rates else "no motion",
            "yes" if one["device_time"] else "no",
            ", ".join(f"{one['packets'][kind]} {what}" for kind, what in KINDS.items() if one["packets"][kind]),
        )
    console = Console()
    console.print(table)
    for one in described:
        note = f"{one['family']}: {one['title']}; rests on {EVIDENCE[one['evidence']]}"
        console.print(Padding(note, (0, 0, 0, 2)), highlight=False)

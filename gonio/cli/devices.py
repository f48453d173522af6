"""``gonio devices``: the supported sensors, and what the support of each rests on."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

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

#: The same in the width of a column.
SHORT: Final = {"captured": "captured", "vendor_test": "tests", "vendor_doc": "docs", "constructed": "built"}
RESTS_ON: Final = {"hardware": "real packets", "vendor-spec": "maker's papers", "third-party": "others' code"}

_WIDEST: Final = {"family": 23, "rests on": 14}  # of what must not be cut to make room for a name

_HEAD: Final = """\
<!-- Written by `gonio devices --markdown` from the sensors' profiles. Do not edit: a test compares the two. -->

# Supported sensors

A *known packet* is one whose content is known: captured from hardware, taken from a maker's (or library's) tests or
documents, or built from the described layout, which proves nothing about hardware. Each is decoded in the tests.
Sensors without an own clock are timed by their arrival; lost samples are then only estimated. Those without a
gyroscope measure acceleration alone. A clinic bills the supply of a medical device only: the last column says what the
maker itself calls it, and when that was looked for.

"""


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array, an object for each family.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="The table of the docs: only families that come with gonio.")
    ] = False,
) -> None:
    """List the supported sensors with the evidence for each: how many packets with known content are in the tests."""
    from gonio.firmware_profiles import builtin_profiles, known_profiles, third_party_profiles

    if as_markdown:
        sys.stdout.write(_markdown([_describe(profile) for profile in builtin_profiles()]))
        return
    described = [_describe(profile) for profile in known_profiles()]
    if as_json:
        sys.stdout.write(json.dumps(described) + "\n")
    else:
        _show(described, third_party_profiles().refused)


def _describe(profile: Profile) -> dict[str, Any]:
    motion = profile.sequences is not None
    return {
        "family": profile.family,
        "title": profile.title,
        "evidence": profile.evidence,
        "packets": _known_packets(profile),
        "motion_stream": motion,
        "gyro": profile.gyro,
        "device_time": profile.time.source == "field",
        "rates_hz": sorted(profile.settings["rate_hz"].values) if motion and "rate_hz" in profile.settings else [],
        "min_mtu": profile.min_mtu(profile.resolve()) if motion else None,
        "max_links": profile.link.max_links,
        "regulatory": profile.regulatory.model_dump(mode="json"),
        "quirks": [quirk.text for quirk in profile.quirks],
        "sources": list(profile.sources),
    }


def _known_packets(profile: Profile) -> dict[str, int]:
    """Count the packets with known content by what they are worth: those of the tests and the profile's examples."""
    counts = {kind: len(ids) for kind, ids in profile.vectors.model_dump().items()}
    for packet in profile.packets.values():
        for example in packet.examples:
            counts[example.kind] += 1
    return {kind: counts[kind] for kind in KINDS}


def _rates(one: dict[str, Any]) -> str:
    rates = one["rates_hz"]
    if not rates:
        return "no motion"
    return f"{rates[0]:.3g}" if len(rates) == 1 else f"{rates[0]:.3g} to {rates[-1]:.4g}"


def _evidence(one: dict[str, Any]) -> str:
    return ", ".join(f"{one['packets'][kind]} {what}" for kind, what in KINDS.items() if one["packets"][kind])


def _regulatory(one: dict[str, Any]) -> str:
    """Say what the maker states, where it stands, and when that was read."""
    said = one["regulatory"]
    text = str(said["statement"])
    if said["source"]:
        text += f" ({said['source']}, {said['date']})"
    elif said["date"]:
        text += f" ({said['date']})"
    return text


def _markdown(described: list[dict[str, Any]]) -> str:
    columns = (
        ("family", lambda one: f"`{one['family']}`"),
        ("sensors", lambda one: one["title"]),
        ("rates, Hz", _rates),
        ("gyroscope", lambda one: _yes(one["gyro"]) if one["motion_stream"] else "-"),
        ("own clock", lambda one: _yes(one["device_time"])),
        ("rests on", lambda one: EVIDENCE[one["evidence"]]),
        ("known packets", _evidence),
        ("maker's regulatory statement", _regulatory),
    )
    lines = [[name for name, _ in columns], ["---"] * len(columns)]
    lines += [[cell(one).replace("|", "\\|") for _, cell in columns] for one in described]
    return _HEAD + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _yes(so: object) -> str:
    return "yes" if so else "no"


def _show(described: list[dict[str, Any]], refused: tuple[str, ...]) -> None:
    """Show two tables with a line for each family, also where the terminal is 80 columns wide."""
    from rich.console import Console

    console = Console()
    measured = _table("Supported sensors", "family", "rates, Hz", "gyro", "clock", *SHORT.values())
    described_as = _table("What they are", "family", "rests on", "name")
    for one in described:
        gyro = _yes(one["gyro"]) if one["motion_stream"] else "-"
        counts = [str(one["packets"][kind] or "-") for kind in SHORT]
        measured.add_row(one["family"], _rates(one), gyro, _yes(one["device_time"]), *counts)
        described_as.add_row(one["family"], RESTS_ON[one["evidence"]], one["title"])
    console.print(measured)
    legend = ", ".join(f"{short}: {KINDS[kind]}" for kind, short in SHORT.items())
    console.print(f"Numbers of packets with known content in the tests; {legend}.\n", highlight=False)
    console.print(described_as)
    for problem in refused:
        console.print(f"left out: {problem}", markup=False, highlight=False)


def _table(title: str, *columns: str) -> Table:
    """Make a table whose last column gives way where the terminal is narrow."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in SHORT.values() else "left"
        width = None if column == "name" else _WIDEST.get(column, len(column))
        table.add_column(column, no_wrap=True, overflow="ellipsis", justify=justify, min_width=width)
    return table

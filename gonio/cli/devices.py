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
    return f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}"


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
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table

    table = Table(title="Supported sensors", title_justify="left")
    table.add_column("family", no_wrap=True)
    table.add_column("rates, Hz", no_wrap=True)
    table.add_column("gyroscope")
    table.add_column("own clock")
    table.add_column("known packets in the tests", overflow="fold")
    for one in described:
        gyro = _yes(one["gyro"]) if one["motion_stream"] else "-"
        table.add_row(one["family"], _rates(one), gyro, _yes(one["device_time"]), _evidence(one))
    console = Console()
    console.print(table)
    for one in described:
        note = f"{one['family']}: {one['title']}; rests on {EVIDENCE[one['evidence']]}"
        console.print(Padding(note, (0, 0, 0, 2)), highlight=False)
    for problem in refused:
        console.print(f"left out: {problem}", markup=False, highlight=False)

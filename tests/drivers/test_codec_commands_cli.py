"""``gonio decode`` and ``gonio devices``."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from gonio.cli.decode import decode
from gonio.cli.devices import devices
from gonio.errors import UsageError
from gonio.firmware_profiles import builtin_profiles, get_profile

app = typer.Typer()
app.command()(decode)
app.command()(devices)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"})


def _json(result: Result) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = json.loads(result.stdout.strip().splitlines()[-1])
    return read


def test_decode_gives_an_object_for_each_packet() -> None:
    result = _run("decode", "movella-dot", "15173001", "6400", "0x32:01", "--json")
    assert result.exit_code == 0
    assert _json(result) == [
        {"battery_percent": 100, "charging": False},
        {"battery_percent": 50, "charging": True},
    ]


def test_decode_takes_what_the_packet_does_not_say() -> None:
    packet = "d8052244af9640406b2aa7405add14c000000000"
    for told in ("payload_mode=6", "payload_mode=free_acceleration"):
        result = _run("decode", "movella_dot", "15172004", packet, "--set", told, "--json")
        assert _json(result)[0]["free_acceleration_m_s2"] == [3.009197, 5.223928, -2.3260102]
    result = _run("decode", "movella_dot", "15172004", packet, "--set", "range_g=16", "--json")
    assert [one["payload_mode"] for one in _json(result)[0]["candidates"]] == [4, 6]


def test_a_cut_packet_ends_with_1_and_the_others_are_shown() -> None:
    result = _run("decode", "witmotion_ble5", "ffe4", "5561" + "00" * 18, "556131ff57ff0f08000000000000b9fc", "--json")
    assert result.exit_code == 1
    whole, cut = _json(result)
    assert whole["coalesced_frames"] == 1
    assert cut["truncated"] is True
    assert cut["roll_deg"] == -4.608765


def test_a_foreign_packet_ends_with_1_and_its_reason() -> None:
    result = _run("decode", "movella_dot", "15172003", "00" * 41, "--json")
    assert result.exit_code == 1
    assert "are no packet" in _json(result)[0]["error"]


def test_without_json_it_is_a_table() -> None:
    result = _run("decode", "witmotion_ble5", "ffe4", "5561" + "00" * 18)
    assert result.exit_code == 0
    assert "frames 1: accel_g" in result.stdout
    assert "0.0, 0.0, 0.0" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "ffe4", "00"], "no sensor family is called 'nothing'; these are: "),
        (["movella_dot", "beef", "00"], "no characteristic 'beef'"),
        (["movella_dot", "1517", "00"], "several characteristics '1517'"),
        (["movella_dot", "15173001", "6g"], "'6g' is not hexadecimal: it has other characters"),
        (["movella_dot", "15173001", "640"], "'640' is not hexadecimal: it has an odd number of digits"),
        (["movella_dot", "15172004", "00", "--set", "payload_mode"], "write NAME=VALUE"),
        (["movella_dot", "15172004", "00", "--set", "colour=red"], "no such setting; these are: "),
        (["movella_dot", "15172004", "00", "--set", "payload_mode=99"], "movella_dot has no payload_mode 99"),
    ],
)
def test_what_the_user_got_wrong_is_said(arguments: list[str], message: str) -> None:
    result = _run("decode", *arguments, "--json")
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)


def test_devices_lists_each_family_with_its_evidence() -> None:
    result = _run("devices", "--json")
    listed = {one["family"]: one for one in _json(result)}
    assert listed["movella_dot"]["device_time"] is True
    assert listed["movella_dot"]["min_mtu"] == 43
    assert listed["witmotion_ble5"]["packets"] == {
        "captured": 8,
        "vendor_test": 0,
        "vendor_doc": 5,
        "constructed": 11,
    }
    assert listed["witmotion_wtvb01_bt50"]["motion_stream"] is False


def test_devices_fits_a_narrow_terminal() -> None:
    result = CliRunner().invoke(app, ["devices"], env={"COLUMNS": "80"})
    lines = result.stdout.splitlines()
    for profile in builtin_profiles():  # a line in either table
        assert sum(line.split(" ")[0] == profile.family for line in lines) == 2
    (dot,) = (line for line in lines if line.startswith("movella_dot") and "1 to 60" in line)
    assert dot.split()[-6:-2] == ["yes", "yes", "1", "-"]


def test_a_sensor_without_a_gyroscope_is_listed_as_such() -> None:
    listed = {one["family"]: one for one in json.loads(_run("devices", "--json").output)}
    assert (listed["polar_h10"]["gyro"], listed["movella_dot"]["gyro"]) == (False, True)


def test_examples_of_a_profile_count_as_evidence() -> None:
    listed = {one["family"]: one for one in json.loads(_run("devices", "--json").output)}
    profile = get_profile("movella_dot")
    examples = sum(len(packet.examples) for packet in profile.packets.values())
    assert listed["movella_dot"]["packets"]["constructed"] == len(profile.vectors.constructed) + examples


def test_the_table_of_the_docs_is_what_the_profiles_say() -> None:
    docs = Path(__file__).parents[2] / "docs" / "sensors-table.md"
    assert docs.read_text(encoding="utf-8") == _run("devices", "--markdown").output, (
        "write it anew: gonio devices --markdown > docs/sensors-table.md"
    )


PAYLOAD = "d8052244af9640406b2aa7405add14c000000000"


def _capture(folder: Path, *rows: tuple[str, str]) -> str:
    path = folder / "capture.jsonl"
    lines = [{"format": "gonio-capture", "version": 1}]
    lines += [{"characteristic": uuid, "arrival_s": at, "hex": data} for at, (uuid, data) in enumerate(rows)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_a_capture_is_decoded_in_its_order(tmp_path: Path) -> None:
    dot = get_profile("movella_dot")
    short, battery = dot.characteristic("short_payload").uuid, dot.characteristic("battery").uuid
    path = _capture(tmp_path, (short, PAYLOAD), (battery, "5700"), (short, PAYLOAD))
    result = _run("decode", "movella_dot", "--capture", path, "--set", "payload_mode=6", "--json")
    assert result.exit_code == 0
    first, second, third = json.loads(result.output)
    assert second == {
        "characteristic": battery,
        "arrival_s": 1.0,
        "hex": "5700",
        "battery_percent": 87,
        "charging": False,
    }
    assert first["timestamp_us"] == third["timestamp_us"] == 1143080408
    only = json.loads(_run("decode", "movella_dot", "15173001", "--capture", path, "--json").output)
    assert only == [second]


def test_a_capture_is_shown_by_characteristic(tmp_path: Path) -> None:
    battery = get_profile("movella_dot").characteristic("battery").uuid
    path = _capture(tmp_path, (battery, "5700"), (battery, "57"), (battery, "6400"))
    shown = " ".join(_run("decode", "movella_dot", "--capture", path).output.split())
    assert f"{battery[:8]}: 3 packets, 1 of them cut or foreign; the first" in shown
    assert shown.count("battery_percent") == 1


def test_a_capture_of_a_sensor_without_a_profile_is_listed(tmp_path: Path) -> None:
    foreign = "0000ffe4-0000-1000-8000-00805f9a34fb"
    path = _capture(tmp_path, (foreign, "0a0b"), (foreign, "0c"))
    assert json.loads(_run("decode", "--capture", path, "--json").output) == [
        {"characteristic": foreign, "arrival_s": 0.0, "bytes": 2, "hex": "0a0b"},
        {"characteristic": foreign, "arrival_s": 1.0, "bytes": 1, "hex": "0c"},
    ]
    assert "0000ffe4: 2 packets" in _run("decode", "--capture", path).output


def test_what_a_capture_holds_of_another_product_is_an_error_of_its_packet(tmp_path: Path) -> None:
    foreign = "0000ffe4-0000-1000-8000-00805f9a34fb"
    result = _run("decode", "movella_dot", "--capture", _capture(tmp_path, (foreign, "00")), "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)[0]["error"] == f"movella_dot has no characteristic {foreign}"


@pytest.mark.parametrize("arguments", [[], ["movella_dot"], ["movella_dot", "15172004"]])
def test_decode_wants_packets_or_a_capture(arguments: list[str]) -> None:
    result = _run("decode", *arguments)
    assert "a characteristic and packets in hexadecimal, or --capture FILE" in str(result.exception)


def test_where_several_layouts_fit_it_says_how_to_tell_which() -> None:
    assert "say which with --set payload_mode=..." in _run("decode", "movella_dot", "15172004", PAYLOAD).output

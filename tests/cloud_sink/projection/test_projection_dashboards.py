"""The dashboards ask for nothing that is not written, and are what Grafana's provisioning takes."""

import json
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from gonio.cloud_sink.projection.points import Header, draw_check_in, draw_health, draw_session
from tests.cloud_sink.projection.full_records import full_check_in, full_health, full_session
from tests.cloud_sink.projection.line_protocol import read_line

GRAFANA: Final = Path(__file__).parents[3] / "deploy" / "grafana"
BOARDS: Final = sorted((GRAFANA / "dashboards").glob("*.json"))
#: Columns that InfluxDB itself gives every row, and what Flux's own functions add.
_BUILT_IN: Final = {"_measurement", "_field", "_value", "_time", "_start", "_stop"}


def written() -> dict[str, tuple[set[str], set[str]]]:
    """Give the tags and the fields of each measurement, as a record with everything in it has them."""
    at = datetime(2026, 3, 5, tzinfo=UTC)
    header = Header(uuid.UUID(int=1), "kit-001", "none", at, "synchronised")
    drawn = (
        draw_session(header, full_session()),
        draw_check_in(header, full_check_in()),
        draw_health(uuid.UUID(int=2), "kit-001", at, full_health()),
    )
    found: dict[str, tuple[set[str], set[str]]] = {}
    for point in (read_line(line) for one in drawn for line in one.lines):
        tags, fields = found.setdefault(point.measurement, (set(), set()))
        tags.update(key for key, _ in point.tags)
        fields.update(point.fields)
    return found


def board(path: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads(path.read_text(encoding="utf-8"))


def queries(document: Any) -> list[str]:  # noqa: ANN401 - JSON
    return [
        *(target["query"] for panel in document["panels"] for target in panel["targets"]),
        *(variable["query"]["query"] for variable in document["templating"]["list"]),
    ]


def test_there_are_boards() -> None:
    assert [path.stem for path in BOARDS] == ["kits", "recovery", "session"]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_measurement_field_and_tag_asked_for_is_written(path: Path) -> None:
    known = written()
    for query in queries(board(path)):
        measurements = set(re.findall(r'_measurement == "([^"]+)"', query))
        assert measurements
        assert measurements <= known.keys()
        tags = set().union(*(known[name][0] for name in measurements))
        fields = set().union(*(known[name][1] for name in measurements))
        assert set(re.findall(r'_field == "([^"]+)"', query)) <= fields
        assert set(re.findall(r"\br\.(\w+)", query)) - _BUILT_IN <= tags
        columns = {name for names in re.findall(r"(?:columns|rowKey|columnKey): \[([^\]]*)\]", query)
                   for name in re.findall(r'"([^"]+)"', names)}  # fmt: skip
        assert columns - _BUILT_IN <= tags
        assert set(re.findall(r'tag: "([^"]+)"', query)) <= tags


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_what_is_simulated_is_marked_and_can_be_left_out(path: Path) -> None:
    document = board(path)
    assert document["templating"]["list"][0]["name"] == "source"
    marker = document["panels"][0]
    assert (marker["type"], marker["title"]) == ("stat", "SIMULATED in view")
    assert marker["gridPos"] == {"x": 0, "y": 0, "w": 24, "h": 3}  # at the top, over the whole width
    assert 'r.source == "simulated" or r.source == "recording"' in marker["targets"][0]["query"]
    for panel in document["panels"]:
        assert all("r.source =~ /^${source:regex}$/" in target["query"] for target in panel["targets"])
        if panel["type"] == "timeseries":  # its lines bear the source in their names, tables have it as a column
            assert "${__field.labels.source}" in panel["fieldConfig"]["defaults"]["displayName"]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_board_is_what_provisioning_takes(path: Path) -> None:
    """Of https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/ ."""
    document = board(path)
    assert "id" not in document  # a provisioned board is known by its uid
    assert re.fullmatch(r"[a-z0-9-]{1,40}", document["uid"])
    assert {"title", "schemaVersion", "version", "time", "templating", "annotations", "panels"} <= document.keys()
    source = {"type": "influxdb", "uid": "gonio-influx"}
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        assert panel["datasource"] == source
        assert all(target["datasource"] == source for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
    names = {variable["name"] for variable in document["templating"]["list"]}
    assert all(variable["datasource"] == source for variable in document["templating"]["list"])
    used = {name for query in queries(document) for name in re.findall(r"\$\{(\w+)(?::\w+)?\}", query)}
    assert used <= names


def test_the_provisioning_files_name_the_same_source_and_folder() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/gonio.yaml").read_text("utf-8"))["datasources"]
    assert (source["uid"], source["type"], source["jsonData"]["version"]) == ("gonio-influx", "influxdb", "Flux")
    assert all(value.startswith("$") for value in source["secureJsonData"].values())  # no secret stands in a file
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/gonio.yaml").read_text("utf-8"))["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards/gonio"
    assert len({board(path)["uid"] for path in BOARDS}) == len(BOARDS)

"""Repetitions become a view of the sessions' payloads: a dozen rows less to write and to keep for each session.

Revision 0002, after 0001. Nothing is lost: the table held only what the payloads say.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: JSON's default values are those of ``RepReport``: a payload leaves out what is at its default.
SQLITE = """
CREATE VIEW repetitions AS
SELECT records.record_id, rep.key + 1 AS number, records.clinic_id,
    json_extract(rep.value, '$.start_s') AS start_s,
    json_extract(rep.value, '$.peak_s') AS peak_s,
    json_extract(rep.value, '$.end_s') AS end_s,
    json_extract(rep.value, '$.signal') AS signal,
    json_extract(rep.value, '$.peak_flexion_deg') AS peak_flexion_deg,
    json_extract(rep.value, '$.min_flexion_deg') AS min_flexion_deg,
    json_extract(rep.value, '$.rom_deg') AS rom_deg,
    coalesce(json_extract(rep.value, '$.measured'), 1) AS measured
FROM records, json_each(records.payload, '$.reps') AS rep
WHERE records.kind = 'session'
"""

#: PostgreSQL's JSON takes no NUL character, not even escaped, where a sensor's name has one.
POSTGRESQL = r"""
CREATE VIEW repetitions AS
SELECT records.record_id, rep.number, records.clinic_id,
    (rep.value ->> 'start_s')::double precision AS start_s,
    (rep.value ->> 'peak_s')::double precision AS peak_s,
    (rep.value ->> 'end_s')::double precision AS end_s,
    rep.value ->> 'signal' AS signal,
    (rep.value ->> 'peak_flexion_deg')::double precision AS peak_flexion_deg,
    (rep.value ->> 'min_flexion_deg')::double precision AS min_flexion_deg,
    (rep.value ->> 'rom_deg')::double precision AS rom_deg,
    coalesce((rep.value ->> 'measured')::boolean, true) AS measured
FROM records,
    json_array_elements(replace(records.payload, '\u0000', '\ufffd')::json -> 'reps')
        WITH ORDINALITY AS rep (value, number)
WHERE records.kind = 'session'
"""


def upgrade() -> None:
    """Take the step."""
    op.drop_table("repetitions")
    op.get_bind().exec_driver_sql(SQLITE if op.get_context().dialect.name == "sqlite" else POSTGRESQL)

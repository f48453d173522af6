#!/bin/sh
# Makes gonio's bucket and two tokens in a running InfluxDB 2: one that writes and deletes there, one that only reads.
# Needs the `influx` command, set up for an operator (influx config create ...). Retention 0 keeps points for ever;
# else no longer than the book keeps its records.
set -eu
org="${1:?usage: set-up.sh ORGANISATION [BUCKET] [RETENTION such as 26280h or 0]}"
bucket="${2:-gonio}"
retention="${3:-0}"
influx bucket create --org "$org" --name "$bucket" --retention "$retention" >/dev/null
id=$(influx bucket list --org "$org" --name "$bucket" --hide-headers | cut -f 1)
echo "for gonio (GONIO_INFLUX_TOKEN, or a file for --token-file):"
influx auth create --org "$org" --write-bucket "$id" --description "gonio sink project" --hide-headers | cut -f 3
echo "for Grafana (GONIO_INFLUX_READ_TOKEN):"
influx auth create --org "$org" --read-bucket "$id" --description "Grafana" --hide-headers | cut -f 3

#!/bin/sh
# Makes the certificates of a clinic's own computers in deploy/tls: an authority, and one each for broker, database,
# InfluxDB and the sink's workers. What is there is left as it is. Needs openssl 3.
#   ./make-certificates.sh [--name broker.clinic.example]...    other names under which kits reach the broker
#   ./make-certificates.sh --kit kit-0123456789abcdef           a kit's: its id is its name
set -eu
umask 077
cd "${GONIO_TLS_DIR:-$(dirname "$0")/tls}" 2>/dev/null || {
  mkdir -p "${GONIO_TLS_DIR:-$(dirname "$0")/tls}"
  cd "${GONIO_TLS_DIR:-$(dirname "$0")/tls}"
}
names="" kit=""
while [ $# -gt 0 ]; do
  case "$1" in
    --name) names="$names,DNS:$2" && shift 2 ;;
    --kit) kit="$2" && shift 2 ;;
    *) echo "what is $1? See the first lines of $0" >&2 && exit 2 ;;
  esac
done

if [ ! -e ca.key ]; then
  openssl ecparam -name prime256v1 -genkey -noout -out ca.key
  openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=gonio authority of this clinic" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" -out ca.crt
  echo "made the authority: keep ca.key where only you can read it, and not on this computer once all is set up"
fi

make() { # file, name, purpose, alternative names
  if [ -e "$1.key" ]; then echo "$1 is there already" && return; fi
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
  printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=%s\n' \
    "$3" "$4" > "$1.ext"
  openssl req -new -key "$1.key" -subj "/CN=$2" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -sha256 -days 800 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.ext"
  echo "made $1.crt, for 800 days"
}

if [ -n "$kit" ]; then
  case "$kit" in
    *[!a-z0-9-]* | "" | -* | gonio-sink) echo "$kit is no kit's id: 'gonio gateway status' on the kit tells it" >&2 && exit 2 ;;
  esac
  make "$kit" "$kit" clientAuth "DNS:$kit"
  exit 0
fi
make broker broker serverAuth "DNS:broker,DNS:localhost,IP:127.0.0.1$names"
make database database serverAuth "DNS:database,DNS:localhost,IP:127.0.0.1"
make influxdb influxdb serverAuth "DNS:influxdb,DNS:localhost,IP:127.0.0.1"
make sink gonio-sink clientAuth "DNS:gonio-sink"

#!/usr/bin/env bash
# Puts Apache Pulsar's server distribution into ~/.cache/flashsale/pulsar-VERSION and prints that folder.
# Does nothing if it is there; two that run at once wait for each other.
set -euo pipefail
version=4.0.4
home=${FLASHSALE_PULSAR_HOME:-$HOME/.cache/flashsale/pulsar-$version}
root=$(cd "$(dirname "$0")/../.." && pwd)

complete() { [ -f "$home/.complete" ]; }

"$root/.ci/need" java:openjdk-17-jre-headless flock:util-linux >&2
if ! complete; then
  mkdir -p "$(dirname "$home")"
  exec 9>"$home.lock"
  flock -w 900 9 || { echo "another installation of Pulsar holds $home.lock for 15 minutes: end it, then try again" >&2; exit 1; }
  if ! complete; then
    "$root/.ci/need" mvn:maven >&2
    artifact=org.apache.pulsar:pulsar-server-distribution:$version
    rm -rf "$home.new"
    mkdir -p "$home.new"
    # A file of its own name in a folder of its own, wherever this machine keeps its Maven repository.
    mvn -q -B dependency:get -Dartifact="$artifact:tar.gz:bin" -Dtransitive=false >&2
    mvn -q -B dependency:copy -Dartifact="$artifact:tar.gz:bin" -DoutputDirectory="$home.new" >&2
    tar -xzf "$home.new/pulsar-server-distribution-$version-bin.tar.gz" -C "$home.new" --strip-components=1
    rm -f "$home.new"/*.tar.gz
    touch "$home.new/.complete"
    rm -rf "$home"
    mv "$home.new" "$home"
  fi
fi
echo "$home"

#!/bin/sh
# Runs one script against real Varnish and fake caches: run.sh PURGELINE SCRIPT
set -eu
purgeline=$1
script=$2
[ -x "$purgeline" ] || { echo "no program at $purgeline"; exit 1; }
if [ -n "${PURGELINE_SERVER_USAGE:-}" ] && grep -q '^varnish ' "$script"; then
  version=$(varnishd -V 2>&1 | sed -n 's/.*varnish-\([0-9.]*\).*/\1/p')
  printf 'varnish\t%s\t%s\n' "$version" "$(basename "$script")" >>"$PURGELINE_SERVER_USAGE"
fi
# The log of a thousand purges needs more than the megabyte that is given by itself.
shipped=$(cd "$(dirname "$0")/../../conf" && pwd)
exec varnishtest -b 16m -t 60 -D "purgeline=$purgeline" -D "purge_vcl=$shipped/purge.vcl" "$script"

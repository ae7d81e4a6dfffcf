#!/usr/bin/env bash
# Writes the tables of docs/VALIDATION.md, docs/validation/tables.md and the plots again from tables of measurements:
# docs/remake.sh DATA, DATA a file or a folder of them. The scores of what was left out take about six minutes on two
# cores; SKIP_LEFT_OUT=1 keeps those that are there.
set -euo pipefail
data="$(cd "$(dirname "${1:?give the tables of measurements}")" && pwd)/$(basename "$1")"
cd "$(dirname "$0")/.."
fleetsim="${FLEETSIM:-target/release/fleetsim}"
[ -n "${FLEETSIM:-}" ] || cargo build --release --locked
"$fleetsim" validate --data "$data" --document docs/validation --into docs/VALIDATION.md > /dev/null
[ -z "${SKIP_LEFT_OUT:-}" ] || exit 0
for what in sources accelerators; do
    "$fleetsim" calibrate --data "$data" --runs-per-group 2 --rounds 2 --leave-out "$what" --document docs/VALIDATION.md \
        > /dev/null
done

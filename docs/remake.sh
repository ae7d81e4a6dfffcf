#!/usr/bin/env bash
# Writes docs/validation again from tables of measurements: docs/remake.sh DATA, DATA a file or a folder of them.
set -euo pipefail
data="$(cd "$(dirname "${1:?give the tables of measurements}")" && pwd)/$(basename "$1")"
cd "$(dirname "$0")/.."
cargo build --release --locked
./target/release/fleetsim validate --data "$data" --document docs/validation > /dev/null
for what in sources accelerators; do
    ./target/release/fleetsim calibrate --data "$data" --rows-per-group 4 --rounds 2 --leave-out "$what" \
        > "docs/validation/left-out-$what.txt"
done

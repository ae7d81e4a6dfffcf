#!/usr/bin/env bash
# Draws the gallery again: one folder a scenario.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked
for scenario in quickstart; do
    ./target/release/fleetsim run "scenarios/$scenario.toml" --out "out/gallery/$scenario" --records none --no-report --quiet
    mkdir -p "plots/$scenario"
    cp "out/gallery/$scenario/plots/"*.svg "plots/$scenario/"
done

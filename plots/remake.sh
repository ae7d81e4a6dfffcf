#!/usr/bin/env bash
# Draws the gallery and the guide's pictures again. tests/gallery.rs checks that they are what is drawn today.
set -euo pipefail
cd "$(dirname "$0")/.."
fleetsim="${FLEETSIM:-./target/release/fleetsim}"
[ -n "${FLEETSIM:-}" ] || cargo build --release --locked
for scenario in quickstart launch-autoscaled images; do
    plots=all
    if [ "$scenario" = launch-autoscaled ]; then plots=overview,scaling,time_by_cause; fi
    if [ "$scenario" = images ]; then plots=spend_by_cause; fi
    "$fleetsim" run "scenarios/$scenario.toml" --out "out/gallery/$scenario" --plots "$plots" --records none \
        --no-report --quiet
    mkdir -p "plots/$scenario"
    cp "out/gallery/$scenario/plots/"*.svg "plots/$scenario/"
done
mkdir -p docs/pictures
cp plots/launch-autoscaled/time_by_cause.svg docs/pictures/where-the-time-went.svg
"$fleetsim" plan scenarios/how-many-h100.toml --out out/gallery/how-many-h100 --quiet
cp out/gallery/how-many-h100/plots/frontier.svg docs/pictures/how-many-h100.svg
"$fleetsim" plan scenarios/when-to-reserve.toml --out out/gallery/when-to-reserve --quiet
cp out/gallery/when-to-reserve/plots/capacity.svg docs/pictures/when-to-reserve.svg
"$fleetsim" compare scenarios/launch-autoscaled.toml --replications 4 --out out/gallery/keda-or-hpa --quiet \
    --variant 'keda:deployments.chat.autoscaler={ policy = "keda", metric = "concurrency", target = 12 }'
cp out/gallery/keda-or-hpa/plots/differences-1.svg docs/pictures/keda-or-hpa.svg

//! The gallery in `plots/` is what the scenarios draw today.

use std::path::Path;

use fleetsim::report::plots;
use fleetsim::scenario;
use fleetsim::world::{RunOptions, run};

#[test]
fn the_gallery_is_what_the_scenarios_draw() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["quickstart"] {
        let loaded = scenario::load(&root.join(format!("scenarios/{name}.toml")), &[], None)
            .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        let results = run(&loaded.config, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        for plot in &plots::ALL {
            let path = root.join(format!("plots/{name}/{}.svg", plot.name));
            let kept = std::fs::read_to_string(&path).unwrap_or_default();
            let drawn = plot.svg(&results).expect("a plot can be drawn");
            assert!(kept == drawn, "{} is out of date: run plots/remake.sh", path.display());
        }
    }
}

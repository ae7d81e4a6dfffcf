//! The gallery in `plots/` and the pictures of the guide are what the scenarios draw today.

use std::path::Path;
use std::process::Command;

use fleetsim::report::plots;
use fleetsim::scenario;
use fleetsim::world::{RunOptions, run};

const HOME: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_gallery_is_what_the_scenarios_draw() {
    let root = Path::new(HOME);
    let all: Vec<&str> = plots::ALL.iter().map(|plot| plot.name).collect();
    for (name, wanted) in [
        ("quickstart", all.as_slice()),
        ("launch-autoscaled", &["overview", "scaling", "time_by_cause"]),
        ("images", &["spend_by_cause"]),
    ] {
        let loaded = scenario::load(&root.join(format!("scenarios/{name}.toml")), &[], None)
            .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        let results = run(&loaded.config, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        for plot in plots::ALL.iter().filter(|plot| wanted.contains(&plot.name)) {
            let drawn = plot.svg(&results).expect("a plot can be drawn");
            up_to_date(&format!("plots/{name}/{}.svg", plot.name), &drawn);
            if (name, plot.name) == ("launch-autoscaled", "time_by_cause") {
                up_to_date("docs/pictures/where-the-time-went.svg", &drawn);
            }
        }
    }
}

#[test]
fn the_pictures_of_the_guide_are_what_its_commands_draw() {
    let keda =
        "keda:deployments.chat.autoscaler={ policy = \"keda\", metric = \"concurrency\", target = 12 }";
    let pictures: [(&[&str], &str, &str); 3] = [
        (&["plan", "scenarios/how-many-h100.toml"], "frontier", "how-many-h100"),
        (&["plan", "scenarios/when-to-reserve.toml"], "capacity", "when-to-reserve"),
        (
            &["compare", "scenarios/launch-autoscaled.toml", "--replications", "4", "--variant", keda],
            "differences-1",
            "keda-or-hpa",
        ),
    ];
    for (arguments, plot, picture) in pictures {
        let out = tempfile::tempdir().expect("a folder");
        let output = Command::new(env!("CARGO_BIN_EXE_fleetsim"))
            .current_dir(HOME)
            .args(arguments)
            .args(["--quiet", "--out"])
            .arg(out.path())
            .output()
            .expect("started");
        assert!(output.status.success(), "{picture}: {}", String::from_utf8_lossy(&output.stderr));
        let drawn = std::fs::read_to_string(out.path().join(format!("plots/{plot}.svg"))).expect("drawn");
        up_to_date(&format!("docs/pictures/{picture}.svg"), &drawn);
    }
}

fn up_to_date(path: &str, drawn: &str) {
    let kept = std::fs::read_to_string(Path::new(HOME).join(path)).unwrap_or_default();
    assert!(kept == drawn, "{path} is out of date: run plots/remake.sh");
}

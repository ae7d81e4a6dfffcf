//! `fleetsim run` from outside: the files it leaves, their agreement with each other, its options, and the
//! same bytes from the same input.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and helpers of tests, may")]

#[path = "cli/agreement.rs"]
mod agreement;
#[path = "cli/program.rs"]
mod program;

use std::path::Path;
use std::sync::OnceLock;

use agreement::assert_agrees;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use program::{
    AZURE, HOME, QUICKSTART_SHORT, Run, SMALL, assert_same_files, files, fleetsim_in, nanos, number,
    run_file, run_file_with, run_quickstart, run_text, write,
};
use serde_json::Value;

const PLOTS: [&str; 15] = [
    "cards",
    "forecast",
    "jobs",
    "latency",
    "latency_over_time",
    "nodes",
    "overview",
    "queue",
    "rate",
    "scaling",
    "spend",
    "spend_by_cause",
    "time_by_cause",
    "time_over_time",
    "utilization",
];

#[test]
fn tables_as_parquet() {
    let run = run_text(SMALL, &["--records", "all", "--format", "parquet", "--no-report"]);
    for (name, rows) in [("requests", "id"), ("ledger", "time_s"), ("timeseries", "time_s")] {
        let file = std::fs::File::open(run.out.join(format!("{name}.parquet"))).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let counted = small().table(&format!("{name}.csv")).cells(rows).len();
        assert_eq!(reader.metadata().file_metadata().num_rows(), counted as i64, "{name}");
        assert!(!run.out.join(format!("{name}.csv")).exists(), "{name}");
    }
}

/// The quickstart with every table, run once for all tests that only look.
fn quickstart() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| run_quickstart(&["--records", "all"]))
}

/// The small scenario with every table, run once.
fn small() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| run_text(SMALL, &["--records", "all"]))
}

fn names(run: &Run) -> Vec<String> {
    files(&run.out).into_keys().collect()
}

#[test]
fn a_run_leaves_its_files_and_names_the_report() {
    let tables = ["decisions.csv", "jobs.csv", "ledger.csv", "requests.csv", "timeseries.csv"];
    let mut wanted: Vec<String> = tables.map(str::to_owned).to_vec();
    wanted.extend(PLOTS.map(|name| format!("plots/{name}.svg")));
    wanted.extend(["report.html", "scenario.toml", "summary.json"].map(str::to_owned));
    wanted.sort();
    for run in [quickstart(), small()] {
        assert_eq!(names(run), wanted);
        assert_eq!(run.said.stderr, "");
        let last = run.said.stdout.lines().last().unwrap();
        assert_eq!(last, format!("Report: {}", run.out.join("report.html").display()));
        for line in run.said.stdout.lines() {
            let path = line.starts_with("Report: ");
            assert!(path || line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn tables_have_their_columns() {
    let columns = [
        (
            "requests.csv",
            "id,stream,arrival_s,prompt_tokens,output_tokens,deployment,replica,queue_wait_s,ttft_s,tpot_s,\
             e2e_s,outcome,retries",
        ),
        (
            "jobs.csv",
            "id,user,queue,submit_s,start_s,end_s,wait_s,jct_s,accelerators,pool,nodes,state,preemptions,\
             wait_reason",
        ),
        ("ledger.csv", "time_s,pool,provider,purchase,cause,quantity,unit,price_usd,amount_usd"),
        ("decisions.csv", "time_s,policy,target,current,desired,final,rule,limits,reason"),
        ("timeseries.csv", "time_s,subject_kind,subject,metric,value"),
    ];
    for (name, wanted) in columns {
        assert_eq!(small().text(name).lines().next(), Some(wanted), "{name}");
    }
}

/// The keys of an object and of the objects in it, `a{b,c{d}}`; lists by their first item.
fn keys(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let inner: Vec<String> = map.iter().map(|(key, value)| format!("{key}{}", keys(value))).collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(items) => format!("[{}]", items.first().map(keys).unwrap_or_default()),
        _ => String::new(),
    }
}

#[test]
fn the_summary_has_its_fields() {
    let summary = small().summary();
    // serde_json sorts keys when it reads; so does this list.
    let quantiles = "{max,mean,p50,p90,p95,p99}";
    let latency = format!("{{e2e_s{quantiles},queue_wait_s{quantiles},tpot_s{quantiles},ttft_s{quantiles}}}");
    let requests = "{arrived,completed,failed,in_flight,rejected,timed_out}";
    let group = format!(
        "{{completed,jct_s{quantiles},makespan_s,name,slowdown{quantiles},submitted,wait_s{quantiles}}}"
    );
    let jobs = format!(
        "{{by_size[{group}],by_user[{group}],completed,failed,goodput,jain,jct_s{quantiles},makespan_s,queued,\
         rho{quantiles},running,slowdown{quantiles},submitted,wait_s{quantiles},waits[{{cause,jobs,wait_hours}}]}}"
    );
    for (field, wanted) in [
        ("schema_version", ""),
        ("scenario", "{duration_s,name,seed,warmup_s}"),
        ("requests", requests),
        ("latency", &latency),
        ("slo", "{attainment,goodput_rps,met}"),
        ("tokens", "{output,prompt}"),
        ("jobs", &jobs),
        ("utilization", "{allocated,busy,mfu}"),
        ("energy", "{kg_co2e,kwh}"),
        ("stability", "{growth_per_hour,stable,why}"),
    ] {
        assert_eq!(keys(&summary[field]), wanted, "{field}");
    }
    let spend = "{by_cause{busy,committed-unused,idle},by_model{jobs,llama-3.1-8b,mistral-7b,unallocated},\
             by_provider{aws,lambda},by_stream{agents,chat,jobs,unallocated},total_usd,usd_per_1m_output_tokens}";
    assert_eq!(keys(&summary["spend"]), spend);
    for (list, fields) in [
        ("streams", vec!["name", "requests", "latency", "slo", "tokens"]),
        ("deployments", vec!["name", "requests", "latency", "tokens"]),
        ("pools", vec!["name", "provider", "utilization", "spend", "energy"]),
    ] {
        let items = summary[list].as_array().unwrap();
        assert_eq!(items.len(), 2, "{list}");
        for field in fields {
            assert!(items.iter().all(|item| !item[field].is_null()), "{list}.{field}");
        }
    }
    // As a user reads it: in the order in which it is documented.
    let text = small().text("summary.json");
    let order = ["schema_version", "scenario", "requests", "latency", "slo", "tokens", "jobs", "utilization"];
    let places: Vec<_> = order.iter().map(|key| text.find(&format!("\n  \"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(text.ends_with("}\n"));
}

#[test]
fn the_files_of_the_quickstart_agree() {
    assert_agrees(quickstart());
    // The case is worth looking at: a launch during which waits grow, a job that ends.
    let summary = quickstart().summary();
    assert!(number(&summary["latency"]["ttft_s"]["p99"]) > 2.0);
    assert_eq!(summary["jobs"]["completed"], 1);
}

#[test]
fn the_files_of_a_small_run_agree() {
    assert_agrees(small());
    let summary = small().summary();
    for outcome in ["completed", "rejected", "timed_out", "in_flight"] {
        assert!(number(&summary["requests"][outcome]) > 0.0, "no request is {outcome}: {summary}");
    }
    // The second job finds too few cards and says why it waits for the first.
    let jobs = small().table("jobs.csv");
    assert_eq!(jobs.cells("start_s"), ["0", "420"]);
    assert_eq!(jobs.cells("end_s"), ["420", "660"]);
    let reasons = jobs.cells("wait_reason");
    assert!(reasons[0].is_empty() && !reasons[1].is_empty(), "{reasons:?}");
}

#[test]
fn what_can_never_be_served_is_explained() {
    let text = SMALL.replace("output_tokens = 64", "output_tokens = 64\ntimeout = \"1h\"");
    let run = run_text(&text, &["--set", "deployments.agents-7b.max_context=2000", "--no-report"]);
    let deployments = run.summary()["deployments"].clone();
    assert!(number(&deployments[1]["too_long"]) > 100.0, "{deployments}");
    assert_eq!(deployments[1]["too_long"], deployments[1]["requests"]["rejected"]);
    assert_eq!(deployments[0]["too_long"], 0);
    let said = run.said.stdout.replace("\n  ", " ");
    assert!(said.contains("- Too long for agents-7b: "), "{said}");
    // A cache that holds less than a prompt is no better.
    let run = run_text(&text, &["--set", "deployments.agents-7b.kv_blocks=5", "--no-report"]);
    assert_eq!(run.summary()["streams"][1]["requests"]["completed"], 0);
    assert!(run.said.stdout.contains("Too long for agents-7b"), "{}", run.said.stdout);
}

#[test]
fn options_choose_what_is_written_and_shown() {
    let bare = run_text(SMALL, &["--records", "none", "--plots", "none", "--no-report"]);
    assert_eq!(names(&bare), ["scenario.toml", "summary.json"]);
    let last = bare.said.stdout.lines().last().unwrap().to_owned();
    assert_eq!(last, format!("Results: {}", bare.out.display()));
    assert!(bare.text("summary.json") == small().text("summary.json"));

    let some = run_text(SMALL, &["--records", "ledger,jobs", "--plots", "queue,rate", "--no-report"]);
    let wanted =
        ["jobs.csv", "ledger.csv", "plots/queue.svg", "plots/rate.svg", "scenario.toml", "summary.json"];
    assert_eq!(names(&some), wanted);

    let default = run_text(SMALL, &["--quiet"]);
    assert_eq!((default.said.stdout.as_str(), default.said.stderr.as_str()), ("", ""));
    assert!(!names(&default).contains(&"requests.csv".to_owned()));
    for name in names(&default) {
        assert!(files(&default.out)[&name] == files(&small().out)[&name], "{name} depends on --records");
    }
}

#[test]
fn json_is_the_summary() {
    for more in [vec!["--json"], vec!["--json", "--quiet"]] {
        let run = run_text(SMALL, &more);
        assert_eq!(run.said.stderr, "");
        assert!(run.said.stdout == run.text("summary.json"));
        assert!(run.said.stdout == small().text("summary.json"));
    }
}

#[test]
fn seed_and_set_change_the_run() {
    let other = run_text(SMALL, &["--seed", "4"]);
    assert_eq!(other.summary()["scenario"]["seed"], 4);
    assert_ne!(other.summary()["requests"]["arrived"], small().summary()["requests"]["arrived"]);
    let same = run_text(&SMALL.replace("seed = 3", "seed = 99"), &["--seed", "3"]);
    assert!(same.text("summary.json") == small().text("summary.json"));
    assert!(same.text("scenario.toml") == small().text("scenario.toml"));

    let set = run_text(SMALL, &["--set", "pools.singles.nodes=4", "--set", "streams.chat.rate=3/s"]);
    assert_eq!(set.summary()["pools"][0]["nodes"], 4);
    let arrived = |run: &Run| number(&run.summary()["streams"][0]["requests"]["arrived"]);
    assert!(arrived(&set) < 0.7 * arrived(small()));
}

#[test]
fn results_go_to_a_folder_named_after_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "s.toml", SMALL);
    let said = fleetsim_in(folder.path(), &["run", "s.toml", "--records", "none", "--plots", "none"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stdout.ends_with("\nReport: out/small/report.html\n"), "{}", said.stdout);
    assert!(folder.path().join("out/small/summary.json").is_file());
    // Again into the same folder: what another run left there is gone, what is not the program's is not.
    let out = folder.path().join("out/small");
    std::fs::write(out.join("notes.txt"), "mine").unwrap();
    let said = fleetsim_in(folder.path(), &["run", "s.toml", "--records", "all", "--seed", "9"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!(files(&out).len(), 5 + PLOTS.len() + 4);
    let bare = ["run", "s.toml", "--records", "jobs", "--plots", "none", "--no-report"];
    let said = fleetsim_in(folder.path(), &bare);
    assert_eq!(said.status, 0, "{}", said.stderr);
    let left: Vec<String> = files(&out).into_keys().collect();
    assert_eq!(left, ["jobs.csv", "notes.txt", "scenario.toml", "summary.json"]);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_same_files(small(), &run_text(SMALL, &["--records", "all"]));
    let again = run_quickstart(&["--records", "all"]);
    assert_same_files(quickstart(), &again);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = write(&folder, "scenario.toml", SMALL);
    for threads in ["1", "2"] {
        let run = run_file_with(&scenario, &["--records", "all"], &[("RAYON_NUM_THREADS", threads)]);
        assert_same_files(small(), &run);
    }
}

#[test]
fn step_by_step_gives_the_same_bytes() {
    assert_same_files(small(), &run_text(SMALL, &["--records", "all", "--step"]));
    let arguments = |more: &[&'static str]| [&QUICKSTART_SHORT[..], &["--records", "all"], more].concat();
    let fast = run_quickstart(&arguments(&[]));
    assert!(number(&fast.summary()["deployments"][0]["preemptions"]) > 0.0, "no preemption in the launch");
    assert_same_files(&fast, &run_quickstart(&arguments(&["--step"])));
}

#[test]
fn the_resolved_scenario_repeats_the_run() {
    let again = run_file(&small().out.join("scenario.toml"), &["--records", "all"]);
    assert_same_files(small(), &again);
    let changed = run_quickstart(&[&QUICKSTART_SHORT[..], &["--seed", "12"]].concat());
    let again = run_file(&changed.out.join("scenario.toml"), &[]);
    assert_same_files(&changed, &again);
}

#[test]
fn azure_says_what_to_get_where_the_trace_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let scenario =
        std::fs::read_to_string(Path::new(HOME).join("scenarios/azure-conversation.toml")).unwrap();
    write(&folder, "azure-conversation.toml", &scenario);
    let said = fleetsim_in(folder.path(), &["run", "azure-conversation.toml"]);
    assert_eq!((said.status, said.stdout.as_str()), (2, ""));
    for part in [
        "azure-conversation.toml:21:18",
        "there is no file data/AzureLLMInferenceTrace_conv.csv",
        "https://github.com/Azure/AzurePublicDataset",
        "put the file there",
    ] {
        assert!(said.stderr.contains(part), "no `{part}` in {}", said.stderr);
    }
    assert!(!folder.path().join("out").exists());
}

/// The trace's times of arrival and lengths, read without the program's reader.
fn azure_rows() -> Vec<(u64, String, String)> {
    let text = std::fs::read_to_string(AZURE).unwrap();
    let tenths_of_us = |stamp: &str| -> u64 {
        let (clock, fraction) = stamp.split_once(' ').unwrap().1.split_once('.').unwrap();
        let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap());
        seconds * 10_000_000 + format!("{fraction:0<7}").parse::<u64>().unwrap()
    };
    let mut first = None;
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim().split(',').collect();
        let at = tenths_of_us(cells[0]);
        let since = at - *first.get_or_insert(at);
        (since * 100, cells[1].to_owned(), cells[2].to_owned())
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn azure_reproduces_the_arrivals() {
    if !Path::new(AZURE).exists() {
        println!("skipped: ../shared/data/traces is not there");
        return;
    }
    let file = format!("streams.conversation.trace.file={AZURE}");
    let scenario = Path::new(HOME).join("scenarios/azure-conversation.toml");
    let one = ["--set", &file, "--set", "streams.conversation.trace.copies=1", "--records", "all"];
    let run = run_file(&scenario, &one);
    let table = run.table("requests.csv");
    let cells = ["arrival_s", "prompt_tokens", "output_tokens"].map(|name| table.cells(name));
    let [arrivals, prompts, outputs] = &cells;
    let mut found: Vec<(u64, u64, String, String)> = table
        .cells("id")
        .iter()
        .enumerate()
        .map(|(row, id)| {
            let at = nanos(arrivals[row]).unwrap();
            (id.parse().unwrap(), at, prompts[row].to_owned(), outputs[row].to_owned())
        })
        .collect();
    found.sort_unstable_by_key(|(id, ..)| *id);
    let found: Vec<_> = found.into_iter().map(|(_, at, prompt, output)| (at, prompt, output)).collect();
    let wanted = azure_rows();
    assert_eq!(found.len(), 19_366);
    assert!(found == wanted, "the arrivals are not the trace's");

    // The scenario as it is: four copies, and the files agree.
    let run = run_file(&scenario, &["--set", &file, "--records", "all"]);
    assert_agrees(&run);
    assert_eq!(run.summary()["requests"]["arrived"], 4 * 19_366);
}

//! Job traces of every format, as they are read and refused.

use super::*;
use std::io::Write as _;

fn read(format: JobTraceFormat, text: &str, skip_bad_rows: bool) -> Result<JobTrace, String> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("it can be written");
    let config = JobTraceConfig {
        file: file.path().to_owned(),
        format,
        queues: Vec::new(),
        throughputs: None,
        pools: vec![TracePool::of_cards(PoolId(0), 16)],
        skip_bad_rows,
    };
    let name = file.path().display().to_string();
    JobTrace::read(&config).map_err(|error| error.to_string().replace(&name, "FILE"))
}

/// (name, submission, duration, cards, user, queue, estimate) of each job, times in seconds.
fn table(trace: &JobTrace) -> Vec<(String, f64, f64, u32, String, String, f64)> {
    let jobs = &trace.jobs;
    let row = |job| {
        let facts = jobs.facts(job);
        let s = |duration: Duration| duration.as_secs_f64();
        let (user, queue) = (jobs.user(job).to_owned(), jobs.queue(job).to_owned());
        let submit = facts.submit.as_secs_f64();
        (jobs.name(job).to_owned(), submit, s(facts.duration), facts.cards, user, queue, s(facts.estimate))
    };
    (0..jobs.len() as u32).map(row).collect()
}

fn job(
    name: &str,
    times: [f64; 3],
    cards: u32,
    user: &str,
    queue: &str,
) -> (String, f64, f64, u32, String, String, f64) {
    (name.to_owned(), times[0], times[1], cards, user.to_owned(), queue.to_owned(), times[2])
}

#[test]
fn generic_csv_in_any_order_of_rows_and_columns() {
    let text = "accelerators,id,duration_s,submit_s,user,estimate_s,queue\n2,b,3.5,10,ann,,q\n1,a,2,1,,60,\n";
    let trace = read(JobTraceFormat::Csv, text, false).expect("it is right");
    let expected = [job("a", [1.0, 2.0, 60.0], 1, "", ""), job("b", [10.0, 3.5, 3.5], 2, "ann", "q")];
    assert_eq!(table(&trace), expected);
}

#[test]
fn philly_begins_with_its_earliest_job() {
    let text = "timestamp,duration,num_gpus,gpu_time,cluster\n2017-10-09 07:01:55,66.0,1,66.0,11cb48\n\
                2017-10-08 07:01:50,2951.0,2,5902.0,6214e9\n";
    let trace = read(JobTraceFormat::Philly, text, false).expect("it is right");
    let expected =
        [job("2", [0.0, 2951.0, 2951.0], 2, "", "6214e9"), job("1", [86_405.0, 66.0, 66.0], 1, "", "11cb48")];
    assert_eq!(table(&trace), expected);
}

#[test]
fn swf_takes_requested_processors_and_time() {
    let text = "; Version: 2.2\n\n 1 5 -1 60 4 -1 -1 8 300 -1 1 7 2 1 3 1 -1 -1\n\
                2 6 -1 30 2 -1 -1 -1 -1 -1 1 8 2 1 -1 -1 -1 -1\n";
    let trace = read(JobTraceFormat::Swf, text, false).expect("it is right");
    let expected = [job("1", [5.0, 60.0, 300.0], 8, "7", "3"), job("2", [6.0, 30.0, 30.0], 2, "8", "")];
    assert_eq!(table(&trace), expected);
}

#[test]
fn bad_rows_are_named_or_left_out_when_asked() {
    let text =
        "id,submit_s,duration_s,accelerators\na,0,,1\nb,0,5,0\nc,0,5,17\nd,-1,5,1\ne,0,5,1\nf,0,1e12,1\n";
    let error = read(JobTraceFormat::Csv, text, false).expect_err("five rows are bad");
    assert_eq!(
        error,
        "FILE: 5 rows cannot be used: line 2: `duration_s` is missing; line 3: it wants no card; line 4: it \
         wants 17 cards, and its largest pool has 16; line 5: a time of submission of -1 s is not a time of at \
         most 100 years; line 7: a duration of 1000000000000 s is not a time of at most 100 years"
    );
    let trace = read(JobTraceFormat::Csv, text, true).expect("one row is left");
    assert_eq!((trace.jobs.len(), trace.left_out, trace.examples.len()), (1, 5, 5));
}

#[test]
fn headers_and_empty_files() {
    let error = read(JobTraceFormat::Csv, "id,submit,duration_s,accelerators\n", false).expect_err("header");
    assert_eq!(
        error,
        "FILE: the header has no column `submit_s`; its columns: id, submit, duration_s, accelerators"
    );
    assert_eq!(
        read(JobTraceFormat::Swf, "; nothing\n", false).expect_err("empty"),
        "FILE: no job is left to run"
    );
}

/// (name, submission, duration, cards, thousandths, CPUs, MiB) of each job.
fn needs_of(trace: &JobTrace) -> Vec<(String, f64, f64, u32, Needs)> {
    let jobs = &trace.jobs;
    let row = |job| {
        let facts = jobs.facts(job);
        let (submit, duration) = (facts.submit.as_secs_f64(), facts.duration.as_secs_f64());
        (jobs.name(job).to_owned(), submit, duration, facts.cards, jobs.needs(job))
    };
    (0..jobs.len() as u32).map(row).collect()
}

fn with(card_milli: u16, cpu_milli: u32, memory_mib: u32) -> Needs {
    Needs { card_milli, cpu_milli, memory_mib }
}

/// Reads for a pool of two nodes with 8 cards, 64 CPUs and 512 GiB each.
fn read_for(accelerator: &str, format: JobTraceFormat, text: &str) -> Result<JobTrace, String> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("it can be written");
    let host = Host { cpu_milli: Some(64_000), memory_mib: Some(524_288), nodes_per_switch: None };
    let pool = TracePool {
        cards_per_node: 8,
        accelerator: accelerator.to_owned(),
        host,
        ..TracePool::of_cards(PoolId(0), 16)
    };
    let config = JobTraceConfig {
        file: file.path().to_owned(),
        format,
        queues: Vec::new(),
        throughputs: None,
        pools: vec![pool],
        skip_bad_rows: false,
    };
    let name = file.path().display().to_string();
    JobTrace::read(&config).map_err(|error| error.to_string().replace(&name, "FILE"))
}

#[test]
fn parts_of_cards_and_hosts() {
    let text = "id,submit_s,duration_s,accelerators,accelerator_type,cards_fraction,cpus,memory_gib\n\
                a,0,5,1,A100,0.25,4,16\nb,1,5,0,,,2,1\nc,2,5,16,,1,100,\n";
    let trace = read_for("A100-SXM4-80GB", JobTraceFormat::Csv, text).expect("it is right");
    let expected = [
        ("a".to_owned(), 0.0, 5.0, 1, with(250, 4000, 16_384)),
        ("b".to_owned(), 1.0, 5.0, 0, with(0, 2000, 1024)),
        ("c".to_owned(), 2.0, 5.0, 16, with(0, 100_000, 0)),
    ];
    assert_eq!(needs_of(&trace), expected);
    let text = "id,submit_s,duration_s,accelerators,accelerator_type,cpus\n\
                a,0,5,1,H100,\nb,0,5,8,,65\nc,0,5,16,,129\n";
    assert_eq!(
        read_for("A100-SXM4-80GB", JobTraceFormat::Csv, text).expect_err("three are not admitted"),
        "FILE: 3 rows cannot be used: line 2: it wants the accelerator `H100`, and its pools have A100-SXM4-80GB; \
         line 3: it wants 65.0 CPUs on a node, and a node of its pools has 64.0; line 4: it wants 64.5 CPUs on a \
         node, and a node of its pools has 64.0"
    );
}

#[test]
fn slurm_as_sacct_prints_it() {
    let text = "JobID|User|Partition|State|Submit|Elapsed|Timelimit|ReqTRES|Priority\n\
                7|ann|gpu|COMPLETED|2026-01-02T03:04:05|1-00:00:10|2-00:00:00|billing=8,cpu=16,gres/gpu:a100=4,gres/gpu=4,mem=64G,node=1|10\n\
                7.batch|||COMPLETED|2026-01-02T03:04:05|1-00:00:10||cpu=16|\n\
                8_1|ben|cpu|TIMEOUT|2026-01-02T03:04:00|05:00|05:00|cpu=2,mem=512M|\n";
    let trace = read_for("NVIDIA A100", JobTraceFormat::Slurm, text).expect("it is right");
    let expected = [
        ("8_1".to_owned(), 0.0, 300.0, 0, with(0, 2000, 512)),
        ("7".to_owned(), 5.0, 86_410.0, 4, with(0, 16_000, 65_536)),
    ];
    assert_eq!(needs_of(&trace), expected);
    let estimate = trace.jobs.facts(1).estimate;
    assert_eq!((estimate.as_secs_f64(), trace.jobs.queue(1)), (172_800.0, "gpu"));
    let text = "JobID|Submit|ElapsedRaw|State|AllocGRES\n1|2026-01-02T03:04:05|0|CANCELLED by 5|gpu:2\n\
                2|2026-01-02T03:04:05|9|RUNNING|gpu:2\n";
    assert_eq!(
        read_for("x", JobTraceFormat::Slurm, text).expect_err("neither can be used"),
        "FILE: 2 rows cannot be used: line 2: it never ran (state `CANCELLED by 5`); line 3: it is running: how long \
         it takes is not known"
    );
}

#[test]
fn kubernetes_as_kubectl_prints_it() {
    let pod = |name: &str, requests: &str| {
        format!(
            r#"{{"metadata": {{"name": "{name}", "namespace": "team", "creationTimestamp": "2026-01-02T03:04:05Z"}},
            "spec": {{"priority": 3, "containers": [{{"resources": {{"requests": {{{requests}}}}}}}]}},
            "status": {{"containerStatuses": [{{"state": {{"terminated":
            {{"startedAt": "2026-01-02T03:05:00Z", "finishedAt": "2026-01-02T04:05:00Z"}}}}}}]}}}}"#
        )
    };
    let pods = [
        pod("a", r#""nvidia.com/gpu": "2", "cpu": "1500m", "memory": "2Gi""#),
        pod("b", r#""nvidia.com/mig-3g.40gb": 1"#),
    ];
    let text = format!(r#"{{"apiVersion": "v1", "items": [{}], "kind": "List"}}"#, pods.join(","));
    let trace = read_for("x", JobTraceFormat::Kubernetes, &text).expect("it is right");
    let expected = [
        ("a".to_owned(), 0.0, 3600.0, 2, with(0, 1500, 2048)),
        ("b".to_owned(), 0.0, 3600.0, 1, with(429, 0, 0)),
    ];
    assert_eq!(needs_of(&trace), expected);
    assert_eq!((trace.jobs.queue(0), trace.jobs.facts(0).priority), ("team", 3));
}

#[test]
fn alibaba_of_both_years() {
    let text = "j1,t1,2,Terminated,100.0,400.0,600.0,29.3,50.0,V100\nj2,t1,1,Failed,200.0,260.0,100,1,,CPU\n";
    let trace = read_for("V100-SXM2-16GB", JobTraceFormat::Alibaba2020, text).expect("it is right");
    let expected = [
        ("j1/t1".to_owned(), 100.0, 300.0, 2, with(500, 12_000, 60_006)),
        ("j2/t1".to_owned(), 200.0, 60.0, 0, with(0, 1000, 1024)),
    ];
    assert_eq!(needs_of(&trace), expected);
    let text = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n\
                p,6000,12288,1,460,,LS,Running,427061,427161,427071\n";
    let trace = read_for("T4", JobTraceFormat::OpenB, text).expect("it is right");
    assert_eq!(needs_of(&trace), [("p".to_owned(), 427_061.0, 90.0, 1, with(460, 6000, 12_288))]);
}

/// Two of Gavel's lines with a table of throughputs: steps over steps a second, on each accelerator that the table
/// knows for so many cards; what it does not know is named with its line.
#[test]
fn gavels_own_lines_go_by_the_table_of_throughputs() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path
    };
    let table = r#"{"v100": {"('ResNet', 2)": {"null": 10.0, "('ResNet', 2)": [6.0, 6.0]}, "('LM', 1)": {"null": 4.0}},
                    "k80": {"('ResNet', 2)": {"null": 2.5}, "('LM', 1)": {"null": 0.0}}}"#;
    let lines = "ResNet\tpython3 main.py\timages\t--steps\t1\t1000\t2\t1\t-1.0\t30\n\
                 LM\tpython3 main.py\ttext\t--steps\t1\t800\t1\t1\t-1.0\t5.5\n\
                 LM\tpython3 main.py\ttext\t--steps\t1\t800\t4\t1\t-1.0\t60\n";
    let pool = |id: u16, accelerator: &str| TracePool {
        accelerator: accelerator.to_owned(),
        ..TracePool::of_cards(PoolId(id), 8)
    };
    let mut config = JobTraceConfig {
        file: write("gavel.trace", lines),
        format: JobTraceFormat::Gavel,
        queues: Vec::new(),
        throughputs: Some(write("throughputs.json", table)),
        pools: vec![pool(0, "K80"), pool(1, "V100-SXM2-16GB")],
        skip_bad_rows: true,
    };
    let trace = JobTrace::read(&config).expect("two lines are right");
    assert_eq!((trace.jobs.len(), trace.left_out), (2, 1));
    assert_eq!(trace.examples, ["line 3: no throughput is known of `LM` on 4 cards"]);
    let seconds = |job, option| trace.jobs.duration(job, option).as_secs_f64();
    // By submission; the language model runs on the V100 alone.
    assert_eq!((trace.jobs.queue(0), trace.jobs.pools(0), seconds(0, 0)), ("LM", &[PoolId(1)][..], 200.0));
    assert_eq!(
        (trace.jobs.pools(1), seconds(1, 0), seconds(1, 1)),
        (&[PoolId(0), PoolId(1)][..], 400.0, 100.0)
    );
    assert_eq!(trace.jobs.facts(1).cards, 2);
    config.file = write("short.trace", "ResNet\tpython3\t2\n");
    config.skip_bad_rows = false;
    let error = JobTrace::read(&config).expect_err("it has too few fields").to_string();
    assert!(error.contains("line 1: it has 3 fields parted by tabs, not ten"), "{error}");
}

//! `validate`: what it reads, what it says of rows it cannot use, and how good the model is.

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use fleetsim::validate::{Report, validate};

/// A table with good and bad rows, in the columns of `inference_measured.csv`. Figures are made up.
const TABLE: &str = "\
source,version_date,model,weights_precision,kv_precision,accelerator,num_gpus,tp,pp,isl,osl,load_type,load_value,metric,value,unit,notes
me,v1 vLLM,Llama-3.1-8B,bf16,bf16,H100,1,1,1,1000,100,closed_concurrency,8,tpot_mean,9.0,ms,
me,v1 vLLM,Llama-3.1-8B,bf16,bf16,H100,1,1,1,1000,100,closed_concurrency,8,ttft_p50,60,ms,
me,v1 vLLM,Llama-3.1-8B,bf16,bf16,H100,1,1,1,1000,100,open_poisson_rps,4,e2e_mean,1000,ms,
me,v1 vLLM,Llama-3.1-8B,bf16,bf16,H100,1,1,1,500,200,offline_max,inf,output_tok_s_total,8000,tok/s,
me,v1 vLLM,Llama-3.1-9B,bf16,bf16,H100,1,1,1,500,200,offline_max,inf,output_tok_s_total,8000,tok/s,
me,v1 vLLM,Llama-3.1-8B,bf16,bf16,H1000,1,1,1,500,200,offline_max,inf,output_tok_s_total,8000,tok/s,
me,v1 vLLM,Llama-3.1-8B,bf16,bf16,H100,3,3,1,500,200,offline_max,inf,output_tok_s_total,8000,tok/s,
me,v1 vLLM,Llama-3.1-8B,bf16,bf16,H100,1,1,1,500,200,by_mail,1,output_tok_s_total,8000,tok/s,
me,v1 vLLM,Llama-3.1-8B,bf16,bf16,H100,1,1,1,dataset,200,offline_max,inf,smiles,8000,tok/s,
";

fn table(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    fs::write(&file, text).expect("written");
    (folder, file)
}

fn fleetsim() -> Command {
    Command::cargo_bin("fleetsim").expect("built")
}

/// Every row is predicted or named with its reason, and unknown names with the nearest known ones.
#[test]
fn every_row_is_accounted_for() {
    let (_folder, file) = table("mine.csv", TABLE);
    let report = validate(&[file]).expect("read");
    let predicted: usize = report.groups.iter().map(|group| group.rows).sum();
    let skipped: usize = report.skipped.iter().map(|skipped| skipped.rows).sum();
    assert_eq!((predicted, skipped), (4, 5), "{report:#?}");
    for group in &report.groups {
        // Far off would be a unit or a load misread.
        assert!(group.median_ape < 2.0, "{group:?}");
        assert_eq!((group.accelerator.as_str(), group.model.as_str()), ("H100-SXM5", "llama-3.1-8b"));
    }
    let skipped: Vec<String> = report
        .skipped
        .iter()
        .map(|skipped| format!("{}: {}", skipped.reason, skipped.examples.join("; ")))
        .collect();
    insta::assert_snapshot!(skipped.join("\n"));
}

/// The same file gives the same bytes, with one thread and with several.
#[test]
fn the_same_on_any_number_of_threads() {
    let (_folder, file) = table("mine.csv", TABLE);
    let run = |threads: &str| {
        let output = fleetsim()
            .args(["validate", "--json", "--data"])
            .arg(&file)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .expect("run");
        assert!(output.status.success());
        output.stdout
    };
    let one = run("1");
    assert_eq!(one, run("2"));
    let json: serde_json::Value = serde_json::from_slice(&one).expect("JSON");
    for (list, keys) in [
        ("groups", "source accelerator model metric rows median_ape p90_ape median_signed"),
        ("overall", "metric groups rows median_ape p90_ape"),
        ("skipped", "reason rows examples"),
    ] {
        let first = json[list][0].as_object().expect("an item");
        let found: std::collections::BTreeSet<&str> = first.keys().map(String::as_str).collect();
        assert_eq!(found, keys.split(' ').collect());
    }
}

/// Files that are nothing known end with status 2 and say what would be.
#[test]
fn what_it_cannot_read() {
    let (folder, file) =
        table("wrong.csv", "model,accelerator,isl,osl,load_type,metric,value\na,b,1,1,c,d,1\n");
    let refused = |path: PathBuf| {
        let output = fleetsim().args(["validate", "--data"]).arg(path).output().expect("run");
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).expect("text");
        text.replace(&folder.path().display().to_string(), "FOLDER")
    };
    let messages = [
        refused(file.clone()),
        refused(file.with_file_name("missing.csv")),
        refused(folder.path().to_owned()),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

/// A server of two cards half as fast each trains and sums up as its own rows say: tables of training and of
/// collectives are read as well.
#[test]
fn training_and_collectives() {
    let training = "\
source,model,seq_len,global_batch,micro_batch,accelerator,num_gpus,tp,pp,cp,ep,vpp,fsdp,precision,activation_recompute,task,metric,value,notes
me,MPT-7b,2048,512,8,a100_80gb,64,1,1,1,1,,FULL_SHARD,amp_bf16,full,pretrain,tokens_per_s_per_gpu,3300,
me,LLAMA3.1_405B,8192,1536,1,H100,1024,8,8,2,1,8,0,BF16,,Pre-Training,tokens_per_s_per_gpu,150,
me,LLAMA3.1_405B,8192,1536,1,H100,1000,8,8,2,1,8,0,BF16,,Pre-Training,tokens_per_s_per_gpu,150,
me,Llama2-70B LoRA r16,8192,8,1,H100,8,,,,,,,fp8,,LoRA finetune,step_s,4.1,grad_accum=4
me,Llama2-70B LoRA r16,8192,8,1,H100,8,,,,,,,fp8,,LoRA finetune,time_to_train_min,28,grad_accum=4
";
    let (_folder, file) = table("training.csv", training);
    let report = validate(&[file]).expect("read");
    assert_eq!(report.groups.iter().map(|group| group.rows).sum::<usize>(), 3, "{report:#?}");
    assert!(report.groups.iter().all(|group| group.median_ape < 0.6), "{report:#?}");
    assert_eq!(report.skipped.iter().map(|skipped| skipped.rows).sum::<usize>(), 2);
    let collectives = "\
source,system,num_gpus,num_nodes,collective,size_bytes,time_us,algbw_GBps,busbw_GBps,placement,notes
me,H100 NVSwitch,8,1,all_reduce,57016320,303,188,329,,
me,AWS p4de A100-80GB 400G EFA/node,16,2,all_reduce,1073741824,26217,41,77,,
me,H100 NVSwitch,8,1,scan,57016320,303,188,329,,
";
    let (_folder, file) = table("collectives.csv", collectives);
    let report = validate(&[file]).expect("read");
    assert!(
        report.groups.len() == 2 && report.groups.iter().all(|group| group.median_ape < 0.2),
        "{report:#?}"
    );
    assert_eq!(report.skipped[0].rows, 1);
}

/// The medians over all groups on published data stay below what they were when the constants were set.
#[test]
fn published_measurements() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/measured"));
    if !folder.is_dir() {
        println!("skipped: ../shared/data/measured is not there");
        return;
    }
    let report = |file: &str| validate(&[folder.join(file)]).expect("read");
    let median = |report: &Report, metric: &str| {
        report
            .overall
            .iter()
            .find(|overall| overall.metric == metric)
            .map_or(f64::NAN, |overall| overall.median_ape)
    };
    let log = report("vllm0.19_RTX4090_Llama-3.1-8B.jsonl");
    let collectives = report("collectives_measured.csv");
    let training = report("training_measured.csv");
    for (report, metric, ceiling) in [
        (&log, "request_log_ttft_mean", 0.09),
        (&log, "request_log_tpot_mean", 0.09),
        (&log, "request_log_e2e_mean", 0.09),
        (&collectives, "bus_bandwidth", 0.15),
        (&collectives, "time_from_1mib", 0.45),
        (&training, "tokens_per_s_per_gpu", 0.20),
    ] {
        let found = median(report, metric);
        assert!(found < ceiling, "{metric}: {found} is not below {ceiling}");
    }
}

/// Without data the project's own small table is used, and every row of it is predicted.
#[test]
fn without_data() {
    let report = validate(&[]).expect("the project's own table");
    assert!(report.skipped.is_empty(), "{report:#?}");
    assert!(report.groups.len() >= 10);
    for group in &report.groups {
        assert!(group.median_ape < 0.6, "{group:?}");
    }
}

/// Prompts on other cards and engines that guess ahead are run; a row that does not say how its cards are divided
/// is named.
#[test]
fn disaggregated_and_guessing_rows() {
    let head = "source,version_date,model,weights_precision,kv_precision,accelerator,num_gpus,tp,pp,ep,dp,isl,osl,\
                load_type,load_value,metric,value,unit,notes";
    let row = |metric: &str, notes: &str| {
        format!(
            "me,v1,DeepSeek-R1,fp8,fp8,B200,16,8,1,8,1,1024,1024,closed_concurrency,32,{metric},0.02,s,{notes}"
        )
    };
    let split = "framework=dynamo-sglang; spec=none; disagg=True prefill_gpu=8 decode_gpu=8 pw=1 dw=1";
    let guessing = "framework=dynamo-sglang; spec=mtp; disagg=True prefill_gpu=8 decode_gpu=8 pw=1 dw=1";
    let untold = "framework=dynamo-trt; spec=none; disagg=True prefill_gpu=8 decode_gpu=8 pw=0 dw=0";
    let text = [
        head.to_owned(),
        row("tpot_p50", split),
        row("tpot_p50", guessing),
        row("output_tok_s_per_gpu", split),
        row("tpot_p50", untold),
    ]
    .join("\n");
    let (folder, file) = table("mine.csv", &text);
    let rows = folder.path().join("rows.csv");
    let run = fleetsim().args(["validate", "--json", "--data"]).arg(&file).arg("--rows").arg(&rows).output();
    let report: serde_json::Value = serde_json::from_slice(&run.expect("run").stdout).expect("JSON");
    assert_eq!(report["skipped"][0]["rows"], 1, "{report:#}");
    let written = fs::read_to_string(&rows).expect("written");
    let predicted: Vec<f64> = written
        .lines()
        .skip(1)
        .map(|line| line.rsplit(',').next().expect("a field").parse().expect("a number"))
        .collect();
    // Guesses shorten the time per token, and all 16 cards share the throughput of 8.
    assert!(predicted[1] < 0.8 * predicted[0] && predicted[1] > predicted[0] / 4.0, "{predicted:?}");
    assert!(predicted[2] < 32.0 / predicted[0] / 16.0, "{predicted:?}");
}

/// A run of `vllm bench serve` gives a correction that lessens the error and that a scenario can name; for another
/// card it is refused.
#[test]
fn a_correction_from_ones_own_run() {
    let run = r#"{"model_id": "meta-llama/Llama-3.1-8B-Instruct", "request_rate": "inf", "max_concurrency": 16,
        "completed": 160, "total_input_tokens": 160000, "total_output_tokens": 32000, "output_throughput": 1100.0,
        "mean_ttft_ms": 90.0, "mean_tpot_ms": 13.5}"#;
    let (folder, file) = table("run.json", run);
    let out = folder.path().join("h100.toml");
    let calibrate = |extra: &[&str]| {
        let mut command = fleetsim();
        command.args(["calibrate", "--data"]).arg(&file).arg("--out").arg(&out).args(extra);
        command.output().expect("run")
    };
    let missing = calibrate(&[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("--accelerator"));
    let output = calibrate(&["--accelerator", "H100"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let errors = |column: usize| -> f64 {
        let lines = text.lines().filter(|line| line.contains("run.json") && line.contains('%'));
        lines
            .map(|line| {
                let fields: Vec<&str> = line.split_whitespace().filter(|field| *field != "%").collect();
                fields[column].trim_start_matches('+').parse::<f64>().expect("a number").abs()
            })
            .sum()
    };
    assert!(errors(4) < 0.5 * errors(3), "{text}");
    let scenario = |card: &str| {
        let text = format!(
            "name = \"c\"\nseed = 1\nduration = \"60s\"\n[[streams]]\nname = \"s\"\nmodel = \"llama-3.1-8b\"\n\
             rate = \"2/s\"\nprompt_tokens = 500\noutput_tokens = 100\n[[pools]]\nname = \"p\"\noffer = \"{card}\"\n\
             purchase = \"on-demand\"\nnodes = 1\n[[deployments]]\nname = \"d\"\nmodel = \"llama-3.1-8b\"\n\
             pools = [\"p\"]\ncorrection = \"h100.toml\"\n"
        );
        let path = folder.path().join("scenario.toml");
        fs::write(&path, &text).expect("written");
        let run = |path: &PathBuf, name: &str| {
            fleetsim()
                .args(["run", "--json", "--quiet", "--no-report", "--records", "none", "--out"])
                .arg(folder.path().join(name))
                .arg(path)
                .output()
                .expect("run")
        };
        let with = run(&path, "with");
        fs::write(&path, text.replace("correction = \"h100.toml\"\n", "")).expect("written");
        (with, run(&path, "without"))
    };
    let (with, without) = scenario("aws/p5.48xlarge");
    assert!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
    assert_ne!(with.stdout, without.stdout);
    let (refused, _) = scenario("aws/p4d.24xlarge");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("it is of H100-SXM5"));
}

/// A fit on the small table lowers its objective and is the same every time.
#[test]
fn a_fit_lowers_its_objective() {
    let (_folder, file) = table("mine.csv", TABLE);
    let run = || {
        let output = fleetsim()
            .args(["calibrate", "--json", "--rounds", "2", "--only", "layer_us", "--only", "iteration_us"])
            .args(["--leave-out", "accelerators", "--data"])
            .arg(&file)
            .output()
            .expect("run");
        assert!(output.status.success());
        output.stdout
    };
    let found = run();
    assert_eq!(found, run());
    let json: serde_json::Value = serde_json::from_slice(&found).expect("JSON");
    assert!(json["after"].as_f64() < json["before"].as_f64(), "{json:#}");
    assert_eq!(json["left_out"][0]["group"], "H100-SXM5");
    let unknown =
        fleetsim().args(["calibrate", "--only", "layers", "--data"]).arg(&file).output().expect("run");
    assert_eq!(unknown.status.code(), Some(2));
}

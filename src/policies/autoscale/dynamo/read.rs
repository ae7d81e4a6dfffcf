//! The planner's settings, under its own names.

use super::{Aim, DynamoConfig, Engine, Mode, Predictor};
use crate::policies::spec::{Fields, Node, Problems};
use crate::units::Duration;

/// Settings that name places or reports: no bearing on a decision.
const ELSEWHERE: [&str; 16] = [
    "policy",
    "environment",
    "namespace",
    "backend",
    "no_operation",
    "log_dir",
    "profile_results_dir",
    "pre_deployment_sweeping_mode",
    "metric_reporting_prometheus_port",
    "throughput_metrics_source",
    "model_name",
    "load_metric_samples",
    "report_interval_hours",
    "report_output_dir",
    "live_dashboard_port",
    "scaling_mode",
];

/// Reads `policy: dynamo` with the planner's names (`dynamo/planner/config/planner_config.py`).
pub fn read(document: &Node, problems: &Problems) -> Option<DynamoConfig> {
    let mut fields = Fields::new(document, problems);
    fields.ignore(&ELSEWHERE);
    // `throughput` and `load` are short for the two switches.
    let words = [
        ("disagg", (Mode::Disagg, None)),
        ("prefill", (Mode::Prefill, None)),
        ("decode", (Mode::Decode, None)),
        ("agg", (Mode::Agg, None)),
        ("throughput", (Mode::Disagg, Some((true, false)))),
        ("load", (Mode::Disagg, Some((false, true)))),
    ];
    let (mode, switches) = fields.choice("mode", &words).unwrap_or((Mode::Disagg, None));
    let aims = [("sla", Aim::Sla), ("throughput", Aim::Throughput), ("latency", Aim::Latency)];
    let aim = fields.choice("optimization_target", &aims).unwrap_or(Aim::Sla);
    let switches = switches.unwrap_or((true, false));
    let mut throughput = fields.truth("enable_throughput_scaling").unwrap_or(switches.0);
    let mut load = fields.truth("enable_load_scaling").unwrap_or(switches.1);
    if aim != Aim::Sla {
        // As upstream: thresholds are load scaling and nothing else.
        (throughput, load) = (false, true);
    }
    if !throughput && !load {
        let said =
            "At least one scaling mode must be enabled (enable_throughput_scaling or enable_load_scaling)";
        fields.problem("enable_throughput_scaling", said);
    }
    let predictor = predictor(&mut fields);
    let log1p = fields.truth("load_predictor_log1p").unwrap_or(false);
    let mut count = |name, default: i64| {
        let value = fields.int(name).unwrap_or(default);
        if value < 1 {
            fields.problem(name, format!("{name} has to be at least 1, not {value}"));
        }
        u32::try_from(value).unwrap_or(1).max(1)
    };
    let min = count("min_endpoint", 1);
    let (prefill_gpus, decode_gpus) = (count("prefill_engine_num_gpu", 1), count("decode_engine_num_gpu", 1));
    let least_observations = count("load_min_observations", 5) as usize;
    let most_observations = count("max_num_fpm_samples", 64) as usize;
    // Negative means none.
    let least_gpus = fields.int("min_gpu_budget").and_then(|cards| u32::try_from(cards).ok());
    let most_gpus = u32::try_from(fields.int("max_gpu_budget").unwrap_or(8)).ok();
    let needed = match mode {
        Mode::Disagg => min.saturating_mul(prefill_gpus + decode_gpus),
        Mode::Prefill => min.saturating_mul(prefill_gpus),
        Mode::Decode | Mode::Agg => min.saturating_mul(decode_gpus),
    };
    if let Some(most) = most_gpus.filter(|most| needed > *most) {
        let said = format!("max_gpu_budget ({most}) is less than min_endpoint ({min}) of each engine needs");
        fields.problem("max_gpu_budget", said);
    }
    if let (Some(least), Some(most)) = (least_gpus, most_gpus)
        && least > most
    {
        let said = format!("min_gpu_budget ({least}) must not be above max_gpu_budget ({most})");
        fields.problem("min_gpu_budget", said);
    }
    let mut interval = |names: [&'static str; 3], default: u64| {
        let mut found = None;
        for name in names {
            if let Some(seconds) = fields.seconds(name) {
                if seconds.is_zero() {
                    fields.problem(name, "the interval has to be greater than 0");
                }
                found = Some(seconds);
            }
        }
        found.unwrap_or(Duration::from_secs(default))
    };
    let throughput_names =
        ["throughput_adjustment_interval", "throughput_adjustment_interval_seconds", "adjustment_interval"];
    let slow = interval(throughput_names, 180);
    let load_names = ["load_adjustment_interval", "load_adjustment_interval_seconds", "load_interval"];
    let fast = interval(load_names, 5);
    if throughput && load && fast >= slow {
        let said = format!(
            "load_adjustment_interval ({fast}) must be shorter than throughput_adjustment_interval ({slow})"
        );
        fields.problem("load_adjustment_interval", said);
    }
    let mut positive = |name| {
        let value = fields.number(name);
        if let Some(value) = value.filter(|value| *value <= 0.0) {
            fields.problem(name, format!("{name} has to be greater than 0, not {value}"));
        }
        value
    };
    let ttft_ms = positive("ttft").or(positive("ttft_ms")).unwrap_or(500.0);
    let itl_ms = positive("itl").or(positive("itl_ms")).unwrap_or(50.0);
    let engine = Engine {
        context: positive("context_length"),
        batch: positive("max_num_batched_tokens"),
        kv: positive("max_kv_tokens"),
    };
    let percent = fields.number("load_scaling_down_sensitivity").unwrap_or(80.0);
    if !(0.0..=100.0).contains(&percent) {
        let said = format!("load_scaling_down_sensitivity must be between 0 and 100, not {percent}");
        fields.problem("load_scaling_down_sensitivity", said);
    }
    if let Some(buckets) = fields.int("fpm_sample_bucket_size") {
        let root = (0..=buckets.max(0)).find(|root| root * root >= buckets);
        if root.is_none_or(|root| root * root != buckets) {
            let said = format!("fpm_sample_bucket_size must be a perfect square, got {buckets}");
            fields.problem("fpm_sample_bucket_size", said);
        }
    }
    if fields.node("total_gpu_power_limit").is_some() {
        fields.problem("total_gpu_power_limit", "power budgets are not built");
    }
    fields.finish("Dynamo's planner has no such setting");
    Some(DynamoConfig {
        mode,
        aim,
        throughput,
        load,
        interval: slow,
        load_interval: fast,
        min,
        least_gpus,
        most_gpus,
        prefill_gpus,
        decode_gpus,
        ttft_ms,
        itl_ms,
        sensitivity: percent / 100.0,
        least_observations,
        most_observations,
        predictor,
        log1p,
        engine,
    })
}

fn predictor(fields: &mut Fields<'_>) -> Predictor {
    let mut weight = |name, default| {
        let value = fields.number(name).unwrap_or(default);
        if value < 0.0 {
            fields.problem(name, format!("{name} must not be negative, got {value}"));
        }
        value
    };
    let kalman = Predictor::Kalman {
        level: weight("kalman_q_level", 1.0),
        trend: weight("kalman_q_trend", 0.1),
        noise: weight("kalman_r", 10.0),
    };
    fields.ignore(&["kalman_min_points", "prophet_window_size"]);
    if fields.node("load_predictor_warmup_trace").is_some() {
        fields
            .problem("load_predictor_warmup_trace", "a warm-up trace is not read: replay it before the rest");
    }
    match fields.text("load_predictor").as_deref() {
        None | Some("arima") => Predictor::Arima,
        Some("constant") => Predictor::Constant,
        Some("kalman") => kalman,
        Some(other) => {
            let said =
                format!("{other} is not built: \"constant\", \"arima\" (approximate) and \"kalman\" are");
            fields.problem("load_predictor", said);
            Predictor::Constant
        }
    }
}

//! Results of runs that never happened, for looking at what is made of them.

use fleetsim::metrics::RequestStats;
use fleetsim::metrics::results::*;
use fleetsim::units::{Duration, Instant, Usd};

/// A small generator, so that curves look like measured ones.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What a fixture looks like.
pub struct Shape {
    pub name: &'static str,
    pub seconds: u64,
    pub buckets: usize,
    pub streams: usize,
    pub pools: usize,
    pub cards_per_pool: usize,
    pub jobs: usize,
    pub stable: bool,
}

pub const DAY: Shape = Shape {
    name: "day",
    seconds: 86_400,
    buckets: 1440,
    streams: 2,
    pools: 2,
    cards_per_pool: 16,
    jobs: 3,
    stable: true,
};

pub fn all() -> Vec<RunResults> {
    vec![
        run(&DAY),
        empty(),
        run(&Shape { name: "one-point", buckets: 1, streams: 1, pools: 1, jobs: 1, ..DAY }),
        run(&Shape { name: "forty-pools", streams: 12, pools: 40, cards_per_pool: 64, jobs: 30, ..DAY }),
        run(&Shape { name: "three-years", seconds: 94_608_000, buckets: 2000, ..DAY }),
        run(&Shape { name: "one-minute", seconds: 60, buckets: 60, pools: 1, streams: 1, jobs: 0, ..DAY }),
        run(&Shape { name: "overload", pools: 1, cards_per_pool: 8, streams: 1, stable: false, ..DAY }),
        hostile(),
        instant(),
    ]
}

fn time(seconds: f64) -> Instant {
    Instant::from_secs_f64(seconds)
}

fn quantiles(scale: f64) -> Quantiles {
    Quantiles {
        mean: Some(scale * 1.25),
        p50: Some(scale),
        p90: Some(scale * 2.5),
        p95: Some(scale * 3.5),
        p99: Some(scale * 8.0),
        max: Some(scale * 20.0),
    }
}

fn stability(stable: bool) -> StabilitySummary {
    if stable {
        return StabilitySummary { stable, why: "every queue emptied again".into(), growth_per_hour: None };
    }
    StabilitySummary {
        stable,
        why: "9.1 requests/s arrived over the window and 6.2 requests/s completed".into(),
        growth_per_hour: Some(10_437.4),
    }
}

/// A run of some shape, with a spike at 60 % of its time.
pub fn run(shape: &Shape) -> RunResults {
    let bucket_s = shape.seconds as f64 / shape.buckets as f64;
    let mut noise = Noise(7);
    let mut series = Vec::new();
    let demand: Vec<f64> = (0..shape.buckets)
        .map(|index| {
            let at = (index as f64 + 0.5) / shape.buckets as f64;
            let daily = 1.0 - 0.6 * libm::cos(at * std::f64::consts::TAU);
            let spike = 9.0 * (1.0 - ((at - 0.6) / 0.04).abs()).max(0.0);
            6.0 * (daily + spike)
        })
        .collect();
    let capacity = 34.0;
    let mut push = |subject: &Subject, metric, values: Vec<Option<f64>>| {
        series.push(Series { subject: subject.clone(), metric, values });
    };
    let streams: Vec<String> = ["chat", "summaries"]
        .iter()
        .map(ToString::to_string)
        .chain((2..shape.streams).map(|n| format!("stream-{n}-with-quite-a-long-name")))
        .take(shape.streams)
        .collect();
    let mut queue = vec![0.0; shape.buckets];
    for (index, name) in streams.iter().enumerate() {
        let subject = Subject::Stream(name.clone());
        let part = 1.0 / (index + 1) as f64;
        let offered: Vec<f64> = demand.iter().map(|d| d * part * (0.8 + 0.4 * noise.next())).collect();
        let completed: Vec<f64> = offered.iter().map(|o| o.min(capacity * part)).collect();
        push(&subject, metric::EXPECTED_RPS, demand.iter().map(|d| Some(d * part)).collect());
        push(
            &subject,
            metric::REJECTED_RPS,
            offered.iter().map(|o| Some((o - 45.0 * part).max(0.0))).collect(),
        );
        push(&subject, metric::TIMED_OUT_RPS, vec![Some(0.0); shape.buckets]);
        let mut waiting = 0.0;
        let mut ttft = Vec::new();
        for (bucket, (o, c)) in offered.iter().zip(&completed).enumerate() {
            waiting =
                (waiting + (o.min(45.0 * part) - c) * bucket_s.min(60.0) - 3.0 * bucket_s.min(60.0)).max(0.0);
            queue[bucket] += waiting;
            ttft.push((*o > 0.05).then_some(0.18 + waiting / capacity / part));
        }
        push(&subject, metric::OFFERED_RPS, offered.into_iter().map(Some).collect());
        push(&subject, metric::COMPLETED_RPS, completed.into_iter().map(Some).collect());
        let scaled = |factor: f64| ttft.iter().map(|t| t.map(|t| t * factor)).collect::<Vec<_>>();
        let tpot: Vec<Option<f64>> =
            ttft.iter().map(|t| t.map(|t| 0.025 * (1.0 + index as f64) + (t * 0.01).min(0.03))).collect();
        push(&subject, metric::TTFT_P50_S, scaled(1.0));
        push(&subject, metric::TTFT_P99_S, scaled(2.2));
        push(&subject, metric::TPOT_P99_S, tpot.iter().map(|t| t.map(|t| t * 1.4)).collect());
        push(&subject, metric::TPOT_P50_S, tpot);
        push(&subject, metric::E2E_P50_S, scaled(1.0).iter().map(|t| t.map(|t| t + 4.0)).collect());
        for (cause, share) in [(0, 0.1), (1, 0.7), (2, 0.2)] {
            let waits = ttft.iter().map(|t| t.map(|t| (t - 0.18) * share)).collect();
            push(&subject, metric::TIME_BY_CAUSE_S[cause], waits);
        }
        push(&subject, metric::TIME_BY_CAUSE_S[3], ttft.iter().map(|t| t.map(|_| 0.18)).collect());
        push(&subject, metric::TIME_BY_CAUSE_S[4], ttft.iter().map(|t| t.map(|_| 4.0)).collect());
        push(&subject, metric::E2E_P99_S, scaled(2.2).iter().map(|t| t.map(|t| t + 19.0)).collect());
    }
    let deployment = Subject::Deployment("chat-70b".into());
    push(&deployment, metric::QUEUED_REQUESTS, queue.iter().copied().map(Some).collect());
    push(
        &deployment,
        metric::QUEUED_REQUESTS_MAX,
        queue.iter().map(|q| Some((q * 1.3 + 2.0).floor())).collect(),
    );
    push(&deployment, metric::RUNNING_REQUESTS, demand.iter().map(|d| Some(d * 4.0)).collect());
    let ready: Vec<f64> = demand.iter().map(|d| (d / 12.0).ceil().clamp(1.0, 4.0)).collect();
    push(&deployment, metric::READY_REPLICAS, ready.iter().copied().map(Some).collect());
    let pool_names: Vec<String> = ["base", "burst"]
        .iter()
        .map(ToString::to_string)
        .chain((2..shape.pools).map(|n| format!("region-{n}")))
        .take(shape.pools)
        .collect();
    let cards = shape.cards_per_pool as f64;
    for (index, name) in pool_names.iter().enumerate() {
        let subject = Subject::Pool(name.clone());
        push(&subject, metric::PROVISIONED_CARDS, vec![Some(cards); shape.buckets]);
        let level = |bucket: usize| (ready[bucket] / 4.0 * (1.0 - 0.3 * index.min(2) as f64)).min(1.0);
        push(&subject, metric::ALLOCATED_CARDS, (0..shape.buckets).map(|b| Some(level(b) * cards)).collect());
        let busy = (0..shape.buckets).map(|b| Some(level(b) * cards * (demand[b] / 40.0).min(0.97)));
        push(&subject, metric::BUSY_CARDS, busy.collect());
        let usd = cards * (3.9 - index as f64 * 0.07) * bucket_s / 3600.0;
        push(&subject, metric::SPEND_USD, vec![Some(usd); shape.buckets]);
    }
    let total: f64 = pool_names
        .iter()
        .enumerate()
        .map(|(index, _)| cards * (3.9 - index as f64 * 0.07) * shape.seconds as f64 / 3600.0)
        .sum();
    let by_cause: Vec<(String, f64)> =
        [("busy", 0.52), ("idle", 0.41), ("committed-unused", 0.06), ("billing-remainder", 0.01)]
            .map(|(cause, part)| (cause.to_string(), total * part))
            .into();
    for (cause, usd) in &by_cause {
        let each = usd / shape.buckets as f64;
        push(&Subject::Cause(cause.clone()), metric::SPEND_USD, vec![Some(each); shape.buckets]);
    }
    let arrived = (demand.iter().sum::<f64>() * bucket_s) as u64;
    let lost = arrived / 60;
    let requests = RequestCounts {
        arrived,
        completed: (arrived - lost).saturating_sub(12),
        rejected: lost,
        timed_out: 0,
        failed: 0,
        in_flight: 12,
    };
    let tokens = TokenCounts { prompt: arrived * 1200, output: arrived * 150 };
    let latency = LatencySummary {
        ttft_s: quantiles(0.24),
        tpot_s: quantiles(0.028),
        e2e_s: quantiles(5.2),
        queue_wait_s: quantiles(0.19),
    };
    let jobs: Vec<JobRow> = (0..shape.jobs).map(|index| job(index, shape)).collect();
    let count = |state: &str| jobs.iter().filter(|job| job.state == state).count() as u64;
    let scenario = ScenarioInfo {
        name: shape.name.into(),
        seed: 7,
        duration_s: shape.seconds as f64,
        warmup_s: (shape.seconds / 48) as f64,
    };
    let slo = SloSummary { attainment: Some(0.9712), met: arrived * 97 / 100, goodput_rps: Some(9.2) };
    RunResults {
        summary: Summary {
            schema_version: SCHEMA_VERSION,
            scenario,
            requests,
            latency,
            time_by_cause_s: None,
            wait_by_cause_s: None,
            slo,
            tokens,
            jobs: JobsSummary {
                submitted: jobs.len() as u64,
                completed: count("completed"),
                failed: 0,
                running: count("running"),
                queued: count("queued"),
                wait_s: if jobs.is_empty() { Quantiles::default() } else { quantiles(640.0) },
                jct_s: if jobs.is_empty() { Quantiles::default() } else { quantiles(9_000.0) },
                makespan_s: (!jobs.is_empty()).then_some(42_000.0),
                ..JobsSummary::default()
            },
            utilization: UtilizationSummary { allocated: Some(0.81), busy: Some(0.52), mfu: None },
            spend: SpendSummary {
                total_usd: total,
                by_cause,
                usd_per_1m_output_tokens: Some(total / (tokens.output as f64 / 1e6)),
                ..SpendSummary::default()
            },
            energy: EnergySummary { kwh: Some(412.7), kg_co2e: None },
            stability: stability(shape.stable),
            streams: streams
                .iter()
                .enumerate()
                .map(|(index, name)| StreamSummary {
                    name: name.clone(),
                    model: "llama-3.1-70b".into(),
                    requests,
                    latency,
                    time_by_cause_s: None,
                    wait_by_cause_s: None,
                    slo: if index == 1 { SloSummary { attainment: Some(0.9996), ..slo } } else { slo },
                    slo_limits: SloLimits { ttft_s: Some(1.0), tpot_s: Some(0.06), e2e_s: None },
                    slo_target: Some(0.99),
                    tokens,
                    stability: stability(shape.stable),
                    response_cache: None,
                })
                .collect(),
            tenants: Vec::new(),
            apis: Vec::new(),
            deployments: vec![DeploymentSummary {
                name: "chat-70b".into(),
                model: "llama-3.1-70b".into(),
                plan: vec!["fp8, TP=4 on base (4 cards)".into()],
                replicas: 4,
                requests,
                latency,
                tokens,
                iterations: 2_345_678,
                batch_changes: 1_234_567,
                preemptions: 321,
                too_long: 0,
                mean_batch: Some(17.3),
                prefix_cache: None,
                handover: None,
                engine: Default::default(),
            }],
            pools: pool_names
                .iter()
                .enumerate()
                .map(|(index, name)| PoolSummary {
                    name: name.clone(),
                    provider: if index == 0 { "AWS".into() } else { "Google Cloud".into() },
                    offer: if index == 0 { "aws/p5.48xlarge".into() } else { "gcp/a3-highgpu-8g".into() },
                    purchase: if index == 0 { "reserved-3y".into() } else { "on-demand".into() },
                    accelerator: "H100 SXM 80 GB".into(),
                    nodes: shape.cards_per_pool as u32 / 8,
                    cards: shape.cards_per_pool as u32,
                    card_hours: cards * shape.seconds as f64 / 3600.0,
                    utilization: UtilizationSummary {
                        allocated: Some(0.9 - 0.01 * index as f64),
                        busy: Some(0.61 - 0.01 * index as f64),
                        mfu: Some(0.18),
                    },
                    spend: SpendSummary {
                        total_usd: cards * (3.9 - index as f64 * 0.07) * shape.seconds as f64 / 3600.0,
                        by_cause: Vec::new(),
                        usd_per_1m_output_tokens: None,
                        ..SpendSummary::default()
                    },
                    energy: EnergySummary::default(),
                    supply: None,
                    links: Vec::new(),
                })
                .collect(),
            links: vec![LinkTraffic {
                holder: "chat-70b".into(),
                pool: "base".into(),
                kind: "card to card",
                name: "switch".into(),
                links: 8,
                capacity_bytes_per_s: 450e9,
                bytes: 3.2e15,
                computing_bytes_per_s: Some(9.1e10),
                computing_share: Some(9.1e10 / 450e9),
                share: 0.11,
            }],
            replications: None,
        },
        timeseries: TimeSeries {
            bucket: Duration::from_secs_f64(bucket_s),
            end: time(shape.seconds as f64),
            series,
        },
        distributions: distributions(&streams),
        time: times(&streams),
        cards: cards_of(&pool_names, shape, &demand),
        ledger: vec![LedgerRow {
            time: time(3600.0),
            pool: "base".into(),
            provider: "AWS".into(),
            purchase: "reserved-3y".into(),
            cause: "busy",
            quantity: 0.5,
            unit: "node-hours",
            price_usd: 31.464,
            amount: Usd::from_micros(15_732_000),
        }],
        jobs,
        job_waits: Default::default(),
        gantt: Vec::new(),
        decisions: vec![DecisionRow {
            time: time(90.0),
            policy: "hpa".into(),
            target: "chat-70b".into(),
            current: 2.0,
            desired: 3.4,
            done: 3.0,
            rule: "concurrency".into(),
            limits: "max".into(),
            reason: "34 in flight, 10 wanted a replica".into(),
        }],
        assumptions: assumptions(),
        defaults: vec![DefaultTaken {
            option: "deployments.chat-70b.routing".into(),
            value: "\"random\"".into(),
        }],
        requests: RequestStats::default(),
    }
}

fn job(index: usize, shape: &Shape) -> JobRow {
    let end = shape.seconds as f64;
    let started = index != 2;
    JobRow {
        id: ["finetune", "eval", "distill"].get(index).map_or(format!("job-{index}"), ToString::to_string),
        user: "ada".into(),
        queue: String::new(),
        submit: time(end * 0.08),
        start: started.then(|| time(end * (0.085 + 0.01 * index as f64))),
        end: (index == 0).then(|| time(end * 0.4)),
        accelerators: 8,
        pool: started.then(|| "burst".into()),
        nodes: if started { vec![0, 1] } else { Vec::new() },
        state: ["completed", "running", "queued"].get(index).unwrap_or(&"running"),
        preemptions: 0,
        wait_reason: if started { String::new() } else { "8 cards wanted, 0 free in burst".into() },
    }
}

fn times(streams: &[String]) -> Vec<StreamTime> {
    let of = |(index, stream): (usize, &String)| StreamTime {
        stream: stream.clone(),
        time: TimeByCause {
            starting_s: 0.8,
            batch_slot_s: 0.2 * index as f64,
            kv_memory_s: 0.1,
            prefill_s: 0.3,
            decode_s: 5.0,
            transfer_s: 0.0,
            response_cache_s: 0.0,
        },
    };
    streams.iter().enumerate().map(of).collect()
}

fn distributions(streams: &[String]) -> Vec<Distribution> {
    let mut all = Vec::new();
    for (index, stream) in streams.iter().enumerate() {
        for (metric, median) in [("ttft_s", 0.24), ("tpot_s", 0.028), ("e2e_s", 5.2), ("queue_wait_s", 0.05)]
        {
            let points = 400;
            let cumulative = (1..=points).map(|point| {
                let share = f64::from(point) / f64::from(points);
                let spread = libm::log(share / (1.001 - share)) / 1.7;
                (median * (1.0 + index as f64 * 0.4) * libm::exp(spread * 0.6), share)
            });
            all.push(Distribution {
                subject: Subject::Stream(stream.clone()),
                metric,
                count: 100_000,
                cumulative: cumulative.collect(),
            });
        }
    }
    all
}

fn cards_of(pools: &[String], shape: &Shape, demand: &[f64]) -> Vec<CardStrip> {
    let end = shape.seconds as f64;
    let mut cards = Vec::new();
    for (pool_index, pool) in pools.iter().enumerate() {
        for card in 0..shape.cards_per_pool {
            let leases = if pool_index == 0 {
                vec![(time(0.0), time(end), "chat-70b".to_string())]
            } else if card < 8 {
                vec![(time(end * 0.085), time(end * 0.4), "finetune".to_string())]
            } else {
                vec![(time(end * 0.55), time(end * 0.7), "chat-70b".to_string())]
            };
            let busy = demand.iter().map(|d| (d / 40.0 + card as f64 * 0.01).min(1.0));
            cards.push(CardStrip {
                card: format!("{pool}/node{}/card{}", card / 8, card % 8),
                pool: pool.clone(),
                leases,
                busy: busy.collect(),
            });
        }
    }
    cards
}

fn assumptions() -> Vec<Assumption> {
    let of = |about: &str, figure: &str, value: &str, source: &str, doubt: &str| Assumption {
        about: about.into(),
        figure: figure.into(),
        value: value.into(),
        source: source.into(),
        date: "2026-11".into(),
        doubt: doubt.into(),
    };
    vec![
        of("offer aws/p5.48xlarge", "on-demand price", "$55.04/h", "https://aws.amazon.com/ec2/pricing/", ""),
        of(
            "offer gcp/a3-highgpu-8g",
            "boot time",
            "180 s",
            "assumed",
            "no published figure; varies with stock",
        ),
        of("model llama-3.1-70b", "layers", "80", "model card", ""),
    ]
}

/// A day with names that mean something in XML, CSV and terminals, values that are no numbers, and series that
/// end early.
pub fn hostile() -> RunResults {
    let mut results = run(&Shape { name: "hostile", ..DAY });
    results.summary.scenario.name = "<b>&\"'hostile', ]]> {{ x }}".into();
    results.summary.streams[0].name = "</svg><script>".into();
    results.summary.pools[0].name = "a,b\"c".into();
    let long = "<i>an API of somebody whose name goes on and on, far beyond what a terminal has room for</i>";
    results.summary.apis.push(ApiSummary {
        name: long.into(),
        provider: format!("{long} & Sons"),
        requests: RequestCounts { arrived: 7, completed: 7, ..RequestCounts::default() },
        refused: u64::MAX,
        latency: LatencySummary::default(),
        tokens: TokenCounts::default(),
        spend_usd: f64::NAN,
    });
    results.summary.deployments[0].engine.swaps = Some(SwapSummary {
        loads: 1_000_000,
        evictions: u64::MAX,
        bytes: f64::INFINITY,
        load_s: f64::NAN,
        stalled_s: 1e9,
        stalled_usd: f64::NAN,
    });
    results.summary.deployments[0].name = long.into();
    results.summary.links[0].holder = "<u>\"".into();
    results.summary.links[0].computing_bytes_per_s = Some(f64::NAN);
    results.defaults[0].value = "]]><script>".into();
    results.summary.spend.total_usd = f64::NAN;
    results.summary.spend.by_cause[0].1 = f64::INFINITY;
    results.summary.streams[1].latency.ttft_s = Quantiles { p50: Some(f64::NAN), ..quantiles(f64::INFINITY) };
    results.summary.streams[1].slo_limits.e2e_s = Some(f64::NAN);
    results.summary.stability = StabilitySummary { growth_per_hour: Some(f64::NAN), ..stability(false) };
    for (index, series) in results.timeseries.series.iter_mut().enumerate() {
        match index % 4 {
            0 => series.values[7] = Some(f64::NAN),
            1 => series.values[8] = Some(f64::INFINITY),
            2 => series.values.truncate(index * 3),
            _ => series.values.fill(Some(-1.0)),
        }
    }
    for (index, distribution) in results.distributions.iter_mut().enumerate() {
        match index % 3 {
            0 => distribution.cumulative.truncate(1),
            1 => distribution.cumulative[3].0 = f64::NAN,
            _ => distribution.cumulative[0].0 = 0.0,
        }
    }
    results.cards[0].busy = vec![f64::NAN; 3];
    results.cards[1].busy.clear();
    results.ledger[0].price_usd = f64::NAN;
    results
}

/// A run of no length at all.
pub fn instant() -> RunResults {
    run(&Shape { name: "instant", seconds: 0, buckets: 1, ..DAY })
}

/// A run in which nothing happened.
pub fn empty() -> RunResults {
    let mut results = run(&Shape { name: "empty", streams: 0, pools: 0, jobs: 0, ..DAY });
    results.timeseries.series.clear();
    results.distributions.clear();
    results.ledger.clear();
    results.decisions.clear();
    results.assumptions.clear();
    let summary = &mut results.summary;
    summary.requests = RequestCounts::default();
    summary.latency = LatencySummary::default();
    summary.slo = SloSummary::default();
    summary.tokens = TokenCounts::default();
    summary.utilization = UtilizationSummary::default();
    summary.spend = SpendSummary::default();
    summary.energy = EnergySummary::default();
    summary.deployments.clear();
    results
}

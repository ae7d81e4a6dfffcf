//! The cluster scheduler: laws on random workloads, closed forms, and published schedules.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleetsim::fleet::PoolId;
use fleetsim::jobs::{
    Checkpoint, JobExtra, JobList, JobTerms, JobTrace, JobTraceConfig, JobTraceFormat, TracePool,
};
use fleetsim::metrics::results::{JobRow, RunResults};
use fleetsim::policies::placement::PlacementKind;
use fleetsim::policies::queue_order::{
    DrfConfig, Durations, FairShareConfig, LasConfig, QueueOrder, Quota, QuotaConfig,
};
use fleetsim::sim::Seed;
use fleetsim::units::{Duration, Instant};
use proptest::prelude::*;
use support::jobs::{Job, list, of, simulate, world};

fn orders() -> Vec<QueueOrder> {
    let quota = Quota { cards: 6, borrow: None };
    vec![
        QueueOrder::Fifo,
        QueueOrder::Priority,
        QueueOrder::Sjf(Durations::True),
        QueueOrder::Srtf(Durations::True),
        QueueOrder::Edf,
        QueueOrder::Easy,
        QueueOrder::Conservative,
        QueueOrder::Las(LasConfig { thresholds: vec![Duration::from_secs(20)], starvation: Some(2.0) }),
        QueueOrder::FairShare(FairShareConfig {
            half_life: Some(Duration::from_secs(50)),
            ..Default::default()
        }),
        QueueOrder::Drf(DrfConfig::default()),
        QueueOrder::Quota(QuotaConfig { quotas: (0..2).map(|queue| (queue, quota)).collect() }),
    ]
}

fn workload(most_cards: u32) -> impl Strategy<Value = Vec<Job>> {
    let job = (0u64..60, 1..=most_cards, 1u64..40, 0u64..30, 0u32..2);
    let job = job.prop_map(|(submit, cards, duration, padding, user)| Job {
        submit,
        cards,
        duration,
        padding,
        user,
    });
    prop::collection::vec(job, 1..25)
}

/// First starts in seconds.
fn starts(rows: &[JobRow]) -> Vec<u64> {
    rows.iter().map(|row| row.start.expect("it started").as_nanos() / 1_000_000_000).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order and placement: every job is done, held all its cards in every run or none, and no
    /// card was held by two at once.
    #[test]
    fn gangs_are_whole_and_cards_have_one_holder(jobs in workload(10), which in 0usize..11, placing in 0usize..14) {
        let (order, placement) = (orders().swap_remove(which), PlacementKind::ALL[placing].1);
        let results = simulate(&world(Arc::new(list(&jobs)), 3, 4, order, placement));
        prop_assert_eq!(results.summary.jobs.completed, jobs.len() as u64);
        let mut gangs: BTreeMap<(String, Instant, Instant), u32> = BTreeMap::new();
        for card in &results.cards {
            let mut until = Instant::ZERO;
            for (from, to, holder) in &card.leases {
                prop_assert!(*from >= until, "{} is held twice at {from}", card.card);
                until = *to;
                *gangs.entry((holder.clone(), *from, *to)).or_default() += 1;
            }
        }
        for ((holder, from, to), cards) in gangs {
            let job = jobs[holder.trim_start_matches("job").parse::<usize>().expect("a number")];
            prop_assert_eq!(cards, job.cards, "{} from {} to {}", holder, from, to);
        }
        for (row, job) in results.jobs.iter().zip(&jobs) {
            let took = row.end.expect("it is done").since(row.start.expect("it started"));
            let exact = took == Duration::from_secs(job.duration);
            prop_assert!(exact || row.preemptions > 0 && took > Duration::from_secs(job.duration));
        }
    }

    /// While jobs of one card wait, no card is idle, under every order that promises it (quotas do not).
    #[test]
    fn cards_are_not_idle_while_jobs_of_one_card_wait(jobs in workload(1), which in 0usize..10) {
        let order = orders().swap_remove(which);
        let results = simulate(&world(Arc::new(list(&jobs)), 3, 1, order, PlacementKind::FirstFit));
        let mut idle_from = [Instant::ZERO; 3];
        let mut spans = Vec::new();
        for (card, idle_from) in results.cards.iter().zip(&mut idle_from) {
            for (from, to, _) in &card.leases {
                spans.push((*idle_from, *from));
                *idle_from = *to;
            }
            spans.push((*idle_from, Instant::MAX));
        }
        for row in &results.jobs {
            let (submit, start) = (row.submit, row.start.expect("it started"));
            let idle = spans.iter().find(|(from, to)| from.max(&submit) < to.min(&start));
            prop_assert!(idle.is_none(), "{} waits from {submit} to {start}, a card is idle {idle:?}", row.id);
        }
    }

    /// EASY against a simulation that looks at everything at every second, and that asserts the promise to
    /// the first of the queue.
    #[test]
    fn easy_is_the_textbooks_and_keeps_its_promise(jobs in workload(8)) {
        let config = world(Arc::new(list(&jobs)), 8, 1, QueueOrder::Easy, PlacementKind::BestFit);
        prop_assert_eq!(starts(&simulate(&config).jobs), plain_easy(8, &jobs));
        // A gang may lie anywhere under pack: two nodes of four are like eight of one.
        let config = world(Arc::new(list(&jobs)), 2, 4, QueueOrder::Easy, PlacementKind::Pack);
        prop_assert_eq!(starts(&simulate(&config).jobs), plain_easy(8, &jobs));
    }

    /// On one card with jobs of one card no order has a smaller mean time to completion than SRTF.
    #[test]
    fn srtf_has_the_least_mean_completion_time(jobs in workload(1)) {
        let mean = |order| {
            let config = world(Arc::new(list(&jobs)), 1, 1, order, PlacementKind::FirstFit);
            simulate(&config).summary.jobs.jct_s.mean.expect("jobs are done")
        };
        let least = mean(QueueOrder::Srtf(Durations::True));
        for order in orders().into_iter().take(10) {
            let named = format!("{order:?}");
            prop_assert!(mean(order) >= least - 1e-9, "{named}");
        }
    }

    /// Cards used by a queue exceed its quota only while the queues together use at most all quotas.
    #[test]
    fn quotas_are_exceeded_only_by_borrowing(jobs in workload(5)) {
        let quota = |cards, borrow| Quota { cards, borrow };
        let quotas = BTreeMap::from([(0, quota(5, Some(2))), (1, quota(5, Some(0)))]);
        let mut jobs = jobs;
        jobs[0].user = 0;
        let order = QueueOrder::Quota(QuotaConfig { quotas });
        let list = Arc::new(list(&jobs));
        let number = list.queue_number("user0");
        let results = simulate(&world(list, 12, 1, order, PlacementKind::FirstFit));
        prop_assert_eq!(number, Some(0));
        let mut changes: BTreeMap<Instant, [i64; 2]> = BTreeMap::new();
        for card in &results.cards {
            for (from, to, holder) in &card.leases {
                let job = jobs[holder.trim_start_matches("job").parse::<usize>().expect("a number")];
                changes.entry(*from).or_default()[job.user as usize] += 1;
                changes.entry(*to).or_default()[job.user as usize] -= 1;
            }
        }
        let mut used = [0, 0];
        for (at, change) in changes {
            used = [used[0] + change[0], used[1] + change[1]];
            prop_assert!(used[0] <= 7 && used[1] <= 5 && used[0] + used[1] <= 10, "{used:?} at {at}");
        }
    }
}

/// EASY backfilling by looking at everything, second by second; cards are all alike.
fn plain_easy(cards: u32, jobs: &[Job]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|job| (jobs[*job].submit, *job));
    let mut start: Vec<Option<u64>> = vec![None; jobs.len()];
    let mut promised: BTreeMap<usize, u64> = BTreeMap::new();
    for now in 0..3000 {
        let runs =
            |start: &[Option<u64>], job: usize| start[job].is_some_and(|s| s + jobs[job].duration > now);
        let free = |start: &[Option<u64>]| {
            cards - (0..jobs.len()).filter(|job| runs(start, *job)).map(|job| jobs[job].cards).sum::<u32>()
        };
        let queue = |start: &[Option<u64>]| -> Vec<usize> {
            order.iter().copied().filter(|job| jobs[*job].submit <= now && start[*job].is_none()).collect()
        };
        'again: loop {
            let waiting = queue(&start);
            let Some(head) = waiting.first().copied() else { break };
            if jobs[head].cards <= free(&start) {
                if let Some(promised) = promised.get(&head) {
                    assert!(now <= *promised, "job {head} was promised {promised}, and starts at {now}");
                }
                start[head] = Some(now);
                continue;
            }
            let end = |job: usize| start[job].map_or(0, |s| s + jobs[job].duration + jobs[job].padding);
            let mut ends: Vec<(u64, u32)> = (0..jobs.len())
                .filter(|job| runs(&start, *job))
                .map(|job| (end(job), jobs[job].cards))
                .collect();
            ends.sort_unstable();
            let mut then = free(&start);
            let mut shadow = 0;
            for (end, cards) in &ends {
                if then >= jobs[head].cards && *end > shadow {
                    break;
                }
                then += cards;
                shadow = *end;
            }
            promised.entry(head).or_insert(shadow);
            let spare = then - jobs[head].cards;
            for job in &waiting[1..] {
                let Job { cards, duration, padding, .. } = jobs[*job];
                if cards <= free(&start) && (now + duration + padding <= shadow || cards <= spare) {
                    start[*job] = Some(now);
                    continue 'again;
                }
            }
            break;
        }
    }
    start.into_iter().map(|start| start.expect("it started")).collect()
}

/// M/M/8 at an offered load of 7.2: Erlang's C formula gives a mean wait of 0.876916 service times.
#[test]
fn jobs_of_one_card_are_an_m_m_c_queue() {
    let mut draws = Seed(11).stream("mmc");
    let mut jobs = JobList::default();
    let mut now = 0.0;
    for _ in 0..300_000 {
        now += 1000.0 * draws.exponential() / 7.2;
        let duration = Duration::from_secs_f64(1000.0 * draws.exponential());
        jobs.push(
            ("", "", ""),
            Instant::from_secs_f64(now),
            (1, duration),
            &[PoolId(0)],
            JobTerms::default(),
        );
    }
    let jobs = Arc::new(jobs);
    let waits = |order, placement| -> Vec<f64> {
        let mut config = world(Arc::clone(&jobs), 8, 1, order, placement);
        config.duration = Duration::from_secs_f64(now + 1e6);
        let rows = simulate(&config).jobs;
        rows.iter()
            .map(|row| row.start.expect("it started").since(row.submit).as_secs_f64() / 1000.0)
            .collect()
    };
    let ours = waits(QueueOrder::Fifo, PlacementKind::FirstFit);
    // The error of the mean from the means of thirty batches, which hardly depend on each other.
    let batches: Vec<f64> = ours.chunks(10_000).map(|batch| batch.iter().sum::<f64>() / 10_000.0).collect();
    let count = batches.len() as f64;
    let mean = batches.iter().sum::<f64>() / count;
    let variance = batches.iter().map(|batch| (batch - mean) * (batch - mean)).sum::<f64>() / (count - 1.0);
    let error = (variance / count).sqrt();
    println!("M/M/8: mean wait 0.876916 by Erlang's C, ours {mean:.4} ± {error:.4}");
    assert!((mean - 0.876_916).abs() < 3.0 * error && error < 0.06, "{mean} ± {error}");
    // Each wait, by the recursion of Kiefer and Wolfowitz: a job takes the card that is free first.
    let mut free_at = [0u64; 8];
    for (wait, facts) in ours.iter().zip(jobs.all_facts()) {
        let first = free_at.iter_mut().min().expect("eight cards");
        let start = (*first).max(facts.submit.as_nanos());
        let expected = (start - facts.submit.as_nanos()) as f64 / 1e12;
        assert!((wait - expected).abs() < 1e-9, "{wait} instead of {expected}");
        *first = start + facts.duration.as_nanos();
    }
    // Jobs of one card leave no holes: backfilling changes nothing, nor does the placement.
    assert_eq!(ours, waits(QueueOrder::Easy, PlacementKind::Random));
}

#[allow(clippy::print_stdout, reason = "says why a test was skipped")]
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/jobs")).join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/data/jobs/{name} is not there");
    None
}

/// The traces that have no published schedule: each is read whole, and runs.
#[test]
fn traces_are_read_and_run() {
    let files = [
        ("philly/philly.csv", JobTraceFormat::Philly, 82_247, 312 * 8),
        ("swf/NASA-iPSC-1993-3.1-cln.swf", JobTraceFormat::Swf, 18_239, 128),
        ("swf/LCG.swf.gz", JobTraceFormat::Swf, 188_041, 24_515),
    ];
    for (name, format, count, cards) in files {
        let Some(file) = data(name) else { continue };
        let trace = JobTrace::read(&JobTraceConfig {
            file,
            format,
            queues: Vec::new(),
            throughputs: None,
            pools: vec![TracePool::of_cards(PoolId(0), cards)],
            skip_bad_rows: true,
        });
        let trace = trace.expect("it can be read");
        println!("{name}: {} jobs, {} left out: {:?}", trace.jobs.len(), trace.left_out, trace.examples);
        assert_eq!(trace.jobs.len() as u64 + trace.left_out, count);
        let mut config = world(Arc::new(trace.jobs), cards, 1, QueueOrder::Easy, PlacementKind::Pack);
        config.duration = Duration::from_secs(400 * 86_400);
        let jobs = simulate(&config).summary.jobs;
        println!("{name}: EASY, mean wait {:?} s, {} completed", jobs.wait_s.mean, jobs.completed);
        assert!(jobs.completed > 0);
    }
}

/// Gavel's own trace with its table of throughputs is its neutral table: 96 jobs with their durations on each card.
#[test]
fn gavels_trace_is_its_neutral_table() {
    let (Some(file), Some(throughputs), Some(neutral)) = (
        data("gavel/max_min_fairness.trace"),
        data("gavel/simulation_throughputs.json"),
        data("gavel/max_min_fairness_neutral.csv"),
    ) else {
        return;
    };
    let pool = |id: u16, name: &str| TracePool {
        accelerator: name.to_owned(),
        ..TracePool::of_cards(PoolId(id), 24)
    };
    let config = |file: PathBuf, throughputs| JobTraceConfig {
        file,
        format: JobTraceFormat::Gavel,
        queues: Vec::new(),
        throughputs,
        pools: vec![pool(0, "V100"), pool(1, "P100"), pool(2, "K80")],
        skip_bad_rows: false,
    };
    let own = JobTrace::read(&config(file, Some(throughputs))).expect("the trace is right").jobs;
    let neutral = JobTrace::read(&config(neutral, None)).expect("the table is right").jobs;
    assert_eq!((own.len(), neutral.len()), (96, 96));
    for job in 0..96 {
        assert_eq!(own.pools(job), neutral.pools(job), "job {job}");
        assert_eq!(own.facts(job).submit, neutral.facts(job).submit, "job {job}");
        for option in 0..own.pools(job).len() {
            let (a, b) =
                (own.duration(job, option).as_secs_f64(), neutral.duration(job, option).as_secs_f64());
            assert!((a - b).abs() <= 1e-3, "job {job} on {option}: {a} and {b}");
        }
    }
}

/// Jobs on one node of so many cards, with extras.
fn with_extras(cards: u32, order: QueueOrder, jobs: &[(Job, JobExtra)]) -> RunResults {
    let plain: Vec<Job> = jobs.iter().map(|(job, _)| *job).collect();
    let mut list = list(&plain);
    for (number, (_, extra)) in (0u32..).zip(jobs) {
        list.set_extra(number, extra.clone());
    }
    let mut config = world(Arc::new(list), 1, cards, order, PlacementKind::FirstFit);
    config.duration += Duration::from_secs(1000);
    simulate(&config)
}

fn ends(results: &RunResults) -> Vec<u64> {
    let seconds = |at: Instant| at.as_nanos() / 1_000_000_000;
    results.jobs.iter().map(|row| row.end.map_or(0, seconds)).collect()
}

/// Stopped at 5, the long job saves until 7; the short one runs until 12; then 3 to restore and 15 to go.
#[test]
fn preemption_costs_a_checkpoint_and_a_restore() {
    let s = Duration::from_secs;
    let checkpoint = Some(Checkpoint { write: s(2), restore: s(3), every: None });
    let extra = JobExtra { checkpoint, ..JobExtra::default() };
    let jobs = [(of(0, 1, 20), extra.clone()), (of(5, 1, 5), JobExtra::default())];
    let results = with_extras(1, QueueOrder::Srtf(Durations::True), &jobs);
    assert_eq!(ends(&results), [30, 12]);
    assert_eq!((results.summary.jobs.preemptions, results.jobs[0].preemptions), (1, 1));
    // 25 of work in 30 of card-time.
    assert!((results.summary.jobs.goodput.expect("jobs ran") - 25.0 / 30.0).abs() < 1e-9);
    // Nothing is lost when it costs nothing: 5 later.
    let free = [(of(0, 1, 20), JobExtra::default()), (of(5, 1, 5), JobExtra::default())];
    assert_eq!(ends(&with_extras(1, QueueOrder::Srtf(Durations::True), &free)), [25, 10]);
    // A chain: 20 stops for 10 at 2 (until 4), that for 3 at 6 (until 8); they resume in the reverse order.
    let chain = [(of(0, 1, 20), extra.clone()), (of(2, 1, 10), extra.clone()), (of(6, 1, 3), extra)];
    let results = with_extras(1, QueueOrder::Srtf(Durations::True), &chain);
    // 3 runs 8 to 11; of the 10, 2 were done by 6: 3 to restore and 8 to go, until 22; of the 20, 2: until 43.
    assert_eq!(ends(&results), [43, 22, 11]);
}

/// Checkpoints of 1 after every 10 of work: 25 take 27; the last one has none behind it.
#[test]
fn regular_checkpoints_take_their_time() {
    let s = Duration::from_secs;
    let checkpoint = Some(Checkpoint { write: s(1), restore: s(1), every: Some(s(10)) });
    let extra = JobExtra { checkpoint, ..JobExtra::default() };
    assert_eq!(ends(&with_extras(1, QueueOrder::Fifo, &[(of(0, 1, 25), extra.clone())])), [27]);
    assert_eq!(ends(&with_extras(1, QueueOrder::Fifo, &[(of(0, 1, 20), extra)])), [21]);
}

#[test]
fn a_job_is_ended_at_its_limit() {
    let limit = JobExtra { limit: Some(Duration::from_secs(8)), ..JobExtra::default() };
    let jobs = [(of(0, 1, 20), limit.clone()), (of(0, 1, 8), limit), (of(0, 1, 1), JobExtra::default())];
    let results = with_extras(1, QueueOrder::Fifo, &jobs);
    assert_eq!(ends(&results), [8, 16, 17]);
    let states: Vec<&str> = results.jobs.iter().map(|row| row.state).collect();
    assert_eq!(states, ["failed", "completed", "completed"]);
    assert_eq!((results.summary.jobs.failed, results.summary.jobs.completed), (1, 2));
}

/// The third follows both others, and lets the fourth, which is younger, go first.
#[test]
fn jobs_wait_for_those_that_they_follow() {
    let after = JobExtra { after: vec![0, 1], ..JobExtra::default() };
    let none = JobExtra::default;
    let jobs = [(of(0, 1, 10), none()), (of(0, 1, 4), none()), (of(1, 1, 5), after), (of(2, 1, 3), none())];
    let results = with_extras(2, QueueOrder::Fifo, &jobs);
    assert_eq!(ends(&results), [10, 4, 15, 7]);
    assert_eq!(results.jobs[2].wait_reason, "dependency: jobs that it follows have not ended");
}

#[test]
fn circles_are_found() {
    let mut list = list(&[of(0, 1, 1), of(0, 1, 1), of(0, 1, 1), of(0, 1, 1)]);
    let after = |jobs: &[u32]| JobExtra { after: jobs.to_vec(), ..JobExtra::default() };
    list.set_extra(1, after(&[0]));
    list.set_extra(3, after(&[1, 2]));
    assert_eq!(list.cycle(), None);
    list.set_extra(2, after(&[3]));
    assert_eq!(list.cycle(), Some(vec![2, 3]));
    list.set_extra(0, after(&[0]));
    assert_eq!(list.cycle(), Some(vec![0]));
}

/// `trace describe` and `trace fit` on a trace of jobs: what is wrong with it, whether it can be served,
/// and jobs like it.
#[test]
fn traces_of_jobs_are_described_and_fitted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("jobs.csv");
    let mut text = "id,submit_s,duration_s,accelerators,user\n".to_owned();
    for job in 0..200 {
        text += &format!("{job},{},{},{},u{}\n", 60 * job, 100 + job, 1 + job % 4, job % 3);
    }
    text += "late,30,,1,u0\nhuge,12000,10,900,u1\n";
    std::fs::write(&file, text).expect("it can be written");
    let fleetsim = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_fleetsim"))
            .arg("trace")
            .args(arguments)
            .arg(&file)
            .output()
            .expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        assert!(output.status.success(), "{}", text(output.stderr));
        text(output.stdout)
    };
    let described = fleetsim(&["describe", "--cards", "4"]);
    for what in [
        "1 × `duration_s` is missing (first: line 202)",
        "200 of 201 jobs would be admitted",
        "it wants 900 cards, and its largest pool has 4 (first: line 203)",
        "The queue can never drain: 2.09 times",
    ] {
        assert!(described.contains(what), "{what:?} is not in:\n{described}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&fleetsim(&["describe", "--cards", "40", "--json"])).expect("JSON");
    assert_eq!((json["rows"].as_u64(), json["left_out"].as_u64()), (Some(202), Some(1)));
    assert_eq!(
        (json["cluster"]["admitted"].as_u64(), json["cluster"]["drains"].as_bool()),
        (Some(200), Some(true))
    );
    let fitted = fleetsim(&["fit", "--jobs", "50"]);
    assert_eq!(fitted.lines().count(), 51);
    assert_eq!(fitted, fleetsim(&["fit", "--jobs", "50"]));
}

/// Jobs that share cards: whatever comes, no card and no host is given out twice over, and all is done in
/// the end.
#[test]
fn shared_cards_balance() {
    use fleetsim::policies::placement::Needs;
    let order = |place: usize| orders().swap_remove(place);
    for (number, (_, placement)) in PlacementKind::ALL.into_iter().enumerate() {
        let jobs: Vec<Job> = (0..40)
            .map(|job| Job {
                submit: job * 3 % 50,
                cards: 1 + (job % 5 == 0) as u32 * 5,
                duration: 5 + job * 7 % 30,
                padding: job % 4,
                user: (job % 2) as u32,
            })
            .collect();
        let mut list = list(&jobs);
        for job in 0..40 {
            let part = if jobs[job as usize].cards == 1 { [250, 0, 460, 900][job as usize % 4] } else { 0 };
            let (cpu_milli, memory_mib) = (1000 * (job % 3), 512 * (job % 5));
            list.set_needs(job, Needs { card_milli: part, cpu_milli, memory_mib });
        }
        let mut config = world(Arc::new(list), 3, 4, order(number % 11), placement);
        config.pools[0].fleet.host = fleetsim::fleet::Host {
            cpu_milli: Some(4000),
            memory_mib: Some(4096),
            nodes_per_switch: Some(2),
        };
        let results = simulate(&config);
        assert_eq!(results.summary.jobs.completed, 40, "{placement:?}");
    }
}

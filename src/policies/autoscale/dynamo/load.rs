//! The planner's load mode: what the engines' own iterations say (`core/load_scaling.py`).

use super::super::Pod;
use super::budget::Pair;
use super::estimate::{Iteration, Model};
use super::{Aim, Dynamo, Engine, Mode, Observation};
use crate::policies::Reason;

/// Thresholds of the easy targets: up at or above, down below (queued prompt tokens over the context).
const PREFILL_THROUGHPUT: (f64, f64) = (1.0, 0.1);
/// The same for `latency`: down only when nothing waits.
const PREFILL_LATENCY: (f64, f64) = (0.1, 0.0);
/// Up above, down below (KV tokens, waiting ones included, over the cache).
const DECODE_THROUGHPUT: (f64, f64) = (1.0, 0.6);
/// The same for `latency`.
const DECODE_LATENCY: (f64, f64) = (0.4, 0.1);

/// What one kind of engines asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Up,
    Down,
    Stay,
    /// Fewer would be too few.
    Refused,
    /// It cannot tell.
    Unknown,
}

impl Wish {
    /// Engines wanted when there are `count`; down never below `min`.
    fn engines(self, count: i64, min: i64) -> i64 {
        match self {
            Self::Up => count + 1,
            Self::Down => (count - 1).max(min),
            Self::Stay | Self::Refused | Self::Unknown => count,
        }
    }
}

/// An engine's last iteration from a pod's metrics.
fn iteration(pod: &Pod) -> Iteration {
    let value = |name: &str| pod.metrics.get(name).map_or(0.0, |metric| metric.value);
    Iteration {
        prefill_tokens: value("scheduled_prefill_tokens"),
        prefill_requests: value("num_prefill_requests"),
        decode_kv: value("scheduled_decode_kv_tokens"),
        decode_requests: value("num_decode_requests"),
        queued_prefill: value("queued_prefill_tokens"),
        queued_kv: value("queued_decode_kv_tokens"),
        wall_s: value("wall_time_s"),
    }
}

/// Whether a pod's metrics are those of an engine that decodes.
fn decodes(pod: &Pod) -> bool {
    ["scheduled_decode_kv_tokens", "queued_decode_kv_tokens", "num_decode_requests"]
        .iter()
        .any(|name| pod.metrics.contains_key(*name))
}

impl Dynamo {
    /// What the engines ask for (none: nothing is done), and why.
    pub(super) fn by_load(&mut self, observation: &Observation, now: Pair) -> (Option<Pair>, Reason) {
        let mode = self.config.mode;
        let (mut prefill, mut decode) = (Vec::new(), Vec::new());
        for pod in observation.pods.iter().flatten().filter(|pod| !pod.deleting && !pod.metrics.is_empty()) {
            let alone = mode == Mode::Agg || mode == Mode::Decode;
            let list =
                if mode != Mode::Prefill && (alone || decodes(pod)) { &mut decode } else { &mut prefill };
            list.push(iteration(pod));
        }
        let sla = self.config.aim == Aim::Sla;
        if sla {
            prefill.iter().for_each(|seen| self.prefill.observe(seen));
            decode.iter().for_each(|seen| self.decode.observe(seen));
        }
        let changing = |name: &str, count: i64| {
            observation.number(name).is_some_and(|expected| expected as i64 != count)
        };
        let under_way = match mode {
            Mode::Disagg => false,
            Mode::Prefill => changing("expected_prefill", now.0),
            Mode::Decode | Mode::Agg => changing("expected_decode", now.1),
        };
        if under_way {
            return (None, Reason("a change is under way: observing only"));
        }
        if prefill.is_empty() && decode.is_empty() {
            return (None, Reason("no engine reports"));
        }
        let differ = |seen: &[Iteration], count: i64| !seen.is_empty() && seen.len() as i64 != count;
        if differ(&prefill, now.0) || differ(&decode, now.1) {
            return (None, Reason("not as many engines report as there are"));
        }
        let engine = self.engine(observation);
        let of_prefill = if prefill.is_empty() { Wish::Unknown } else { self.prefill_wish(&prefill, engine) };
        let of_decode = match mode {
            _ if decode.is_empty() => Wish::Unknown,
            Mode::Agg => self.agg_wish(&decode, engine),
            _ => self.decode_wish(&decode, engine),
        };
        let wishes = [of_prefill, of_decode];
        let reason = match () {
            () if wishes.contains(&Wish::Up) => "engines are behind: one more",
            () if wishes.contains(&Wish::Refused) => "with one engine fewer the others would be too slow",
            () if wishes.contains(&Wish::Down) => "those that stay would manage: one less",
            () if wishes.iter().all(|wish| *wish == Wish::Unknown) => "too few observations yet",
            () => "no change",
        };
        let min = i64::from(self.config.min);
        let wish = (of_prefill.engines(now.0, min), of_decode.engines(now.1, min));
        // A single kind that cannot tell or stays as it is leaves even the floor alone, upstream.
        let single = matches!(mode, Mode::Prefill | Mode::Decode) || (mode == Mode::Agg && !sla);
        let still = wishes.iter().all(|wish| matches!(wish, Wish::Stay | Wish::Unknown | Wish::Refused));
        let unready = mode == Mode::Agg && of_decode == Wish::Unknown;
        ((!(unready || single && still)).then_some(wish), Reason(reason))
    }

    fn engine(&self, observation: &Observation) -> Engine {
        let or = |name: &str, own: Option<f64>| observation.number(name).or(own).filter(|value| *value > 0.0);
        let own = self.config.engine;
        Engine {
            context: or("context_length", own.context),
            batch: or("max_num_batched_tokens", own.batch),
            kv: or("max_kv_tokens", own.kv),
        }
    }

    /// Late everywhere, and may one go: from latencies in milliseconds.
    fn by_latency(estimates: &[f64], promised: f64, down: Option<bool>) -> Wish {
        match () {
            () if estimates.is_empty() => Wish::Unknown,
            () if estimates.iter().all(|ms| *ms > promised) => Wish::Up,
            () => match down {
                Some(true) => Wish::Down,
                Some(false) => Wish::Refused,
                None => Wish::Stay,
            },
        }
    }

    /// The load on each of those that stay when one of `count` goes.
    fn consolidated(count: usize) -> Option<f64> {
        (count > 1).then(|| count as f64 / (count as f64 - 1.0))
    }

    /// First token of the next request on each engine, and whether the others could take one engine's queue: its
    /// part of the time only, because a request's own prompt takes as long with any number of engines.
    fn prompts(&self, model: &Model, seen: &[Iteration], batch: f64, kv: bool) -> Wish {
        let config = &self.config;
        let more = Self::consolidated(seen.len());
        let mut down = more.map(|_| true);
        let mut estimates = Vec::new();
        for engine in seen {
            let beside = if kv { engine.decode_kv } else { 0.0 };
            estimates.extend(model.ttft(engine.queued_prefill, batch, beside).map(|s| s * 1000.0));
            let Some(more) = more else { continue };
            let beside = (beside * more).trunc();
            let own = model.ttft(0.0, batch, beside);
            let after = model.ttft((engine.queued_prefill * more).trunc(), batch, beside);
            if let (Some(own), Some(after)) = (own, after) {
                let room = (config.ttft_ms - own * 1000.0) * config.sensitivity;
                if room <= 0.0 || (after - own) * 1000.0 >= room {
                    down = Some(false);
                }
            }
        }
        Self::by_latency(&estimates, config.ttft_ms, down)
    }

    /// The next token on each engine, and whether the others could hold one engine's KV in time.
    fn tokens(&self, model: &Model, seen: &[Iteration], cache: Option<f64>, prompts: bool) -> Wish {
        let config = &self.config;
        let more = Self::consolidated(seen.len());
        let mut down = more.map(|_| true);
        let mut estimates = Vec::new();
        for engine in seen {
            estimates.extend(model.itl(engine.decode_kv, engine.queued_kv).map(|s| s * 1000.0));
            let Some(more) = more else { continue };
            let waiting = if prompts { engine.queued_prefill } else { 0.0 };
            let kv = ((engine.decode_kv + engine.queued_kv + waiting) * more).trunc();
            let late = model.itl(kv, 0.0).is_some_and(|s| s * 1000.0 >= config.itl_ms * config.sensitivity);
            if late || cache.is_some_and(|cache| kv >= cache) {
                down = Some(false);
            }
        }
        Self::by_latency(&estimates, config.itl_ms, down)
    }

    fn prefill_wish(&self, seen: &[Iteration], engine: Engine) -> Wish {
        if self.config.aim == Aim::Sla {
            let Some(batch) = engine.batch.filter(|_| self.prefill.is_ready()) else { return Wish::Unknown };
            return self.prompts(&self.prefill, seen, batch, false);
        }
        let Some(context) = engine.context else { return Wish::Unknown };
        let latency = self.config.aim == Aim::Latency;
        let (up, down) = if latency { PREFILL_LATENCY } else { PREFILL_THROUGHPUT };
        let shares: Vec<f64> = seen.iter().map(|engine| engine.queued_prefill / context).collect();
        let idle = |share: &f64| if latency { *share <= down } else { *share < down };
        match () {
            () if shares.iter().any(|share| *share >= up) => Wish::Up,
            () if seen.len() > 1 && shares.iter().all(idle) => Wish::Down,
            () => Wish::Stay,
        }
    }

    /// The easy targets on KV tokens; with `prompts` those that wait count too.
    fn easy_kv(&self, seen: &[Iteration], engine: Engine, prompts: bool) -> Wish {
        let Some(cache) = engine.kv else { return Wish::Unknown };
        let (up, down) = if self.config.aim == Aim::Latency { DECODE_LATENCY } else { DECODE_THROUGHPUT };
        let share = |engine: &Iteration| {
            let waiting = if prompts { engine.queued_prefill } else { 0.0 };
            (engine.decode_kv + engine.queued_kv + waiting) / cache
        };
        match () {
            () if seen.iter().any(|engine| share(engine) > up) => Wish::Up,
            () if seen.len() > 1 && seen.iter().all(|engine| share(engine) < down) => Wish::Down,
            () => Wish::Stay,
        }
    }

    fn decode_wish(&self, seen: &[Iteration], engine: Engine) -> Wish {
        if self.config.aim != Aim::Sla {
            return self.easy_kv(seen, engine, false);
        }
        if self.decode.is_ready() { self.tokens(&self.decode, seen, engine.kv, false) } else { Wish::Unknown }
    }

    /// Engines that do both: up for either, down only for both.
    fn agg_wish(&self, seen: &[Iteration], engine: Engine) -> Wish {
        if self.config.aim != Aim::Sla {
            return self.easy_kv(seen, engine, true);
        }
        if !self.decode.is_ready() {
            return Wish::Unknown;
        }
        let prompts = match engine.batch {
            Some(batch) => self.prompts(&self.decode, seen, batch, true),
            None => Wish::Unknown,
        };
        let tokens = self.tokens(&self.decode, seen, engine.kv, true);
        match (prompts, tokens) {
            (Wish::Up, _) | (_, Wish::Up) => Wish::Up,
            (Wish::Unknown | Wish::Down, Wish::Down) => Wish::Down,
            (Wish::Refused, _) | (_, Wish::Refused) => Wish::Refused,
            _ => Wish::Stay,
        }
    }
}

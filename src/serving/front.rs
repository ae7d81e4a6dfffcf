//! What stands in front of a deployment's queue: rate limits of tenants, a cache of responses, admission by
//! predicted TTFT.

use std::collections::BTreeMap;

use super::account::TimeCause;
use super::request::{Phase, Slot};
use super::room::{Context, Event, Outcome, Serving};
use crate::sim::RandomStream;
use crate::units::{Duration, Instant};

/// A token bucket: so many units a second on average, at most `burst` at once. Units are requests or tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Units a second; above 0.
    pub per_second: f64,
    /// Units that may pass at once; what asks for more than this at once never passes.
    pub burst: u64,
}

/// What a tenant may send.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TenantLimits {
    /// Requests.
    pub requests: Option<RateLimit>,
    /// Tokens, prompt and output together, counted when a request arrives.
    pub tokens: Option<RateLimit>,
}

/// Parts of a unit that a bucket counts in: refilling a nanosecond at a thousandth of a unit a second is whole.
const PARTS: u128 = 1_000_000_000_000;

/// A bucket with what is in it.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Parts that come back in a nanosecond.
    refill: u128,
    most: u128,
    level: u128,
    at: Instant,
}

impl Bucket {
    fn new(limit: RateLimit) -> Self {
        let most = u128::from(limit.burst) * PARTS;
        Self {
            // PARTS a unit and 10⁹ ns a second.
            refill: ((limit.per_second * 1_000.0).round() as u128).max(1),
            most,
            level: most,
            at: Instant::ZERO,
        }
    }

    fn settle(&mut self, now: Instant) {
        let since = u128::from(now.since(self.at).as_nanos());
        self.level = (self.level + since * self.refill).min(self.most);
        self.at = now;
    }

    fn has(&self, units: u64) -> bool {
        self.level >= u128::from(units) * PARTS
    }

    fn take(&mut self, units: u64) {
        self.level -= u128::from(units) * PARTS;
    }
}

/// The buckets of one tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

impl Gate {
    pub(crate) fn new(limits: &TenantLimits) -> Self {
        Self { requests: limits.requests.map(Bucket::new), tokens: limits.tokens.map(Bucket::new) }
    }

    /// Lets a request of so many tokens pass if both buckets have enough, or takes from neither.
    pub(crate) fn passes(&mut self, now: Instant, tokens: u64) -> bool {
        for bucket in [&mut self.requests, &mut self.tokens].into_iter().flatten() {
            bucket.settle(now);
        }
        let enough = self.requests.is_none_or(|bucket| bucket.has(1))
            && self.tokens.is_none_or(|bucket| bucket.has(tokens));
        if enough {
            self.requests.iter_mut().for_each(|bucket| bucket.take(1));
            self.tokens.iter_mut().for_each(|bucket| bucket.take(tokens));
        }
        enough
    }
}

/// A cache of whole responses in front of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseCache {
    /// Which requests it can answer.
    pub hits: CacheHits,
    /// How long an answer from it takes.
    pub latency: Duration,
}

/// Which requests a response cache answers.
#[derive(Debug, Clone, PartialEq)]
pub enum CacheHits {
    /// This share of them, drawn for each.
    Share(f64),
    /// Those whose question was answered before and is still kept: each request asks one of `questions`,
    /// question k (from 1) in proportion to k^−`zipf`.
    Popularity {
        /// Different questions; at least 1.
        questions: u32,
        /// How much more the popular ones are asked; 0 is evenly.
        zipf: f64,
        /// Responses that are kept, the one used longest ago going first; at least 1.
        size: u32,
        /// How long a response is kept after it was made; `None` for ever.
        expiry: Option<Duration>,
    },
}

/// What a response cache was asked and had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheTotals {
    /// Requests.
    pub asked: u64,
    /// Those that it answered.
    pub hits: u64,
    /// Output tokens of those, which nobody had to make.
    pub tokens: u64,
}

/// A response cache at work.
#[derive(Debug)]
pub(crate) struct Responses {
    pub(crate) latency: Duration,
    pub(crate) totals: CacheTotals,
    random: RandomStream,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    Share(f64),
    Kept {
        /// Σ of k^−zipf up to each question.
        weights: Vec<f64>,
        lru: Lru,
    },
}

impl Responses {
    pub(crate) fn new(config: &ResponseCache, random: RandomStream) -> Self {
        let rule = match &config.hits {
            CacheHits::Share(share) => Rule::Share(*share),
            CacheHits::Popularity { questions, zipf, size, expiry } => {
                let mut sum = 0.0;
                let weight = |question: u32| {
                    sum += libm::pow(f64::from(question), -zipf);
                    sum
                };
                let weights = (1..=*questions).map(weight).collect();
                Rule::Kept { weights, lru: Lru::new(*size as usize, *expiry) }
            }
        };
        Self { latency: config.latency, totals: CacheTotals::default(), random, rule }
    }

    /// A request with so many output tokens arrives. What it asks, and whether that is answered from here.
    pub(crate) fn ask(&mut self, now: Instant, output: u32) -> (u32, bool) {
        let drawn = self.random.uniform();
        let (question, hit) = match &mut self.rule {
            Rule::Share(share) => (0, drawn < *share),
            Rule::Kept { weights, lru } => {
                let at = drawn * weights.last().copied().unwrap_or(1.0);
                let question = weights.partition_point(|sum| *sum <= at).min(weights.len() - 1) as u32;
                (question, lru.has(now, question))
            }
        };
        self.totals.asked += 1;
        if hit {
            self.totals.hits += 1;
            self.totals.tokens += u64::from(output);
        }
        (question, hit)
    }

    /// A question was answered by the model.
    pub(crate) fn answered(&mut self, now: Instant, question: u32) {
        if let Rule::Kept { lru, .. } = &mut self.rule {
            lru.insert(now, question);
        }
    }
}

/// Questions with an answer, the one used longest ago going first.
#[derive(Debug)]
struct Lru {
    size: usize,
    expiry: Option<Duration>,
    /// When each was last used, by a count of uses, and when it was answered.
    kept: BTreeMap<u32, (u64, Instant)>,
    by_use: BTreeMap<u64, u32>,
    uses: u64,
}

impl Lru {
    fn new(size: usize, expiry: Option<Duration>) -> Self {
        Self { size, expiry, kept: BTreeMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }

    fn has(&mut self, now: Instant, question: u32) -> bool {
        let Some((used, made)) = self.kept.get(&question).copied() else { return false };
        self.by_use.remove(&used);
        if self.expiry.is_some_and(|expiry| now.since(made) >= expiry) {
            self.kept.remove(&question);
            return false;
        }
        self.use_now(question, made);
        true
    }

    fn insert(&mut self, now: Instant, question: u32) {
        if let Some((used, _)) = self.kept.get(&question) {
            self.by_use.remove(used);
        } else if self.kept.len() >= self.size
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.kept.remove(&oldest);
        }
        self.use_now(question, now);
    }

    fn use_now(&mut self, question: u32, made: Instant) {
        self.uses += 1;
        self.kept.insert(question, (self.uses, made));
        self.by_use.insert(self.uses, question);
    }
}

impl Serving {
    /// What stands before the queue: false when a request is turned away there, or answered.
    pub(super) fn pass_front(&mut self, ctx: &mut Context<'_>, slot: Slot) -> bool {
        let request = &mut self.requests[slot];
        if let Some((gate, limited)) = self.gates.get_mut(usize::from(request.tenant))
            && !gate.passes(
                ctx.now,
                request.tokens() + u64::from(request.output) * u64::from(request.samples - 1),
            )
        {
            *limited += 1;
            self.depart(ctx, slot, Outcome::Rejected);
            return false;
        }
        let Some(cache) = &mut self.caches[usize::from(request.stream)] else { return true };
        let (question, hit) = cache.ask(ctx.now, request.output * u32::from(request.samples));
        if !hit {
            request.question = Some(question);
            return true;
        }
        request.phase = Phase::Cached;
        request.first_scheduled = Some(ctx.now);
        request.account.begin(ctx.now, TimeCause::ResponseCache);
        ctx.after(cache.latency, Event::Answer { slot, id: request.id as u32 });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    fn at(seconds: f64) -> Instant {
        Instant::ZERO + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_bucket_lets_its_burst_pass_and_then_its_rate() {
        let limit = |per_second, burst| Some(RateLimit { per_second, burst });
        let mut gate = Gate::new(&TenantLimits { requests: limit(2.0, 3), tokens: None });
        let passed = |gate: &mut Gate, seconds| gate.passes(at(seconds), 1);
        assert_eq!([0.0, 0.0, 0.0, 0.0].map(|s| passed(&mut gate, s)), [true, true, true, false]);
        assert_eq!([0.4, 0.5, 0.6, 1.0].map(|s| passed(&mut gate, s)), [false, true, false, true]);
        // Never more than the burst, however long nothing came.
        assert_eq!((0..5).filter(|_| passed(&mut gate, 1000.0)).count(), 3);
        // Of both buckets, or of neither.
        let mut both = Gate::new(&TenantLimits { requests: limit(1.0, 10), tokens: limit(10.0, 100) });
        assert!(!both.passes(at(0.0), 101), "more than the burst never passes");
        assert!(both.passes(at(0.0), 100) && !both.passes(at(0.0), 1));
        assert!(both.passes(at(0.1), 1));
    }

    /// In the long run what passes is the rate, to a request.
    #[test]
    fn the_rate_is_kept_exactly() {
        let limit = RateLimit { per_second: 0.7, burst: 1 };
        let mut gate = Gate::new(&TenantLimits { requests: Some(limit), tokens: None });
        let passed = (0..1_000_000).filter(|tick| gate.passes(at(f64::from(*tick) * 0.01), 1)).count();
        assert!((passed as f64 - 0.7 * 10_000.0).abs() <= 80.0, "{passed}");
    }

    /// Che's approximation of LRU (Che, Tung, Wang, IEEE JSAC 20(7), 2002): question i is kept with probability
    /// 1 − exp(−pᵢ·t), where t makes the kept ones as many as there is room for.
    #[test]
    fn hits_of_independent_questions_agree_with_che() {
        let (questions, zipf, size) = (2_000u32, 0.9, 200u32);
        let hits = CacheHits::Popularity { questions, zipf, size, expiry: None };
        let config = ResponseCache { hits, latency: Duration::ZERO };
        let mut cache = Responses::new(&config, Seed(1).stream("cache"));
        let mut counted = 0;
        let asked = 600_000;
        for number in 0..asked {
            let (question, hit) = cache.ask(at(f64::from(number)), 1);
            if !hit {
                cache.answered(at(f64::from(number)), question);
            }
            counted += u32::from(hit && number >= asked / 10);
        }
        let measured = f64::from(counted) / (f64::from(asked) * 0.9);
        let weights: Vec<f64> = (1..=questions).map(|k| libm::pow(f64::from(k), -zipf)).collect();
        let sum: f64 = weights.iter().sum();
        let kept = |t: f64| weights.iter().map(|w| -libm::expm1(-w / sum * t)).sum::<f64>();
        let (mut low, mut high) = (0.0, 1e9);
        for _ in 0..200 {
            let middle = (low + high) / 2.0;
            if kept(middle) < f64::from(size) { low = middle } else { high = middle }
        }
        let che: f64 = weights.iter().map(|w| w / sum * -libm::expm1(-w / sum * low)).sum();
        assert!((measured / che - 1.0).abs() < 0.01, "measured {measured}, Che {che}");
    }

    #[test]
    fn responses_expire_and_a_share_is_a_share() {
        let hits =
            CacheHits::Popularity { questions: 1, zipf: 0.0, size: 1, expiry: Some(Duration::from_secs(10)) };
        let config = ResponseCache { hits, latency: Duration::ZERO };
        let mut cache = Responses::new(&config, Seed(1).stream("cache"));
        assert_eq!(cache.ask(at(0.0), 7), (0, false));
        cache.answered(at(1.0), 0);
        assert_eq!([5.0, 10.9, 11.0].map(|s| cache.ask(at(s), 7).1), [true, true, false]);
        assert_eq!(cache.totals, CacheTotals { asked: 4, hits: 2, tokens: 14 });
        let share = ResponseCache { hits: CacheHits::Share(0.3), latency: Duration::ZERO };
        let mut cache = Responses::new(&share, Seed(2).stream("cache"));
        let hits = (0..100_000).filter(|_| cache.ask(at(0.0), 1).1).count();
        assert!((hits as f64 / 100_000.0 - 0.3).abs() < 0.005, "{hits}");
    }
}

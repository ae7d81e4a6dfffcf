//! `[[streams]]`.

use super::Surroundings;
use super::image::{self, image};
use super::lengths::{self, joint};
use super::prefixes::{prefixed, sessions, shared_prompt};
use super::speculative::response_cache;
use super::traffic::{arrivals, shape, trace};
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};
use crate::serving::{ImageTerms, PausedKv, RequestKind, RequestTerms, ResponseCache};
use crate::sim::Seed;
use crate::traffic::{
    ArrivalProcess, ClosedConfig, Length, Lengths, OpenConfig, Source, Start, Stream, StreamConfig,
    TrafficError,
};
use crate::units::{Duration, Rate};
use crate::world::{RetryPlan, Slo};

/// A stream.
#[derive(Debug)]
pub struct RawStream {
    pub name: Sited<String>,
    pub model: Sited<String>,
    pub traffic: StreamConfig,
    pub slo: Slo,
    pub timeout: Option<Duration>,
    pub retries: Option<RetryPlan>,
    pub spill_over: Option<u32>,
    pub overflow: Option<Sited<String>>,
    /// Priority, whether it may be displaced, and deadline; the tenant is looked up by its name.
    pub terms: RequestTerms,
    pub cache: Option<ResponseCache>,
    pub tenant: Option<Sited<String>>,
    pub adapter: Option<Sited<String>>,
    pub deployments: Vec<Sited<String>>,
}

/// What `arrivals` says: an open process or a closed loop.
pub enum Arrivals {
    Open(crate::traffic::ArrivalProcess),
    Closed { users: u32, think: crate::traffic::Think, ramp: Duration },
}

/// What requests ask for, with the names that scenarios use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Tokens,
    Vector,
    Image,
}

impl Asks {
    const ALL: [(&'static str, Self); 4] = [
        ("generate", Self::Tokens),
        ("embedding", Self::Vector),
        ("rerank", Self::Vector),
        ("image", Self::Image),
    ];
}

/// Outputs of one request.
const SAMPLES: Kind<u16> = Kind {
    what: "a whole number from 1 to 1000",
    read: |value| match (kinds::COUNT.read)(value)? {
        samples if samples <= 1000 => Ok(samples as u16),
        samples => Err(Unfit::Value(format!("it is {samples}; a request has at most 1000 outputs"))),
    },
};

/// Reads one stream.
pub fn read(
    t: &mut TableReader<'_>,
    around: Surroundings<'_>,
    start: Start,
    window: Duration,
) -> Option<RawStream> {
    let name = t.required("name", &kinds::NAME, "Its name.");
    let model = t.required("model", &kinds::REFERENCE, "The model that it asks for.");
    let rate = t.optional(
        "rate",
        &kinds::RATE,
        "Mean rate of the whole run before spikes and growth: periodic shapes are normalised to mean 1.",
    );
    let arrivals = arrivals(t);
    let shape = shape(t);
    let prompt = lengths::length(t, "prompt_tokens", "Tokens of a prompt.", around);
    let output = lengths::length(t, "output_tokens", "Tokens of an output.", around);
    let joint = joint(t, around);
    let trace = trace(t, around);
    let sessions = sessions(t, around);
    let shared = shared_prompt(t);
    let slo = t.table("slo", "Limits that a request should meet together.", slo);
    let timeout = t.optional(
        "timeout",
        &kinds::POSITIVE_TIME,
        "A request that is not complete so long after its arrival gives up.",
    );
    let deployments = t.list(
        "deployments",
        &kinds::REFERENCE,
        false,
        "The deployments that serve it; all that serve its model when absent.",
    );
    let doc = "Clients whose request is turned away, gives up or is lost ask again, each time with a request of its own.";
    let retries = t.table("retries", doc, retries);
    let doc = "Its deployments are tried in order: the next is taken when the least loaded replica of one has so many \
               requests; the least loaded of all when absent.";
    let spill_over = t.optional("spill_over", &kinds::COUNT, doc);
    let doc = "The API (of [[apis]]) that gets requests for which none of its deployments has room: by \
               `spill_over`, because a queue is full or no replica is ready, or because a replica would reject them.";
    let overflow = t.optional("overflow", &kinds::REFERENCE, doc);
    let doc = "How urgent its requests are where `batching.order` is \"priority\"; smaller is more urgent.";
    let priority = t.optional("priority", &kinds::PRIORITY, doc);
    let doc = "A more urgent request that finds no room takes the place of one of these in the batch: for \
               batch work beside interactive traffic.";
    let preemptible = t.or("preemptible", &kinds::BOOL, "false", doc);
    let doc = "How long after its arrival a request should be answered, where `batching.order` is \"edf\"; the \
               limit of `slo` on TTFT when absent.";
    let deadline = t.optional("deadline", &kinds::POSITIVE_TIME, doc);
    let doc = "Whose requests these are: a name of [[tenants]].";
    let tenant = t.optional("tenant", &kinds::REFERENCE, doc);
    let doc = "The adapter that they want: a name of [[adapters]]; the model as it is when absent.";
    let adapter = t.optional("adapter", &kinds::REFERENCE, doc);
    let doc = "What a request asks for: tokens, a vector or score that is there when the prompt is processed, or \
               an image.";
    let asks = t.choice("kind", &Asks::ALL, &[], Some("generate"), doc);
    let asks = asks.map_or(Asks::Tokens, |asks| *asks);
    let image = image(t);
    let doc = "Outputs that each request wants, all as long as its output; they share the KV cache of the prompt \
               where prefixes are kept, and the request is complete with the last (best of n).";
    let samples = t.optional("samples", &SAMPLES, doc);
    let doc = "Beams that are searched for each request, which cost what as many samples do.";
    let beams = t.optional("beam_width", &SAMPLES, doc);
    if let (Some(_), Some(beams)) = (&samples, &beams) {
        let message = format!("{} has both `samples` and `beam_width`", t.noun());
        t.problem(Problem::error(beams.place, message).help("keep one of them"));
    }
    let doc = "Answers that were given before, kept in front of the deployments.";
    let cache = t.table("response_cache", doc, response_cache);
    t.later(&[("region", "regions are")]);
    if t.is_describing() {
        return None;
    }
    // Arrivals that are wrong have been reported; whether a rate belongs beside them is then open.
    let closed = match &arrivals {
        Some(arrivals) => Some(matches!(arrivals, Arrivals::Closed { .. })),
        None if t.has("arrivals") => None,
        None => Some(false),
    };
    consistent(t, closed, asks);
    image::consistent(t, asks == Asks::Image);
    let kind = match (asks, image) {
        (Asks::Image, image) => RequestKind::Image(image.unwrap_or(ImageTerms::STAND_IN)),
        (Asks::Vector, _) => RequestKind::Embed,
        _ => RequestKind::Generate,
    };
    // What is missing or wrong has been reported; stand-ins let the rest be checked all the same.
    let stand_in = || Length::constant(1);
    let lengths = match joint {
        Some(joint) => Lengths::Joint(joint),
        None => Lengths::Independent {
            prompt: prompt.unwrap_or_else(stand_in),
            output: output.unwrap_or_else(stand_in),
        },
    };
    let source = match arrivals {
        _ if t.has("trace") => Source::Trace(trace?),
        Some(Arrivals::Closed { users, think, ramp }) => {
            Source::Closed(ClosedConfig { users, think, ramp, lengths })
        }
        open => Source::Open(OpenConfig {
            rate: rate.map_or(Rate::per_second(1.0), |rate| *rate),
            arrivals: match open {
                Some(Arrivals::Open(process)) => process,
                _ => ArrivalProcess::Poisson,
            },
            shape,
            start,
            lengths,
        }),
    };
    let paused_kv = sessions.as_ref().map_or(PausedKv::Cache, |sessions| sessions.paused_kv());
    let source = prefixed(t, source, shared, sessions);
    let name = name?;
    let slo = slo.unwrap_or_default();
    let terms = RequestTerms {
        priority: priority.map_or(0, |priority| *priority),
        preemptible: preemptible.is_some_and(|may| *may),
        tenant: 0,
        deadline: deadline.map(|deadline| *deadline).or(slo.ttft),
        kind,
        samples: samples.or(beams).map_or(1, |samples| *samples),
        adapter: None,
        paused_kv,
    };
    let traffic = StreamConfig { name: name.value.clone(), source };
    check(t, &traffic, window);
    Some(RawStream {
        name,
        model: model?,
        traffic,
        slo,
        timeout: timeout.map(|timeout| *timeout),
        retries,
        spill_over: spill_over.map(|most| *most),
        overflow,
        terms,
        cache,
        tenant,
        adapter,
        deployments: deployments?,
    })
}

/// What the traffic room finds wrong, files that it reads included, at its place.
fn check(t: &mut TableReader<'_>, traffic: &StreamConfig, window: Duration) {
    // No draw matters here.
    let started = Stream::new(traffic, Seed(0), window);
    match started {
        Ok(_) => {}
        // Reported where the file was named.
        Err(TrafficError::Open { file, .. }) if !file.is_file() => {}
        Err(TrafficError::Config { problems, .. }) => {
            for problem in problems {
                let place = t.place_at(&problem.key);
                let message = format!("{}, {}: {}", t.noun(), problem.key, problem.what);
                t.problem(Problem::error(place, message).help(problem.help));
            }
        }
        Err(error) => {
            let keys = ["trace.file", "lengths.file", "prompt_tokens.file", "output_tokens.file"];
            let named = keys.iter().find(|key| t.has(key.split('.').next().unwrap_or(key)));
            let place = named.map_or(t.place, |key| t.place_at(key));
            t.problem(Problem::error(place, error.to_string()));
        }
    }
}

/// Keys that contradict each other, and keys that are missing beside others.
fn consistent(t: &mut TableReader<'_>, closed: Option<bool>, asks: Asks) {
    let forbid = |t: &mut TableReader<'_>, keys: &[&str], why: &str| {
        for key in keys {
            if !t.has(key) {
                continue;
            }
            let problem = Problem::error(t.place_of(key), format!("{} has `{key}`, but {why}", t.noun()));
            t.problem(problem.help(format!("take out `{key}`")));
        }
    };
    let lengths = ["prompt_tokens", "output_tokens"];
    if t.has("sessions") {
        forbid(t, &["retries"], "a session ends with a turn that is not answered");
    }
    if t.has("trace") {
        let keys = ["rate", "arrivals", "shape", "prompt_tokens", "output_tokens", "lengths"];
        return forbid(t, &keys, "its arrivals and lengths come from the trace");
    }
    match closed {
        Some(true) => {
            forbid(t, &["rate", "shape"], "in a closed loop the users set the rate");
            forbid(t, &["retries"], "in a closed loop a user who is turned away asks again anyway");
        }
        Some(false) => need(t, "rate", "a mean rate, as in rate = \"12/s\"; or give a `trace`"),
        None => {}
    }
    if asks == Asks::Image {
        return;
    }
    if t.has("lengths") {
        return forbid(t, &lengths, "`lengths` sets both lengths");
    }
    if asks == Asks::Vector {
        forbid(t, &["output_tokens"], "requests of its kind make no tokens");
        return need(
            t,
            "prompt_tokens",
            "a number, or a table such as { dist = \"lognormal\", median = 300, p99 = 900 }",
        );
    }
    for key in lengths {
        need(t, key, "a number, or a table such as { dist = \"lognormal\", median = 1020, p99 = 4142 }");
    }
}

fn need(t: &mut TableReader<'_>, key: &'static str, what: &str) {
    if !t.has(key) {
        t.missing(key, what, "");
    }
}

fn slo(t: &mut TableReader<'_>) -> Option<Slo> {
    let ttft = t.optional("ttft", &kinds::POSITIVE_TIME, "Arrival to first token.");
    let tpot = t.optional("tpot", &kinds::POSITIVE_TIME, "Mean time per output token after the first.");
    let e2e = t.optional("e2e", &kinds::POSITIVE_TIME, "Arrival to last token.");
    let attainment = t.optional(
        "attainment",
        &kinds::SHARE,
        "The share of requests promised to meet the limits together.",
    );
    if !t.is_describing() && !["ttft", "tpot", "e2e"].iter().any(|key| t.has(key)) {
        let problem = Problem::error(t.place, format!("{} sets no limit", t.noun()));
        t.problem(problem.help("add ttft, tpot or e2e, as in slo = { ttft = \"1s\", tpot = \"60ms\" }"));
    }
    Some(Slo {
        ttft: ttft.map(|limit| *limit),
        tpot: tpot.map(|limit| *limit),
        e2e: e2e.map(|limit| *limit),
        attainment: attainment.map(|share| *share),
    })
}

fn retries(t: &mut TableReader<'_>) -> Option<RetryPlan> {
    let attempts = t.or("attempts", &kinds::COUNT, "3", "How often a client asks again at most.");
    let backoff = t.or("backoff", &kinds::TIME, "\"1s\"", "The wait before the first time.");
    let factor =
        t.or("factor", &kinds::POSITIVE, "2", "By how much each wait is longer than the one before.");
    let most = t.or("most", &kinds::TIME, "\"1m\"", "The longest wait.");
    let jitter = t.or("jitter", &kinds::SHARE, "0.5", "The share of a wait that is drawn at random.");
    let attempts = u16::try_from(*attempts?).unwrap_or(u16::MAX);
    Some(RetryPlan { attempts, backoff: *backoff?, factor: *factor?, most: *most?, jitter: *jitter? })
}

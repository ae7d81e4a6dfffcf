//! How requests arrive: processes, shapes, traces.

use std::path::Path;

use super::Surroundings;
use super::lengths::format;
use super::stream::Arrivals;
use crate::scenario::dom::{Node, Value};
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Unfit};
use crate::traffic::{
    ArrivalProcess, ClientShares, ClientSpread, ClientsConfig, Cv, MmppState, RenewalFamily, Shape, Think,
    TraceConfig, TraceFormat,
};
use crate::units::Duration;

/// The formats of traces.
pub const FORMATS: [TraceFormat; 4] = TraceFormat::ALL;

#[derive(Clone, Copy)]
enum Process {
    Poisson,
    Deterministic,
    Gamma,
    Weibull,
    Mmpp,
    Clients,
    Closed,
}

const PROCESSES: [(&str, Process); 7] = [
    ("poisson", Process::Poisson),
    ("deterministic", Process::Deterministic),
    ("gamma", Process::Gamma),
    ("weibull", Process::Weibull),
    ("mmpp", Process::Mmpp),
    ("clients", Process::Clients),
    ("closed", Process::Closed),
];

/// A process without parameters, by its name alone.
const SHORT: Kind<ArrivalProcess> = Kind {
    what: "\"poisson\" or \"deterministic\"",
    read: |value| match value {
        Value::Text(text) if text == "poisson" => Ok(ArrivalProcess::Poisson),
        Value::Text(text) if text == "deterministic" => Ok(ArrivalProcess::Deterministic),
        Value::Text(text) => {
            Err(Unfit::Value(format!("`{text}` alone is no process; write {{ process = \"{text}\", ... }}")))
        }
        _ => Err(Unfit::Type),
    },
};

/// `arrivals`; Poisson when absent.
pub fn arrivals(t: &mut TableReader<'_>) -> Option<Arrivals> {
    let given = t.has("arrivals");
    if !t.has("trace") {
        t.standard("arrivals", "\"poisson\"");
    }
    if !t.is_describing() && !given {
        t.declare("arrivals", "", None, "");
        return Some(Arrivals::Open(ArrivalProcess::Poisson));
    }
    let doc = "How irregularly requests arrive; \"poisson\" when absent.";
    t.short_or_table("arrivals", &SHORT, doc, Arrivals::Open, |t| {
        t.tagged("process", &PROCESSES, "The arrival process.", |t, process| {
            Some(Arrivals::Open(match process {
                Process::Poisson => ArrivalProcess::Poisson,
                Process::Deterministic => ArrivalProcess::Deterministic,
                Process::Gamma => ArrivalProcess::Gamma { cv: cv(t)? },
                Process::Weibull => ArrivalProcess::Weibull { cv: cv(t)? },
                Process::Mmpp => ArrivalProcess::Mmpp { states: states(t)? },
                Process::Clients => ArrivalProcess::Clients(clients(t)?),
                Process::Closed => return closed(t),
            }))
        })
    })
}

/// The intervals' coefficient of variation, or vLLM's burstiness.
fn cv(t: &mut TableReader<'_>) -> Option<Cv> {
    let cv = t.optional("cv", &kinds::POSITIVE, "The intervals' standard deviation over their mean.");
    let doc = "What vLLM's benchmark calls burstiness: cv = 1/sqrt(burstiness).";
    let burstiness = t.optional("burstiness", &kinds::POSITIVE, doc);
    match (t.has("cv"), t.has("burstiness")) {
        (true, false) => Some(Cv(*cv?)),
        (false, true) => Some(Cv::from_burstiness(*burstiness?)),
        _ => {
            if !t.is_describing() {
                let message = format!("{} needs either `cv` or `burstiness`", t.noun());
                t.problem(Problem::error(t.place, message).help("cv = 1 is Poisson; higher is burstier"));
            }
            None
        }
    }
}

fn states(t: &mut TableReader<'_>) -> Option<Vec<MmppState>> {
    let declared = t.has("states");
    let states = t.tables("states", "state", "Two states or more.", |t| {
        let rate = t.required("rate", &kinds::NOT_NEGATIVE, "Its rate relative to the other states'.");
        let sojourn = t.required("sojourn", &kinds::POSITIVE_TIME, "How long it lasts on average.");
        Some(MmppState { rate: *rate?, sojourn: *sojourn? })
    });
    if !declared && !t.is_describing() {
        t.missing("states", "[{ rate = 1, sojourn = \"5m\" }, { rate = 5, sojourn = \"30s\" }]", "");
        return None;
    }
    Some(states)
}

fn clients(t: &mut TableReader<'_>) -> Option<ClientsConfig> {
    let standard = ClientsConfig::default();
    let count = t.or("count", &kinds::COUNT, "162", "How many clients.");
    let shares = shares(t);
    let spread = spread(t, standard.cv);
    let families = [("gamma", RenewalFamily::Gamma), ("weibull", RenewalFamily::Weibull)];
    let family = t.choice("family", &families, &[], Some("gamma"), "The family of each client's intervals.");
    Some(ClientsConfig { count: *count?, shares: shares?, cv: spread?, family: *family? })
}

fn shares(t: &mut TableReader<'_>) -> Option<ClientShares> {
    let doc = "How unequal their rates are: { zipf, offset }, { pareto }, or a list, one a client.";
    if let Some(Node { value: Value::List(_), .. }) = t.node("shares") {
        let given = t.list("shares", &kinds::POSITIVE, true, doc)?;
        return Some(ClientShares::Given(given.iter().map(|share| **share).collect()));
    }
    t.table_or_default("shares", doc, |t| {
        if !t.is_describing() && t.has("pareto") {
            let pareto = t.required("pareto", &kinds::POSITIVE, "");
            return Some(ClientShares::Pareto { alpha: *pareto? });
        }
        let zipf = t.or("zipf", &kinds::NOT_NEGATIVE, "2.0", "Client k has a share like (k + offset)^-zipf.");
        let offset = t.or("offset", &kinds::NOT_NEGATIVE, "5.0", "Flattens the head of Zipf's law.");
        t.declare("pareto", "a number above zero", None, "Tail index of a Pareto distribution instead.");
        Some(ClientShares::Zipf { exponent: *zipf?, offset: *offset? })
    })
}

fn spread(t: &mut TableReader<'_>, standard: ClientSpread) -> Option<ClientSpread> {
    let doc =
        "How bursty each is: a cv for all, { p10, p50, p90 } of the clients' cvs, or a list, one a client.";
    t.standard("cv", "{ p10 = 0.94, p50 = 1.19, p90 = 6.2 }");
    match t.node("cv") {
        Some(Node { value: Value::List(_), .. }) => {
            let given = t.list("cv", &kinds::POSITIVE, true, doc)?;
            Some(ClientSpread::Given(given.iter().map(|cv| Cv(**cv)).collect()))
        }
        None if !t.is_describing() => {
            t.declare("cv", "", None, doc);
            Some(standard)
        }
        _ => t.short_or_table(
            "cv",
            &kinds::POSITIVE,
            doc,
            |cv| ClientSpread::Same(Cv(cv)),
            |t| {
                let p10 = t.required("p10", &kinds::POSITIVE, "10th percentile.");
                let p50 = t.required("p50", &kinds::POSITIVE, "Median.");
                let p90 = t.required("p90", &kinds::POSITIVE, "90th percentile.");
                Some(ClientSpread::Quantiles { p10: Cv(*p10?), p50: Cv(*p50?), p90: Cv(*p90?) })
            },
        ),
    }
}

fn closed(t: &mut TableReader<'_>) -> Option<Arrivals> {
    let users = t.required("users", &kinds::COUNT, "How many users; each has at most one request at a time.");
    let doc = "How long a user thinks between an answer and the next request: the mean of an exponential \
               distribution, or a table; not at all when absent.";
    let think = think(t, doc);
    let doc = "The users' first requests are spread evenly over this time.";
    let ramp = t.or("ramp", &kinds::TIME, "\"0s\"", doc);
    Some(Arrivals::Closed { users: *users?, think: think.unwrap_or(Think::None), ramp: *ramp? })
}

/// A think time.
pub fn think(t: &mut TableReader<'_>, doc: &'static str) -> Option<Think> {
    pause(t, "think", doc)
}

/// A time between two requests of the same source, under a key.
pub fn pause(t: &mut TableReader<'_>, key: &'static str, doc: &'static str) -> Option<Think> {
    t.short_or_table(key, &kinds::POSITIVE_TIME, doc, Think::Exponential, |t| {
        let dists = [("constant", 0), ("exponential", 1), ("lognormal", 2)];
        t.tagged("dist", &dists, "The distribution of the think time.", |t, dist| {
            let mean = t.required("mean", &kinds::POSITIVE_TIME, "The mean.");
            let cv = match dist {
                2 => t.required("cv", &kinds::NOT_NEGATIVE, "Standard deviation over mean.").map(|cv| *cv),
                _ => Some(0.0),
            };
            let (mean, cv) = (*mean?, cv?);
            Some(match dist {
                0 => Think::Constant(mean),
                1 => Think::Exponential(mean),
                _ => Think::LogNormal { mean, cv },
            })
        })
    })
}

#[derive(Clone, Copy)]
enum Form {
    Diurnal,
    Weekly,
    Spike,
    Growth,
    Piecewise,
}

/// `shape`: factors on the rate over time, multiplied with each other.
pub fn shape(t: &mut TableReader<'_>) -> Vec<Shape> {
    let forms = [
        ("diurnal", Form::Diurnal),
        ("weekly", Form::Weekly),
        ("spike", Form::Spike),
        ("growth", Form::Growth),
        ("piecewise", Form::Piecewise),
    ];
    t.tables("shape", "shape", "Factors on the rate over time; they multiply.", |t| {
        t.tagged("kind", &forms, "The shape's kind.", |t, form| match form {
            Form::Diurnal => diurnal(t),
            Form::Weekly => weekly(t),
            Form::Spike => spike(t),
            Form::Growth => {
                let doc = "The factor a week: 1.5 is 50 % a week.";
                let per_week = t.required("per_week", &kinds::POSITIVE, doc);
                let cap = t.optional("cap", &kinds::POSITIVE, "The factor beyond which it does not go.");
                Some(Shape::Growth { per_week: *per_week?, cap: cap.map(|cap| *cap) })
            }
            Form::Piecewise => piecewise(t),
        })
    })
}

fn diurnal(t: &mut TableReader<'_>) -> Option<Shape> {
    let peak = t.or("peak", &kinds::TIME_OF_DAY, "\"14:00\"", "The time of day of the peak.");
    let ratio = t.required("peak_to_trough", &kinds::POSITIVE, "Highest over lowest rate, at least 1.");
    Some(Shape::Diurnal { peak: *peak?, peak_to_trough: *ratio? })
}

fn weekly(t: &mut TableReader<'_>) -> Option<Shape> {
    let doc = "Relative rates of the seven days from Monday.";
    let factors = t.list("factors", &kinds::NOT_NEGATIVE, false, doc);
    let doc = "The rate of Saturday and Sunday relative to the other days, instead of `factors`.";
    let weekend = t.optional("weekend", &kinds::NOT_NEGATIVE, doc);
    match (t.has("factors"), weekend) {
        (false, Some(weekend)) => Some(Shape::weekend(*weekend)),
        (true, None) => {
            let given: Vec<f64> = factors?.iter().map(|factor| **factor).collect();
            let count = given.len();
            let Ok(factors) = <[f64; 7]>::try_from(given) else {
                let message = format!("{} has {count} factors; a week has 7 days", t.noun());
                t.problem(Problem::error(t.place_of("factors"), message));
                return None;
            };
            Some(Shape::Weekly { factors })
        }
        _ => {
            if !t.is_describing() {
                let message = format!("{} needs either `factors` or `weekend`", t.noun());
                t.problem(Problem::error(t.place, message));
            }
            None
        }
    }
}

fn spike(t: &mut TableReader<'_>) -> Option<Shape> {
    let start = t.required("start", &kinds::TIME, "When the rise begins, from the run's beginning.");
    let factor = t.required("factor", &kinds::NOT_NEGATIVE, "The factor at its height.");
    let rise = t.or("rise", &kinds::TIME, "\"0s\"", "How long the rise takes; zero is a jump.");
    let hold = t.or("hold", &kinds::TIME, "\"0s\"", "How long the height lasts.");
    let fall = t.or("fall", &kinds::TIME, "\"0s\"", "How long the fall takes; zero is a jump.");
    let (start, rise, hold, fall) = (*start?, *rise?, *hold?, *fall?);
    if (rise + hold + fall).is_zero() {
        let message = format!("{} has no length", t.noun());
        t.problem(Problem::error(t.place, message).help("add rise, hold or fall, as in hold = \"1h\""));
    }
    Some(Shape::Spike { start, factor: *factor?, rise, hold, fall })
}

fn piecewise(t: &mut TableReader<'_>) -> Option<Shape> {
    let points: Vec<(Duration, f64)> = t.tables("points", "point", "Linear between these points.", |t| {
        let at = t.required("at", &kinds::TIME, "Time from the run's beginning.");
        let factor = t.required("factor", &kinds::NOT_NEGATIVE, "The factor there.");
        Some((*at?, *factor?))
    });
    Some(Shape::Piecewise { points })
}

/// `trace`: recorded requests instead of an arrival process.
pub fn trace(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<TraceConfig> {
    t.table("trace", "Recorded requests instead of a rate, arrivals and lengths.", |t| {
        let file = t.required("file", &kinds::PATH, "The trace, plain or gzip.");
        let format = format(t);
        let stream = t.optional("stream", &kinds::TEXT, "Only the rows of this stream.");
        let from = t.or("from", &kinds::TIME, "\"0s\"", "Leave out what is earlier in the trace.");
        let to = t.optional("to", &kinds::POSITIVE_TIME, "Leave out what is at this time or later.");
        let repeat = t.or("repeat", &kinds::BOOL, "false", "Start again at the trace's end.");
        let doc = "The period of repetition and of the copies' shift, in trace time.";
        let period = t.optional("period", &kinds::POSITIVE_TIME, doc);
        let doc = "How many copies are superposed, each but the first shifted at random.";
        let copies = t.or("copies", &kinds::COUNT, "1", doc);
        let speed_up = t.or("speed_up", &kinds::POSITIVE, "1.0", "How much faster than recorded.");
        let file = file?;
        let path = around.path(&file);
        t.file_exists(&file, &path, &where_to_get(&path));
        t.absolute("file", &path);
        Some(TraceConfig {
            file: path,
            format,
            stream: stream.map(|stream| stream.value),
            from: *from?,
            to: to.map(|to| *to),
            repeat: *repeat?,
            period: period.map(|period| *period),
            copies: *copies?,
            speed_up: *speed_up?,
        })
    })
}

/// Where well-known traces can be had.
fn where_to_get(path: &Path) -> Vec<String> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let source = if name.contains("azurellm") {
        "AzureLLMInferenceTrace_conv.csv and AzureLLMInferenceTrace_code.csv are in the folder `data` of \
         https://github.com/Azure/AzurePublicDataset"
    } else if name.contains("burstgpt") {
        "BurstGPT_1.csv is in the folder `data` of https://github.com/HPMLL/BurstGPT"
    } else if name.contains("mooncake") || name.ends_with(".jsonl") {
        "Mooncake's traces are in the folder FAST25-release/traces of https://github.com/kvcache-ai/Mooncake"
    } else {
        return Vec::new();
    };
    vec![source.to_owned()]
}

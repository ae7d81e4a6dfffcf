//! Arrival processes: what they are and whether their parameters make sense.

use super::error::Problem;
use crate::units::Duration;

/// The coefficient of variation of inter-arrival times: standard deviation over mean. 1 is as irregular as
/// Poisson, 0 perfectly regular.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Cv(pub f64);

impl Cv {
    /// From the burstiness of vLLM's benchmark, the shape of its gamma intervals: cv = 1/√b (`vllm bench
    /// serve --burstiness`, whose help says that 1 is Poisson, less is burstier).
    pub fn from_burstiness(burstiness: f64) -> Self {
        Self(1.0 / burstiness.sqrt())
    }

    fn check(self, key: &str, problems: &mut Vec<Problem>) {
        // Beyond these a gamma sample under- or overflows and nothing real is described.
        if !(0.01..=100.0).contains(&self.0) {
            problems.push(Problem::new(
                key,
                format!("the coefficient of variation is {}", self.0),
                "give a value between 0.01 and 100 (1 is Poisson; for none at all use the deterministic process)",
            ));
        }
    }
}

/// How irregularly requests arrive. Each process has mean rate 1 in operational time, which the stream's
/// rate and shapes then map to real time. All start in their stationary state, so that the expected number
/// of arrivals in any interval is exactly the integral of the rate.
#[derive(Debug, Clone, PartialEq)]
pub enum ArrivalProcess {
    /// Exponential intervals.
    Poisson,
    /// Equal intervals; arrival k (from 0) when the integral of the rate reaches k + 1/2.
    Deterministic,
    /// Gamma-distributed intervals of the given cv, as vLLM's and most load generators do.
    Gamma {
        /// The intervals' coefficient of variation.
        cv: Cv,
    },
    /// Weibull-distributed intervals of the given cv; for cv > 1 its tail is heavier than gamma's.
    Weibull {
        /// The intervals' coefficient of variation.
        cv: Cv,
    },
    /// A Poisson process whose rate jumps between states. A state lasts an exponential time, in real time
    /// whatever the shapes do; then another state is taken, each with the same probability. Rates are
    /// relative and are normalised to mean 1.
    Mmpp {
        /// Two states or more.
        states: Vec<MmppState>,
    },
    /// Many clients, each a renewal process of its own rate and burstiness, superposed.
    Clients(ClientsConfig),
}

/// One state of a Markov-modulated Poisson process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MmppState {
    /// The rate in this state relative to the others; zero is silence.
    pub rate: f64,
    /// How long the state lasts on average.
    pub sojourn: Duration,
}

/// Clients of unequal rate and burstiness.
///
/// The default follows ServeGen's `language m-large` population (alibaba/ServeGen @f891d118): 162 clients, of
/// whom the first carries 16 %, ten 63 % and 39 90 % of the load (the default's law gives 16, 67 and 91 %),
/// with a rate-weighted cv of 0.94 / 1.19 / 6.2 at p10 / p50 / p90.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientsConfig {
    /// How many; at least 1.
    pub count: u32,
    /// How unequal their rates are.
    pub shares: ClientShares,
    /// How bursty each is.
    pub cv: ClientSpread,
    /// The family of each client's intervals.
    pub family: RenewalFamily,
}

impl Default for ClientsConfig {
    fn default() -> Self {
        Self {
            count: 162,
            shares: ClientShares::Zipf { exponent: 2.0, offset: 5.0 },
            cv: ClientSpread::Quantiles { p10: Cv(0.94), p50: Cv(1.19), p90: Cv(6.2) },
            family: RenewalFamily::Gamma,
        }
    }
}

/// How a stream's rate is divided among its clients.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientShares {
    /// Client k (from 1) has a share proportional to (k + offset)^-exponent: Zipf's law, with Mandelbrot's
    /// offset that flattens the head. Exponent 0 is equal shares.
    Zipf {
        /// Not negative, up to 10.
        exponent: f64,
        /// Not negative, up to 1e6; 0 is the plain law.
        offset: f64,
    },
    /// Shares at the quantiles (k − 1/2)/count of a Pareto distribution with this tail index; the smaller,
    /// the more unequal. Not drawn, so that two seeds have the same population.
    Pareto {
        /// The tail index, above 0.1.
        alpha: f64,
    },
    /// Relative rates, one a client.
    Given(Vec<f64>),
}

/// How bursty each client is.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientSpread {
    /// All alike.
    Same(Cv),
    /// A rate-weighted distribution by three quantiles, logarithmic interpolation between and constant
    /// outside. Clients are put in a random order and each takes the quantile at its place in the
    /// cumulative rate, so the quantiles hold for the requests, not for the heads.
    Quantiles {
        /// The 10 % quantile.
        p10: Cv,
        /// The median.
        p50: Cv,
        /// The 90 % quantile.
        p90: Cv,
    },
    /// One value a client.
    Given(Vec<Cv>),
}

/// The family of a renewal process's intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewalFamily {
    /// Gamma.
    Gamma,
    /// Weibull.
    Weibull,
}

impl ArrivalProcess {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        match self {
            Self::Poisson | Self::Deterministic => {}
            Self::Gamma { cv } | Self::Weibull { cv } => cv.check("arrivals.cv", problems),
            Self::Mmpp { states } => check_states(states, problems),
            Self::Clients(clients) => clients.check(problems),
        }
    }
}

fn check_states(states: &[MmppState], problems: &mut Vec<Problem>) {
    if states.len() < 2 {
        problems.push(Problem::new(
            "arrivals.states",
            format!("there are {} states", states.len()),
            "give two or more, each with a rate and a sojourn",
        ));
    }
    for (index, state) in states.iter().enumerate() {
        let key = |name: &str| format!("arrivals.states[{index}].{name}");
        if !(0.0..=1e9).contains(&state.rate) {
            problems.push(Problem::new(
                key("rate"),
                format!("the relative rate is {}", state.rate),
                "give a number from 0 to 1e9",
            ));
        }
        if state.sojourn < Duration::from_nanos(1000) {
            problems.push(Problem::new(
                key("sojourn"),
                format!("the mean sojourn is {}", state.sojourn),
                "give at least 1us",
            ));
        }
    }
    if !states.is_empty() && states.iter().all(|state| state.rate == 0.0) {
        problems.push(Problem::new(
            "arrivals.states",
            "the rate is zero in every state",
            "give one state a positive rate",
        ));
    }
}

impl ClientsConfig {
    fn check(&self, problems: &mut Vec<Problem>) {
        if !(1..=10_000_000).contains(&self.count) {
            problems.push(Problem::new(
                "arrivals.count",
                format!("there are {} clients", self.count),
                "give 1 to 10000000",
            ));
        }
        match &self.shares {
            ClientShares::Zipf { exponent, offset } => {
                if !(0.0..=10.0).contains(exponent) {
                    problems.push(Problem::new(
                        "arrivals.shares.exponent",
                        format!("the Zipf exponent is {exponent}"),
                        "give a number from 0 (equal shares) to 10",
                    ));
                }
                if !(0.0..=1e6).contains(offset) {
                    problems.push(Problem::new(
                        "arrivals.shares.offset",
                        format!("the offset is {offset}"),
                        "give a number from 0 (plain Zipf) to 1e6",
                    ));
                }
            }
            ClientShares::Pareto { alpha } if !(0.1..=1e6).contains(alpha) => problems.push(Problem::new(
                "arrivals.shares.alpha",
                format!("the Pareto tail index is {alpha}"),
                "give a number from 0.1 (a few clients have all) to 1e6 (equal shares)",
            )),
            ClientShares::Given(shares) => {
                self.check_length("arrivals.shares", shares.len(), problems);
                for (index, share) in shares.iter().enumerate() {
                    if !(share.is_finite() && *share > 0.0) {
                        problems.push(Problem::new(
                            format!("arrivals.shares[{index}]"),
                            format!("the relative rate is {share}"),
                            "give a positive number",
                        ));
                    }
                }
            }
            _ => {}
        }
        match &self.cv {
            ClientSpread::Same(cv) => cv.check("arrivals.cv", problems),
            ClientSpread::Quantiles { p10, p50, p90 } => {
                p10.check("arrivals.cv.p10", problems);
                p50.check("arrivals.cv.p50", problems);
                p90.check("arrivals.cv.p90", problems);
                if !(p10 <= p50 && p50 <= p90) {
                    problems.push(Problem::new(
                        "arrivals.cv",
                        "the quantiles do not rise from p10 over p50 to p90",
                        "put them in order",
                    ));
                }
            }
            ClientSpread::Given(values) => {
                self.check_length("arrivals.cv", values.len(), problems);
                for (index, cv) in values.iter().enumerate() {
                    cv.check(&format!("arrivals.cv[{index}]"), problems);
                }
            }
        }
    }

    fn check_length(&self, key: &str, length: usize, problems: &mut Vec<Problem>) {
        if length != self.count as usize {
            problems.push(Problem::new(
                key,
                format!("there are {length} values for {} clients", self.count),
                "give one value a client",
            ));
        }
    }
}

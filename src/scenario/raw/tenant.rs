//! `[[tenants]]`.

use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::Sited;
use crate::serving::{RateLimit, TenantLimits};

/// A tenant: whose requests a stream's are.
#[derive(Debug)]
pub struct RawTenant {
    pub name: Sited<String>,
    pub weight: f64,
    pub limits: TenantLimits,
}

/// Reads one tenant.
pub fn read(t: &mut TableReader<'_>) -> Option<RawTenant> {
    let name = t.required("name", &kinds::NAME, "Its name; streams name it under `tenant`.");
    let doc = "Its share against those of the others where `batching.order` is \"vtc\".";
    let weight = t.or("weight", &kinds::WEIGHT, "1.0", doc);
    let limits = limits(t, true);
    Some(RawTenant { name: name?, weight: weight.map_or(1.0, |weight| *weight), limits })
}

/// Reads rate limits; requests beyond them are `rejected`, or go on as if there were no API.
pub fn limits(t: &mut TableReader<'_>, rejected: bool) -> TenantLimits {
    let doc = if rejected {
        "Requests that it may send, as a rate; further ones are rejected."
    } else {
        "Requests that it takes, as a rate; what is beyond goes on as if there were no API."
    };
    let request_rate = t.optional("request_rate", &kinds::RATE, doc);
    let doc = "Requests that may come at once after a pause; those of a second when absent, at least 1.";
    let request_burst = t.optional("request_burst", &kinds::LARGE_COUNT, doc);
    let doc = if rejected {
        "Tokens that it may use, prompt and output together, as a rate (\"30000/m\"); counted when a request \
               arrives, which is rejected where they do not suffice."
    } else {
        "Tokens that it takes, prompt and output together, as a rate (\"30000/m\"); counted when a request \
               arrives, which goes on as if there were no API where they do not suffice."
    };
    let token_rate = t.optional("token_rate", &kinds::RATE, doc);
    let doc = "Tokens that may be used at once after a pause; those of a minute when absent. A request with more \
               is always rejected.";
    let token_burst = t.optional("token_burst", &kinds::LARGE_COUNT, doc);
    let limit =
        |t: &mut TableReader<'_>, rate: Option<Sited<_>>, burst: Option<Sited<u64>>, keys, seconds: f64| {
            let (rate_key, burst_key): (&'static str, &'static str) = keys;
            if burst.is_some() && !t.has(rate_key) {
                let message = format!("{} has `{burst_key}`, but no `{rate_key}`", t.noun());
                let help = format!("give `{rate_key}`, or take `{burst_key}` out");
                t.problem(Problem::error(t.place_of(burst_key), message).help(help));
            }
            let rate: crate::units::Rate = *rate?;
            let default = (rate.as_per_second() * seconds).ceil().max(1.0) as u64;
            Some(RateLimit {
                per_second: rate.as_per_second(),
                burst: burst.map_or(default, |burst| *burst).min(1 << 50),
            })
        };
    let requests = limit(t, request_rate, request_burst, ("request_rate", "request_burst"), 1.0);
    let tokens = limit(t, token_rate, token_burst, ("token_rate", "token_burst"), 60.0);
    TenantLimits { requests, tokens }
}

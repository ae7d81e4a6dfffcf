//! Hosted APIs: who runs them and what their tokens cost.

use super::deployments::canonical;
use super::names::dangling;
use crate::catalog::Catalog;
use crate::scenario::problem::{Problem, nearest, quoted};
use crate::scenario::raw::{RawApi, RawScenario, RawStream};
use crate::scenario::reading::Reading;
use crate::world::ApiPlan;

/// Resolves every API, in the scenario's order.
pub fn resolve(scenario: &RawScenario, catalog: &Catalog, reading: &mut Reading) -> Vec<Option<ApiPlan>> {
    scenario.apis.iter().map(|raw| api(raw, catalog, reading)).collect()
}

fn api(raw: &RawApi, catalog: &Catalog, reading: &mut Reading) -> Option<ApiPlan> {
    let (mut provider, mut input, mut output) =
        (raw.provider.clone().unwrap_or_default(), raw.input, raw.output);
    if let Some(name) = &raw.hosted {
        let Ok(entry) = catalog.hosted_model(name) else {
            let message = format!("the catalogue knows no hosted model `{}`", **name);
            let mut problem = Problem::error(name.place, message);
            let names = || catalog.hosted_models().map(|entry| entry.name.as_str());
            if let Some(near) = nearest(name, names()) {
                problem = problem.label(format!("did you mean `{near}`?"));
            }
            let known = quoted(names());
            reading.problem(problem.help(format!("it knows {known}; or give `provider` and prices")));
            return None;
        };
        provider.clone_from(&entry.provider);
        let prices =
            [(&mut input, &entry.input, "input_price"), (&mut output, &entry.output, "output_price")];
        for (price, known, key) in prices {
            *price = price.or(known.as_ref().map(|figure| figure.value));
            if price.is_none() {
                let message = format!("the catalogue does not know the {key} of `{}`", **name);
                reading.problem(Problem::error(name.place, message).help(format!("give `{key}`")));
            }
        }
    }
    Some(ApiPlan {
        name: raw.name.value.clone(),
        provider: if provider.is_empty() { raw.name.value.clone() } else { provider },
        limits: raw.limits,
        concurrency: raw.concurrency,
        latency: raw.latency,
        ttft: raw.ttft,
        tpot: raw.tpot,
        input: input?,
        output: output?,
    })
}

/// The API that a stream overflows to, by place; an error where it is not there, or does not go together with
/// what else stands before the stream's deployments.
pub fn overflow(
    raw: &RawStream,
    scenario: &RawScenario,
    catalog: &Catalog,
    model: &str,
    reading: &mut Reading,
) -> Option<usize> {
    let name = raw.overflow.as_ref()?;
    let Some(place) = scenario.apis.iter().position(|api| api.name.value == name.value) else {
        if !reading.is_broken("apis", name) {
            let names = scenario.apis.iter().map(|api| api.name.as_str());
            reading.problem(dangling(name.place, "API", name, names));
        }
        return None;
    };
    let limited = raw.tenant.as_ref().is_some_and(|tenant| {
        let found = scenario.tenants.iter().find(|other| other.name.value == tenant.value);
        found.is_some_and(|tenant| tenant.limits.requests.is_some() || tenant.limits.tokens.is_some())
    });
    for (there, what) in
        [(limited, "whose tenant has rate limits"), (raw.cache.is_some(), "which has a `response_cache`")]
    {
        if there {
            let message = format!("stream `{}`, {what}, cannot overflow to an API yet", *raw.name);
            reading.problem(Problem::error(name.place, message).help("take one of the two out"));
        }
    }
    let entry = scenario.apis[place].hosted.as_ref().and_then(|hosted| catalog.hosted_model(hosted).ok());
    if let Some(entry) =
        entry.filter(|entry| !entry.model.is_empty() && canonical(catalog, &entry.model) != model)
    {
        let message = format!(
            "stream `{}` asks for `{model}`, but the API `{}` has `{}`",
            *raw.name, **name, entry.model
        );
        reading.problem(Problem::error(name.place, message).help("name an API with the same model"));
    }
    Some(place)
}

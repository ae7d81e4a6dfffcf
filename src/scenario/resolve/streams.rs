//! Streams: which deployments serve them.

use super::adapters;
use super::deployments::{Deployment, canonical};
use super::names::dangling;
use crate::catalog::Catalog;
use crate::scenario::problem::{Problem, nearest, quoted};
use crate::scenario::raw::{RawScenario, RawStream, RawTenant};
use crate::scenario::reading::Reading;
use crate::serving::RequestTerms;
use crate::world::StreamPlan;

/// Resolves every stream, in the scenario's order.
pub fn resolve(
    scenario: &RawScenario,
    catalog: &Catalog,
    deployments: &[Deployment],
    reading: &mut Reading,
) -> Vec<Option<StreamPlan>> {
    let streams = scenario.streams.iter();
    streams.map(|raw| stream(raw, scenario, catalog, deployments, reading)).collect()
}

fn stream(
    raw: &RawStream,
    scenario: &RawScenario,
    catalog: &Catalog,
    deployments: &[Deployment],
    reading: &mut Reading,
) -> Option<StreamPlan> {
    let tenant = tenant(raw, &scenario.tenants, reading);
    let model = canonical(catalog, &raw.model);
    let overflow = super::apis::overflow(raw, scenario, catalog, &model, reading);
    let serving = if raw.deployments.is_empty() {
        let all = deployments.iter().enumerate();
        let serving: Vec<usize> =
            all.filter(|(_, deployment)| deployment.model == model).map(|(index, _)| index).collect();
        if serving.is_empty() && reading.broken.iter().any(|(list, _)| *list == "deployments") {
            return None;
        }
        if serving.is_empty() {
            reading.problem(not_served(raw, deployments));
            return None;
        }
        serving
    } else {
        listed(raw, &model, deployments, reading)?
    };
    let adapter = adapters::of_stream(raw, &serving, scenario, deployments, catalog, reading)?;
    let terms = RequestTerms { tenant, adapter, ..raw.terms };
    Some(StreamPlan {
        traffic: raw.traffic.clone(),
        model,
        deployments: serving,
        slo: raw.slo,
        timeout: raw.timeout,
        retries: raw.retries,
        spill_over: raw.spill_over,
        overflow,
        terms,
        cache: raw.cache.clone(),
    })
}

/// The number of a stream's tenant. Streams without one are those of a tenant of their own, behind the others.
fn tenant(raw: &RawStream, tenants: &[RawTenant], reading: &mut Reading) -> u16 {
    let Some(name) = &raw.tenant else { return tenants.len() as u16 };
    let found = tenants.iter().position(|tenant| tenant.name.value == name.value);
    if found.is_none() && !reading.is_broken("tenants", name) {
        let names = tenants.iter().map(|tenant| tenant.name.as_str());
        reading.problem(dangling(name.place, "tenant", name, names));
    }
    found.unwrap_or(0) as u16
}

fn listed(
    raw: &RawStream,
    model: &str,
    deployments: &[Deployment],
    reading: &mut Reading,
) -> Option<Vec<usize>> {
    let mut serving = Vec::new();
    let mut wrong = false;
    for name in &raw.deployments {
        let problem = match deployments.iter().position(|deployment| deployment.name == name.value) {
            None if reading.is_broken("deployments", name) => return None,
            None => {
                let names = deployments.iter().map(|deployment| deployment.name.as_str());
                dangling(name.place, "deployment", name, names)
            }
            Some(index) if deployments[index].model != model => {
                let other = &deployments[index].model;
                let message = format!(
                    "stream `{}` asks for `{model}`, but deployment `{}` serves `{other}`",
                    *raw.name, **name
                );
                Problem::error(name.place, message)
            }
            Some(index) if serving.contains(&index) => {
                let message = format!("stream `{}` names the deployment `{}` twice", *raw.name, **name);
                Problem::error(name.place, message).help("take one out")
            }
            Some(index) => {
                serving.push(index);
                continue;
            }
        };
        wrong = true;
        reading.problem(problem);
    }
    if wrong { None } else { Some(serving) }
}

fn not_served(raw: &RawStream, deployments: &[Deployment]) -> Problem {
    let message = format!("no deployment serves `{}`, which stream `{}` asks for", *raw.model, *raw.name);
    let mut problem = Problem::error(raw.model.place, message);
    let mut models: Vec<&str> = deployments.iter().map(|deployment| deployment.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    if let Some(near) = nearest(&raw.model, models.iter().copied()) {
        problem = problem.label(format!("did you mean `{near}`?"));
    }
    match models.is_empty() {
        true => problem.help("the scenario deploys no model; add a [[deployments]] with this one"),
        false => problem.help(format!("the models deployed are {}", quoted(models))),
    }
}

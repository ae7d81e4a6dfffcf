//! Arrays become jobs of their own, and names of jobs to wait for become numbers.

use std::collections::BTreeMap;

use crate::jobs::{JobConfig, JobList};
use crate::scenario::problem::{Problem, nearest};
use crate::scenario::raw::{RawJob, RawScenario};
use crate::scenario::reading::Reading;

/// The jobs as they run: an array of N as `name[0]` to `name[N-1]`, each knowing whom it must wait for.
/// Names that no job has, and circles, are reported.
pub fn expand(scenario: &RawScenario, jobs: &[JobConfig], reading: &mut Reading) -> Vec<JobConfig> {
    let count = |raw: &RawJob| raw.array.as_ref().map_or(1, |count| **count);
    let mut numbers: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let mut next = 0;
    for raw in &scenario.jobs {
        numbers.insert(&raw.name.value, (next, count(raw)));
        next += count(raw);
    }
    let mut expanded = Vec::with_capacity(next as usize);
    for (raw, config) in scenario.jobs.iter().zip(jobs) {
        let mut after = Vec::new();
        for name in &raw.after {
            match numbers.get(name.value.as_str()) {
                Some((first, count)) => after.extend(*first..first + count),
                None => {
                    let message =
                        format!("job `{}` is to run after `{}`: there is no such job", *raw.name, name.value);
                    let problem = Problem::error(name.place, message);
                    reading.problem(match nearest(name, numbers.keys().copied()) {
                        Some(near) => problem.label(format!("did you mean `{near}`?")),
                        None => problem.help("name another job of [[jobs]]"),
                    });
                }
            }
        }
        for task in 0..count(raw) {
            let mut job = config.clone();
            if raw.array.is_some() {
                job.name = format!("{}[{task}]", config.name);
            }
            job.extra.after.clone_from(&after);
            expanded.push(job);
        }
    }
    report_circle(scenario, &expanded, &numbers, reading);
    expanded
}

fn report_circle(
    scenario: &RawScenario,
    jobs: &[JobConfig],
    numbers: &BTreeMap<&str, (u32, u32)>,
    reading: &mut Reading,
) {
    let Some(circle) = JobList::of(jobs).cycle() else { return };
    let inside = |raw: &&RawJob| {
        numbers
            .get(raw.name.value.as_str())
            .is_some_and(|(first, count)| circle.iter().any(|job| (*first..first + count).contains(job)))
    };
    let members: Vec<&RawJob> = scenario.jobs.iter().filter(inside).collect();
    let Some(first) = members.first() else { return };
    let names: Vec<String> = members.iter().map(|raw| format!("`{}`", *raw.name)).collect();
    let place = first.after.first().map_or(first.place, |name| name.place);
    let message = match names.len() {
        1 => format!("job {} waits for itself", names[0]),
        _ => format!("the jobs {} wait for each other in a circle", names.join(", ")),
    };
    reading
        .problem(Problem::error(place, message).help("none of them could ever start: take one `after` out"));
}

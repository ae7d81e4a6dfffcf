//! The node autoscaler: its own file read, or one written from the pools.

use std::fmt::Write as _;

use crate::jobs::JobList;
use crate::policies::replay::Law;
use crate::scenario::problem::{Place, Problem, quoted};
use crate::scenario::raw::{NodePolicy, RawScenario};
use crate::scenario::reading::Reading;
use crate::serving::DeploymentConfig;
use crate::world::{NodeScalerPlan, PoolPlan, card_resources, node_labels};

/// Who buys and gives back nodes; nobody where what is pending is bought, and after errors.
pub fn resolve(
    scenario: &RawScenario,
    pools: &[PoolPlan],
    deployments: &[DeploymentConfig],
    jobs: &JobList,
    reading: &mut Reading,
) -> Option<NodeScalerPlan> {
    let raw = scenario.node_autoscaler.as_ref()?;
    let mut wrong = |place: Place, message: String, help: &str| -> Option<NodeScalerPlan> {
        reading.problem(Problem::error(place, message).help(help));
        None
    };
    let name = match raw.policy {
        NodePolicy::Pending => return None,
        NodePolicy::ClusterAutoscaler => "cluster-autoscaler",
        NodePolicy::Karpenter => "karpenter",
    };
    let elastic: Vec<&PoolPlan> = pools.iter().filter(|plan| is_elastic(plan)).collect();
    if elastic.is_empty() {
        let message = format!("`{name}` has nothing to decide: no pool has a range of nodes");
        return wrong(raw.place, message, "give a pool nodes = { min = 0, max = 8 }");
    }
    let (place, shown, text) = match &raw.file {
        None => (raw.place, format!("{name}.yaml"), own_file(raw.policy, &elastic)),
        // A file that is not there has been reported.
        Some(file) => {
            (file.place, file.value.display().to_string(), std::fs::read_to_string(&file.value).ok()?)
        }
    };
    let law = match Law::read(&shown, &text) {
        Ok(law) => law,
        Err(error) => {
            return wrong(place, error.to_string(), "`fleetsim policy list` says what files are read");
        }
    };
    let law = match (law, raw.policy) {
        (Law::ClusterAutoscaler(mut law), NodePolicy::ClusterAutoscaler) => {
            let labels = node_labels(pools.len(), deployments, jobs);
            for group in law.groups() {
                let place_of = pools.iter().position(|plan| plan.fleet.name == group.name);
                let found = place_of.map(|place| (place, &pools[place]));
                let Some((pool, plan)) = found.filter(|(_, plan)| is_elastic(plan)) else {
                    let names = quoted(elastic.iter().map(|plan| plan.fleet.name.as_str()));
                    let message =
                        format!("{shown}: no pool with a range of nodes is called `{}`", group.name);
                    return wrong(place, message, &format!("node groups are called as pools: {names}"));
                };
                let most = plan.fleet.slots();
                if group.max > most {
                    let message =
                        format!("{shown}: `{}` may have {} nodes, its pool {most}", group.name, group.max);
                    return wrong(place, message, "raise `nodes.max` of the pool, or lower `max`");
                }
                // What nodes have and which pods they take is the scenario's to say.
                group.resources = card_resources(plan.fleet.cards_per_node);
                group.labels = labels[pool].clone();
                group.price = Some(plan.tariff.price.as_f64());
            }
            Law::ClusterAutoscaler(law)
        }
        (law @ Law::Karpenter(_), NodePolicy::Karpenter) => law,
        _ => {
            let message = format!("{shown} is no file of `{name}`");
            return wrong(place, message, "name the policy that the file is of");
        }
    };
    Some(NodeScalerPlan { name: name.to_owned(), law })
}

fn is_elastic(plan: &PoolPlan) -> bool {
    plan.fleet.supply.as_ref().is_some_and(|supply| supply.min < supply.max)
}

/// The file of a policy with its defaults, for these pools.
fn own_file(policy: NodePolicy, pools: &[&PoolPlan]) -> String {
    if policy == NodePolicy::Karpenter {
        return "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: default}\nspec:\n  template:\n    \
                spec: {}\n"
            .to_owned();
    }
    let mut text = "policy: cluster-autoscaler\nnodeGroups:\n".to_owned();
    for plan in pools {
        let fleet = &plan.fleet;
        let min = fleet.supply.as_ref().map_or(0, |supply| supply.min);
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "- {{name: {:?}, min: {min}, max: {}, resources: {{nvidia.com/gpu: {}}}}}",
            fleet.name,
            fleet.slots(),
            fleet.cards_per_node
        );
    }
    text
}

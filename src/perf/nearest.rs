//! The nearest plan that works, for those that do not.

use super::memory::fit;
use super::plan::{ParallelismPlan, Replica, check_plan, check_stages};
use super::training::{TrainingJob, TrainingLayout, training_throughput};

/// Of all cuts in tensor parallelism and stages that a replica could run and that fit its cards, the one with nearly as
/// many cards, then with nearly as many that share a layer; its ranks and groups of experts stay where they can, else
/// there are none. `None` where nothing works.
pub fn nearest_plan(replica: &Replica<'_>) -> Option<ParallelismPlan> {
    let (node, model, wanted) = (replica.node, replica.model, replica.plan);
    // Beyond one node only where something leaves it.
    let nodes =
        if node.scale_out.is_some() { wanted.cards().div_ceil(node.cards.max(1)).clamp(1, 16) } else { 1 };
    let most = node.cards.max(1) * nodes;
    let works = |plan: &ParallelismPlan| {
        check_stages(model, plan.pp, 1).is_ok()
            && check_plan(model, node, *plan).is_ok()
            && fit(&Replica { plan: *plan, ..*replica }).is_ok()
    };
    let far = |plan: &ParallelismPlan| {
        (plan.cards().abs_diff(wanted.cards()), plan.tp.abs_diff(wanted.tp), plan.pp)
    };
    let degrees = |of: u32| (1..=most.min(of)).filter(move |degree| of.is_multiple_of(*degree));
    let cuts = |dp: u32, ep: u32| {
        let plans = degrees(model.heads())
            .flat_map(move |tp| degrees(model.layers).map(move |pp| ParallelismPlan { tp, pp, dp, ep }));
        let mut plans: Vec<_> = plans.filter(|plan| plan.cards() <= most).collect();
        plans.sort_by_key(far);
        plans.into_iter().find(works)
    };
    cuts(wanted.dp.max(1), wanted.ep.max(1)).or_else(|| cuts(1, 1))
}

/// The same for a training job: tensor parallelism and stages of as many cards. `None` where nothing works.
pub fn nearest_training_plan(job: &TrainingJob<'_>) -> Option<(u32, u32)> {
    let (tp, layout) = (job.tp.unwrap_or(1), job.layout);
    let divides = |degree: &u32| *degree > 0 && job.cards.is_multiple_of(*degree);
    let heads = job.model.heads();
    let degrees = (1..=job.node.cards.min(heads)).filter(|tp| divides(tp) && heads.is_multiple_of(*tp));
    let stages = |tp: u32| {
        let layers = job.model.layers;
        let parts =
            move |pp: &u32| layers.is_multiple_of(pp * layout.interleave.max(1)) && divides(&(tp * pp));
        (1..=layers.min(64)).filter(parts).map(move |pp| (tp, pp))
    };
    let mut plans: Vec<(u32, u32)> = degrees.flat_map(stages).collect();
    plans.sort_by_key(|(other, pp)| (other.abs_diff(tp) + pp.abs_diff(layout.pp), *pp));
    plans.into_iter().find(|(tp, pp)| {
        let tried = TrainingJob { tp: Some(*tp), layout: TrainingLayout { pp: *pp, ..layout }, ..*job };
        training_throughput(&tried).is_ok()
    })
}

//! A mixed-integer relaxation of a space: what the cheapest fleet costs at least, without looking at each fleet.
//!
//! Points that differ in nothing but numbers of nodes and of replicas make a slice. Of a slice one point is resolved;
//! it says what a node of each pool costs, which deployments may run where on how many cards, and how much capacity the
//! promises need at least ([`super::bound::Bounds::capacity`]). The least spend is then a small integer programme:
//!
//! * nodes of each pool and replicas of each deployment on each of its options are whole, within what may vary;
//! * replicas on a pool need no more cards than its nodes have (that a node's cards cannot be cut as one likes is left
//!   out);
//! * the replicas that streams share are worth at least the capacity that these need;
//! * no more replicas of a deployment are placed than it may have.
//!
//! Every fleet of the slice that keeps its promises satisfies all of that, so none costs less than the optimum: what
//! costs less is pruned without resolving it. good_lp with microlp solves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use good_lp::{
    Expression, ProblemVariables, ResolutionError, Solution, SolverModel, Variable, constraint, microlp,
    variable,
};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::bound::{Bounds, worth};
use super::facts;
use super::grid::{Axis, Grid};
use super::judge::Promise;
use super::search::{Excuse, Resolve, Terms};
use super::work::Server;
use crate::metrics::Objective;
use crate::units::{Duration, Usd, UsdPerHour};
use crate::world::WorldConfig;

/// Spaces with more slices than this are not relaxed.
const MOST_SLICES: u64 = 20_000;
/// What sums of products in floating point are off by at most, as a share.
const SLACK: f64 = 1e-6;

/// The numbers that an axis has, where it is one of numbers of something.
#[derive(Debug, Clone)]
struct Counts {
    /// Its place in the grid.
    axis: usize,
    /// The pool or deployment.
    name: String,
    /// By place on the axis.
    values: Vec<u32>,
}

impl Counts {
    fn of(grid: &Grid, start: &str, end: &str) -> Vec<Self> {
        let counts = |(axis, of): (usize, &Axis)| {
            let name = of.path.strip_prefix(start)?.strip_suffix(end)?.trim_matches('"').to_owned();
            let values: Option<Vec<u32>> =
                (0..of.len().min(100_000)).map(|at| of.value(at).parse().ok()).collect();
            Some(Self { axis, name, values: values.filter(|values| values.len() as u64 == of.len())? })
        };
        grid.axes().iter().enumerate().filter_map(counts).collect()
    }

    fn ends(&self) -> (u32, u32) {
        self.values.iter().fold((u32::MAX, 0), |(low, high), value| (low.min(*value), high.max(*value)))
    }

    /// The place of the largest, or of the smallest.
    fn place(&self, largest: bool) -> u64 {
        let (low, high) = self.ends();
        let wanted = if largest { high } else { low };
        self.values.iter().position(|value| *value == wanted).unwrap_or(0) as u64
    }
}

/// What a node of a pool costs and has.
#[derive(Debug, Clone)]
struct Node {
    price: UsdPerHour,
    billed: Duration,
    cards: u32,
    /// Which of the axes says how many there are; else so many.
    axis: Option<usize>,
    nodes: u32,
}

impl Node {
    fn count(&self, nodes: &[Counts], places: &[u64]) -> u32 {
        self.axis.map_or(self.nodes, |at| nodes[at].values[places[nodes[at].axis] as usize])
    }

    fn spend(&self, nodes: u32) -> Usd {
        self.price.cost_of_nanos(u128::from(nodes) * u128::from(self.billed.as_nanos()))
    }
}

/// A slice, relaxed.
#[derive(Debug, Clone)]
struct Slice {
    nodes: Vec<Node>,
    /// The least of what is made small: US dollars for the window, or cards; infinite where none can keep its
    /// promises.
    least: f64,
    /// The promise that needs most.
    promise: String,
}

/// A space, relaxed.
#[derive(Debug)]
pub struct Relaxed {
    nodes: Vec<Counts>,
    replicas: Vec<Counts>,
    objective: Objective,
    /// By the places of a point on all other axes; `None` where nothing is known.
    slices: BTreeMap<Vec<u64>, Option<Slice>>,
}

/// What is known of a point from its slice alone.
#[derive(Debug, Clone)]
pub struct Known {
    /// What is billed for the window at least.
    pub floor: Usd,
    /// Cards.
    pub cards: u64,
    /// Why it cannot keep its promises; `None` where it may.
    pub excuse: Option<Excuse>,
}

impl Relaxed {
    /// Relaxes a space; `None` where numbers of nodes do not vary, or there are too many slices.
    pub fn new(
        grid: &Grid,
        terms: &Terms,
        promises: &[Promise],
        resolve: Resolve<'_>,
        bounds: &Bounds,
    ) -> Option<Self> {
        let nodes = Counts::of(grid, "pools.", ".nodes");
        let replicas = Counts::of(grid, "deployments.", ".replicas");
        let counted = |axis: &usize| nodes.iter().chain(&replicas).any(|counts| counts.axis == *axis);
        let others: Vec<usize> = (0..grid.axes().len()).filter(|axis| !counted(axis)).collect();
        let slices = others.iter().map(|axis| grid.axes()[*axis].len()).try_fold(1u64, u64::checked_mul)?;
        if nodes.is_empty() || slices > MOST_SLICES {
            return None;
        }
        let mut this = Self { nodes, replicas, objective: terms.objective, slices: BTreeMap::new() };
        let keys: Vec<Vec<u64>> = (0..slices).map(|slice| key(grid, &others, slice)).collect();
        let relaxed: Vec<Option<Slice>> = keys
            .clone()
            .into_par_iter()
            .map(|key| this.slice(grid, &others, &key, terms, promises, resolve, bounds))
            .collect();
        this.slices = keys.into_iter().zip(relaxed).collect();
        Some(this)
    }

    /// The least over all slices of what is made small; `None` where it is not known of one.
    pub fn least(&self) -> Option<f64> {
        let all: Option<Vec<f64>> =
            self.slices.values().map(|slice| slice.as_ref().map(|slice| slice.least)).collect();
        all?.into_iter().reduce(f64::min)
    }

    /// What is known of a point without resolving it; `None` where that is nothing.
    pub fn look_at(&self, grid: &Grid, point: u64) -> Option<Known> {
        let places = grid.places(point);
        let slice = self.slices.get(&self.key(&places))?.as_ref()?;
        let counted = || slice.nodes.iter().map(|node| (node, node.count(&self.nodes, &places)));
        let floor: Usd = counted().map(|(node, nodes)| node.spend(nodes)).sum();
        let cards: u64 = counted().map(|(node, nodes)| u64::from(nodes) * u64::from(node.cards)).sum();
        let reached = match self.objective {
            Objective::Spend => floor.as_f64(),
            Objective::Cards => cards as f64,
        };
        let short = slice.least - reached;
        let excuse = (short > SLACK * reached.max(1.0)).then(|| Excuse {
            constraint: slice.promise.clone(),
            by: None,
            why: match (slice.least.is_finite(), self.objective) {
                (false, _) => "no numbers of nodes and replicas that may vary can keep it".to_owned(),
                (true, Objective::Spend) => format!(
                    "fleets of its kind that can keep it cost at least {:.2} % more (integer bound)",
                    100.0 * short / reached.max(1e-9)
                ),
                (true, Objective::Cards) => {
                    format!(
                        "fleets of its kind that can keep it have at least {:.0} cards (integer bound)",
                        slice.least
                    )
                }
            },
        });
        Some(Known { floor, cards, excuse })
    }

    fn key(&self, places: &[u64]) -> Vec<u64> {
        let counted = |axis: usize| self.nodes.iter().chain(&self.replicas).any(|counts| counts.axis == axis);
        (0..places.len()).filter(|axis| !counted(*axis)).map(|axis| places[axis]).collect()
    }

    /// A point of a slice that can be resolved.
    fn example(
        &self,
        grid: &Grid,
        others: &[usize],
        key: &[u64],
        resolve: Resolve<'_>,
    ) -> Option<WorldConfig> {
        // Most room first: replicas that do not fit are no scenario.
        [(true, false), (true, true), (false, false)].into_iter().find_map(|(nodes, replicas)| {
            let mut places = vec![0; grid.axes().len()];
            others.iter().zip(key).for_each(|(axis, place)| places[*axis] = *place);
            self.nodes.iter().for_each(|counts| places[counts.axis] = counts.place(nodes));
            self.replicas.iter().for_each(|counts| places[counts.axis] = counts.place(replicas));
            let point =
                grid.axes().iter().zip(&places).fold(0, |point, (axis, place)| point * axis.len() + place);
            resolve(point).ok().map(|resolved| resolved.config)
        })
    }

    #[allow(clippy::too_many_arguments, reason = "what a slice is made of")]
    fn slice(
        &self,
        grid: &Grid,
        others: &[usize],
        key: &[u64],
        terms: &Terms,
        promises: &[Promise],
        resolve: Resolve<'_>,
        bounds: &Bounds,
    ) -> Option<Slice> {
        let config = self.example(grid, others, key, resolve)?;
        // Nodes that are there throughout, at a price by the hour.
        if !facts::is_fixed(&config) || !config.pools.iter().all(facts::is_static) {
            return None;
        }
        let axis = |counts: &[Counts], name: &str| counts.iter().position(|counts| counts.name == name);
        let nodes: Vec<Node> = config
            .pools
            .iter()
            .map(|pool| Node {
                price: pool.tariff.price,
                billed: pool.tariff.billed(config.duration),
                cards: pool.fleet.cards_per_node,
                axis: axis(&self.nodes, &pool.fleet.name),
                nodes: pool.fleet.nodes,
            })
            .collect();
        let needs = needs(&config, terms, promises, bounds);
        let promise = needs.first().map_or_else(String::new, |need| need.promise.clone());
        let most = |deployment: usize| {
            let plan = &config.deployments[deployment];
            axis(&self.replicas, &plan.name).map_or(plan.replicas, |at| self.replicas[at].ends().1)
        };
        let ends = |node: &Node| node.axis.map_or((node.nodes, node.nodes), |at| self.nodes[at].ends());
        let programme = Programme {
            costs: nodes
                .iter()
                .map(|node| match self.objective {
                    Objective::Spend => node.spend(1_000_000).as_f64() / 1e6,
                    Objective::Cards => f64::from(node.cards),
                })
                .collect(),
            cards: nodes.iter().map(|node| f64::from(node.cards)).collect(),
            nodes: nodes.iter().map(ends).collect(),
            replicas: (0..config.deployments.len()).map(most).collect(),
            needs,
        };
        let least = programme.least(&config)?;
        // Of each pool what is billed is rounded to the micro-dollar.
        let rounding = match self.objective {
            Objective::Spend => 1e-6 * nodes.len() as f64,
            Objective::Cards => 0.0,
        };
        Some(Slice { nodes, least: least - rounding, promise })
    }
}

/// The places of a slice on the axes that are no numbers.
fn key(grid: &Grid, others: &[usize], slice: u64) -> Vec<u64> {
    let mut rest = slice;
    let mut places: Vec<u64> = others
        .iter()
        .rev()
        .map(|axis| {
            let length = grid.axes()[*axis].len();
            let place = rest % length;
            rest /= length;
            place
        })
        .collect();
    places.reverse();
    places
}

/// Capacity that streams need of the replicas that serve them.
#[derive(Debug, Clone)]
struct Need {
    promise: String,
    /// In replicas of the first of their servers.
    capacity: f64,
    /// What a replica of a deployment on one of its options is worth, by (deployment, option).
    worth: Vec<((usize, usize), f64)>,
}

/// What the promises about attainment need, the largest first.
fn needs(config: &WorldConfig, terms: &Terms, promises: &[Promise], bounds: &Bounds) -> Vec<Need> {
    // Each option once: which of them replicas get is what the programme decides.
    let each: Vec<Vec<usize>> =
        config.deployments.iter().map(|deployment| (0..deployment.options.len()).collect()).collect();
    let mut all = Vec::new();
    for (streams, _) in facts::parts(config, &each, bounds) {
        let mut deployments: Vec<usize> =
            streams.iter().flat_map(|stream| config.streams[*stream].deployments.iter().copied()).collect();
        deployments.sort_unstable();
        deployments.dedup();
        let mut servers: Vec<Arc<Server>> = Vec::new();
        let mut options = Vec::new();
        for deployment in deployments {
            let plan = &config.deployments[deployment];
            for (option, of) in plan.options.iter().enumerate() {
                let server = bounds.server(Server::new(plan, of));
                if !servers.iter().any(|known| Arc::ptr_eq(known, &server)) {
                    servers.push(Arc::clone(&server));
                }
                options.push(((deployment, option), server));
            }
        }
        let Some(first) = servers.first().cloned() else { continue };
        let worth: Vec<_> = options.iter().map(|(at, server)| (*at, worth(server, &first))).collect();
        let promised: Vec<(&Promise, usize)> = streams
            .iter()
            .filter_map(|stream| {
                let name = format!("streams.{}.slo.attainment", config.streams[*stream].traffic.name);
                Some((promises.iter().find(|promise| promise.name == name)?, *stream))
            })
            .collect();
        let mut need = |streams: &[usize], share: f64, promise: &Promise| {
            if let Some(capacity) = bounds.capacity(config, terms.replications, streams, &servers, share) {
                all.push(Need { promise: promise.name.clone(), capacity, worth: worth.clone() });
            }
        };
        for (promise, stream) in &promised {
            need(&[*stream], promise.limit, promise);
        }
        // Misses add up: see [`super::search`].
        let allowed: f64 = promised.iter().map(|(promise, _)| 1.0 - promise.limit).sum();
        if let [(first, _), _, ..] = promised.as_slice() {
            let streams: Vec<usize> = promised.iter().map(|(_, stream)| *stream).collect();
            need(&streams, 1.0 - allowed, first);
        }
    }
    all.sort_by(|a, b| b.capacity.total_cmp(&a.capacity));
    all
}

/// The integer programme of a slice.
#[derive(Debug)]
struct Programme {
    /// Of a node, by pool.
    costs: Vec<f64>,
    /// Of a node, by pool.
    cards: Vec<f64>,
    /// The fewest and the most nodes, by pool.
    nodes: Vec<(u32, u32)>,
    /// The most replicas, by deployment.
    replicas: Vec<u32>,
    needs: Vec<Need>,
}

impl Programme {
    /// The least cost; infinite where nothing satisfies it, `None` where the solver gives up.
    fn least(&self, config: &WorldConfig) -> Option<f64> {
        // What no capacity of any size can keep.
        if self.needs.iter().any(|need| need.capacity.is_infinite()) {
            return Some(f64::INFINITY);
        }
        let mut variables = ProblemVariables::new();
        let nodes: Vec<Variable> = self
            .nodes
            .iter()
            .map(|(low, high)| variables.add(variable().integer().min(f64::from(*low)).max(f64::from(*high))))
            .collect();
        let mut placed: BTreeMap<(usize, usize), Variable> = BTreeMap::new();
        for (deployment, plan) in config.deployments.iter().enumerate() {
            for option in 0..plan.options.len() {
                let most = f64::from(self.replicas[deployment]);
                placed.insert((deployment, option), variables.add(variable().integer().min(0.0).max(most)));
            }
        }
        let cost: Expression = nodes.iter().zip(&self.costs).map(|(nodes, cost)| *cost * *nodes).sum();
        let mut problem = variables.minimise(cost.clone()).using(microlp);
        for (deployment, most) in self.replicas.iter().enumerate() {
            let all: Expression =
                placed.iter().filter(|(at, _)| at.0 == deployment).map(|(_, replicas)| *replicas).sum();
            problem = problem.with(constraint!(all <= f64::from(*most)));
        }
        for (pool, nodes) in nodes.iter().enumerate() {
            let on_it = placed.iter().filter_map(|((deployment, option), replicas)| {
                let option = &config.deployments[*deployment].options[*option];
                (option.pool.index() == pool).then(|| f64::from(option.cards) * *replicas)
            });
            let cards: Expression = on_it.sum();
            problem = problem.with(constraint!(cards <= self.cards[pool] * *nodes));
        }
        for need in &self.needs {
            // Whoever is worth more than anything can be counted satisfies it alone.
            if need.worth.iter().any(|(_, worth)| !worth.is_finite()) {
                continue;
            }
            let capacity: Expression = need.worth.iter().map(|(at, worth)| *worth * placed[at]).sum();
            problem = problem.with(constraint!(capacity >= need.capacity * (1.0 - SLACK)));
        }
        match problem.solve() {
            // What a solver takes for whole may be off by this.
            Ok(solution) => Some(solution.eval(&cost) * (1.0 - SLACK)),
            Err(ResolutionError::Infeasible) => Some(f64::INFINITY),
            Err(_) => None,
        }
    }
}

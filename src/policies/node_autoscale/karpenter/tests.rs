//! Hand-computed ticks.

use super::super::{InstanceType, Node, Offering, Operator, Pod, Toleration};
use super::*;
use crate::policies::spec::{Problems, parse_yaml};

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn parsed(yaml: &str) -> Result<KarpenterConfig, Vec<String>> {
    let problems = Problems::default();
    let config = read(&parse_yaml(yaml).unwrap(), &problems);
    let said: Vec<_> = problems.into_sorted().iter().map(|p| format!("{}: {}", p.line, p.message)).collect();
    if said.is_empty() { Ok(config.unwrap()) } else { Err(said) }
}

/// Karpenter with one pool; `spec` and `template` are lines of YAML maps.
fn karpenter(spec: &str, template: &str, flags: &str) -> Karpenter {
    let yaml = format!(
        "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {{name: pool}}\nspec:\n  template: {{spec: \
         {{{template}}}}}\n  {spec}\n---\npolicy: karpenter\nflags: {{{flags}}}\n"
    );
    Karpenter::new(parsed(&yaml).unwrap())
}

const ON_DEMAND: &str =
    "requirements: [{key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}]";

fn amounts(cpu: f64) -> Resources {
    [("cpu".to_owned(), cpu)].into()
}

/// Types of 2, 4 and 8 cores at 1, 2 and 4 dollars on demand and a third of it as spot.
fn kinds() -> Vec<InstanceType> {
    let offering = |capacity_type: &str, price| Offering {
        capacity_type: capacity_type.to_owned(),
        zone: "z".to_owned(),
        price,
        available: true,
    };
    let kind = |cpu: f64| InstanceType {
        name: format!("c{cpu}"),
        allocatable: amounts(cpu),
        labels: BTreeMap::new(),
        offerings: vec![offering("on-demand", cpu / 2.0), offering("spot", cpu / 6.0)],
    };
    vec![kind(2.0), kind(4.0), kind(8.0)]
}

fn node(name: &str, cpu: f64, capacity_type: &str) -> Node {
    Node {
        name: name.to_owned(),
        group: "pool".to_owned(),
        instance_type: format!("c{cpu}"),
        capacity_type: capacity_type.to_owned(),
        zone: "z".to_owned(),
        price: None,
        allocatable: amounts(cpu).into(),
        ready: true,
        ..Node::default()
    }
}

fn pod(name: &str, on: Option<&str>, cpu: f64) -> Pod {
    Pod {
        name: name.to_owned(),
        node: on.map(str::to_owned),
        requests: amounts(cpu).into(),
        controlled: true,
        ..Pod::default()
    }
}

fn seen(nodes: Vec<Node>, pods: Vec<Pod>) -> NodeObservation {
    NodeObservation { nodes, pods, instance_types: kinds(), ..NodeObservation::default() }
}

/// Actions as words: what is bought, what goes.
fn words(decision: &NodeDecision) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Create { instance_type, capacity_type, pods, .. } => {
            format!("buy {instance_type} {capacity_type} for {}", pods.join(" "))
        }
        Action::Delete { nodes, why, .. } => format!("delete {}: {why}", nodes.join(" ")),
        other => format!("{other:?}"),
    };
    decision.actions.iter().map(word).collect()
}

/// What is done when the same is seen at 0 s and, after validation, at 15 s.
fn validated(law: &mut Karpenter, observation: &NodeObservation) -> Vec<String> {
    assert_eq!(law.decide(at(0), observation).0.actions, []);
    assert_eq!(law.decide(at(14), observation).0.actions, []);
    words(&law.decide(at(15), observation).0)
}

#[test]
fn batches() {
    let mut law = karpenter("limits: {}", ON_DEMAND, "");
    let one = seen(vec![], vec![pod("a", None, 1.0)]);
    assert_eq!(law.decide(at(0), &one).1, Reason("batching: pods still arrive"));
    assert_eq!(words(&law.decide(at(1), &one).0), ["buy c2 on-demand for a"]);
    // Bought for: not again.
    assert_eq!(law.decide(at(5), &one).0.actions, []);
    // Unless the node has not come after 15 min.
    assert_eq!(law.decide(at(901), &one).0.actions, []);
    assert_eq!(law.decide(at(902), &one).0.actions.len(), 1);
    // A pod each half second: closed after 10 s.
    let mut law = karpenter("limits: {}", ON_DEMAND, "");
    for half in 0..20u64 {
        let pods = (0..=half).map(|i| pod(&format!("p{i:02}"), None, 0.1)).collect();
        let now = Instant::ZERO + Duration::from_nanos(half * 500_000_000);
        assert_eq!(law.decide(now, &seen(vec![], pods)).0.actions, [], "at half {half}");
    }
    let pods = (0..=20).map(|i| pod(&format!("p{i:02}"), None, 0.1)).collect();
    assert_eq!(law.decide(at(10), &seen(vec![], pods)).0.actions.len(), 1);
}

#[test]
fn provisions() {
    let buy = |spec: &str, template: &str, pods: Vec<Pod>| {
        let mut law = karpenter(spec, template, "batch-idle-duration: 0s");
        words(&law.decide(at(0), &seen(vec![], pods)).0)
    };
    let pods = || vec![pod("a", None, 1.0), pod("b", None, 5.0), pod("c", None, 2.0), pod("d", None, 4.0)];
    // 5, 4, 2, 1 onto 8: 4 does not fit beside 5; 2 goes to the claim with fewest pods, the first of
    // both; 1 to the other.
    assert_eq!(
        buy("limits: {}", ON_DEMAND, pods()),
        ["buy c8 on-demand for d a", "buy c8 on-demand for b c"]
    );
    // Without a requirement the cheapest is spot.
    assert_eq!(buy("limits: {}", "expireAfter: Never", vec![pod("a", None, 3.0)]), ["buy c4 spot for a"]);
    let small = "requirements: [{key: node.kubernetes.io/instance-type, operator: NotIn, values: [c2, c4]}]";
    assert_eq!(buy("limits: {}", small, vec![pod("a", None, 1.0)]), ["buy c8 spot for a"]);
    // Limits leave one node of four cores.
    let held = buy("limits: {cpu: 4}", ON_DEMAND, vec![pod("a", None, 3.0), pod("b", None, 3.0)]);
    assert_eq!(held, ["buy c4 on-demand for a"]);
    // The selector of a pod is a requirement too.
    let mut picky = pod("a", None, 1.0);
    std::sync::Arc::make_mut(&mut picky.selector).insert(CAPACITY_TYPE.to_owned(), "spot".to_owned());
    assert_eq!(buy("limits: {}", "expireAfter: Never", vec![picky.clone()]), ["buy c2 spot for a"]);
    assert_eq!(buy("limits: {}", ON_DEMAND, vec![picky]), Vec::<String>::new());
    // The heavier pool first.
    let two = "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: a}\nspec: {template: {spec: {}}}\n---\n\
               apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: b}\nspec: {weight: 10, template: \
                 {spec: {}}}\n";
    assert_eq!(parsed(two).unwrap().pools[0].name, "b");
}

const ALL: &str = "disruption: {consolidationPolicy: WhenEmptyOrUnderutilized, consolidateAfter: 0s, budgets: [{nodes: '100%'}]}";

#[test]
fn consolidates() {
    // Empty ones go together, before anything else.
    let law = || karpenter(ALL, ON_DEMAND, "");
    let empty = seen(vec![node("a", 2.0, "on-demand"), node("b", 4.0, "on-demand")], vec![]);
    assert_eq!(validated(&mut law(), &empty), ["delete b a: empty"]);
    // Two half-empty ones: everything fits on the third.
    let mut nodes =
        vec![node("a", 2.0, "on-demand"), node("b", 4.0, "on-demand"), node("c", 8.0, "on-demand")];
    let pods = vec![pod("x", Some("a"), 1.0), pod("y", Some("b"), 1.0), pod("z", Some("c"), 5.5)];
    // The dearest first: c has no cheaper home, so b goes alone; with c kept, both others go at once.
    assert_eq!(validated(&mut law(), &seen(nodes.clone(), pods.clone())), ["delete b: underutilized"]);
    nodes[2].keep = true;
    assert_eq!(validated(&mut law(), &seen(nodes.clone(), pods)), ["delete b a: underutilized"]);
    // Alone on too large a node: a cheaper one, bought before the old one goes.
    let large = seen(vec![node("c", 8.0, "on-demand")], vec![pod("z", Some("c"), 3.0)]);
    assert_eq!(validated(&mut law(), &large), ["buy c4 on-demand for z", "delete c: underutilized"]);
    // As cheap as it gets: nothing.
    let fitting = seen(vec![node("b", 4.0, "on-demand")], vec![pod("z", Some("b"), 3.0)]);
    assert_eq!(law().decide(at(0), &fitting).1, Reason("nothing to do"));
    // Two into one cheaper than both.
    let two = seen(
        vec![node("a", 4.0, "on-demand"), node("b", 4.0, "on-demand")],
        vec![pod("x", Some("a"), 1.5), pod("y", Some("b"), 0.4)],
    );
    assert_eq!(validated(&mut law(), &two), ["buy c2 on-demand for x y", "delete a b: underutilized"]);
}

#[test]
fn spot() {
    // From on demand to either: spot.
    let mut law = karpenter(ALL, "expireAfter: Never", "");
    let one = seen(vec![node("b", 4.0, "on-demand")], vec![pod("z", Some("b"), 3.0)]);
    assert_eq!(validated(&mut law, &one), ["buy c4 spot for z", "delete b: underutilized"]);
    // From spot to spot: only behind its gate, and with 15 cheaper types.
    let mut one = seen(vec![node("c", 8.0, "spot")], vec![pod("z", Some("c"), 1.0)]);
    for (gate, types, moved) in [("false", 20, false), ("true", 14, false), ("true", 15, true)] {
        let flags = format!("feature-gates: SpotToSpotConsolidation={gate}");
        let mut law = karpenter(ALL, "expireAfter: Never", &flags);
        one.instance_types = kinds().split_off(2);
        for i in 0..types {
            let mut kind = kinds().remove(0);
            kind.name = format!("small{i:02}");
            one.instance_types.push(kind);
        }
        law.decide(at(0), &one);
        assert_eq!(!law.decide(at(15), &one).0.actions.is_empty(), moved, "{gate} {types}");
    }
}

#[test]
fn disruption_rules() {
    let nodes =
        |count: usize| (0..count).map(|i| node(&format!("n{i:02}"), 2.0, "on-demand")).collect::<Vec<_>>();
    let gone = |spec: &str, count| {
        let decision = validated(&mut karpenter(spec, ON_DEMAND, ""), &seen(nodes(count), vec![]));
        decision.first().map_or(0, |word| word.matches('n').count())
    };
    // 10 % of 11 nodes, rounded up; of one node too; a count; the least of several.
    let default = "disruption: {consolidateAfter: 0s}";
    assert_eq!([gone(default, 11), gone(default, 1), gone(default, 10)], [2, 1, 1]);
    let both = "disruption: {consolidateAfter: 0s, budgets: [{nodes: '5'}, {nodes: '3', reasons: [Empty]}]}";
    assert_eq!(gone(both, 9), 3);
    // Nodes on their way out count against the budget.
    let mut some = nodes(11);
    some[0].deleting = true;
    let done = validated(&mut karpenter(default, ON_DEMAND, ""), &seen(some, vec![]));
    assert_eq!(done, ["delete n01: empty"]);
    // Marks, quiet time, the policy and `Never`.
    let held = |spec: &str, change: &dyn Fn(&mut NodeObservation)| {
        let mut observation = seen(vec![node("c", 8.0, "on-demand")], vec![pod("z", Some("c"), 1.0)]);
        change(&mut observation);
        karpenter(spec, ON_DEMAND, "").decide(at(60), &observation).1 == Reason("nothing to do")
    };
    assert!(!held(ALL, &|_| {}));
    assert!(held(ALL, &|seen| seen.nodes[0].keep = true));
    assert!(held(ALL, &|seen| seen.pods[0].keep = true));
    assert!(held("disruption: {consolidationPolicy: WhenEmpty, consolidateAfter: 0s}", &|_| {}));
    assert!(held("disruption: {consolidateAfter: Never}", &|_| {}));
    let later = "disruption: {consolidateAfter: 30s}";
    assert!(held(later, &|seen| seen.nodes[0].last_pod_event = Some(at(31))));
    assert!(!held(later, &|seen| seen.nodes[0].last_pod_event = Some(at(30))));
    // Expiry asks no budget.
    let none = "disruption: {budgets: [{nodes: '0'}]}";
    let mut law = karpenter(none, "expireAfter: 1h", "");
    assert_eq!(law.decide(at(3599), &seen(nodes(2), vec![])).0.actions, []);
    assert_eq!(law.decide(at(3600), &seen(nodes(2), vec![])).0.actions.len(), 2);
    // What no longer holds after 15 s is not done.
    let mut law = karpenter(ALL, ON_DEMAND, "");
    law.decide(at(0), &seen(nodes(1), vec![]));
    let used = seen(nodes(1), vec![pod("z", Some("n00"), 2.0)]);
    assert_eq!(law.decide(at(15), &used).1, Reason("the consolidation was given up"));
}

#[test]
fn scheduled_budgets() {
    // Nothing goes between 9 and 17 o'clock, Monday to Friday; the least of the budgets that hold counts.
    let spec = "disruption: {consolidateAfter: 0s, budgets: [{nodes: '100%'}, \
                {nodes: '0', schedule: '0 9 * * mon-fri', duration: 8h}]}";
    let goes = |hours: u64| {
        let mut law = karpenter(spec, ON_DEMAND, "");
        let mut observation = seen(vec![node("a", 2.0, "on-demand")], vec![]);
        observation.clock = Duration::HOUR * hours;
        !validated(&mut law, &observation).is_empty()
    };
    // Monday 8, 9, 16, 17 o'clock; Saturday noon.
    assert_eq!([8, 9, 16, 17, 5 * 24 + 12].map(goes), [true, false, false, true, true]);
    // Begun on Sunday at 23 o'clock, for ten hours: Monday too.
    let night = spec.replace("0 9 * * mon-fri", "0 23 * * sun").replace("8h", "10h");
    let mut law = karpenter(&night, ON_DEMAND, "");
    let mut observation = seen(vec![node("a", 2.0, "on-demand")], vec![]);
    observation.clock = Duration::HOUR * 2;
    law.decide(at(0), &observation);
    assert_eq!(law.decide(at(15), &observation).0.actions, []);
}

#[test]
fn constraints() {
    let buy = |template: &str, pods: Vec<Pod>| {
        let mut law = karpenter("limits: {}", template, "batch-idle-duration: 0s");
        words(&law.decide(at(0), &seen(vec![], pods)).0)
    };
    let tainted = "taints: [{key: gpu, value: 'yes', effect: NoSchedule}]";
    assert_eq!(buy(tainted, vec![pod("a", None, 1.0)]), Vec::<String>::new());
    let mut bears = pod("a", None, 1.0);
    let gpu = |exists| Toleration { key: "gpu".to_owned(), exists, ..Toleration::default() };
    bears.tolerations.push(gpu(true));
    assert_eq!(buy(tainted, vec![bears.clone()]), ["buy c2 spot for a"]);
    bears.tolerations = vec![gpu(false)];
    assert_eq!(buy(tainted, vec![bears]), Vec::<String>::new());
    // Node affinity: not the two smaller types.
    let mut picky = pod("a", None, 1.0);
    let types = vec!["c2".to_owned(), "c4".to_owned()];
    let (key, operator) = (INSTANCE_TYPE.to_owned(), Operator::NotIn);
    picky.requirements.push(Requirement { key, operator, values: types, min_values: None });
    assert_eq!(buy("expireAfter: Never", vec![picky]), ["buy c8 spot for a"]);
    // At least two types must be left: a pod of 3 leaves c4 and c8, one of 5 only c8.
    let two = "requirements: [{key: node.kubernetes.io/instance-type, operator: Exists, minValues: 2}]";
    assert_eq!(buy(two, vec![pod("a", None, 3.0)]), ["buy c4 spot for a"]);
    assert_eq!(buy(two, vec![pod("a", None, 5.0)]), Vec::<String>::new());
    // A taint on a node keeps pods off it.
    let mut law = karpenter("limits: {}", ON_DEMAND, "batch-idle-duration: 0s");
    let mut full = node("n", 8.0, "on-demand");
    let waiting = seen(vec![full.clone()], vec![pod("a", None, 1.0)]);
    assert_eq!(law.decide(at(0), &waiting).0.actions, []);
    full.taints =
        vec![Taint { key: "gpu".to_owned(), value: String::new(), effect: "NoSchedule".to_owned() }];
    let waiting = seen(vec![full], vec![pod("b", None, 1.0)]);
    assert_eq!(words(&law.decide(at(1), &waiting).0), ["buy c2 on-demand for b"]);
}

#[test]
fn on_what_is_coming() {
    let mut law = karpenter("limits: {}", ON_DEMAND, "batch-idle-duration: 0s");
    let first = pod("a", None, 3.0);
    assert_eq!(words(&law.decide(at(0), &seen(vec![], vec![first.clone()])).0), ["buy c4 on-demand for a"]);
    // One core is left on what was bought, before it has registered.
    let both = vec![first.clone(), pod("b", None, 1.0)];
    assert_eq!(law.decide(at(5), &seen(vec![], both.clone())).0.actions, []);
    let three = [both, vec![pod("c", None, 1.0)]].concat();
    assert_eq!(words(&law.decide(at(6), &seen(vec![], three)).0), ["buy c2 on-demand for c"]);
}

#[test]
fn balanced() {
    // Two nodes of 4 $ and 2 $, each with pods; both together 6 $ and a disruption of 2 + 3 pods.
    let decided = |policy: &str, pods_on_small: usize| {
        let spec = format!(
            "disruption: {{consolidationPolicy: {policy}, consolidateAfter: 0s, budgets: [{{nodes: '100%'}}]}}"
        );
        let mut law = karpenter(&spec, ON_DEMAND, "");
        let mut large = node("c", 8.0, "on-demand");
        large.keep = true;
        let mut pods = vec![pod("x", Some("c"), 1.0)];
        pods.extend((0..pods_on_small).map(|i| pod(&format!("y{i}"), Some("b"), 0.2)));
        let observation = seen(vec![large, node("b", 4.0, "on-demand")], pods);
        validated(&mut law, &observation).len()
    };
    // Saves 2 of 6 $; disturbs (1 + n) of (2 + 1 + n): n = 1 → 1/3 over 2/4 = 0.67; n = 9 → 1/3 over 10/12 = 0.4.
    assert_eq!([decided("Balanced", 1), decided("Balanced", 9)], [1, 0]);
    assert_eq!(
        [decided("WhenEmptyOrUnderutilized", 9), decided("Balanced, consolidationThreshold: 3", 9)],
        [1, 1]
    );
    assert_eq!(decided("Balanced, consolidationThreshold: 1", 1), 0);
}

#[test]
fn drift() {
    let mut law = karpenter(ALL, ON_DEMAND, "");
    let old = |name: &str, cpu| Node { drifted: true, ..node(name, cpu, "on-demand") };
    let pods = vec![pod("x", Some("a"), 2.0), pod("y", Some("b"), 4.0)];
    let two = seen(vec![old("a", 2.0), old("b", 4.0)], pods);
    // One at a time, at once, with a node for its pods.
    assert_eq!(words(&law.decide(at(0), &two).0), ["buy c2 on-demand for x", "delete a: drifted"]);
    // Empty ones go as empty ones, before any other.
    let mut law = karpenter("disruption: {consolidateAfter: Never}", ON_DEMAND, "");
    let empty = seen(vec![old("a", 2.0)], vec![]);
    assert_eq!(words(&law.decide(at(0), &empty).0), ["delete a: drifted"]);
    // Its own budget.
    let none = "disruption: {budgets: [{nodes: '0', reasons: [Drifted]}]}";
    assert_eq!(karpenter(none, ON_DEMAND, "").decide(at(0), &two).0.actions, []);
}

#[test]
fn refusals() {
    let yaml = "apiVersion: karpenter.sh/v1beta1\nkind: NodePool\nmetadata: {name: \
                 a}\nspec:\n  template:\n    spec:\n      \
                expireAfter: 30d\n      taints: [{value: x}]\n      requirements:\n      - {key: a, operator: in, \
                 values: [b]}\n      \
                - {key: b, operator: Gt, values: [c]}\n  disruption:\n    budgets: [{nodes: '101%'}, {nodes: \
                 1, schedule: \
                '@daily'}, {schedule: 'x', duration: 1h}]\n    consolidationPolicy: Sometimes\n  limit: {}\n";
    insta::assert_snapshot!(parsed(yaml).unwrap_err().join("\n"));
}

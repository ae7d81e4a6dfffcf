//! Hand-computed scans.

use super::super::{Node, Pod, Toleration};
use super::*;
use crate::policies::spec::{Problems, parse_yaml};

const GROUPS: &str = "nodeGroups:\n- {name: small, min: 1, max: 10, resources: {cpu: 4, memory: 16}, price: 1}\n\
                      - {name: big, min: 0, max: 10, resources: {cpu: 16, memory: 64}, price: 3}\n";

fn law(flags: &str) -> ClusterAutoscaler {
    let problems = Problems::default();
    let yaml = format!(
        "policy: cluster-autoscaler\nflags: {{{flags}}}\n{GROUPS}priorities: {{10: ['.*'], 50: ['sma.*']}}\n"
    );
    let config = read(&parse_yaml(&yaml).unwrap()[0], &problems);
    assert_eq!(problems.into_sorted(), []);
    ClusterAutoscaler::new(config.unwrap())
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn amounts(cpu: f64, memory: f64) -> Resources {
    [("cpu".to_owned(), cpu), ("memory".to_owned(), memory)].into()
}

fn node(name: &str, group: &str, cpu: f64) -> Node {
    Node {
        name: name.to_owned(),
        group: group.to_owned(),
        instance_type: String::new(),
        capacity_type: String::new(),
        zone: String::new(),
        price: None,
        allocatable: amounts(cpu, 4.0 * cpu).into(),
        ready: true,
        ..Node::default()
    }
}

fn pod(name: &str, on: Option<&str>, cpu: f64) -> Pod {
    Pod {
        name: name.to_owned(),
        node: on.map(str::to_owned),
        requests: amounts(cpu, cpu).into(),
        controlled: true,
        ..Pod::default()
    }
}

fn seen(nodes: Vec<Node>, pods: Vec<Pod>) -> NodeObservation {
    NodeObservation { nodes, pods, ..NodeObservation::default() }
}

fn waiting(cpus: &[f64]) -> Vec<Pod> {
    cpus.iter().enumerate().map(|(i, cpu)| pod(&format!("p{i}"), None, *cpu)).collect()
}

/// The groups made larger, and by how much.
fn ups(decision: &NodeDecision) -> Vec<(&str, u32)> {
    let ups = decision.actions.iter().filter_map(|action| match action {
        Action::ScaleUp { group, count, .. } => Some((group.as_str(), *count)),
        _ => None,
    });
    ups.collect()
}

/// The nodes deleted.
fn gone(decision: &NodeDecision) -> Vec<&str> {
    let gone = decision.actions.iter().filter_map(|action| match action {
        Action::Delete { nodes, .. } => Some(nodes.iter().map(String::as_str)),
        _ => None,
    });
    gone.flatten().collect()
}

#[test]
fn estimates() {
    // Largest first: 3, 3, 2, 1, 1 onto 4 each: [3 1] [3 1] [2]; in the order given it would be no better.
    let mut ca = law("expander: least-nodes");
    let cpus = [1.0, 3.0, 1.0, 3.0, 2.0];
    let decision = ca.decide(at(0), &seen(vec![], waiting(&cpus))).0;
    assert_eq!(ups(&decision), [("big", 1)]);
    let mut ca = law("expander: priority");
    assert_eq!(ups(&ca.decide(at(0), &seen(vec![], waiting(&cpus))).0), [("small", 3)]);
    // The maximum of the group, and of the cluster.
    let mut ca = law("expander: priority");
    assert_eq!(ups(&ca.decide(at(0), &seen(vec![], waiting(&[4.0; 12]))).0), [("small", 10)]);
    let mut ca = law("expander: priority, max-nodes-total: 2");
    assert_eq!(ups(&ca.decide(at(0), &seen(vec![], waiting(&[4.0; 12]))).0), [("small", 2)]);
    // Too large for any node: nothing.
    let (decision, reason) = law("").decide(at(0), &seen(vec![], waiting(&[17.0])));
    assert_eq!((decision.actions.len(), reason.0), (0, "pods wait, but no group helps"));
    let mut young = law("new-pod-scale-up-delay: 30s");
    assert_eq!(ups(&young.decide(at(29), &seen(vec![], waiting(&[1.0]))).0), []);
    assert_eq!(ups(&young.decide(at(30), &seen(vec![], waiting(&[1.0]))).0), [("small", 1)]);
}

#[test]
fn expanders() {
    // One pod of 3: small wastes 1/4 cpu and 13/16 memory, big 13/16 and 61/64.
    let choose = |flags: &str, cpus: &[f64]| {
        let decision = law(flags).decide(at(0), &seen(vec![], waiting(cpus))).0;
        ups(&decision)[0].0.to_owned()
    };
    assert_eq!(choose("", &[3.0]), "small");
    // A pod that only big can take makes it serve more.
    assert_eq!(choose("expander: most-pods", &[3.0, 8.0]), "big");
    // Price per pod: small 1/1 against big 3/1; with 16 pods of 1: four small 4/16, one big 3/16.
    assert_eq!(choose("expander: price", &[3.0]), "small");
    assert_eq!(choose("expander: price", &[1.0; 16]), "big");
    assert_eq!(choose("expander: priority", &[1.0; 16]), "small");
    // Drawn from a stream of its own: the same each time.
    assert_eq!(choose("expander: random", &[1.0]), choose("expander: random", &[1.0]));
}

#[test]
fn what_is_coming_counts() {
    let mut ca = law("");
    let observation =
        seen(vec![node("a", "small", 4.0)], vec![pod("x", Some("a"), 3.0), pod("y", None, 1.0)]);
    assert_eq!(ups(&ca.decide(at(0), &observation).0), []);
    let observation =
        seen(vec![node("a", "small", 4.0)], vec![pod("x", Some("a"), 3.0), pod("y", None, 2.0)]);
    assert_eq!(ups(&ca.decide(at(10), &observation).0), [("small", 1)]);
    // Asked for, not here yet: not asked for again.
    assert_eq!(ups(&ca.decide(at(20), &observation).0), []);
}

#[test]
fn unneeded() {
    let nodes = || vec![node("a", "small", 4.0), node("b", "small", 4.0)];
    let half = seen(nodes(), vec![pod("x", Some("a"), 2.0), pod("y", Some("b"), 2.0)]);
    let mut ca = law("");
    // Exactly half used is unneeded; only one of both can move to the other. Strictly longer than 10 min.
    assert_eq!(gone(&ca.decide(at(0), &half).0), Vec::<&str>::new());
    assert_eq!(gone(&ca.decide(at(600), &half).0), Vec::<&str>::new());
    let decision = ca.decide(at(601), &half).0;
    assert_eq!(gone(&decision), ["a"]);
    assert!(matches!(&decision.actions[0], Action::Delete { pods, .. } if pods == &["x"]));
    // Busy in between: the time starts anew.
    let busy = seen(nodes(), vec![pod("x", Some("a"), 3.0), pod("y", Some("b"), 3.0)]);
    let mut ca = law("");
    for (seconds, observation) in [(0, &half), (300, &busy), (400, &half), (1000, &half)] {
        assert_eq!(gone(&ca.decide(at(seconds), observation).0), Vec::<&str>::new(), "at {seconds}");
    }
    assert_eq!(gone(&ca.decide(at(1001), &half).0), ["a"]);
    // DaemonSets leave both sides: (1 + 1.5) / 4 is too much, 1.5 / 3 is not.
    let mut daemon = pod("d", Some("a"), 1.0);
    daemon.daemon = true;
    let observation =
        |cpu| seen(nodes(), vec![daemon.clone(), pod("x", Some("a"), cpu), pod("y", Some("b"), 1.4)]);
    for (flags, cpu, expected) in [("", 1.5, "b"), ("ignore-daemonsets-utilization: true", 1.5, "a")] {
        let mut ca = law(flags);
        ca.decide(at(0), &observation(cpu));
        assert_eq!(gone(&ca.decide(at(601), &observation(cpu)).0), [expected], "{flags}");
    }
    // On GPU nodes only the cards count.
    let mut cards = nodes();
    std::sync::Arc::make_mut(&mut cards[0].allocatable).insert("nvidia.com/gpu".to_owned(), 8.0);
    let mut ca = law("");
    let observation = seen(cards, vec![pod("x", Some("a"), 2.5), pod("y", Some("b"), 1.5)]);
    ca.decide(at(0), &observation);
    assert_eq!(gone(&ca.decide(at(601), &observation).0), ["a"]);
}

#[test]
fn what_keeps_a_node() {
    let after = |flags: &str, change: &dyn Fn(&mut NodeObservation)| {
        let mut observation = seen(
            vec![node("a", "big", 16.0), node("b", "small", 4.0)],
            vec![pod("x", Some("a"), 1.0), pod("y", Some("b"), 3.0)],
        );
        change(&mut observation);
        let mut ca = law(flags);
        ca.decide(at(0), &observation);
        let decision = ca.decide(at(601), &observation).0;
        gone(&decision).len()
    };
    assert_eq!(after("", &|_| {}), 1);
    assert_eq!(after("", &|seen| seen.pods[0].local_storage = true), 0);
    assert_eq!(after("skip-nodes-with-local-storage: false", &|seen| seen.pods[0].local_storage = true), 1);
    assert_eq!(after("", &|seen| seen.pods[0].system = true), 0);
    assert_eq!(after("", &|seen| seen.pods[0].controlled = false), 0);
    assert_eq!(
        after("", &|seen| {
            (seen.pods[0].controlled, seen.pods[0].safe_to_evict) = (false, Some(true));
        }),
        1
    );
    assert_eq!(after("", &|seen| seen.pods[0].safe_to_evict = Some(false)), 0);
    assert_eq!(after("", &|seen| seen.nodes[0].group = "small".to_owned()), 1);
    // The smallest size of the group: one small node stays.
    assert_eq!(
        after("", &|seen| {
            seen.nodes[0].group = "small".to_owned();
            seen.nodes.remove(1);
            seen.pods.truncate(0);
        }),
        0
    );
    // Something was added a moment ago.
    let mut ca = law("");
    let observation = seen(vec![node("a", "big", 16.0)], vec![]);
    ca.decide(at(0), &observation);
    let mut more = observation.clone();
    more.pods = waiting(&[16.0, 16.0]);
    assert_eq!(ups(&ca.decide(at(300), &more).0), [("big", 1)]);
    let (held, _) = ca.decide(at(899), &observation);
    assert_eq!((gone(&held).len(), held.limits), (0, vec!["scale-down-delay-after-add".to_owned()]));
    assert_eq!(gone(&ca.decide(at(900), &observation).0), ["a"]);
}

#[test]
fn unhealthy() {
    // Not here after 15 min: given up, and the group left alone for 5 min.
    let mut ca = law("expander: priority");
    let observation = seen(vec![], waiting(&[1.0]));
    assert_eq!(ups(&ca.decide(at(0), &observation).0), [("small", 1)]);
    assert_eq!(ca.decide(at(900), &observation).0.actions, []);
    let decision = ca.decide(at(901), &observation).0;
    assert_eq!(decision.actions[0], Action::GiveUp { group: "small".to_owned(), count: 1 });
    assert_eq!(ups(&decision), [("big", 1)]);
    // More than 45 % and more than three unready: nothing moves.
    let mut nodes: Vec<Node> = (0..8).map(|i| node(&format!("n{i}"), "small", 4.0)).collect();
    nodes.iter_mut().take(4).for_each(|node| node.ready = false);
    let (decision, reason) = law("").decide(at(0), &seen(nodes.clone(), waiting(&[30.0])));
    assert_eq!((decision.actions.len(), reason.0), (0, "cluster is not healthy: nothing is scaled"));
    // An unready node goes after 20 min, whatever it carries.
    nodes.iter_mut().skip(1).for_each(|node| node.ready = true);
    let pods: Vec<Pod> = (0..8).map(|i| pod(&format!("p{i}"), Some(&format!("n{i}")), 3.0)).collect();
    let mut pods = pods;
    pods[0].requests = amounts(0.5, 0.5).into();
    let observation = seen(nodes, pods);
    let mut ca = law("");
    ca.decide(at(0), &observation);
    assert_eq!(gone(&ca.decide(at(1200), &observation).0), Vec::<&str>::new());
    assert_eq!(gone(&ca.decide(at(1201), &observation).0), ["n0"]);
}

#[test]
fn backs_off() {
    let mut ca = law("expander: priority, max-node-provision-time: 1m, node-group-backoff-reset-timeout: 1h");
    let groups =
        |decision: &NodeDecision| ups(decision).iter().map(|(g, _)| (*g).to_owned()).collect::<Vec<_>>();
    let waits = seen(vec![], waiting(&[1.0]));
    // Asked at 0, given up at 61: alone for 5 min, until 361; the other group is asked meanwhile.
    ca.decide(at(0), &waits);
    assert_eq!(groups(&ca.decide(at(61), &waits).0), ["big"]);
    assert_eq!(groups(&ca.decide(at(122), &waits).0), Vec::<String>::new());
    // Asked again, failed again at 423: 10 min, until 1023.
    assert_eq!(groups(&ca.decide(at(362), &waits).0), ["small"]);
    ca.decide(at(423), &waits);
    assert_eq!(ca.backoff["small"], (at(1023), Duration::from_secs(600)));
    // It comes: forgotten.
    ca.decide(at(1024), &waits);
    ca.decide(at(1030), &seen(vec![node("n", "small", 4.0)], vec![pod("p0", Some("n"), 1.0)]));
    assert!(!ca.backoff.contains_key("small"));
    // It failed an hour ago: the first length again.
    ca.backoff.insert("small".to_owned(), (at(1700), Duration::from_secs(600)));
    ca.asked.insert("small".to_owned(), (2, at(4640)));
    ca.decide(at(4701), &seen(vec![node("n", "small", 4.0)], vec![pod("p0", Some("n"), 1.0)]));
    assert_eq!(ca.backoff["small"], (at(5001), Duration::from_secs(300)));
}

#[test]
fn after_a_failed_deletion() {
    let mut ca = law("");
    let mut observation = seen(vec![node("a", "big", 16.0), node("b", "small", 4.0)], vec![]);
    observation.failed_delete = Some(at(500));
    ca.decide(at(0), &observation);
    let decision = ca.decide(at(679), &observation).0;
    assert_eq!(
        (gone(&decision).len(), decision.limits),
        (0, vec!["scale-down-delay-after-failure".to_owned()])
    );
    assert_eq!(gone(&ca.decide(at(680), &observation).0), ["a"]);
}

#[test]
fn balances() {
    let groups = "nodeGroups:\n- {name: a, min: 0, max: 10, resources: {cpu: 4, memory: 1000}, labels: \
                  {topology.kubernetes.io/zone: a}}\n- {name: b, min: 0, max: 3, resources: {cpu: 4, memory: 1010}, \
                  labels: {topology.kubernetes.io/zone: b}}\n- {name: c, min: 0, max: 10, resources: {cpu: 8, memory: \
                  1000}}\n";
    let ups_of = |balance: bool, count: usize| {
        let yaml = format!(
            "policy: cluster-autoscaler\nflags: {{expander: priority, balance-similar-node-groups: {balance}}}\n\
             {groups}priorities: {{10: ['.*'], 50: ['^a$']}}\n"
        );
        let problems = Problems::default();
        let mut law = ClusterAutoscaler::new(read(&parse_yaml(&yaml).unwrap()[0], &problems).unwrap());
        assert_eq!(problems.into_sorted(), []);
        let nodes = vec![node("n", "b", 4.0)];
        let decision = law.decide(at(0), &seen(nodes, waiting(&vec![4.0; count]))).0;
        ups(&decision).into_iter().map(|(name, count)| (name.to_owned(), count)).collect::<Vec<_>>()
    };
    let words =
        |pairs: &[(&str, u32)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>();
    // The node that is there takes one of the pods; b has one node already.
    assert_eq!(ups_of(false, 4), words(&[("a", 3)]));
    assert_eq!(ups_of(true, 4), words(&[("a", 2), ("b", 1)]));
    // b is full at three.
    assert_eq!(ups_of(true, 9), words(&[("a", 6), ("b", 2)]));
}

#[test]
fn places() {
    // Upstream's estimator: ten pods fit a node by cpu, but only a given number of pods has a place there.
    let groups = "nodeGroups:\n- {name: a, min: 0, max: 20, resources: {cpu: 100, memory: 100, pods: 10}, taints: \
                  [{key: gpu, effect: NoSchedule}]}\n";
    let yaml = format!("policy: cluster-autoscaler\n{groups}");
    let asked = |change: &dyn Fn(usize, &mut Pod)| {
        let problems = Problems::default();
        let mut law = ClusterAutoscaler::new(read(&parse_yaml(&yaml).unwrap()[0], &problems).unwrap());
        let mut pods = waiting(&[1.0; 20]);
        for (i, pod) in pods.iter_mut().enumerate() {
            std::sync::Arc::make_mut(&mut pod.requests).insert("pods".to_owned(), 1.0);
            pod.tolerations =
                vec![Toleration { key: "gpu".to_owned(), exists: true, ..Toleration::default() }];
            change(i, pod);
        }
        let decision = law.decide(at(0), &seen(vec![], pods)).0;
        ups(&decision).first().map_or(0, |(_, count)| *count)
    };
    assert_eq!(asked(&|_, _| {}), 2);
    // A port of the node: one pod a node.
    let port = |pod: &mut Pod| {
        std::sync::Arc::make_mut(&mut pod.requests).extend([("host-port/5555".to_owned(), 1.0)])
    };
    assert_eq!(asked(&|_, pod| port(pod)), 20);
    // Half of them do not bear the taint.
    assert_eq!(
        asked(&|i, pod| if i % 2 == 0 {
            pod.tolerations.clear()
        }),
        1
    );
}

#[test]
fn refusals() {
    let yaml = "policy: cluster-autoscaler\nflags: {expander: least-wast, scale-down-unneeded-time: 5s, \
                scale-down-utilization-treshold: 0.4, expendable-pods-priority-cutof: 3}\nnodeGroups:\n- {name: a, \
                min: 5, max: 2, resources: {cpu: four}}\n";
    let problems = Problems::default();
    read(&parse_yaml(yaml).unwrap()[0], &problems);
    let said: Vec<_> = problems.into_sorted().iter().map(|p| format!("{}: {}", p.line, p.message)).collect();
    insta::assert_snapshot!(said.join("\n"));
}

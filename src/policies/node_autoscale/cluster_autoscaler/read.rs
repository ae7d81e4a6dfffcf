//! `policy: cluster-autoscaler` with the flags under their own names, and the node groups.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::{CaConfig, Expander, Group};
use crate::policies::node_autoscale::{Resources, Taint};
use crate::policies::spec::{Fields, Node, Problems, Tree, quantity};
use crate::units::Duration;

const EXPANDERS: [(&str, Expander); 6] = [
    ("least-waste", Expander::LeastWaste),
    ("most-pods", Expander::MostPods),
    ("least-nodes", Expander::LeastNodes),
    ("price", Expander::Price),
    ("priority", Expander::Priority),
    ("random", Expander::Random),
];

/// Reads the specification; what is wrong goes to `problems`.
pub fn read(document: &Node, problems: &Problems) -> Option<CaConfig> {
    let mut top = Fields::new(document, problems);
    top.ignore(&["policy"]);
    let nothing = Node { line: document.line, tree: Tree::Map(Vec::new()) };
    let mut flags = match top.map("flags") {
        Some(flags) => flags,
        None => Fields::at(&nothing, "flags".to_owned(), problems),
    };
    let minutes = |count: u64| Duration::from_secs(count * 60);
    let mut time = |name, default| flags.duration(name).unwrap_or(default);
    let scan_interval = time("scan-interval", Duration::from_secs(10));
    let new_pod_delay = time("new-pod-scale-up-delay", Duration::ZERO);
    let provision_time = time("max-node-provision-time", minutes(15));
    let backoff = time("initial-node-group-backoff-duration", minutes(5));
    let max_backoff = time("max-node-group-backoff-duration", minutes(30));
    let after_add = time("scale-down-delay-after-add", minutes(10));
    let after_delete = time("scale-down-delay-after-delete", Duration::ZERO);
    let after_failure = time("scale-down-delay-after-failure", minutes(3));
    let backoff_reset = time("node-group-backoff-reset-timeout", minutes(180));
    let unneeded = time("scale-down-unneeded-time", minutes(10));
    let unready = time("scale-down-unready-time", minutes(20));
    let recheck = time("unremovable-node-recheck-timeout", minutes(5));
    if scan_interval.is_zero() {
        flags.problem("scan-interval", "the interval has to be greater than 0");
    }
    for (name, window) in [("scale-down-unneeded-time", unneeded), ("scale-down-unready-time", unready)] {
        if !window.is_zero() && window < scan_interval {
            flags.problem(name, format!("{window} is shorter than the scan interval of {scan_interval}"));
        }
    }
    let mut share = |name| {
        let value = flags.number(name).unwrap_or(0.5);
        if !(0.0..=1.0).contains(&value) {
            flags.problem(name, format!("{name} has to be between 0 and 1, not {value}"));
        }
        value
    };
    let (threshold, gpu_threshold) =
        (share("scale-down-utilization-threshold"), share("scale-down-gpu-utilization-threshold"));
    let mut truth = |name, default| flags.truth(name).unwrap_or(default);
    let scale_down = truth("scale-down-enabled", true);
    let scale_down_unready = truth("scale-down-unready-enabled", true);
    let ignore_daemons = truth("ignore-daemonsets-utilization", false);
    let ignore_mirrors = truth("ignore-mirror-pods-utilization", false);
    let skip_system = truth("skip-nodes-with-system-pods", true);
    let skip_local = truth("skip-nodes-with-local-storage", true);
    let balance = truth("balance-similar-node-groups", false);
    let mut count = |name, default: i64| {
        let value = flags.int(name).unwrap_or(default);
        if value < 0 {
            flags.problem(name, format!("{name} has to be zero or more, not {value}"));
        }
        u32::try_from(value).unwrap_or(0)
    };
    let max_nodes_total = count("max-nodes-total", 0);
    let max_nodes_per_scaleup = count("max-nodes-per-scaleup", 1000);
    // The older flag is for empty nodes alone; the newer one is for all.
    let older = count("max-empty-bulk-delete", 10);
    let max_empty = count("max-scale-down-parallelism", i64::from(older)) as usize;
    let max_drain = count("max-drain-parallelism", 1) as usize;
    let ok_unready = count("ok-total-unready-count", 3);
    let max_unready_percent = flags.number("max-total-unready-percentage").unwrap_or(45.0);
    flags.ignore(&["max-graceful-termination-sec"]);
    let words = flags.text("expander").unwrap_or_else(|| "least-waste".to_owned());
    let mut expanders = Vec::new();
    for word in words.split(',') {
        match EXPANDERS.iter().find(|(name, _)| *name == word.trim()) {
            Some((_, expander)) => expanders.push(*expander),
            None => {
                let names: Vec<_> = EXPANDERS.iter().map(|(name, _)| *name).collect();
                flags.problem(
                    "expander",
                    format!("Expander {word} not supported; there are {}", names.join(", ")),
                );
            }
        }
    }
    flags.finish("cluster-autoscaler: unknown flag");
    let groups: Vec<Group> = top
        .maps("nodeGroups")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|f| read_group(f, problems))
        .collect();
    if groups.is_empty() {
        top.problem("nodeGroups", "at least one node group {name, min, max, resources} is needed");
    }
    let priorities = top.node("priorities").map(|node| read_priorities(node, problems)).unwrap_or_default();
    if expanders.contains(&Expander::Priority) && priorities.is_empty() {
        top.problem(
            "priorities",
            "the priority expander needs priorities: {50: [\".*spot.*\"], 10: [\".*\"]}",
        );
    }
    if expanders.contains(&Expander::Price) {
        for group in groups.iter().filter(|group| group.price.is_none()) {
            top.problem("nodeGroups", format!("the price expander needs a price for {}", group.name));
        }
    }
    top.finish("not part of a cluster-autoscaler specification");
    Some(CaConfig {
        groups,
        expanders,
        priorities,
        balance,
        scan_interval,
        max_nodes_total,
        max_nodes_per_scaleup,
        new_pod_delay,
        provision_time,
        backoff,
        max_backoff,
        scale_down,
        after_add,
        after_delete,
        after_failure,
        backoff_reset,
        unneeded,
        unready,
        scale_down_unready,
        threshold,
        gpu_threshold,
        recheck,
        max_empty,
        max_drain,
        ignore_daemons,
        ignore_mirrors,
        skip_system,
        skip_local,
        max_unready_percent,
        ok_unready,
    })
}

fn read_group(mut fields: Fields<'_>, problems: &Problems) -> Option<Group> {
    let name = fields.text("name");
    if name.is_none() {
        fields.problem("name", "a node group needs a name");
    }
    let mut count = |name, default: i64| match u32::try_from(fields.int(name).unwrap_or(default)) {
        Ok(count) => count,
        Err(_) => {
            fields.problem(name, "min size must be >= 0");
            0
        }
    };
    let (min, max) = (count("min", 0), count("max", 0));
    if max < min || max == 0 {
        fields.problem(
            "max",
            format!("max size must be greater or equal to min size, and not 0: {min}..{max}"),
        );
    }
    let mut resources = Resources::new();
    match fields.node("resources").map(|node| &node.tree) {
        Some(Tree::Map(entries)) => {
            for (name, line, node) in entries {
                match node.text().and_then(quantity) {
                    Some(value) => drop(resources.insert(name.clone(), value)),
                    None => problems.add(*line, name.clone(), "a quantity is needed"),
                }
            }
        }
        _ => {
            fields.problem("resources", "what pods can have on a new node is needed: {cpu: 8, memory: 32Gi}")
        }
    }
    let mut labels = BTreeMap::new();
    if let Some(Tree::Map(entries)) = fields.node("labels").map(|node| &node.tree) {
        for (name, _, node) in entries {
            labels.insert(name.clone(), node.text().unwrap_or_default().to_owned());
        }
    }
    let mut taints = Vec::new();
    for mut taint in fields.maps("taints").unwrap_or_default() {
        let mut word = |name| taint.text(name).unwrap_or_default();
        taints.push(Taint { key: word("key"), value: word("value"), effect: word("effect") });
        taint.finish("not part of a taint");
    }
    let price = fields.number("price");
    fields.finish("not part of a node group");
    Some(Group { name: name?, min, max, resources, labels, taints, price })
}

fn read_priorities(node: &Node, problems: &Problems) -> Vec<(i64, Vec<Regex>)> {
    let Tree::Map(entries) = &node.tree else { return Vec::new() };
    let mut priorities = Vec::new();
    for (key, line, list) in entries {
        let Ok(priority) = key.parse::<i64>() else {
            problems.add(*line, "priorities", format!("{key:?} is no priority: a whole number is needed"));
            continue;
        };
        let Tree::List(items) = &list.tree else {
            problems.add(*line, "priorities", "a list of patterns is needed");
            continue;
        };
        let mut names = Vec::new();
        for item in items {
            let text = item.text().unwrap_or_default();
            match Regex::new(text) {
                Ok(pattern) => names.push(pattern),
                Err(error) => problems.add(item.line, "priorities", format!("{text:?}: {error}")),
            }
        }
        priorities.push((priority, names));
    }
    priorities
}

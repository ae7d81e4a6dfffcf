//! `[[hosts]]`: cards that several deployments share.

use crate::scenario::kinds;
use crate::scenario::problem::{Problem, quoted};
use crate::scenario::reader::TableReader;
use crate::scenario::reading::Sited;
use crate::units::{Bytes, BytesPerSecond, Duration};

/// Where weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsFrom {
    Peer,
    HostMemory,
    Disk,
    ObjectStore,
}

const FROM: [(&str, WeightsFrom); 4] = [
    ("peer", WeightsFrom::Peer),
    ("host-memory", WeightsFrom::HostMemory),
    ("disk", WeightsFrom::Disk),
    ("object-store", WeightsFrom::ObjectStore),
];

/// Hosts of one kind.
#[derive(Debug, Clone)]
pub struct RawHost {
    pub name: Sited<String>,
    pub replicas: u32,
    pub memory: Option<Bytes>,
    /// At least one, each once.
    pub weights_from: Vec<Sited<WeightsFrom>>,
    pub host_memory: Option<Bytes>,
    /// `None` where the catalogue tells.
    pub peer_bandwidth: Option<BytesPerSecond>,
    pub host_memory_bandwidth: Option<BytesPerSecond>,
    pub disk_bandwidth: Option<BytesPerSecond>,
    pub object_store_bandwidth: Option<BytesPerSecond>,
    pub warm_up: Duration,
    pub patience: Duration,
    pub affinity: bool,
}

/// Reads one kind of hosts.
pub fn read(t: &mut TableReader<'_>) -> Option<RawHost> {
    let name = t.required("name", &kinds::NAME, "Its name; deployments name it under `host`.");
    let doc = "How many; each has the cards of one replica.";
    let replicas = t.or("replicas", &kinds::COUNT, "1", doc);
    let doc = "What each has for weights and KV caches, over all its cards; what the engine may take beside its own \
               needs when absent.";
    let memory = t.optional("memory", &kinds::BYTES, doc);
    let doc = "Where weights come from, the first that has them: \"peer\" (another host on the node), \
               \"host-memory\" (of the node, where they stay), \"disk\", \"object-store\"; [\"disk\"] when absent.";
    let names = t.list("weights_from", &kinds::TEXT, false, doc);
    let doc = "What a node keeps of weights in its memory, those used longest ago making room.";
    let host_memory = t.optional("host_memory", &kinds::BYTES, doc);
    let doc = "Between hosts on a node, each way; the links of a host's cards when absent.";
    let peer = t.optional("peer_bandwidth", &kinds::BANDWIDTH, doc);
    let doc = "From a node's memory into a host's cards; their PCIe links when absent.";
    let from_memory = t.optional("host_memory_bandwidth", &kinds::BANDWIDTH, doc);
    let doc = "Of a node's disks; the catalogue's friction when absent.";
    let disk = t.optional("disk_bandwidth", &kinds::BANDWIDTH, doc);
    let doc = "From the object store into a node; the catalogue's friction when absent.";
    let store = t.optional("object_store_bandwidth", &kinds::BANDWIDTH, doc);
    let doc = "From weights that are there to the first iteration.";
    let warm_up = t.or("warm_up", &kinds::TIME, "\"0s\"", doc);
    let doc = "How long a model is waited for while all others on a host are in use; then the one that has been there \
               longest lets nobody else in, and goes when its batch is empty.";
    let patience = t.or("patience", &kinds::TIME, "\"10s\"", doc);
    let doc = "Where requests go: to a host that has their model while its batch has room, or to the one with the \
               fewest requests for it.";
    let placement =
        t.choice("placement", &[("affinity", true), ("spread", false)], &[], Some("affinity"), doc);
    let mut weights_from: Vec<Sited<WeightsFrom>> = Vec::new();
    for name in names.unwrap_or_default() {
        match FROM.iter().find(|(known, _)| *known == name.value) {
            Some((_, from)) if weights_from.iter().any(|other| other.value == *from) => {
                let message = format!("{} names `{}` twice", t.noun(), name.value);
                t.problem(Problem::error(name.place, message).help("take one out"));
            }
            Some((_, from)) => weights_from.push(Sited { value: *from, place: name.place }),
            None => {
                let message = format!("weights come from no `{}`", name.value);
                let known = quoted(FROM.iter().map(|(name, _)| *name));
                t.problem(Problem::error(name.place, message).help(format!("they come from {known}")));
            }
        }
    }
    if weights_from.is_empty() {
        weights_from.push(Sited { value: WeightsFrom::Disk, place: t.place });
    }
    let keeps = weights_from.iter().find(|from| from.value == WeightsFrom::HostMemory);
    match (keeps, &host_memory) {
        (Some(from), None) if !t.has("host_memory") => {
            let message = format!(
                "{} keeps weights in host memory, and nobody knows how much of that there is",
                t.noun()
            );
            let help = "supply it: host_memory = \"256 GiB\", for example";
            t.problem(Problem::error(from.place, message).label("needed for this").help(help));
        }
        (None, Some(size)) => {
            let message = format!("{} has `host_memory`, from which no weights come", t.noun());
            let help = "add \"host-memory\" to weights_from, or take it out";
            t.problem(Problem::error(size.place, message).help(help));
        }
        _ => {}
    }
    let given = |given: Option<Sited<BytesPerSecond>>| given.map(|bandwidth| *bandwidth);
    Some(RawHost {
        name: name?,
        replicas: *replicas?,
        memory: memory.map(|memory| *memory),
        weights_from,
        host_memory: host_memory.map(|size| *size),
        peer_bandwidth: given(peer),
        host_memory_bandwidth: given(from_memory),
        disk_bandwidth: given(disk),
        object_store_bandwidth: given(store),
        warm_up: *warm_up?,
        patience: *patience?,
        affinity: *placement?,
    })
}

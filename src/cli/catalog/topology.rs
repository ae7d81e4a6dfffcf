//! `fleetsim catalog offers NAME --topology`: the links of a node, as a matrix such as `nvidia-smi topo -m` prints,
//! or as the graph.

use serde_json::{Value, json};

use super::Failure;
use crate::catalog::{Catalog, NetworkClass};
use crate::perf::NodeSpec;
use crate::topology::{NodeTopology, Path, Vertex};

/// A node, ready to be drawn.
pub struct Drawing {
    offer: String,
    network: Option<NetworkClass>,
    spec: NodeSpec,
    node: NodeTopology,
}

impl Drawing {
    /// The node of an offer.
    ///
    /// # Errors
    /// [`Failure::BadInput`] when there is no such offer, figures are unknown, or no such node can be built.
    pub fn of(catalog: &Catalog, name: &str) -> Result<Self, Failure> {
        let wrong = |error: String| Failure::BadInput(error);
        let offer = catalog.offer(name).map_err(|error| wrong(error.to_string()))?;
        let card = catalog.accelerator(&offer.accelerator).map_err(|error| wrong(error.to_string()))?;
        let spec = NodeSpec::from_catalog(offer, card).map_err(|error| wrong(error.to_string()))?;
        let node = spec.topology().map_err(|error| wrong(error.to_string()))?;
        Ok(Self { offer: offer.name.clone(), network: offer.network_class(), spec, node })
    }

    fn cards(&self) -> Vec<u32> {
        (0..self.node.card_count()).collect()
    }

    /// What all rings over the node carry together, for a node of several cards.
    fn ring_gb_s(&self) -> Option<f64> {
        let rings = self.node.rings(&self.cards()).ok()?;
        (self.node.card_count() > 1).then(|| gb_s(rings.bandwidth.as_f64()))
    }

    fn bisection_gb_s(&self) -> Option<f64> {
        self.node.bisection().map(|most| gb_s(most.as_f64()))
    }

    fn scale_out_gb_s(&self) -> Option<f64> {
        self.node.scale_out().map(|most| gb_s(most.as_f64()))
    }

    /// The drawing as text.
    pub fn text(&self) -> String {
        let cards = self.cards();
        let mut text = format!(
            "{}: {} × {}, {}\n\n",
            self.offer,
            cards.len(),
            self.spec.card.name,
            self.spec.card.interconnect.name()
        );
        if cards.len() > 1 {
            text += "       ";
            cards.iter().for_each(|card| text += &format!("{:>9}", format!("card {card}")));
            text += "\n";
            for from in &cards {
                text += &format!("{:<7}", format!("card {from}"));
                for to in &cards {
                    text += &format!("{:>9}", self.cell(*from, *to));
                }
                text += "\n";
            }
            text += "\nGB/s in one direction with nobody else on the way: S through the switch, L over links of the \
                     cards,\nX within a PCIe switch, C within a CPU, CC from one CPU to the other\n\n";
        }
        let unknown = || "unknown".to_owned();
        let number = |value: Option<f64>| value.map_or_else(unknown, |value| format!("{value:.1} GB/s"));
        if cards.len() > 1 {
            text += &format!("rings over all cards   {}\n", number(self.ring_gb_s()));
            text += &format!("one half to the other  {}\n", number(self.bisection_gb_s()));
            if let Ok(path) = self.node.bottleneck(&cards) {
                let way: Vec<String> = path.vertices.iter().map(Vertex::to_string).collect();
                text += &format!("slowest pair           {}\n", number(Some(gb_s(path.bandwidth.as_f64()))));
                text += &format!("                       {}\n", way.join(" – "));
            }
        }
        text += &format!("out of the node        {}", number(self.scale_out_gb_s()));
        let nics = self.count(|vertex| matches!(vertex, Vertex::Nic(_)));
        if nics > 0 {
            text += &format!(", drawn as {nics} network cards");
        }
        if let Some(class) = self.network {
            text += &format!(" ({})", class.name());
        }
        text += "\n";
        text +=
            "PCIe switches, CPUs and the places of network cards are assumptions, not the offer's figures.\n";
        text
    }

    fn count(&self, wanted: impl Fn(&Vertex) -> bool) -> usize {
        let mut seen: Vec<Vertex> = self.node.links().map(|(from, _, _)| from).filter(wanted).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len()
    }

    fn cell(&self, from: u32, to: u32) -> String {
        if from == to {
            return "–".to_owned();
        }
        self.node.path(from, to).map_or_else(
            || "none".to_owned(),
            |path| format!("{} {:.0}", class(&path), gb_s(path.bandwidth.as_f64())),
        )
    }

    /// The graph as data: each link in both of its directions.
    pub fn json(&self) -> Value {
        let links: Vec<Value> = self
            .node
            .links()
            .map(|(from, to, link)| {
                json!({
                    "from": from.to_string(),
                    "to": to.to_string(),
                    "gb_s": gb_s(link.bandwidth.as_f64()),
                    "latency_ns": link.latency.as_nanos(),
                })
            })
            .collect();
        let bottleneck = self.node.bottleneck(&self.cards()).ok().map(|path| {
            let way: Vec<String> = path.vertices.iter().map(Vertex::to_string).collect();
            json!({ "path": way, "gb_s": gb_s(path.bandwidth.as_f64()) })
        });
        json!({
            "offer": self.offer,
            "accelerator": self.spec.card.name,
            "cards": self.node.card_count(),
            "interconnect": self.spec.card.interconnect.name(),
            "links": links,
            "ring_gb_s": self.ring_gb_s(),
            "bisection_gb_s": self.bisection_gb_s(),
            "bottleneck": bottleneck,
            "scale_out_gb_s": self.scale_out_gb_s(),
            "network_class": self.network.map(NetworkClass::name),
        })
    }
}

/// What kind of way it is, in a letter or two.
fn class(path: &Path) -> &'static str {
    let has = |wanted: fn(&Vertex) -> bool| path.vertices.iter().filter(|vertex| wanted(vertex)).count();
    if has(|vertex| matches!(vertex, Vertex::NvSwitch)) > 0 {
        return "S";
    }
    match (
        has(|vertex| matches!(vertex, Vertex::Cpu(_))),
        has(|vertex| matches!(vertex, Vertex::PcieSwitch(_))),
    ) {
        (0, 0) => "L",
        (0, _) => "X",
        (1, _) => "C",
        _ => "CC",
    }
}

/// To a tenth of a MB/s, so that binary fractions do not show.
fn gb_s(bytes_per_second: f64) -> f64 {
    (bytes_per_second / 1e5).round() / 1e4
}

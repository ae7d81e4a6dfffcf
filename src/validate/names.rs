//! Names in tables to entries of the catalogue.

use super::report::Skip;
use crate::catalog::{Catalog, NotFound};
use crate::perf::{CardSpec, ModelDims, NodeSpec, UnknownFigures};
use crate::units::BytesPerSecond;

/// Endings that tables add to a model's name and that say nothing of its shape.
const ENDINGS: [&str; 9] = ["-instruct", "-fp8", "-nvfp4", "-fp4", "-hf", "-bf16", "-chat", " 0528", "-0528"];

/// A model and a card with the names under which they are reported.
pub(super) struct Named<T> {
    pub(super) name: String,
    pub(super) figures: T,
}

/// The model of that name.
pub(super) fn model(catalog: &Catalog, name: &str) -> Result<Named<ModelDims>, Skip> {
    let short = name.rsplit('/').next().unwrap_or(name);
    let mut tried = short.to_lowercase();
    let mut found = catalog.model(name).or_else(|_| catalog.model(short));
    while let (Err(_), Some(cut)) = (&found, ENDINGS.iter().find_map(|ending| tried.strip_suffix(ending))) {
        tried = cut.to_owned();
        found = catalog.model(&tried);
    }
    let entry = found.map_err(|missing| not_found(&missing, name))?;
    let figures = ModelDims::try_from(entry).map_err(|missing| unknown("model", name, &missing))?;
    Ok(Named { name: entry.name.clone(), figures })
}

/// A node of so many of these cards at least.
///
/// Where the catalogue knows a larger domain of links (NVL72), a node is a domain: what matters is what the
/// cards cross.
pub(super) fn node(catalog: &Catalog, name: &str, cards: u32) -> Result<Named<NodeSpec>, Skip> {
    let entry = catalog.accelerator(name).map_err(|missing| not_found(&missing, name))?;
    let card = CardSpec::try_from(entry).map_err(|missing| unknown("accelerator", name, &missing))?;
    let server = entry.cards_per_server().unwrap_or(8);
    let domain = entry.interconnect.domain.as_ref().map_or(server, |figure| figure.value.max(server));
    let node = NodeSpec {
        name: format!("a server of {}", entry.name),
        card,
        cards: if cards > server { domain } else { server.max(1) },
        scale_out: entry.scale_out.as_ref().map(|figure| figure.value),
    };
    Ok(Named { name: entry.name.clone(), figures: node })
}

/// The node as a plan of so many cards sees it that reaches beyond it: all its cards in one domain, at the speed of
/// the network between nodes.
pub(super) fn widened(node: &NodeSpec, cards: u32) -> NodeSpec {
    let mut node = node.clone();
    if cards > node.cards {
        let each = node.scale_out.map(|all| BytesPerSecond(all.as_f64() / f64::from(node.cards)));
        node.card.card_link = each.or(node.card.card_link);
        node.scale_out =
            node.scale_out.map(|all| BytesPerSecond(all.as_f64() / f64::from(node.cards) * f64::from(cards)));
        node.cards = cards;
    }
    node
}

fn not_found(missing: &NotFound, name: &str) -> Skip {
    let nearest = if missing.nearest.is_empty() {
        "nothing in the catalogue is near".to_owned()
    } else {
        format!("nearest: {}", missing.nearest.join(", "))
    };
    let reason = format!("the catalogue has no {} of this name", missing.kind);
    Skip { reason, example: format!("{name} ({nearest})") }
}

fn unknown(kind: &str, name: &str, missing: &UnknownFigures) -> Skip {
    let figures: Vec<&str> = missing.0.iter().map(|unknown| unknown.figure).collect();
    let reason = format!("the catalogue lacks figures of the {kind}");
    Skip { reason, example: format!("{name} ({})", figures.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_say_nothing() {
        let catalog = Catalog::embedded();
        let named = |name| model(&catalog, name).map(|found| found.name).map_err(|skip| skip.example);
        assert_eq!(named("Qwen/Qwen3-235B-A22B-FP8").as_deref(), Ok("qwen3-235b-a22b"));
        assert_eq!(named("meta-llama/Llama-3.1-8B-Instruct").as_deref(), Ok("llama-3.1-8b"));
        assert_eq!(named("DeepSeek R1 0528").as_deref(), Ok("deepseek-r1"));
        let unknown = named("llama-3.1-9b").expect_err("there is none");
        assert!(unknown.contains("llama-3.1-8b"), "{unknown}");
        assert!(node(&catalog, "NVIDIA GB200", 16).is_ok_and(|node| node.figures.cards == 72));
    }
}

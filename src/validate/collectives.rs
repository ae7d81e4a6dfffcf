//! Rows of `collectives_measured.csv`.

use super::names;
use super::report::{Compared, Row, Skip, origin};
use super::table::{Fields, Table};
use crate::catalog::Catalog;
use crate::perf::constants::Constants;
use crate::perf::{Operation, collective_time_with};
use crate::topology::Interconnect;
use crate::units::{Bytes, BytesPerSecond};

/// Below this size a message is all latency and is reported apart.
const LARGE: f64 = 1_048_576.0;

/// Compares every row.
pub(super) fn rows(table: &Table, constants: &Constants) -> Vec<Row> {
    let catalog = Catalog::embedded();
    table.rows().map(|row| compare(&catalog, row, constants)).collect()
}

fn compare(catalog: &Catalog, row: Fields<'_>, constants: &Constants) -> Row {
    let system = row.text("system");
    let about = |reason: &str| Err(Skip { reason: reason.to_owned(), example: system.to_owned() });
    let operation = match row.text("collective") {
        "all_reduce" => Operation::AllReduce,
        "all_gather" => Operation::AllGather,
        "reduce_scatter" => Operation::ReduceScatter,
        "all_to_all" | "alltoall" => Operation::AllToAll,
        "broadcast" => Operation::Broadcast,
        "send_recv" | "sendrecv" => Operation::SendReceive,
        _ => return about("the collective is none that the model has"),
    };
    let (Some(cards), Some(nodes)) = (row.count("num_gpus"), row.count("num_nodes")) else {
        return about("the row does not say how many cards and nodes take part");
    };
    if cards < 2 || nodes > cards {
        return about("the row's cards and nodes are no group");
    }
    let mut found = names::node(catalog, card(system), 8)?;
    let node = &mut found.figures;
    let pairs = system.contains("pairwise");
    node.cards = if pairs { 4 } else { 8 };
    if pairs && !matches!(node.card.interconnect, Interconnect::Pcie { .. }) {
        node.card.interconnect = Interconnect::Pcie { bridged: true };
    }
    match network(system) {
        Some(gbit_s) => node.scale_out = Some(BytesPerSecond::from_gb_s(gbit_s / 8.0)),
        None if nodes > 1 => return about("the row does not say what network joins its nodes"),
        None => {}
    }
    let per_node = cards.div_ceil(nodes);
    let (size, microseconds) = (row.number("size_bytes").unwrap_or(0.0), row.number("time_us"));
    let bus = row.number("busbw_GBps").filter(|bus| *bus > 0.0);
    // Peaks without a size stand for large messages.
    let size = if size > 0.0 { size } else { 4.0 * 1_073_741_824.0 };
    let seconds = collective_time_with(node, operation, cards, per_node, Bytes(size as u64), constants)
        .map_err(|error| Skip {
            reason: "the model refuses the group".to_owned(),
            example: format!("{system}: {error}"),
        })?
        .as_secs_f64();
    let share =
        if operation == Operation::AllReduce { 2.0 * f64::from(cards - 1) / f64::from(cards) } else { 1.0 };
    let (metric, measured, predicted) = match (microseconds.filter(|time| *time > 0.0), bus) {
        (Some(time), _) if size >= LARGE => ("time_from_1mib", time * 1e-6, seconds),
        (Some(time), _) => ("time_below_1mib", time * 1e-6, seconds),
        (None, Some(bus)) => ("bus_bandwidth", bus * 1e9, share * size / seconds),
        (None, None) => return about("the row has no value"),
    };
    Ok(Compared {
        line: row.line(),
        source: row.text("source").to_owned(),
        origin: origin(row.text("source")),
        accelerator: found.name,
        model: format!("{} × {cards} on {nodes}", row.text("collective")),
        metric: metric.to_owned(),
        measured,
        predicted,
    })
}

/// The card that a system's description begins with or contains.
fn card(system: &str) -> &str {
    let cards = [
        ("A100-80GB PCIe", "A100-PCIe-80"),
        ("A100-SXM4-40GB", "A100-SXM4-40"),
        ("A100", "A100-SXM4-80"),
        ("H100 pairwise", "H100-NVL"),
        ("H100", "H100-SXM5"),
        ("V100-SXM2-16", "V100-SXM2-16"),
        ("A40", "A40"),
    ];
    cards.iter().find(|(known, _)| system.contains(known)).map_or(system, |(_, card)| card)
}

/// The network of a node in Gbit/s, where the description says it or the kind of machine is known: Azure's
/// A100 and H100 servers have eight links of 200 and of 400.
fn network(system: &str) -> Option<f64> {
    let known = [
        ("400G EFA", 400.0),
        ("16x100G", 1600.0),
        ("A100-80GB NVSwitch DGX (Azure)", 1600.0),
        ("H100 NVSwitch DGX (Azure)", 3200.0),
    ];
    known.iter().find(|(name, _)| system.contains(name)).map(|(_, gbit_s)| *gbit_s)
}

//! Accelerators: what a card can do, and what connects it to its neighbours.

use crate::units::{Bytes, BytesPerSecond, FlopPerSecond, Watts};

use super::figure::{EntryName, Figure, FigureRow, Unknown};
use super::origin::{BadEntry, Sources, entry_fields};
use super::precision::Precision;

/// How the cards of a server are joined; what the topology is built from.
///
/// The class is this project's reading of the link's name; the bandwidth beside it is the figure.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum LinkClass {
    /// Each card reaches a non-blocking switch (NVSwitch) with its full bandwidth.
    Switch,
    /// Links from each card to some of the others (the hybrid cube mesh of DGX-1, NeuronLink).
    PartialMesh,
    /// The card's bandwidth is divided evenly over links to all others (xGMI, Gaudi's Ethernet).
    FullMesh,
    /// Neighbours on a two-dimensional torus (TPU v2, v3, v5e, v6e).
    Torus2d,
    /// Neighbours on a three-dimensional torus (TPU v4, v5p).
    Torus3d,
    /// Through the host's PCIe tree; a bridge may join pairs.
    #[default]
    Pcie,
    /// One device a server: nothing to join within it.
    Single,
}

impl LinkClass {
    /// The name in data files and scenarios: `full-mesh`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::PartialMesh => "partial-mesh",
            Self::FullMesh => "full-mesh",
            Self::Torus2d => "torus2d",
            Self::Torus3d => "torus3d",
            Self::Pcie => "pcie",
            Self::Single => "single",
        }
    }
}

/// What joins the cards of one server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Interconnect {
    /// The vendor's name for it, for example `NVLink4`.
    pub kind: String,
    /// How the cards are joined.
    pub class: LinkClass,
    /// What one card can send to its neighbours together, in one direction.
    pub bandwidth: Option<Figure<BytesPerSecond>>,
    /// What a bridge carries between the two cards that it joins, in one direction.
    pub bridge: Option<Figure<BytesPerSecond>>,
    /// Cards in the domain of the link where it reaches beyond the server (72 in an NVL72 rack).
    pub domain: Option<Figure<u32>>,
}

/// A card: one device as its provider counts them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Accelerator {
    /// Its name, for example `H100-SXM5`.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Who makes it.
    pub vendor: String,
    /// The year of its launch.
    pub year: Option<u32>,
    /// Dense peak rates by precision, in the order of [`Precision::ALL`]; integer operations count as FLOP.
    pub peaks: [Option<Figure<FlopPerSecond>>; 8],
    /// Its memory; a vendor's GB are read as 10⁹ bytes.
    pub memory: Option<Figure<Bytes>>,
    /// The memory that the driver shows: what remains after error correction and the driver's own.
    pub visible_memory: Option<Figure<Bytes>>,
    /// What it reads from its memory a second.
    pub memory_bandwidth: Option<Figure<BytesPerSecond>>,
    /// What joins it to the other cards of its server.
    pub interconnect: Interconnect,
    /// The servers in which it usually comes, in words.
    pub server: String,
    /// Cards in the largest usual server.
    pub cards_per_server: Option<Figure<u32>>,
    /// The network of the usual server beyond itself, in one direction; an offer's own figure goes before it.
    pub scale_out: Option<Figure<BytesPerSecond>>,
    /// The power that it is designed for.
    pub tdp: Option<Figure<Watts>>,
    /// A remark for the reader.
    pub note: String,
}

entry_fields! {
    /// An accelerator as data files and scenarios write it. Rates are dense peaks in 10¹² operations a second.
    AcceleratorFields ("accelerator") {
        words {
            /// Who makes it.
            vendor: String,
            /// The year of its launch.
            year: u32,
            /// The vendor's name for what joins the cards.
            link: String,
            /// How the cards of a server are joined.
            link_class: LinkClass,
            /// The servers in which it usually comes.
            server: String,
            /// A remark for the reader.
            note: String,
        }
        figures {
            /// Peak in fp32 without tensor units, TFLOPS.
            fp32_tflops: f64,
            /// Peak in TF32, TFLOPS.
            tf32_tflops: f64,
            /// Peak in fp16 with fp32 accumulation, TFLOPS.
            fp16_tflops: f64,
            /// Peak in bf16, TFLOPS.
            bf16_tflops: f64,
            /// Peak in fp8, TFLOPS.
            fp8_tflops: f64,
            /// Peak in int8, TOPS.
            int8_tops: f64,
            /// Peak in fp4, TFLOPS.
            fp4_tflops: f64,
            /// Peak in int4, TOPS.
            int4_tops: f64,
            /// Memory, 10⁹ bytes.
            memory_gb: f64,
            /// Memory that the driver shows (`nvidia-smi`), 2²⁰ bytes.
            visible_memory_mib: f64,
            /// Memory bandwidth, 10⁹ bytes a second.
            memory_gb_s: f64,
            /// What one card sends to its neighbours together, in one direction, 10⁹ bytes a second.
            link_gb_s: f64,
            /// What a bridge carries between a pair of cards, in one direction, 10⁹ bytes a second.
            bridge_gb_s: f64,
            /// Cards in the link's domain where it reaches beyond the server.
            link_domain: u32,
            /// Cards in the largest usual server.
            cards_per_server: u32,
            /// Network of the usual server beyond itself, 10⁹ bits a second.
            scale_out_gbit_s: f64,
            /// Design power, W.
            tdp_w: f64,
        }
    }
}

/// The key of a precision's peak in data files and scenarios.
pub const fn peak_key(precision: Precision) -> &'static str {
    match precision {
        Precision::Fp32 => "fp32_tflops",
        Precision::Tf32 => "tf32_tflops",
        Precision::Fp16 => "fp16_tflops",
        Precision::Bf16 => "bf16_tflops",
        Precision::Fp8 => "fp8_tflops",
        Precision::Int8 => "int8_tops",
        Precision::Fp4 => "fp4_tflops",
        Precision::Int4 => "int4_tops",
    }
}

impl Accelerator {
    fn entry(&self) -> EntryName<'_> {
        EntryName { kind: "accelerator", name: &self.name }
    }

    /// The dense peak rate in `precision`.
    ///
    /// # Errors
    /// When the catalogue has no such figure: the card may not support it, or nobody published it.
    pub fn peak(&self, precision: Precision) -> Result<FlopPerSecond, Unknown> {
        self.entry().need(peak_key(precision), self.peaks[precision as usize].as_ref())
    }

    /// The precisions whose peak is known, widest first.
    pub fn precisions(&self) -> impl Iterator<Item = Precision> {
        Precision::ALL.into_iter().filter(|precision| self.peaks[*precision as usize].is_some())
    }

    /// The memory of one card.
    ///
    /// # Errors
    /// When it is not known.
    pub fn memory(&self) -> Result<Bytes, Unknown> {
        self.entry().need("memory_gb", self.memory.as_ref())
    }

    /// The memory that programs can have: what the driver shows, or else the nominal memory. (A vendor's
    /// "80 GB" is in truth nearer 80 × 2³⁰ bytes, so that the nominal figure is some 7 % too low.)
    ///
    /// # Errors
    /// When neither is known.
    pub fn usable_memory(&self) -> Result<Bytes, Unknown> {
        match &self.visible_memory {
            Some(visible) => Ok(visible.value),
            None => self.memory(),
        }
    }

    /// What one card reads from its memory a second.
    ///
    /// # Errors
    /// When it is not known.
    pub fn memory_bandwidth(&self) -> Result<BytesPerSecond, Unknown> {
        self.entry().need("memory_gb_s", self.memory_bandwidth.as_ref())
    }

    /// What one card can send to its neighbours in the server together, in one direction.
    ///
    /// # Errors
    /// When it is not known.
    pub fn link_bandwidth(&self) -> Result<BytesPerSecond, Unknown> {
        self.entry().need("link_gb_s", self.interconnect.bandwidth.as_ref())
    }

    /// Cards in the largest usual server.
    ///
    /// # Errors
    /// When it is not known.
    pub fn cards_per_server(&self) -> Result<u32, Unknown> {
        self.entry().need("cards_per_server", self.cards_per_server.as_ref())
    }

    /// The network of the usual server beyond itself, in one direction.
    ///
    /// # Errors
    /// When it is not known.
    pub fn scale_out(&self) -> Result<BytesPerSecond, Unknown> {
        self.entry().need("scale_out_gbit_s", self.scale_out.as_ref())
    }

    /// The design power of one card.
    ///
    /// # Errors
    /// When it is not known.
    pub fn tdp(&self) -> Result<Watts, Unknown> {
        self.entry().need("tdp_w", self.tdp.as_ref())
    }

    /// Every figure, known or not, in a fixed order.
    pub fn figures(&self) -> Vec<FigureRow> {
        let entry = self.entry();
        let mut rows: Vec<FigureRow> = Precision::ALL
            .iter()
            .map(|precision| entry.row(peak_key(*precision), self.peaks[*precision as usize].as_ref()))
            .collect();
        rows.extend([
            entry.row("memory_gb", self.memory.as_ref()),
            FigureRow {
                unit: "MiB",
                ..entry.row(
                    "visible_memory_mib",
                    self.visible_memory.clone().map(|known| known.map(|bytes| bytes.0 >> 20)).as_ref(),
                )
            },
            entry.row("memory_gb_s", self.memory_bandwidth.as_ref()),
            entry.row("link_gb_s", self.interconnect.bandwidth.as_ref()),
            entry.row("bridge_gb_s", self.interconnect.bridge.as_ref()),
            entry.row("link_domain", self.interconnect.domain.as_ref()),
            entry.row("cards_per_server", self.cards_per_server.as_ref()),
            FigureRow {
                unit: "Gbit/s",
                ..entry.row(
                    "scale_out_gbit_s",
                    self.scale_out
                        .clone()
                        .map(|known| known.map(|rate| super::figure::plain(rate.as_f64() * 8.0 / 1e9)))
                        .as_ref(),
                )
            },
            entry.row("tdp_w", self.tdp.as_ref()),
        ]);
        rows
    }

    /// Lays fields over this entry.
    ///
    /// # Errors
    /// When a value is impossible or a provenance key names no figure.
    pub(super) fn apply(&mut self, fields: &AcceleratorFields, known: &Sources) -> Result<(), BadEntry> {
        let origin = fields.origin(known)?;
        self.name.clone_from(&fields.name);
        self.aliases.extend(fields.aliases.iter().cloned());
        let words = [
            (&mut self.vendor, &fields.vendor),
            (&mut self.interconnect.kind, &fields.link),
            (&mut self.server, &fields.server),
            (&mut self.note, &fields.note),
        ];
        for (slot, word) in words {
            if let Some(word) = word {
                slot.clone_from(word);
            }
        }
        self.year = fields.year.or(self.year);
        self.interconnect.class = fields.link_class.unwrap_or(self.interconnect.class);
        for (precision, value) in [
            (Precision::Fp32, fields.fp32_tflops),
            (Precision::Tf32, fields.tf32_tflops),
            (Precision::Fp16, fields.fp16_tflops),
            (Precision::Bf16, fields.bf16_tflops),
            (Precision::Fp8, fields.fp8_tflops),
            (Precision::Int8, fields.int8_tops),
            (Precision::Fp4, fields.fp4_tflops),
            (Precision::Int4, fields.int4_tops),
        ] {
            let slot = &mut self.peaks[precision as usize];
            origin.number(slot, peak_key(precision), value, FlopPerSecond::from_tflops)?;
        }
        origin.number(&mut self.memory, "memory_gb", fields.memory_gb, Bytes::from_gb)?;
        origin.number(&mut self.visible_memory, "visible_memory_mib", fields.visible_memory_mib, |mib| {
            Bytes((mib * 1_048_576.0).round() as u64)
        })?;
        origin.number(
            &mut self.memory_bandwidth,
            "memory_gb_s",
            fields.memory_gb_s,
            BytesPerSecond::from_gb_s,
        )?;
        let link = &mut self.interconnect;
        origin.number(&mut link.bandwidth, "link_gb_s", fields.link_gb_s, BytesPerSecond::from_gb_s)?;
        origin.number(&mut link.bridge, "bridge_gb_s", fields.bridge_gb_s, BytesPerSecond::from_gb_s)?;
        origin.count(&mut link.domain, "link_domain", fields.link_domain)?;
        origin.count(&mut self.cards_per_server, "cards_per_server", fields.cards_per_server)?;
        origin.number(&mut self.scale_out, "scale_out_gbit_s", fields.scale_out_gbit_s, |gbit| {
            BytesPerSecond::from_gb_s(gbit / 8.0)
        })?;
        origin.number(&mut self.tdp, "tdp_w", fields.tdp_w, Watts)
    }
}

//! Models that make images: how long a step of a batch takes.
//!
//! A step is one pass of the denoiser over every image of the batch, two with classifier-free guidance (Ho and
//! Salimans, arXiv 2207.12598). Its products grow with the pixels and those of self-attention with their square, a
//! prompt that goes through the denoiser beside the image counting as so many pixels more (Esser et al., arXiv
//! 2403.03206, section 4). A pass takes its FLOP at the share of the card's peak that such models reach, or reads the
//! weights once, whichever is longer, and every step an overhead beside it. Text encoders are left out: they run once
//! an image, on few tokens.

use super::card::NodeSpec;
use super::constants::{ENGINE_RESERVE, IMAGE_COMPUTE, IMAGE_STEP_OVERHEAD, IMAGE_WEIGHT_BANDWIDTH};
use super::format::weight_bits;
use super::from_catalog::UnknownFigures;
use super::plan::PlanError;
use super::segment::Segment;
use super::step::BatchShape;
use crate::catalog::{Model, Precision, Unknown};
use crate::units::{Bytes, Flop, TickChange, Ticks};

/// What the performance model needs to know of a model that makes images. The catalogue's model converts into it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageDims {
    /// Its name, for messages.
    pub name: String,
    /// All parameters: text encoders, denoiser, decoder of images.
    pub parameters: u64,
    /// Those of the denoiser, which every pass reads.
    pub denoiser: u64,
    /// Passes of a step.
    pub passes: u32,
    /// Pixels of the image at which the FLOP are given.
    pub pixels: u64,
    /// Pixels as which the prompt counts in the denoiser.
    pub text_pixels: u64,
    /// FLOP of a pass that grow with the pixels.
    pub linear_flop: f64,
    /// FLOP of a pass that grow with their square.
    pub attention_flop: f64,
    /// FLOP of making an image of what the last step leaves; taken to grow with the pixels.
    pub decode_flop: f64,
}

impl TryFrom<&Model> for ImageDims {
    type Error = UnknownFigures;

    fn try_from(model: &Model) -> Result<Self, UnknownFigures> {
        let mut missing = Vec::new();
        let rows = model.figures();
        let lacking = rows.iter().filter(|row| row.value.is_none());
        missing.extend(lacking.map(|row| Unknown {
            kind: row.kind,
            key: format!("{}s.{}.{}", row.kind, row.entry, row.figure),
            entry: row.entry.clone(),
            figure: row.figure,
        }));
        let known = (
            model.denoiser_parameters.as_ref(),
            model.image_side.as_ref(),
            model.step_passes.as_ref(),
            model.step_tflop.as_ref(),
            model.step_attention_tflop.as_ref(),
            model.decode_tflop.as_ref(),
        );
        let parameters = model.parameters().map_err(|unknown| missing.push(unknown)).unwrap_or_default();
        let (Some(denoiser), Some(side), Some(passes), Some(linear), Some(attention), Some(decode)) = known
        else {
            return Err(UnknownFigures(missing));
        };
        if !missing.is_empty() {
            return Err(UnknownFigures(missing));
        }
        Ok(Self {
            name: model.name.clone(),
            parameters,
            denoiser: denoiser.value,
            passes: passes.value,
            pixels: u64::from(side.value) * u64::from(side.value),
            text_pixels: model.text_pixels.as_ref().map_or(0, |pixels| u64::from(pixels.value)),
            linear_flop: linear.value * 1e12,
            attention_flop: attention.value * 1e12,
            decode_flop: decode.value * 1e12,
        })
    }
}

impl ImageDims {
    /// FLOP of one step of one image of so many pixels.
    pub fn step_flop(&self, pixels: u64) -> f64 {
        let times = (pixels + self.text_pixels) as f64 / (self.pixels + self.text_pixels) as f64;
        f64::from(self.passes) * (self.linear_flop * times + self.attention_flop * times * times)
    }

    /// FLOP of decoding one image of so many pixels.
    pub fn decoding_flop(&self, pixels: u64) -> f64 {
        self.decode_flop * pixels as f64 / self.pixels as f64
    }

    /// All weights in a format.
    pub fn weight_bytes(&self, precision: Precision) -> Bytes {
        Bytes((self.parameters as f64 * weight_bits(precision) / 8.0).ceil() as u64)
    }
}

/// How long the steps of a replica last that makes images on one card.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageStep {
    dims: ImageDims,
    /// FLOP a second that the card reaches.
    rate: f64,
    /// What reading the weights once takes, in seconds.
    read: f64,
}

impl ImageStep {
    /// The model on one card of a node, its weights in a format.
    ///
    /// # Errors
    /// When the card does not compute in that format, or the weights leave no room on it.
    pub fn new(
        dims: &ImageDims,
        node: &NodeSpec,
        weights: Precision,
        memory_utilization: f64,
    ) -> Result<Self, PlanError> {
        let card = &node.card;
        let (_, peak) = card.compute(weights).ok_or_else(|| PlanError::OutOfRange {
            what: format!("the precision on {}", card.name),
            found: weights.to_string(),
            range: "one that the card computes in".to_owned(),
        })?;
        let room = card.visible_memory().0 as f64 * memory_utilization - ENGINE_RESERVE.0 as f64;
        let needed = dims.weight_bytes(weights);
        if needed.0 as f64 > room {
            return Err(PlanError::OutOfRange {
                what: format!("the weights of {} in {weights}", dims.name),
                found: needed.to_string(),
                range: format!("at most {} on one {}", Bytes(room.max(0.0) as u64), card.name),
            });
        }
        let read = dims.denoiser as f64 * weight_bits(weights) / 8.0;
        Ok(Self {
            dims: dims.clone(),
            rate: peak.as_f64() * IMAGE_COMPUTE,
            read: read / (card.memory_bandwidth.as_f64() * IMAGE_WEIGHT_BANDWIDTH),
        })
    }

    /// The segment that begins with this batch, all of whose images are of one size. The iteration in which requests
    /// begin is their first step, and bears their decoding too: a batch begins and ends as a whole.
    pub(super) fn segment(&self, batch: &BatchShape) -> Segment {
        let images = f64::from(batch.decode_requests + batch.prefill_requests);
        let mut flop = images * self.dims.step_flop(batch.pixels);
        let passes = f64::from(self.dims.passes);
        let mut time = (flop / self.rate).max(passes * self.read) + IMAGE_STEP_OVERHEAD.as_secs_f64();
        let begins = batch.prefill_requests > 0;
        if begins {
            let decoding = f64::from(batch.prefill_requests) * self.dims.decoding_flop(batch.pixels);
            flop += decoding;
            time += decoding / self.rate;
        }
        Segment {
            first: Ticks(Ticks::from_secs_f64(time).0.max(1)),
            slope: TickChange(0),
            flop_first: Flop(flop as u128),
            flop_slope: Flop::ZERO,
            max_iterations: if begins { 1 } else { u64::MAX },
        }
    }

    /// How long a batch of so many images of so many pixels takes, with so many steps, in seconds.
    pub fn batch_seconds(&self, images: u32, pixels: u64, steps: u32) -> f64 {
        let first = BatchShape { prefill_requests: images, pixels, ..BatchShape::default() };
        let later = BatchShape { decode_requests: images, pixels, ..BatchShape::default() };
        let later = self.segment(&later).first.as_secs_f64() * f64::from(steps.saturating_sub(1));
        self.segment(&first).first.as_secs_f64() + later
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn dims(model: &str) -> ImageDims {
        let catalog = Catalog::embedded();
        ImageDims::try_from(catalog.model(model).expect("a model")).expect("all figures")
    }

    /// Counted layer by layer at half the side: 1,588.8 GFLOP a pass of SDXL at 512, 21,502.6 of FLUX.1 at 512.
    #[test]
    fn flop_scale_with_the_pixels() {
        for (model, passes, gflop) in [("sdxl", 2.0, 1588.8), ("flux.1-dev", 1.0, 21_502.6)] {
            let counted = dims(model).step_flop(512 * 512) / 1e9 / passes;
            assert!((counted / gflop - 1.0).abs() < 0.03, "{model}: {counted}");
        }
    }

    fn on(model: &str, offer: &str) -> ImageStep {
        let catalog = Catalog::embedded();
        let offer = catalog.offer(offer).expect("an offer");
        let card = catalog.accelerator(&offer.accelerator).expect("a card");
        let node = NodeSpec::from_catalog(offer, card).expect("known");
        ImageStep::new(&dims(model), &node, Precision::Bf16, 0.9).expect("it fits")
    }

    /// Compiled engines, one image at a time. A100 80 GB SXM: fal-ai/stable-diffusion-benchmarks (2023-11), torch 2.1
    /// compiled, channels last, 50 steps. H100: xdit-project/xDiT docs/performance/flux.md, one card, torch.compile,
    /// 28 steps. The first two set the two constants; the third did not. diffusers' documentation has 2.54 s for 30
    /// steps of SDXL on an A100 with max-autotune, as TensorRT is (4.10 s for 50): the constants are those of plain
    /// compilation, and so slower.
    #[test]
    fn measured_images() {
        let a100 = "gcp/a2-ultragpu-8g";
        for (model, offer, side, steps, measured) in [
            ("sd-1.5", a100, 512u64, 50, 1.066),
            ("sdxl", a100, 1024, 50, 5.132),
            ("flux.1-dev", "aws/p5.48xlarge", 1024, 28, 4.30),
        ] {
            let seconds = on(model, offer).batch_seconds(1, side * side, steps);
            assert!((seconds / measured - 1.0).abs() < 0.1, "{model}: {seconds} s, measured {measured} s");
        }
    }

    /// A batch shares the overhead and the reading of weights, and no FLOP.
    #[test]
    fn batches_share_what_is_not_work() {
        let step = on("sd-1.5", "aws/p5.48xlarge");
        let (one, eight) = (step.batch_seconds(1, 512 * 512, 30), step.batch_seconds(8, 512 * 512, 30));
        assert!(eight < 8.0 * one && eight > 2.0 * one, "{one} {eight}");
    }
}

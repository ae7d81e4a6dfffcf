//! Measured iteration times of one accelerator, model and plan, instead of the formula.
//!
//! Between the points of its table a profile is linear: over the mean context of the decoding requests, then
//! over their number, and over prompt tokens. A batch's context grows by one token a request and iteration, so
//! the mean grows by one; a segment ends where it passes a point of the table. Its coefficients are whole
//! ticks, so that sums over a segment are exact.

mod read;

use super::segment::Segment;
use super::step::BatchShape;
use crate::units::{Flop, TickChange, Ticks};
pub use read::ProfileError;

/// A table of measured times; see [`Profile::read`] for its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Over decoding requests, each over the mean context of one.
    decode: Axis<Curve>,
    /// Over prompt tokens, each over the tokens in the cache ahead of them.
    prefill: Axis<Curve>,
    /// Over decoding requests, then prompt tokens, then the mean context of a decoding request; may be empty.
    mixed: Axis<Axis<Curve>>,
}

/// What a deployment may ask of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileLimits {
    /// Most requests in a batch.
    pub batch_requests: u64,
    /// Most tokens processed in an iteration.
    pub batch_tokens: u64,
    /// Longest context of a request, in tokens.
    pub context: u64,
    /// Tokens that the KV cache holds.
    pub kv_tokens: u64,
}

/// Points in rising order, and what lies at each.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Axis<T>(Vec<(u64, T)>);

/// Ticks over tokens, rising in tokens; at least one point.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Curve(Vec<(u64, i128)>);

/// A straight piece from here on: ticks now, the change when the mean context grows by one, and for how many
/// iterations of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    value: i128,
    slope: i128,
    iterations: u64,
}

impl Profile {
    /// The segment that begins with this batch.
    pub(super) fn segment(&self, batch: &BatchShape) -> Segment {
        let requests = u64::from(batch.decode_requests);
        let piece = match (requests, batch.prefill_tokens) {
            (_, 0) => self.decode.piece(requests, batch.decode_context, requests),
            (0, tokens) => self.prefilling(u64::from(tokens), batch),
            (_, tokens) => self.both(requests, u64::from(tokens), batch),
        };
        let once = batch.prefill_requests > 0;
        Segment {
            first: Ticks(piece.value.max(1) as u128),
            slope: TickChange(if once { 0 } else { piece.slope }),
            flop_first: Flop::ZERO,
            flop_slope: Flop::ZERO,
            max_iterations: if once { 1 } else { piece.iterations },
        }
    }

    /// Prompts alone, `tokens` long for the table. What they attend to beside each other is what pairs there
    /// are beyond those of one prompt; several short prompts have fewer, and are taken as one.
    fn prefilling(&self, tokens: u64, batch: &BatchShape) -> Piece {
        let own = u64::from(batch.prefill_tokens);
        let ahead = batch.prefill_pairs.saturating_sub(own * (own + 1) / 2);
        self.prefill.piece(tokens, ahead, own)
    }

    /// Prompts and decoding together. Where that was not measured: the time of prompts that are longer by a
    /// token for each decoding request, and what the decoding requests' context adds to decoding.
    fn both(&self, requests: u64, tokens: u64, batch: &BatchShape) -> Piece {
        let context = batch.decode_context;
        if !self.mixed.0.is_empty() {
            return self.mixed.at(requests, |axis| axis.piece(tokens, context, requests));
        }
        let with = self.decode.piece(requests, context, requests).value;
        let without = self.decode.piece(requests, 0, requests).value;
        let prefill = self.prefilling(tokens + requests, batch).value;
        Piece { value: prefill + (with - without).max(0), slope: 0, iterations: 1 }
    }

    /// What a deployment may ask for and the table does not reach, in words; empty when it reaches all.
    pub fn beyond(&self, limits: &ProfileLimits) -> Vec<String> {
        let mut found = Vec::new();
        let wanted = |requests: u64| limits.context.min(limits.kv_tokens / requests.max(1));
        self.decode.short("decode_requests", limits.batch_requests, "decode", &mut found);
        for (requests, curve) in &self.decode.0 {
            let place = format!("decode rows of {requests} requests");
            curve.short(wanted(*requests), &place, &mut found);
        }
        self.prefill.short("prefill_tokens", limits.batch_tokens, "prefill", &mut found);
        for (tokens, curve) in &self.prefill.0 {
            let place = format!("prefill rows of {tokens} tokens");
            curve.short(limits.context.saturating_sub(*tokens), &place, &mut found);
        }
        if !self.mixed.0.is_empty() {
            self.mixed.short("decode_requests", limits.batch_requests, "mixed", &mut found);
        }
        for (requests, axis) in &self.mixed.0 {
            let kind = format!("mixed, {requests} requests,");
            axis.short("prefill_tokens", limits.batch_tokens.saturating_sub(*requests), &kind, &mut found);
            for (tokens, curve) in &axis.0 {
                let place = format!("mixed rows of {requests} requests and {tokens} prompt tokens");
                curve.short(wanted(*requests), &place, &mut found);
            }
        }
        found
    }

    /// Points in the table.
    pub fn points(&self) -> usize {
        let of = |axis: &Axis<Curve>| axis.0.iter().map(|(_, curve)| curve.0.len()).sum::<usize>();
        of(&self.decode) + of(&self.prefill) + self.mixed.0.iter().map(|(_, axis)| of(axis)).sum::<usize>()
    }
}

impl<T> Axis<T> {
    /// What lies at `x`: below the first point as there, between two points linear, beyond the last as the
    /// last two say, though never falling.
    fn at(&self, x: u64, piece: impl Fn(&T) -> Piece) -> Piece {
        let above = self.0.partition_point(|(point, _)| *point <= x);
        let (low, high) = match above {
            0 => return piece(&self.0[0].1),
            1 if self.0.len() == 1 => return piece(&self.0[0].1),
            last if last == self.0.len() => (last - 2, last - 1),
            between => (between - 1, between),
        };
        let ((x0, low), (x1, high)) = (&self.0[low], &self.0[high]);
        let (p, q) = (piece(low), piece(high));
        let (part, whole) = (i128::from(x - x0), i128::from(x1 - x0));
        let value = p.value + (q.value - p.value) * part / whole;
        let slope = p.slope + (q.slope - p.slope) * part / whole;
        let iterations = p.iterations.min(q.iterations);
        if part <= whole {
            return Piece { value, slope, iterations };
        }
        Piece { value: value.max(q.value), slope: slope.max(q.slope).max(0), iterations }
    }

    /// Notes it when the last point lies below what is wanted.
    fn short(&self, column: &str, wanted: u64, kind: &str, found: &mut Vec<String>) {
        let last = self.0.last().map_or(0, |(point, _)| *point);
        if last < wanted {
            found.push(format!("{kind} rows end at {column} = {last}, and {wanted} may be asked for"));
        }
    }
}

impl Axis<Curve> {
    /// At `x`, with `context` tokens of context over `requests`, whose mean grows by one an iteration.
    fn piece(&self, x: u64, context: u64, requests: u64) -> Piece {
        self.at(x, |curve| curve.piece(context, requests.max(1)))
    }
}

impl Curve {
    fn piece(&self, context: u64, requests: u64) -> Piece {
        let (context, requests) = (i128::from(context), i128::from(requests));
        let ahead = |point: u64| i128::from(point) * requests - context;
        // The mean passes a point in the iteration in which nothing is missing any more.
        let until = |point: u64| ((ahead(point) + requests - 1) / requests) as u64;
        let above = self.0.partition_point(|(point, _)| ahead(*point) <= 0);
        if above == 0 {
            let (point, value) = self.0[0];
            return Piece { value, slope: 0, iterations: until(point) };
        }
        let beyond = above == self.0.len();
        let from = if beyond { above.saturating_sub(2) } else { above - 1 };
        let (x0, y0) = self.0[from];
        let Some((x1, y1)) = self.0.get(from + 1).copied() else {
            return Piece { value: y0, slope: 0, iterations: u64::MAX };
        };
        let (rise, run) = (y1 - y0, i128::from(x1 - x0));
        if beyond {
            let rise = rise.max(0);
            let value = y1 + rise * -ahead(x1) / (run * requests);
            return Piece { value, slope: rise / run, iterations: u64::MAX };
        }
        let value = y0 + rise * -ahead(x0) / (run * requests);
        Piece { value, slope: rise / run, iterations: until(x1) }
    }

    fn short(&self, wanted: u64, place: &str, found: &mut Vec<String>) {
        let last = self.0.last().map_or(0, |(point, _)| *point);
        if last < wanted {
            found.push(format!("{place} end at context_tokens = {last}, and {wanted} may be asked for"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &str = "kind,decode_requests,prefill_tokens,context_tokens,iteration_s
decode,1,0,0,0.010
decode,1,0,1000,0.012
decode,1,0,2000,0.011
decode,8,0,0,0.014
decode,8,0,1500,0.020
prefill,0,100,0,0.020
prefill,0,2000,0,0.200
prefill,0,2000,4000,0.300
";

    fn profile() -> Profile {
        Profile::parse(TABLE.as_bytes()).expect("a sound table")
    }

    fn decoding(requests: u32, context: u64) -> BatchShape {
        BatchShape { decode_requests: requests, decode_context: context, ..BatchShape::default() }
    }

    fn seconds(batch: &BatchShape) -> f64 {
        profile().segment(batch).first.as_secs_f64()
    }

    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted}");
    }

    #[test]
    fn linear_between_the_points() {
        near(seconds(&decoding(1, 0)), 0.010);
        near(seconds(&decoding(1, 500)), 0.011);
        near(seconds(&decoding(1, 1500)), 0.0115);
        // Half-way from 1 to 8 requests would be 4.5; at 4, three sevenths of the way, a mean context of 750.
        near(seconds(&decoding(4, 3000)), 0.0115 + (0.017 - 0.0115) * 3.0 / 7.0);
        // Beyond: a curve that fell stays, one that rose goes on; more requests as the last two say.
        near(seconds(&decoding(1, 9000)), 0.011);
        near(seconds(&decoding(8, 8 * 3000)), 0.026);
        near(seconds(&decoding(15, 0)), 0.018);
        let prompt = |tokens: u32, before: u64| BatchShape {
            prefill_requests: 1,
            prefill_tokens: tokens,
            prefill_pairs: u64::from(tokens) * before + u64::from(tokens) * (u64::from(tokens) + 1) / 2,
            prefill_context: before + u64::from(tokens),
            ..BatchShape::default()
        };
        near(seconds(&prompt(2000, 2000)), 0.25);
        near(seconds(&prompt(50, 0)), 0.020);
        // Together: a prompt longer by one token a request, and what context adds.
        let both = BatchShape { decode_requests: 1, decode_context: 500, ..prompt(99, 0) };
        near(seconds(&both), 0.020 + 0.001);
    }

    #[test]
    fn mixed_rows_are_used_where_there_are_any() {
        let table = format!("{TABLE}mixed,1,99,0,0.5\nmixed,1,99,1000,0.7\n");
        let profile = Profile::parse(table.as_bytes()).expect("a sound table");
        let batch = BatchShape {
            prefill_requests: 1,
            prefill_tokens: 99,
            prefill_pairs: 99 * 50,
            prefill_context: 99,
            ..decoding(1, 500)
        };
        let segment = profile.segment(&batch);
        near(segment.first.as_secs_f64(), 0.6);
        assert_eq!(segment.max_iterations, 1);
    }

    #[test]
    fn what_is_beyond_the_table() {
        let limits = ProfileLimits { batch_requests: 16, batch_tokens: 2000, context: 2000, kv_tokens: 8000 };
        let found = profile().beyond(&limits);
        let wanted = [
            "decode rows end at decode_requests = 8, and 16 may be asked for",
            "prefill rows of 100 tokens end at context_tokens = 0, and 1900 may be asked for",
        ];
        assert_eq!(found, wanted);
        let small = ProfileLimits { batch_requests: 8, batch_tokens: 100, context: 100, kv_tokens: 8000 };
        assert!(profile().beyond(&small).is_empty());
    }

    proptest! {
        /// A segment ends at a point of the table, and up to there its iterations last what segments that
        /// begin there would, to a tick an iteration and row.
        #[test]
        fn segments_are_the_table(requests in 1u32..20, context in 0u64..30_000) {
            let profile = profile();
            let segment = profile.segment(&decoding(requests, context));
            prop_assert!(segment.max_iterations >= 1);
            for k in [0, 1, segment.max_iterations / 2, segment.max_iterations - 1] {
                if k >= segment.max_iterations || k > 1_000_000 {
                    continue;
                }
                let later = profile.segment(&decoding(requests, context + k * u64::from(requests)));
                let (here, there) = (segment.duration(k).0 as i128, later.first.0 as i128);
                prop_assert!((here - there).unsigned_abs() <= 4 * u128::from(k + 1), "{here} {there} {k}");
            }
            if segment.max_iterations < u64::MAX {
                let end = context + segment.max_iterations * u64::from(requests);
                let mean = end / u64::from(requests);
                prop_assert!([0, 1000, 1500, 2000].contains(&mean), "{mean}");
            }
        }
    }
}

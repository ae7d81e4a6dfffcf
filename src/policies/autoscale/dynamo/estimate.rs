//! What an engine's next request would see: regressions on recorded iterations
//! (`dynamo/planner/core/perf_model`). The oldest of too many samples goes; upstream takes it from the fullest
//! bucket of loads.

/// Solves a linear system given as rows with the right side last; `None` when it has no one solution.
pub(super) fn solve(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let size = rows.len();
    for pivot in 0..size {
        let largest = (pivot..size).max_by(|a, b| rows[*a][pivot].abs().total_cmp(&rows[*b][pivot].abs()))?;
        rows.swap(pivot, largest);
        if rows[pivot][pivot].abs() < 1e-12 {
            return None;
        }
        let line = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(other, _)| *other != pivot) {
            let factor = row[pivot] / line[pivot];
            for (value, above) in row.iter_mut().zip(&line).skip(pivot) {
                *value -= factor * above;
            }
        }
    }
    Some((0..size).map(|i| rows[i][size] / rows[i][i]).collect())
}

/// An iteration as an engine reported it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Iteration {
    /// Prompt tokens in it, and of how many requests.
    pub prefill_tokens: f64,
    pub prefill_requests: f64,
    /// KV tokens of decoding requests in it, and how many they are.
    pub decode_kv: f64,
    pub decode_requests: f64,
    /// Prompt tokens that wait.
    pub queued_prefill: f64,
    /// KV tokens of requests that wait to decode.
    pub queued_kv: f64,
    /// How long it took, in seconds; 0 when it is not known.
    pub wall_s: f64,
}

/// A mean over the last samples; zeros before the first load do not count.
#[derive(Debug, Clone, Default)]
struct Mean {
    values: Vec<f64>,
}

impl Mean {
    fn add(&mut self, value: f64, most: usize) {
        if value == 0.0 && self.values.is_empty() {
            return;
        }
        if self.values.len() == most {
            self.values.remove(0);
        }
        self.values.push(value);
    }

    fn value(&self) -> f64 {
        if self.values.is_empty() { 0.0 } else { self.values.iter().sum::<f64>() / self.values.len() as f64 }
    }
}

/// A load and the time that an iteration took with it.
type Sample = (Vec<f64>, f64);

/// Time of an iteration as a line over its load: prompt tokens, or decoding requests and their KV tokens, or
/// (with both) prompt tokens and KV tokens.
#[derive(Debug, Clone)]
pub(super) struct Model {
    kind: Kind,
    most: usize,
    least: usize,
    samples: Vec<Sample>,
    isl: Mean,
    length: Mean,
    requests: Mean,
    prompts: Mean,
}

/// What a model's engine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Prefill,
    Decode,
    Both,
}

impl Model {
    pub(super) fn new(kind: Kind, most: usize, least: usize) -> Self {
        let (isl, length, requests, prompts) = Default::default();
        Self { kind, most, least, samples: Vec::new(), isl, length, requests, prompts }
    }

    pub(super) fn observe(&mut self, seen: &Iteration) {
        if seen.prefill_requests > 0.0 {
            self.isl.add(seen.prefill_tokens / seen.prefill_requests, self.most);
        }
        if seen.decode_requests > 0.0 {
            self.length.add(seen.decode_kv / seen.decode_requests, self.most);
        }
        self.requests.add(seen.decode_requests, self.most);
        self.prompts.add(seen.prefill_tokens, self.most);
        if seen.wall_s == 0.0 {
            return;
        }
        let load = match self.kind {
            Kind::Prefill => vec![seen.prefill_tokens],
            Kind::Decode => vec![seen.decode_requests, seen.decode_kv],
            Kind::Both => vec![seen.prefill_tokens, seen.decode_kv],
        };
        if self.samples.len() == self.most {
            self.samples.remove(0);
        }
        self.samples.push((load, seen.wall_s));
    }

    /// Enough iterations have been seen.
    pub(super) fn is_ready(&self) -> bool {
        self.samples.len() >= self.least
    }

    /// Intercept and slopes by least squares; none while too little is known or more load would take less time.
    fn line(&self) -> Option<(f64, Vec<f64>)> {
        if !self.is_ready() {
            return None;
        }
        let width = self.samples[0].0.len();
        let count = self.samples.len() as f64;
        let mean = |pick: &dyn Fn(&Sample) -> f64| self.samples.iter().map(pick).sum::<f64>() / count;
        let centre: Vec<f64> = (0..width).map(|i| mean(&|sample| sample.0[i])).collect();
        let time = mean(&|sample| sample.1);
        let products = |i: usize, j: usize| -> f64 {
            self.samples.iter().map(|(x, _)| (x[i] - centre[i]) * (x[j] - centre[j])).sum()
        };
        let right =
            |i: usize| -> f64 { self.samples.iter().map(|(x, y)| (x[i] - centre[i]) * (y - time)).sum() };
        // A load that never changed explains nothing.
        let moving: Vec<usize> = (0..width).filter(|i| products(*i, *i) > 1e-12).collect();
        let rows = |moving: &[usize]| {
            let row = |&i: &usize| moving.iter().map(|j| products(i, *j)).chain([right(i)]).collect();
            moving.iter().map(row).collect::<Vec<Vec<f64>>>()
        };
        // Requests and their tokens in step: the tokens alone.
        let (used, found) = match solve(rows(&moving)) {
            Some(found) => (moving, found),
            None => {
                let last = moving.last().copied().into_iter().collect::<Vec<_>>();
                let found = solve(rows(&last))?;
                (last, found)
            }
        };
        let mut slopes = vec![0.0; width];
        for (i, slope) in used.into_iter().zip(found) {
            slopes[i] = slope;
        }
        for (i, slope) in slopes.iter_mut().enumerate() {
            if *slope < 0.0 {
                if self.kind == Kind::Decode && i == 0 {
                    *slope = 0.0;
                } else {
                    return None;
                }
            }
        }
        let intercept = time - slopes.iter().zip(&centre).map(|(a, b)| a * b).sum::<f64>();
        Some((intercept, slopes))
    }

    fn time((intercept, slopes): &(f64, Vec<f64>), load: &[f64]) -> f64 {
        (intercept + slopes.iter().zip(load).map(|(a, b)| a * b).sum::<f64>()).max(1e-6)
    }

    /// Seconds to the first token of a request that comes behind `queued` prompt tokens, in chunks of at most
    /// `batch`, with `kv` tokens decoding beside it.
    pub(super) fn ttft(&self, queued: f64, batch: f64, kv: f64) -> Option<f64> {
        let line = self.line()?;
        let mut left = queued + self.isl.value();
        let mut time = 0.0;
        while left > 0.0 {
            let chunk = left.min(batch);
            time += match self.kind {
                Kind::Both => Self::time(&line, &[chunk, kv]),
                _ => Self::time(&line, &[chunk]),
            };
            left -= chunk;
        }
        Some(time)
    }

    /// Seconds of the next decoding step with `scheduled` and `queued` KV tokens and one request more.
    pub(super) fn itl(&self, scheduled: f64, queued: f64) -> Option<f64> {
        let line = self.line()?;
        let kv = scheduled + queued + self.length.value();
        Some(match self.kind {
            Kind::Both => Self::time(&line, &[self.prompts.value(), kv]),
            _ => Self::time(&line, &[self.requests.value() + 1.0, kv]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_what_was_seen() {
        let mut model = Model::new(Kind::Prefill, 64, 5);
        for tokens in [100.0, 200.0, 300.0, 400.0] {
            model.observe(&Iteration {
                prefill_tokens: tokens,
                prefill_requests: 1.0,
                wall_s: 0.01 + tokens * 1e-4,
                ..Iteration::default()
            });
        }
        assert_eq!(model.ttft(0.0, 1000.0, 0.0), None);
        model.observe(&Iteration {
            prefill_tokens: 500.0,
            prefill_requests: 1.0,
            wall_s: 0.06,
            ..Iteration::default()
        });
        // Behind 700 tokens with a mean prompt of 300, in chunks of 600: 0.07 and 0.05 s.
        let said = model.ttft(700.0, 600.0, 0.0).unwrap();
        assert!((said - 0.12).abs() < 1e-9, "{said}");
    }

    #[test]
    fn decoding_by_requests_and_tokens() {
        let mut model = Model::new(Kind::Decode, 64, 5);
        for (requests, kv) in [(1.0, 1000.0), (2.0, 4000.0), (4.0, 3000.0), (8.0, 9000.0), (5.0, 1000.0)] {
            model.observe(&Iteration {
                decode_requests: requests,
                decode_kv: kv,
                wall_s: 0.01 + 1e-3 * requests + 1e-6 * kv,
                ..Iteration::default()
            });
        }
        // Mean of 4 requests, one more; mean length (1000 + 2000 + 750 + 1125 + 200) / 5 = 1015.
        let said = model.itl(5000.0, 0.0).unwrap();
        assert!((said - (0.01 + 5e-3 + 6.015e-3)).abs() < 1e-9, "{said}");
        // More tokens that take less time: no line.
        let mut odd = Model::new(Kind::Decode, 64, 2);
        for kv in [1000.0, 2000.0, 3000.0] {
            odd.observe(&Iteration {
                decode_requests: 1.0,
                decode_kv: kv,
                wall_s: 1.0 - kv * 1e-4,
                ..Iteration::default()
            });
        }
        assert_eq!(odd.itl(1.0, 1.0), None);
    }
}

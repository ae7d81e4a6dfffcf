//! From operational time, in which a process has rate 1, to real time: the inverse of the cumulative rate.
//!
//! With a shape, the cumulative rate Λ(t) = ∫ rate·Π shapes is kept one cell at a time. A cell ends at the
//! next kink of any shape and after an hour at most; inside, the rate is a polynomial through Chebyshev
//! nodes, accurate to about 1e-14 (checked between the nodes, and the cell halved if not), so Λ is a
//! polynomial too and its inverse takes a Newton step or two from the previous arrival. The cell goes only
//! forward: an arrival costs the same however long the run and however many the shapes.

use std::sync::LazyLock;

use super::shape::{Shape, Start, WEEK_NS};
use crate::units::{Duration, Instant, Rate};

/// Goes forward through real time by amounts of operational time.
#[derive(Debug)]
pub(super) enum Clock {
    Flat(Flat),
    Shaped(Box<Shaped>),
}

impl Clock {
    pub(super) fn new(rate: Rate, shapes: &[Shape], start: Start) -> Self {
        if shapes.is_empty() {
            let nanos_per_unit = 1e9 / rate.as_per_second();
            Self::Flat(Flat { now: 0, fraction: 0.0, nanos_per_unit, rate })
        } else {
            Self::Shaped(Box::new(Shaped::new(
                rate.as_per_second() / periodic_mean(shapes, start),
                shapes,
                start,
            )))
        }
    }

    /// Goes on by `by` units of operational time and returns the time there, or `None` if that is not before
    /// `limit`: the clock then stands at `limit`. `by` may be infinite.
    pub(super) fn advance(&mut self, by: f64, limit: Instant) -> Option<Instant> {
        match self {
            Self::Flat(flat) => flat.advance(by, limit),
            Self::Shaped(shaped) => shaped.advance(by, limit),
        }
    }

    /// The rate at `at`.
    pub(super) fn rate_at(&self, at: Instant) -> Rate {
        match self {
            Self::Flat(flat) => flat.rate,
            Self::Shaped(shaped) => {
                Rate::per_second(shaped.scale * factor(&shaped.shapes, shaped.start, at, 0.0))
            }
        }
    }
}

/// No shape: a multiplication. The part of a nanosecond that an arrival loses is carried to the next.
#[derive(Debug)]
pub(super) struct Flat {
    now: u64,
    fraction: f64,
    nanos_per_unit: f64,
    rate: Rate,
}

impl Flat {
    fn advance(&mut self, by: f64, limit: Instant) -> Option<Instant> {
        let nanos = self.fraction + by * self.nanos_per_unit;
        let whole = nanos as u64;
        let at = self.now.saturating_add(whole);
        if at >= limit.as_nanos() {
            self.now = limit.as_nanos();
            self.fraction = 0.0;
            return None;
        }
        self.now = at;
        self.fraction = nanos - whole as f64;
        Some(Instant::from_nanos(at))
    }
}

/// Chebyshev nodes in a cell: degree 9 takes a cosine of a day over an hour to 1e-18, and growth.
const NODES: usize = 10;
const CELL_NS: u64 = 3_600_000_000_000;
/// Cells are not halved below this, whatever the error.
const CELL_MIN_NS: u64 = 1_000_000;

/// With shapes: see the module.
#[derive(Debug)]
pub(super) struct Shaped {
    /// The rate per second where all factors are 1.
    scale: f64,
    shapes: Vec<Shape>,
    start: Start,
    cell: Cell,
    /// Where the clock stands in the cell, from -1 to 1, with Λ since the cell's beginning and about its slope.
    x: f64,
    done: f64,
    slope: f64,
}

/// A stretch of time in which the rate is a polynomial in x from -1 to 1.
#[derive(Debug)]
struct Cell {
    begin: Instant,
    end: Instant,
    half_ns: f64,
    /// Arrivals per unit of x.
    density: [f64; NODES],
    /// Its integral from -1.
    cumulative: [f64; NODES + 1],
    mass: f64,
    constant: bool,
}

impl Shaped {
    fn new(scale: f64, shapes: &[Shape], start: Start) -> Self {
        let cell = Cell::new(scale, shapes, start, Instant::ZERO);
        let slope = cell.at(-1.0).1;
        Self { scale, shapes: shapes.to_vec(), start, cell, x: -1.0, done: 0.0, slope }
    }

    fn next_cell(&mut self) {
        self.cell = Cell::new(self.scale, &self.shapes, self.start, self.cell.end);
        self.x = -1.0;
        self.done = 0.0;
        self.slope = self.cell.at(-1.0).1;
    }

    fn advance(&mut self, by: f64, limit: Instant) -> Option<Instant> {
        let mut target = self.done + by;
        while target >= self.cell.mass {
            if limit <= self.cell.end {
                self.stand_at(limit);
                return None;
            }
            target -= self.cell.mass;
            self.next_cell();
        }
        let (x, slope) = self.solve(target);
        let at = self
            .cell
            .begin
            .saturating_add(Duration::from_nanos(((x + 1.0) * self.cell.half_ns + 0.5) as u64));
        if at >= limit {
            self.stand_at(limit);
            return None;
        }
        (self.x, self.done, self.slope) = (x, target, slope);
        Some(at)
    }

    /// `at` lies in the cell.
    fn stand_at(&mut self, at: Instant) {
        self.x = at.since(self.cell.begin).as_nanos() as f64 / self.cell.half_ns - 1.0;
        (self.done, self.slope) = self.cell.at(self.x);
    }

    /// Where Λ reaches `target` in this cell, and the slope near there: Newton's method kept inside a
    /// shrinking bracket.
    fn solve(&self, target: f64) -> (f64, f64) {
        let cell = &self.cell;
        if cell.constant {
            return (2.0 * target / cell.mass - 1.0, self.slope);
        }
        let (mut low, mut high) = (self.x, 1.0);
        let mut x = self.x + (target - self.done) / self.slope;
        if !(x >= low && x <= high) {
            x = 0.5 * (low + high);
        }
        let mut slope = self.slope;
        for _ in 0..100 {
            let reached;
            (reached, slope) = cell.at(x);
            let excess = reached - target;
            if excess > 0.0 {
                high = x;
            } else {
                low = x;
            }
            let next = x - excess / slope;
            if !(next >= low && next <= high) {
                if high - low < 1e-15 {
                    break;
                }
                x = 0.5 * (low + high);
                continue;
            }
            let step = (next - x).abs();
            x = next;
            // The error after a step is about its square, times the relative change of slope: below 1e-15
            // where the rate is not vanishing; there, wait until the steps themselves vanish.
            if step < 1e-8 && (slope > 1e-3 * cell.mass || step < 1e-15) {
                break;
            }
        }
        (x, slope)
    }
}

impl Cell {
    /// The cell that begins at `begin`.
    fn new(scale: f64, shapes: &[Shape], start: Start, begin: Instant) -> Self {
        let kink = shapes.iter().map(|shape| shape.next_kink(start, begin)).min().unwrap_or(Instant::MAX);
        let mut end = kink.min(begin.saturating_add(Duration::from_nanos(CELL_NS)));
        loop {
            let cell = Self::between(scale, shapes, start, begin, end);
            let nanos = end.since(begin).as_nanos();
            if nanos <= CELL_MIN_NS || cell.fits(scale, shapes, start) {
                return cell;
            }
            end = begin.saturating_add(Duration::from_nanos(nanos / 2));
        }
    }

    fn between(scale: f64, shapes: &[Shape], start: Start, begin: Instant, end: Instant) -> Self {
        let tables = &*TABLES;
        let half_ns = end.since(begin).as_nanos() as f64 / 2.0;
        let half_s = half_ns / 1e9;
        let values = tables.nodes.map(|x| scale * half_s * factor(shapes, start, begin, (x + 1.0) * half_s));
        let constant = values.iter().all(|value| *value == values[0]);
        let mut density = [0.0; NODES];
        if constant {
            density[0] = values[0];
        } else {
            for degree in 0..NODES {
                let sum: f64 =
                    values.iter().zip(&tables.cosines[degree]).map(|(value, cosine)| value * cosine).sum();
                let coefficient = sum * if degree == 0 { 1.0 } else { 2.0 } / NODES as f64;
                for (power, monomial) in density.iter_mut().zip(&tables.monomials[degree]) {
                    *power += coefficient * monomial;
                }
            }
        }
        let mut cumulative = [0.0; NODES + 1];
        for (power, value) in density.iter().enumerate() {
            cumulative[power + 1] = value / (power + 1) as f64;
        }
        cumulative[0] = -horner(&cumulative, -1.0);
        let mass = if constant { 2.0 * values[0] } else { horner(&cumulative, 1.0).max(0.0) };
        Self { begin, end, half_ns, density, cumulative, mass, constant }
    }

    /// Λ since the cell's beginning, and its slope, at `x`.
    fn at(&self, x: f64) -> (f64, f64) {
        (horner(&self.cumulative, x), horner(&self.density, x))
    }

    /// Whether the polynomial is right between its nodes.
    fn fits(&self, scale: f64, shapes: &[Shape], start: Start) -> bool {
        let half_s = self.half_ns / 1e9;
        let most = self.density.iter().map(|value| value.abs()).sum::<f64>();
        self.constant
            || [-0.99, -0.3, 0.6, 0.97].iter().all(|x| {
                let exact = scale * half_s * factor(shapes, start, self.begin, (x + 1.0) * half_s);
                (horner(&self.density, *x) - exact).abs() <= 4e-15 * most + 1e-14 * exact
            })
    }
}

fn horner(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// The product of the shapes.
fn factor(shapes: &[Shape], start: Start, from: Instant, offset: f64) -> f64 {
    shapes.iter().map(|shape| shape.factor(start, from, offset)).product()
}

/// The mean over a week of the product of the periodic shapes. One alone has mean 1 by its definition; the
/// product of two has not.
fn periodic_mean(shapes: &[Shape], start: Start) -> f64 {
    let periodic: Vec<Shape> = shapes.iter().filter(|shape| shape.is_periodic()).cloned().collect();
    if periodic.len() < 2 {
        return 1.0;
    }
    let mut sum = 0.0;
    let mut begin = Instant::ZERO;
    while begin.as_nanos() < WEEK_NS {
        let kink = periodic.iter().map(|shape| shape.next_kink(start, begin)).min().unwrap_or(Instant::MAX);
        let hour = begin.saturating_add(Duration::from_nanos(CELL_NS));
        let end = kink.min(hour).min(Instant::from_nanos(WEEK_NS));
        sum += Cell::between(1.0, &periodic, start, begin, end).mass;
        begin = end;
    }
    sum / (WEEK_NS as f64 / 1e9)
}

struct Tables {
    nodes: [f64; NODES],
    /// T_k at the nodes.
    cosines: [[f64; NODES]; NODES],
    /// The coefficients of T_k.
    monomials: [[f64; NODES]; NODES],
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let angle = |node: usize| std::f64::consts::PI * (node as f64 + 0.5) / NODES as f64;
    let mut monomials = [[0.0; NODES]; NODES];
    monomials[0][0] = 1.0;
    monomials[1][1] = 1.0;
    for degree in 2..NODES {
        for power in 0..NODES {
            let raised = if power == 0 { 0.0 } else { 2.0 * monomials[degree - 1][power - 1] };
            monomials[degree][power] = raised - monomials[degree - 2][power];
        }
    }
    Tables {
        nodes: std::array::from_fn(|node| libm::cos(angle(node))),
        cosines: std::array::from_fn(|degree| {
            std::array::from_fn(|node| libm::cos(degree as f64 * angle(node)))
        }),
        monomials,
    }
});

#[cfg(test)]
mod tests;

//! Which real numbers the 8-bit ones of a tensor are to tell apart: by what occurs, and what is worth to be cut off.

use std::fmt;
use std::str::FromStr;

use kinglet_kernels::Quantization;

use super::histogram::Histogram;

/// How a range follows from the numbers that occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// From the smallest to the largest.
    MinMax,
    /// Without so many millionths of all, half of them at either end, as ONNX Runtime's `PercentileCalibrater` cuts.
    Percentile {
        /// Millionths that are cut off.
        cut: u32,
    },
    /// The least mean squared error.
    SquaredError,
    /// The least loss of information: the Kullback-Leibler divergence between the numbers and what is left of them
    /// (Migacz, "8-bit Inference with TensorRT", GTC 2017; ONNX Runtime's `EntropyCalibrater`).
    Divergence,
}

impl Method {
    /// Every method, in the order they are tried.
    pub const ALL: [Self; 5] = [
        Self::MinMax,
        Self::Percentile { cut: 100 },
        Self::Percentile { cut: 1000 },
        Self::SquaredError,
        Self::Divergence,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MinMax => "min-max",
            Self::Percentile { cut: 100 } => "99.99",
            Self::Percentile { .. } => "99.9",
            Self::SquaredError => "mse",
            Self::Divergence => "kl",
        }
    }

    /// The range of `numbers`, which lie within `extent`.
    pub(super) fn range(self, extent: Range, numbers: &Histogram) -> Range {
        let range = match self {
            Self::MinMax => extent,
            Self::Percentile { cut } => percentile(numbers, f64::from(cut) * 1e-6),
            Self::SquaredError => least_error(extent, numbers),
            Self::Divergence => least_divergence(numbers),
        };
        // Of numbers that are all but 0 everything might be cut off.
        match range.low < range.high {
            true => range.within(extent),
            false => extent,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|method| method.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no such method; there are {names}")
        })
    }
}

/// Real numbers from one to another. 0 is among them: padding and what ReLU leaves are exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The smallest, at most 0.
    pub low: f32,
    /// The largest, at least 0.
    pub high: f32,
}

impl Range {
    /// 0 alone.
    pub(super) const ZERO: Self = Self {
        low: 0.0,
        high: 0.0,
    };

    /// The smallest range with 0, `low` and `high`.
    pub fn new(low: f32, high: f32) -> Self {
        Self {
            low: low.min(0.0),
            high: high.max(0.0),
        }
    }

    /// The smallest range with both.
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    /// What both have in common.
    fn within(self, other: Self) -> Self {
        Self::new(self.low.max(other.low), self.high.min(other.high))
    }

    /// 256 numbers over the range.
    pub fn quantization(self) -> Quantization {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let scale = ((high - low) / 255.0) as f32;
        if scale < SMALLEST {
            // All numbers were 0, which any scale has.
            return Quantization::new(1.0 / 128.0, 0);
        }
        let zero_point = (-128.0 - low / f64::from(scale)).round_ties_even();
        Quantization::new(scale, zero_point.clamp(-128.0, 127.0) as i8)
    }
}

/// Scales below lose digits, and so would their products.
const SMALLEST: f32 = 1e-30;

fn percentile(numbers: &Histogram, cut: f64) -> Range {
    let most = numbers.total() as f64 * cut / 2.0;
    // So many bins, from one end, that there is no more in them.
    let bins = |counts: &mut dyn Iterator<Item = &u64>| {
        let sums = counts.scan(0, |sum, count| {
            *sum += *count;
            Some(*sum)
        });
        sums.take_while(|sum| *sum as f64 <= most).count()
    };
    let below = bins(&mut numbers.counts().iter());
    let above = bins(&mut numbers.counts().iter().rev());
    let last = numbers.counts().len();
    let (low, high) = (numbers.edge(below), numbers.edge(last - above.min(last)));
    Range::new(low as f32, high as f32)
}

/// Parts of either end that are tried.
const PARTS: usize = 40;

fn least_error(extent: Range, numbers: &Histogram) -> Range {
    let filled: Vec<(f64, u64)> = numbers.filled().collect();
    // Down to an eighth: below, what is cut off is larger than any step.
    let parts = |end: f32| {
        let count = if end == 0.0 { 1 } else { PARTS };
        (0..count).map(move |part| end * (1.0 - 0.875 * part as f32 / PARTS as f32))
    };
    let ranges =
        parts(extent.low).flat_map(|low| parts(extent.high).map(move |high| Range { low, high }));
    let errors = ranges.map(|range| (range, squared_error(range.quantization(), &filled)));
    let least = errors.min_by(|(_, a), (_, b)| a.total_cmp(b));
    least.map_or(extent, |(range, _)| range)
}

fn squared_error(quantization: Quantization, numbers: &[(f64, u64)]) -> f64 {
    let error = |(x, count): &(f64, u64)| {
        let back = quantization.dequantize(quantization.quantize(*x as f32));
        (x - f64::from(back)).powi(2) * *count as f64
    };
    numbers.iter().map(error).sum()
}

/// The 8-bit numbers.
const LEVELS: usize = 256;

/// Bins between thresholds that are tried.
const STRIDE: usize = 16;

/// Numbers to a bin. With fewer, bins of a level differ by chance, which looks like a loss that a narrower range avoids.
const NUMBERS: u64 = 128;

/// A threshold cuts off both ends; a range that reaches less far in one direction is cut in the other alone.
fn least_divergence(numbers: &Histogram) -> Range {
    let numbers = numbers.coarse(NUMBERS, LEVELS);
    let counts = numbers.counts();
    let last = counts.len();
    // The bin with 0, which is in the range.
    let zero = (0..last).take_while(|bin| numbers.edge(bin + 1) <= 0.0);
    let zero = zero.count();
    let part = |threshold: usize| zero.saturating_sub(threshold)..(zero + threshold).min(last);
    let thresholds = (1..=zero.max(last - zero).div_ceil(STRIDE)).map(|step| step * STRIDE);
    let parts = thresholds.map(part).filter(|part| part.len() >= LEVELS);
    let divergences = parts.map(|part| (part.clone(), divergence(counts, part)));
    let least = divergences.min_by(|(_, a), (_, b)| a.total_cmp(b));
    let part = least.map_or(0..last, |(part, _)| part);
    Range::new(
        numbers.edge(part.start) as f32,
        numbers.edge(part.end) as f32,
    )
}

/// How much is lost of `counts` if only those of `part` are told apart, at as many levels as there are 8-bit numbers:
/// the sum of `p ln(p / q)`, `p` the share of a bin, what was cut off being at the ends, and `q` that of its level shared
/// by the bins which anything fell into.
fn divergence(counts: &[u64], part: std::ops::Range<usize>) -> f64 {
    let inside = &counts[part.clone()];
    let sum = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
    let (below, above) = (sum(&counts[..part.start]), sum(&counts[part.end..]));
    let (kept, all) = (sum(inside), sum(counts));
    if kept == 0.0 {
        return f64::INFINITY;
    }
    // What never fell into a bin has a share all the same: else the loss would be infinite.
    let least = 1e-6 / LEVELS as f64;
    let mut divergence = 0.0;
    for level in 0..LEVELS {
        let bins = level * inside.len() / LEVELS..(level + 1) * inside.len() / LEVELS;
        let filled = inside[bins.clone()].iter().filter(|count| **count > 0);
        let share = sum(&inside[bins.clone()]) / filled.count().max(1) as f64 / kept;
        for bin in bins {
            let mut count = inside[bin] as f64;
            if bin == 0 {
                count += below;
            }
            if bin == inside.len() - 1 {
                count += above;
            }
            let q = if inside[bin] > 0 { share } else { least };
            let p = count / all;
            if p > 0.0 {
                divergence += p * (p / q).ln();
            }
        }
    }
    divergence
}

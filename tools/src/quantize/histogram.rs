//! How often numbers of each size occur.

/// Bins of a histogram: eight for each of the 256 numbers that there are in the end, so that ranges a part as wide still
/// have one.
const BINS: usize = 2048;

/// Counts of numbers by size, in bins of one width. Zeros are apart: ReLU leaves many, and they are exact in any range, so
/// none loses anything of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    low: f64,
    width: f64,
    counts: Vec<u64>,
    zeros: u64,
}

impl Histogram {
    /// Of numbers from `low` to `high`, none so far.
    pub(super) fn new(low: f32, high: f32) -> Self {
        let (low, high) = (f64::from(low), f64::from(high));
        Self {
            low,
            width: (high - low) / BINS as f64,
            counts: vec![0; BINS],
            zeros: 0,
        }
    }

    /// Counts `values`; what lies outside belongs to the bins at the ends.
    pub(super) fn add(&mut self, values: &[f32]) {
        let factor = match self.width > 0.0 {
            true => 1.0 / self.width,
            false => 0.0,
        };
        let last = self.counts.len() - 1;
        for value in values {
            if *value == 0.0 {
                self.zeros += 1;
                continue;
            }
            // What is below 0 becomes 0.
            let bin = ((f64::from(*value) - self.low) * factor) as usize;
            self.counts[bin.min(last)] += 1;
        }
    }

    /// Adds the counts of another one of the same numbers.
    pub(super) fn merge(&mut self, other: &Self) {
        let pairs = self.counts.iter_mut().zip(&other.counts);
        pairs.for_each(|(own, other)| *own += other);
        self.zeros += other.zeros;
    }

    /// The same in fewer bins, two in one, until there are `least` numbers to each or no more than `bins` of them: of a few
    /// numbers chance decides which bins they fill.
    pub(super) fn coarse(&self, least: u64, bins: usize) -> Self {
        let mut coarse = self.clone();
        let total: u64 = self.counts.iter().sum();
        while total < least * coarse.counts.len() as u64 && coarse.counts.len() > bins {
            let pairs = coarse.counts.chunks(2);
            coarse.counts = pairs.map(|pair| pair.iter().sum()).collect();
            coarse.width *= 2.0;
        }
        coarse
    }

    /// How many numbers but 0 are in each bin.
    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many numbers there are.
    pub(super) fn total(&self) -> u64 {
        self.zeros + self.counts.iter().sum::<u64>()
    }

    /// Where bin `index` begins, or the last ends.
    pub(super) fn edge(&self, index: usize) -> f64 {
        self.low + index as f64 * self.width
    }

    /// The bins with numbers in them: their middles and counts.
    pub(super) fn filled(&self) -> impl Iterator<Item = (f64, u64)> {
        let bins = self.counts.iter().enumerate();
        let filled = bins.filter(|(_, count)| **count > 0);
        filled.map(|(index, count)| (self.edge(index) + self.width / 2.0, *count))
    }
}

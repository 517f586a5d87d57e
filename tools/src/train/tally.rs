//! Counts over the samples seen: loss, hits, and hits for each class.

use serde::{Deserialize, Serialize};

/// Sums over samples. Means divide by the samples seen, so a short batch counts for what it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Samples seen.
    pub samples: u64,
    /// Sum of their losses.
    pub loss: f64,
    /// Those whose largest logit was that of their class.
    pub correct: u64,
}

impl Tally {
    /// Mean loss of a sample.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.samples as f64
    }

    /// Fraction of samples that were right.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples as f64
    }

    /// Adds one sample.
    pub fn add(&mut self, loss: f32, correct: bool) {
        self.samples += 1;
        self.loss += f64::from(loss);
        self.correct += u64::from(correct);
    }

    /// Adds another's sums.
    pub fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.loss += other.loss;
        self.correct += other.correct;
    }
}

/// A tally for each class.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClassTally {
    /// By the class that is right.
    pub classes: Vec<Tally>,
}

impl ClassTally {
    /// Tallies of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self {
            classes: vec![Tally::default(); classes],
        }
    }

    /// All classes together.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.classes.iter().for_each(|class| total.merge(class));
        total
    }

    /// Adds one sample of class `label`.
    pub(super) fn add(&mut self, label: usize, loss: f32, correct: bool) {
        if let Some(class) = self.classes.get_mut(label) {
            class.add(loss, correct);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_the_samples_seen() {
        let mut tally = ClassTally::new(2);
        tally.add(0, 1.0, true);
        tally.add(0, 2.0, false);
        tally.add(1, 6.0, true);
        tally.add(5, 100.0, true);
        assert_eq!((tally.total().mean_loss(), tally.total().samples), (3.0, 3));
        assert_eq!(
            (tally.classes[0].accuracy(), tally.classes[1].accuracy()),
            (0.5, 1.0)
        );
    }
}

//! Counts over the samples seen: loss, hits, and hits for each class.

use serde::{Deserialize, Serialize};

/// What one sample came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Its loss, with its weight.
    pub loss: f32,
    /// How much it counts: 1 where its class has no weight.
    pub weight: f32,
    /// Whether its largest logit was that of its class.
    pub correct: bool,
}

/// Sums over samples. Means divide by the samples seen, so a short batch counts for what it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Samples seen.
    pub samples: u64,
    /// Sum of their losses, with their weights.
    pub loss: f64,
    /// Sum of their weights.
    pub weight: f64,
    /// Those whose largest logit was that of their class.
    pub correct: u64,
}

impl Tally {
    /// Mean loss of a sample.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.weight
    }

    /// Fraction of samples that were right.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples as f64
    }

    /// Adds one sample.
    pub fn add(&mut self, outcome: Outcome) {
        self.samples += 1;
        self.loss += f64::from(outcome.loss);
        self.weight += f64::from(outcome.weight);
        self.correct += u64::from(outcome.correct);
    }

    /// Adds another's sums.
    pub fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.loss += other.loss;
        self.weight += other.weight;
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
    pub(super) fn add(&mut self, label: usize, outcome: Outcome) {
        if let Some(class) = self.classes.get_mut(label) {
            class.add(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_the_samples_seen() {
        let mut tally = ClassTally::new(2);
        let outcome = |loss, correct| Outcome {
            loss,
            weight: 1.0,
            correct,
        };
        tally.add(0, outcome(1.0, true));
        tally.add(0, outcome(2.0, false));
        tally.add(1, outcome(6.0, true));
        tally.add(5, outcome(100.0, true));
        assert_eq!((tally.total().mean_loss(), tally.total().samples), (3.0, 3));
        assert_eq!(
            (tally.classes[0].accuracy(), tally.classes[1].accuracy()),
            (0.5, 1.0)
        );
        // What counts three times as much: (1 + 2 + 6 + 3 * 5) / (3 + 3).
        tally.add(
            1,
            Outcome {
                loss: 15.0,
                weight: 3.0,
                correct: false,
            },
        );
        assert_eq!(tally.total().mean_loss(), 4.0);
    }
}

//! What a report tells of a network that computes values: how far they are from what they ought to be.

use serde::Serialize;

/// How far a sample's outputs are from what they ought to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SquaredError {
    /// Its place in the part of the data set, from 0.
    pub index: usize,
    /// Its file within the data set's folder, where it has one of its own.
    pub file: Option<String>,
    /// The mean square of the distances.
    pub loss: f64,
}

/// How far a network's outputs are from what they ought to be, on a part of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Errors {
    /// Samples.
    pub samples: usize,
    /// The mean square of the distances.
    pub loss: f64,
    /// Its root.
    pub rmse: f64,
    /// The samples with the largest errors, the worst first.
    pub largest: Vec<SquaredError>,
}

impl Errors {
    /// Sums up the mean squares of the samples at `indices`; keeps the `shown` largest.
    pub(super) fn new(indices: &[usize], squares: &[f64], shown: usize) -> Self {
        let loss = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
        let mut all: Vec<(usize, f64)> = indices
            .iter()
            .copied()
            .zip(squares.iter().copied())
            .collect();
        // Of equals the first in the data set, so that two reports of one run are the same.
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let largest = all.into_iter().take(shown);
        Self {
            samples: squares.len(),
            loss,
            rmse: loss.sqrt(),
            largest: largest
                .map(|(index, loss)| SquaredError {
                    index,
                    file: None,
                    loss,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_errors_come_first() {
        let found = Errors::new(&[4, 7, 9], &[1.0, 6.0, 2.0], 2);
        assert_eq!(
            (found.samples, found.loss, found.rmse),
            (3, 3.0, 3.0_f64.sqrt())
        );
        let largest: Vec<usize> = found.largest.iter().map(|error| error.index).collect();
        assert_eq!(largest, [7, 9]);
    }
}

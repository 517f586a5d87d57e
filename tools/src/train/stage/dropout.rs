//! Dropout: each value (or each channel) of a sample is set to 0 with probability `p`, and the others are
//! multiplied by `1 / (1 - p)`, so that evaluation needs nothing.

use rand_core::Rng;

use super::Keys;
use crate::graph::Granularity;
use crate::random::for_sample;

/// A dropout layer.
#[derive(Debug, Clone, Copy)]
pub(in crate::train) struct Dropout {
    /// The node's number in the network: part of the key.
    node: usize,
    /// A random word below this drops its value.
    threshold: u64,
    /// What is kept is multiplied by this.
    scale: f32,
    granularity: Granularity,
    channels: usize,
}

impl Dropout {
    pub(in crate::train) fn new(
        node: usize,
        probability: f32,
        granularity: Granularity,
        channels: usize,
    ) -> Self {
        Self {
            node,
            threshold: (f64::from(probability) * 2.0_f64.powi(32)) as u64,
            scale: 1.0 / (1.0 - probability),
            granularity,
            channels,
        }
    }

    /// Writes the factor of each value of sample `sample` of the batch.
    pub(in crate::train) fn draw(&self, keys: &Keys, sample: usize, factors: &mut [f32]) {
        let sample = keys
            .samples
            .get(sample)
            .map_or(u64::MAX >> 1, |&sample| sample as u64);
        let mut rng = for_sample(keys.seed, keys.epoch, sample, self.node as u64);
        let drawn = match self.granularity {
            Granularity::Value => factors.len(),
            Granularity::Channel => self.channels.min(factors.len()),
        };
        let (first, rest) = factors.split_at_mut(drawn);
        for factor in &mut *first {
            let kept = u64::from(rng.next_u32()) >= self.threshold;
            *factor = if kept { self.scale } else { 0.0 };
        }
        // NHWC: the same channels at every position.
        for position in rest.chunks_mut(drawn.max(1)) {
            position.copy_from_slice(&first[..position.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_right_share_and_the_mean() {
        let keys = Keys {
            seed: 1,
            epoch: 2,
            samples: &[7, 9],
        };
        let dropout = Dropout::new(3, 0.25, Granularity::Value, 8);
        let mut factors = vec![0.0; 20_000];
        dropout.draw(&keys, 0, &mut factors);
        let kept = factors.iter().filter(|&&x| x != 0.0).count();
        assert!((14_700..15_300).contains(&kept), "{kept}");
        assert!(factors.iter().all(|&x| x == 0.0 || x == 1.0 / 0.75));
        let mut other = vec![0.0; 20_000];
        dropout.draw(&keys, 1, &mut other);
        assert_ne!(factors, other);
    }

    #[test]
    fn depends_on_the_place_in_the_data_set_only() {
        let dropout = Dropout::new(0, 0.5, Granularity::Value, 8);
        let (mut a, mut b) = ([0.0; 64], [0.0; 64]);
        dropout.draw(
            &Keys {
                seed: 1,
                epoch: 2,
                samples: &[7, 9],
            },
            1,
            &mut a,
        );
        dropout.draw(
            &Keys {
                seed: 1,
                epoch: 2,
                samples: &[9],
            },
            0,
            &mut b,
        );
        assert_eq!(a, b);
    }

    #[test]
    fn channels_fall_as_a_whole() {
        let keys = Keys {
            seed: 1,
            epoch: 0,
            samples: &[0],
        };
        let mut factors = [9.0; 6 * 8];
        Dropout::new(0, 0.5, Granularity::Channel, 8).draw(&keys, 0, &mut factors);
        assert!(factors.chunks(8).all(|position| position == &factors[..8]));
        assert!(factors[..8].contains(&0.0) && factors[..8].contains(&2.0));
    }
}

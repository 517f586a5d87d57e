//! Random numbers that depend on what they are for, and on nothing else.
//!
//! A stream is keyed by four words (seed, epoch, sample, layer): the same sample of the same epoch gets
//! the same dropout mask whichever thread computes it, in whichever batch it lies, and also after a
//! training run was interrupted and resumed. Streams that belong to no sample use a [`Purpose`] in its place.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// What a stream that belongs to no sample is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Which samples become validation samples.
    Split,
    /// In which order an epoch visits its samples.
    Shuffle,
    /// The first values of a layer's parameters.
    Initialize,
    /// Which samples show the ranges of a network's values.
    Calibrate,
}

impl Purpose {
    /// The word that stands where a sample's index would: no data set has that many samples.
    const fn word(self) -> u64 {
        u64::MAX - self as u64
    }
}

/// The stream of one sample in one epoch and layer.
pub fn for_sample(seed: u64, epoch: u64, sample: u64, layer: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, epoch, sample, layer]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// The stream of one sample in one epoch and transform, by the transform's place in the recipe: none that a layer
/// of a network could have.
pub fn for_transform(seed: u64, epoch: u64, sample: u64, transform: usize) -> ChaCha8Rng {
    for_sample(seed, epoch, sample, u64::MAX - transform as u64)
}

/// The stream of a purpose in one epoch and layer; both are 0 where they mean nothing.
pub fn for_purpose(seed: u64, purpose: Purpose, epoch: u64, layer: u64) -> ChaCha8Rng {
    for_sample(seed, epoch, purpose.word(), layer)
}

/// A number in `0.0..1.0` on the grid of multiples of 2^-24, each equally likely.
pub fn uniform(rng: &mut impl Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// A number in `low..=high`, of the 2^24 equally spaced ones, as `torch.Tensor.uniform_` draws it.
pub fn uniform_between(rng: &mut impl Rng, [low, high]: [f32; 2]) -> f32 {
    uniform(rng) * (high - low) + low
}

/// A number in `0..bound`, each equally likely; `bound` must not be 0.
pub fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    // Lemire's method: the high word of a product, rejecting the few low words that would make some
    // results likelier than others.
    let excess = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if product as u64 >= excess {
            return (product >> 64) as u64;
        }
    }
}

/// Puts `items` in random order (Fisher and Yates).
pub fn shuffle<T>(rng: &mut impl Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        let other = below(rng, last as u64 + 1) as usize;
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_in_each_word_of_the_key() {
        let first = |seed, epoch, sample, layer| for_sample(seed, epoch, sample, layer).next_u64();
        let base = first(1, 2, 3, 4);
        assert_eq!(base, first(1, 2, 3, 4));
        for other in [
            first(2, 2, 3, 4),
            first(1, 3, 3, 4),
            first(1, 2, 4, 4),
            first(1, 2, 3, 5),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn shuffling_keeps_every_item_and_moves_most() {
        let mut items: Vec<u32> = (0..1000).collect();
        shuffle(&mut for_purpose(7, Purpose::Shuffle, 0, 0), &mut items);
        let moved = items
            .iter()
            .enumerate()
            .filter(|&(i, &x)| i != x as usize)
            .count();
        assert!(moved > 950, "{moved} of 1000 moved");
        items.sort_unstable();
        assert!(items.iter().enumerate().all(|(i, &x)| i == x as usize));
    }

    #[test]
    fn each_place_is_equally_likely() {
        // Where the first of 4 items ends, 8000 times: 2000 expected at each place, deviation 39.
        let mut counts = [0_u32; 4];
        for epoch in 0..8000 {
            let mut items = [0, 1, 2, 3];
            shuffle(&mut for_purpose(1, Purpose::Shuffle, epoch, 0), &mut items);
            counts[items.iter().position(|&x| x == 0).unwrap()] += 1;
        }
        assert!(
            counts.iter().all(|&n| (1800..2200).contains(&n)),
            "{counts:?}"
        );
    }

    #[test]
    fn uniform_stays_below_one_and_has_the_right_mean() {
        let mut rng = for_sample(3, 0, 0, 0);
        let values: Vec<f32> = (0..10_000).map(|_| uniform(&mut rng)).collect();
        assert!(values.iter().all(|x| (0.0..1.0).contains(x)));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 0.5).abs() < 0.015, "{mean}");
    }
}

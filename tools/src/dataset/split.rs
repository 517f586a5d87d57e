//! Which pictures validate, and in which order an epoch visits the others.

use super::DatasetError;
use crate::random::{Purpose, for_purpose, shuffle};

/// Divides `0..count` at random into training and validation indices; the latter are the given fraction,
/// rounded down. Both are sorted. A fraction of 0 means no validation.
///
/// # Errors
/// [`DatasetError::Split`] if one of the parts would be empty without having been asked to be.
pub fn split(
    count: usize,
    fraction: f64,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), DatasetError> {
    let validation = (count as f64 * fraction) as usize;
    let empty = validation == 0 && fraction != 0.0;
    if !(0.0..1.0).contains(&fraction) || empty || validation >= count {
        return Err(DatasetError::Split { fraction, count });
    }
    let mut indices: Vec<usize> = (0..count).collect();
    shuffle(&mut for_purpose(seed, Purpose::Split, 0, 0), &mut indices);
    let mut train = indices.split_off(validation);
    indices.sort_unstable();
    train.sort_unstable();
    Ok((train, indices))
}

/// Puts `indices` into the order of one epoch: a function of seed and epoch alone, whatever order they
/// were in.
pub fn epoch_order(indices: &mut [usize], seed: u64, epoch: u64) {
    indices.sort_unstable();
    shuffle(&mut for_purpose(seed, Purpose::Shuffle, epoch, 0), indices);
}

/// At most `count` of `indices`, a few of each class: chosen at random, and in an order that takes the classes in turn.
/// `labels` are those of all samples.
pub fn spread(labels: &[u8], mut indices: Vec<usize>, count: usize, seed: u64) -> Vec<usize> {
    indices.sort_unstable();
    shuffle(
        &mut for_purpose(seed, Purpose::Calibrate, 0, 0),
        &mut indices,
    );
    // How many of its class come before each.
    let mut seen = [0_usize; 256];
    let turn = |index: &usize| {
        let seen = &mut seen[usize::from(labels[*index])];
        *seen += 1;
        *seen
    };
    let turns: Vec<usize> = indices.iter().map(turn).collect();
    let mut chosen: Vec<(usize, u8, usize)> = turns
        .into_iter()
        .zip(&indices)
        .map(|(turn, index)| (turn, labels[*index], *index))
        .collect();
    chosen.sort_unstable();
    let chosen = chosen.into_iter().take(count);
    chosen.map(|(_, _, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_complete_and_of_the_right_size() {
        for (count, fraction, size) in [(10, 0.2, 2), (8000, 0.1, 800), (7, 0.5, 3), (5, 0.0, 0)] {
            for seed in 0..5 {
                let (train, validation) = split(count, fraction, seed).unwrap();
                assert_eq!(validation.len(), size);
                let mut all = [train, validation].concat();
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(split(100, 0.3, 4).unwrap(), split(100, 0.3, 4).unwrap());
        assert_ne!(split(100, 0.3, 4).unwrap(), split(100, 0.3, 5).unwrap());
    }

    #[test]
    fn every_picture_is_as_likely_to_validate() {
        let mut chosen = [0_u32; 20];
        for seed in 0..2000 {
            split(20, 0.25, seed)
                .unwrap()
                .1
                .iter()
                .for_each(|&i| chosen[i] += 1);
        }
        // 500 expected, deviation 19.
        assert!(
            chosen.iter().all(|&n| (400..600).contains(&n)),
            "{chosen:?}"
        );
    }

    #[test]
    fn empty_parts_are_refused() {
        assert_eq!(
            split(10, 0.05, 1).unwrap_err().to_string(),
            "validation = 0.05 of 10 samples leaves none to validate with; \
             choose a fraction from 0.1 to 0.9"
        );
        for fraction in [1.0, -0.1, f64::NAN] {
            assert!(split(10, fraction, 1).is_err());
        }
    }

    #[test]
    fn samples_are_spread_over_the_classes() {
        let labels: Vec<u8> = (0..90).map(|i| u8::from(i >= 80)).collect();
        let chosen = spread(&labels, (0..90).collect(), 12, 1);
        assert_eq!(chosen, spread(&labels, (0..90).rev().collect(), 12, 1));
        assert_ne!(chosen, spread(&labels, (0..90).collect(), 12, 2));
        let second = chosen.iter().filter(|index| **index >= 80).count();
        assert_eq!((chosen.len(), second), (12, 6));
        // Of a class that has no more, the others take the place.
        let all = spread(&labels, (0..90).collect(), 100, 1);
        assert_eq!(
            all.iter().collect::<std::collections::BTreeSet<_>>().len(),
            90
        );
        assert_eq!(spread(&labels, vec![3, 85], 5, 1), [3, 85]);
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch_only() {
        let order = |mut indices: Vec<usize>, seed, epoch| {
            epoch_order(&mut indices, seed, epoch);
            indices
        };
        let base = order((0..50).collect(), 1, 3);
        assert_eq!(base, order((0..50).rev().collect(), 1, 3));
        assert_ne!(base, order((0..50).collect(), 1, 4));
        assert_ne!(base, order((0..50).collect(), 2, 3));
        let mut sorted = base;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}

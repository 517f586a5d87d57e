//! The rows of 8-bit weights, and the order in which they lie.

/// Weights that lie together in [`RowOrder::Pairs`].
const GROUP: usize = 4;

/// The place of each weight of a group, in halfwords.
const PLACES: [usize; GROUP] = [0, 2, 1, 3];

/// In which order the weights of an 8-bit layer lie: a row for each output channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RowOrder {
    /// One row after the other: OHWI, or `[out_features, in_features]`.
    #[default]
    Rows,
    /// Rows two by two. A halfword is `256 * second + first` of two weights that stand at one place of either row: an
    /// instruction that multiplies halfwords takes it as it is, and adds up 256 times the sum of the second row and that of
    /// the first. Of four neighbours in a row the first and third are the halves of one word, the second and fourth those of
    /// the next, which is how bytes become halves on the machines that this is for. There are whole pairs of rows, of whole
    /// groups of four; what is missing is 0.
    Pairs,
}

impl RowOrder {
    /// Bytes of `rows` rows of `row_len` weights.
    pub const fn len(self, rows: usize, row_len: usize) -> usize {
        match self {
            Self::Rows => rows.saturating_mul(row_len),
            Self::Pairs => rows.div_ceil(2).saturating_mul(pair_len(row_len)),
        }
    }

    /// Weight `column` of row `row`, of rows of `row_len`; 0 if it is not there.
    #[inline(always)]
    pub fn get(self, weights: &[i8], row_len: usize, (row, column): (usize, usize)) -> i8 {
        match self {
            Self::Rows => {
                let at = row.wrapping_mul(row_len).wrapping_add(column);
                weights.get(at).copied().unwrap_or_default()
            }
            Self::Pairs => {
                let at = place(row_len, row, column);
                let [first, second] = halfword(weights, at);
                match row % 2 {
                    0 => first,
                    _ => second.wrapping_add(i8::from(first < 0)),
                }
            }
        }
    }
}

/// Writes `weights`, rows of `row_len`, as [`RowOrder::Pairs`]. `pairs` is as long as [`RowOrder::len`] says; otherwise
/// nothing happens.
pub fn write_pairs(weights: &[i8], row_len: usize, pairs: &mut [i8]) {
    let rows = weights.len().checked_div(row_len).unwrap_or(0);
    let len = RowOrder::Pairs.len(rows, row_len);
    if pairs.len() != len {
        debug_assert!(false, "pairs of {} bytes, not {len}", pairs.len());
        return;
    }
    pairs.fill(0);
    for row in (0..rows).step_by(2) {
        for column in 0..row_len {
            let [first, second] = [row, row.wrapping_add(1)]
                .map(|row| RowOrder::Rows.get(weights, row_len, (row, column)));
            let second = second.wrapping_sub(i8::from(first < 0));
            let own = pairs.get_mut(place(row_len, row, column)..);
            for (to, byte) in own.into_iter().flatten().zip([first, second]) {
                *to = byte;
            }
        }
    }
}

/// Whether a layer's sums can be told apart again where its rows, of `row_len` weights, are [`RowOrder::Pairs`]: whether that
/// of each second row, bias included, is less than 2^23 for any input, of which `zero_point` means 0, and its halfwords
/// do not overflow.
pub fn fits_pairs(weights: &[i8], row_len: usize, bias: Option<&[i32]>, zero_point: i8) -> bool {
    let zero_point = i64::from(zero_point);
    let largest = (i64::from(i8::MAX) - zero_point).max(zero_point - i64::from(i8::MIN));
    let rows = weights.chunks(row_len.max(1)).enumerate();
    rows.filter(|(row, _)| row % 2 == 1).all(|(row, weights)| {
        let bias = bias.and_then(|bias| bias.get(row)).copied();
        let bias = i64::from(bias.unwrap_or_default()).abs();
        let sizes = weights.iter().map(|weight| i64::from(*weight).abs());
        let sum = sizes.sum::<i64>().saturating_mul(largest);
        sum.saturating_add(bias) < 1 << 23 && !weights.contains(&i8::MIN)
    })
}

/// Bytes of a pair of rows.
const fn pair_len(row_len: usize) -> usize {
    row_len.div_ceil(GROUP).saturating_mul(2 * GROUP)
}

/// Where the halfword of a weight begins.
#[inline(always)]
fn place(row_len: usize, row: usize, column: usize) -> usize {
    let group = (column / GROUP).wrapping_mul(2 * GROUP);
    let place = PLACES.get(column % GROUP).copied().unwrap_or_default();
    let pair = (row / 2).wrapping_mul(pair_len(row_len));
    pair.wrapping_add(group).wrapping_add(place.wrapping_mul(2))
}

/// The bytes of a halfword, 0 if it is not there.
#[inline(always)]
fn halfword(weights: &[i8], at: usize) -> [i8; 2] {
    let bytes = weights.get(at..).and_then(|rest| rest.first_chunk());
    bytes.copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{RowOrder, fits_pairs, write_pairs};

    /// As pairs.
    fn pairs(weights: &[i8], row_len: usize) -> Vec<i8> {
        let mut pairs = vec![99; RowOrder::Pairs.len(weights.len() / row_len, row_len)];
        write_pairs(weights, row_len, &mut pairs);
        pairs
    }

    #[test]
    fn halfwords_are_both_rows() {
        let pairs = pairs(&[1, -2, 3, -4, 5, 6, 7, 8], 4);
        let halves = pairs
            .chunks(2)
            .map(|bytes| i16::from_le_bytes([bytes[0] as u8, bytes[1] as u8]));
        let expected = [1 + 256 * 5, 3 + 256 * 7, -2 + 256 * 6, -4 + 256 * 8];
        assert!(halves.eq(expected));
    }

    #[test]
    fn every_weight_is_found_again() {
        for (rows, row_len) in [(1, 1), (2, 4), (3, 5), (4, 27), (7, 2)] {
            let weights: Vec<i8> = (0..rows * row_len)
                .map(|i| (i * 89 % 255) as u8 as i8)
                .map(|weight| weight.max(-127))
                .collect();
            let pairs = pairs(&weights, row_len);
            assert_eq!(pairs.len(), rows.div_ceil(2) * row_len.div_ceil(4) * 8);
            for (i, weight) in weights.iter().enumerate() {
                let at = (i / row_len, i % row_len);
                assert_eq!(RowOrder::Pairs.get(&pairs, row_len, at), *weight, "{at:?}");
                assert_eq!(RowOrder::Rows.get(&weights, row_len, at), *weight);
            }
        }
        assert_eq!(RowOrder::Pairs.get(&[], 4, (0, 0)), 0);
        assert_eq!(RowOrder::Rows.get(&[], 4, (0, 0)), 0);
    }

    #[test]
    fn sums_that_reach_into_the_other_half_do_not_fit() {
        let first = [-128; 300];
        let second = [127; 300];
        let weights = [first, second].concat();
        // 300 * 127 * 128 is less than 2^23, times 255 it is not.
        assert!(fits_pairs(&weights, 300, None, 0));
        assert!(!fits_pairs(&weights, 300, None, -128));
        let room = (1 << 23) - 300 * 127 * 128;
        assert!(fits_pairs(&weights, 300, Some(&[i32::MIN, room - 1]), 0));
        assert!(!fits_pairs(&weights, 300, Some(&[0, -room]), 0));
        assert!(!fits_pairs(&[0, -128], 1, None, 0));
    }
}

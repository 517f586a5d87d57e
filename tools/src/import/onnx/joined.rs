//! Tensors of any number of axes within the three of a graph.

use std::ops::Range;

use kinglet_kernels::{PerAxis, Shape};

/// Any number of axes as three: some stay by themselves, those between them are joined.
pub(super) struct Joined {
    pub(super) extents: PerAxis,
    /// The axes in each of the three.
    groups: [Range<usize>; 3],
}

impl Joined {
    /// None if `axes` cannot all be by themselves.
    pub(super) fn new(dims: &[usize], axes: &[usize]) -> Option<Self> {
        Self::join(dims, dims, axes, false).or_else(|| Self::join(dims, dims, axes, true))
    }

    /// The axes of a tensor of the shape `dims` that is a part, along `axis`, of one of the shape `like`.
    pub(super) fn of_like(like: &[usize], dims: &[usize], axis: usize) -> Self {
        let joined = Self::join(like, dims, &[axis], false);
        let joined = joined.or_else(|| Self::join(like, dims, &[axis], true));
        joined.expect("one axis and what is around it are three")
    }

    fn join(like: &[usize], dims: &[usize], axes: &[usize], neighbors: bool) -> Option<Self> {
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (axis, extent) in like.iter().enumerate() {
            let alone = axes.contains(&axis);
            if *extent == 1 && !alone {
                continue;
            }
            match groups.last_mut() {
                Some(last) if neighbors && !alone && !axes.contains(&(last.end - 1)) => {
                    last.end = axis + 1;
                }
                _ => groups.push(axis..axis + 1),
            }
        }
        let missing = 3usize.checked_sub(groups.len())?;
        let mut joined = Self {
            extents: [1; 3],
            groups: [0..0, 0..0, 0..0],
        };
        for (place, group) in groups.into_iter().enumerate() {
            joined.extents[missing + place] = dims[group.clone()].iter().product();
            joined.groups[missing + place] = group;
        }
        Some(joined)
    }

    pub(super) fn shape(&self) -> Shape {
        shape(self.extents)
    }

    /// Which of the three an axis is in.
    pub(super) fn place(&self, axis: usize) -> usize {
        let place = self.groups.iter().position(|group| group.contains(&axis));
        place.expect("an axis that was asked for")
    }
}

/// Three extents as a shape.
pub(super) fn shape([height, width, channels]: PerAxis) -> Shape {
    Shape::new(height, width, channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_nobody_asks_for_are_joined_where_there_are_too_many() {
        let plain = Joined::new(&[1, 3, 4, 5], &[2]).unwrap();
        assert_eq!((plain.extents, plain.place(2)), ([3, 4, 5], 1));
        let joined = Joined::new(&[2, 3, 4, 5], &[2]).unwrap();
        assert_eq!((joined.extents, joined.place(2)), ([6, 4, 5], 1));
        assert!(Joined::new(&[2, 3, 4, 5], &[0, 1, 2, 3]).is_none());
        let part = Joined::of_like(&[1, 2, 9, 1], &[1, 2, 1, 1], 2);
        assert_eq!((part.extents, part.place(2)), ([1, 2, 1], 2));
    }
}

//! A tensor whose elements lie elsewhere in another order: what a chain of transpositions and reshapes amounts to.

use kinglet_kernels::{Axis, PerAxis, Shape};

/// The three axes in their order.
pub(crate) const AXES: [Axis; 3] = [Axis::Height, Axis::Width, Axis::Channels];

/// All orders of three axes.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// A loop over elements that lie `stride` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Loop {
    extent: usize,
    stride: usize,
}

/// A tensor of `shape` whose elements, in row-major order, are found by nested loops over a stored one.
///
/// The loops are the fewest that do it, so two views of the same order are equal, and a view in the stored order
/// has one loop, or none if it has a single element. (NumPy's views are of this kind:
/// <https://numpy.org/doc/stable/dev/internals.html>.)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct View {
    shape: Shape,
    loops: Vec<Loop>,
}

impl View {
    /// The stored tensor itself.
    pub(crate) fn of(shape: Shape) -> Self {
        let whole = Loop {
            extent: shape.len(),
            stride: 1,
        };
        Self {
            shape,
            loops: fewest([whole]),
        }
    }

    /// The shape that readers see.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// True if the elements are in the order they are stored in.
    pub(crate) fn is_stored_order(&self) -> bool {
        self.loops.iter().all(|found| found.stride == 1)
    }

    /// The same elements in the same order in another shape of as many elements.
    pub(crate) fn reshape(mut self, shape: Shape) -> Self {
        debug_assert_eq!(shape.len(), self.shape.len());
        self.shape = shape;
        self
    }

    /// The axes in another order; None if an axis begins or ends within a loop, so that no loops would do it.
    pub(crate) fn transpose(&self, order: [Axis; 3]) -> Option<Self> {
        let axes = self.axes()?;
        let loops = order.iter().flat_map(|axis| axes[*axis as usize].clone());
        Some(Self {
            shape: kinglet_kernels::params::transposed(self.shape, order),
            loops: fewest(loops),
        })
    }

    /// For each element the index where it is stored.
    pub(crate) fn offsets(&self) -> Vec<usize> {
        self.loops.iter().fold(vec![0], |outer, inner| {
            let starts = outer
                .iter()
                .flat_map(|start| (0..inner.extent).map(move |index| start + index * inner.stride));
            starts.collect()
        })
    }

    /// How the tensor is a transposition of the stored one, if it is: three stored axes, and for each of the
    /// tensor's own axes the stored one that it is. Of several ways (an axis of extent 1 may stand anywhere) the one
    /// with stored axes as in `stored`, if there is one.
    pub(crate) fn transposition(&self, stored: Shape) -> Option<Transposition> {
        let axes = self.axes()?;
        let extents = extents(self.shape);
        let fits = |places: &[usize; 3]| {
            // places[n] is the axis that is stored at n.
            (0..3).all(|n| {
                let inner: usize = places[n + 1..].iter().map(|axis| extents[*axis]).product();
                match axes[places[n]].as_slice() {
                    [] => true,
                    [only] => only.stride == inner,
                    _ => false,
                }
            })
        };
        let ways = ORDERS.iter().filter(|places| fits(places));
        let ways = ways.map(|places| Transposition {
            stored: Shape::new(extents[places[0]], extents[places[1]], extents[places[2]]),
            places: *places,
        });
        let ways: Vec<Transposition> = ways.collect();
        let same = ways.iter().find(|way| way.stored == stored);
        same.or(ways.first()).copied()
    }

    /// The tensor as a reshape, a transposition and another reshape of the stored one; None if more than three
    /// loops are needed.
    pub(crate) fn steps(&self) -> Option<Transposition> {
        let unit = Loop {
            extent: 1,
            stride: usize::MAX,
        };
        let mut loops = vec![unit; 3usize.checked_sub(self.loops.len())?];
        loops.extend(&self.loops);
        let mut places = [0, 1, 2];
        places.sort_by_key(|axis| std::cmp::Reverse(loops[*axis].stride));
        let [a, b, c] = places.map(|axis| loops[axis].extent);
        Some(Transposition {
            stored: Shape::new(a, b, c),
            places,
        })
    }

    /// The loops of each axis; None if an axis begins or ends within a loop.
    fn axes(&self) -> Option<[Vec<Loop>; 3]> {
        let mut axes = [const { Vec::new() }; 3];
        let mut rest = self.loops.clone();
        for (axis, extent) in extents(self.shape).into_iter().enumerate().rev() {
            let mut missing = extent;
            while missing > 1 {
                let inner = rest.pop()?;
                if missing % inner.extent == 0 {
                    missing /= inner.extent;
                    axes[axis].insert(0, inner);
                } else if inner.extent % missing == 0 {
                    rest.push(Loop {
                        extent: inner.extent / missing,
                        stride: inner.stride * missing,
                    });
                    axes[axis].insert(
                        0,
                        Loop {
                            extent: missing,
                            stride: inner.stride,
                        },
                    );
                    missing = 1;
                } else {
                    return None;
                }
            }
        }
        Some(axes)
    }
}

/// A tensor whose axes are those of a stored one in another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transposition {
    /// The stored axes.
    pub(crate) stored: Shape,
    /// For each stored axis the tensor's axis that it is.
    places: [usize; 3],
}

impl Transposition {
    /// What is given for each of the tensor's axes, for each stored one.
    pub(crate) fn to_stored(self, of_tensor: PerAxis) -> PerAxis {
        self.places.map(|axis| of_tensor[axis])
    }

    /// The tensor's axes in the order they are stored in: takes the tensor to the stored one.
    pub(crate) fn stored_order(self) -> [Axis; 3] {
        self.places.map(|axis| AXES[axis])
    }

    /// The stored axes in the tensor's order: takes the stored one to the tensor.
    pub(crate) fn order(self) -> [Axis; 3] {
        AXES.map(|axis| self.stored_axis(axis))
    }

    /// The stored axis that the tensor's `axis` is.
    pub(crate) fn stored_axis(self, axis: Axis) -> Axis {
        let place = self.places.iter().position(|place| *place == axis as usize);
        AXES[place.unwrap_or_default()]
    }
}

/// A shape's extents in the order of its axes.
pub(crate) fn extents(shape: Shape) -> PerAxis {
    [shape.height, shape.width, shape.channels]
}

/// The fewest loops over the same elements in the same order.
fn fewest(loops: impl IntoIterator<Item = Loop>) -> Vec<Loop> {
    let mut fewest: Vec<Loop> = Vec::new();
    for inner in loops.into_iter().filter(|found| found.extent != 1) {
        match fewest.last_mut() {
            Some(outer) if outer.stride == inner.extent * inner.stride => {
                outer.extent *= inner.extent;
                outer.stride = inner.stride;
            }
            _ => fewest.push(inner),
        }
    }
    fewest
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNELS_FIRST: [Axis; 3] = [Axis::Channels, Axis::Height, Axis::Width];
    const CHANNELS_LAST: [Axis; 3] = [Axis::Width, Axis::Channels, Axis::Height];

    #[test]
    fn transpositions_that_cancel_leave_the_stored_order() {
        let view = View::of(Shape::new(4, 5, 3));
        let there = view.transpose(CHANNELS_FIRST).unwrap();
        assert_eq!(there.shape(), Shape::new(3, 4, 5));
        assert!(!there.is_stored_order());
        // Also where rows and columns were one axis on the way.
        let flat = there.clone().reshape(Shape::new(1, 3, 20));
        let swap = [Axis::Height, Axis::Channels, Axis::Width];
        let back = flat.transpose(swap).unwrap();
        assert!(back.is_stored_order());
        assert_eq!(there.transpose(CHANNELS_LAST).unwrap(), view);
    }

    #[test]
    fn offsets_follow_the_loops() {
        let view = View::of(Shape::new(2, 1, 3)).transpose(CHANNELS_FIRST);
        assert_eq!(view.unwrap().offsets(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(View::of(Shape::new(1, 1, 1)).offsets(), [0]);
    }

    #[test]
    fn shuffled_channels_are_one_transposition() {
        // [height, width, 2 groups of 3] by way of NCHW, as ShuffleNet does it.
        let maps = View::of(Shape::new(4, 5, 6))
            .transpose(CHANNELS_FIRST)
            .unwrap();
        let groups = maps.reshape(Shape::new(2, 3, 20));
        let shuffled = groups.transpose([Axis::Width, Axis::Height, Axis::Channels]);
        let shuffled = shuffled.unwrap().reshape(Shape::new(6, 4, 5));
        let back = shuffled.transpose(CHANNELS_LAST).unwrap();
        let steps = back.steps().unwrap();
        assert_eq!(steps.stored, Shape::new(20, 2, 3));
        assert_eq!(steps.order(), [Axis::Height, Axis::Channels, Axis::Width]);
    }

    #[test]
    fn an_axis_of_one_stands_where_it_is_stored() {
        let stored = Shape::new(7, 1, 3);
        let view = View::of(stored).transpose(CHANNELS_FIRST).unwrap();
        let way = view.transposition(stored).unwrap();
        assert_eq!((way.stored, way.order()), (stored, CHANNELS_FIRST));
        assert_eq!(way.to_stored([3, 7, 1]), [7, 1, 3]);
        assert_eq!(way.stored_axis(Axis::Height), Axis::Channels);
    }

    #[test]
    fn an_axis_across_loops_is_no_transposition() {
        let stored = Shape::new(4, 5, 3);
        let view = View::of(stored).transpose(CHANNELS_FIRST).unwrap();
        // 60 elements as 10 x 6: the border lies within a row.
        let cut = view.reshape(Shape::new(1, 10, 6));
        assert_eq!(cut.transposition(stored), None);
        assert_eq!(cut.transpose(CHANNELS_FIRST), None);
        assert!(cut.steps().is_some());
    }
}

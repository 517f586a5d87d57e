//! The operations: one file for each family, all of them methods of [`Recording`](super::Recording).
//!
//! An output overlaps no other tensor of its operation, unless the operation says so: what is computed would not be
//! defined.

mod arguments;
mod batch_norm;
mod binary;
mod conv2d;
mod conv2d_backward;
mod cross_entropy;
mod depthwise_conv2d;
mod depthwise_conv2d_backward;
mod elementwise;
mod elementwise_backward;
mod gemm;
#[cfg(all(test, feature = "_opencl-tests"))]
mod gemm_speed;
mod linear;
mod linear_backward;
mod optimizer;
mod pool2d;
mod pool2d_backward;
mod reduce;
mod softmax;
mod strided_copy;

pub use batch_norm::BatchNorm;
pub use cross_entropy::CrossEntropy;
pub use optimizer::{StepControl, StepRates};

use std::format;

use super::{Element, OpenClError, Recording, Slice};

/// How a matrix product is cut: what one work-item computes, and how work-items are grouped.
#[derive(Debug, Clone, Copy)]
struct Tile {
    /// Rows: `TILE_M`.
    m: usize,
    /// Columns: `TILE_N`, 4 or 8.
    n: usize,
    /// Work-items of a group on dimension 0 (columns) and 1 (rows).
    local: [usize; 3],
}

impl Tile {
    const fn new(m: usize, n: usize, local_n: usize, local_m: usize) -> Self {
        Self {
            m,
            n,
            local: [local_n, local_m, 1],
        }
    }
}

/// What is tried: from what a small GPU has registers for to what a wide one can use; groups that are wide for many
/// columns, and high for few.
const TILES: &[Tile] = &[
    Tile::new(4, 4, 8, 8),
    Tile::new(4, 4, 1, 32),
    Tile::new(4, 8, 8, 8),
    Tile::new(4, 8, 1, 16),
    Tile::new(8, 4, 4, 16),
    Tile::new(8, 8, 4, 8),
    Tile::new(8, 8, 1, 16),
];

/// The work-group for kernels that gain nothing from any special one: 64 work-items, as many of them on dimension 0
/// as it has, then on dimension 1, then 2.
fn work_group(global: [usize; 3]) -> [usize; 3] {
    let mut left = 64;
    global.map(|extent| {
        let local = extent.next_power_of_two().min(left);
        left /= local;
        local
    })
}

/// What all of `slices` hold.
fn common_element(slices: &[Slice<'_>]) -> Result<Element, OpenClError> {
    let mut elements = slices.iter().map(|slice| slice.element());
    match elements.next() {
        Some(first @ (Element::F32 | Element::F16)) if elements.all(|other| other == first) => {
            Ok(first)
        }
        _ => Err(OpenClError::Unsupported {
            reason: format!(
                "an operation on {:?}",
                slices
                    .iter()
                    .map(|s| s.element())
                    .collect::<std::vec::Vec<_>>()
            ),
        }),
    }
}

impl Recording {
    /// Records with the one of `tiles` that `record` is fastest with.
    fn with_fastest_tile(
        &mut self,
        problem: &str,
        tiles: &[Tile],
        record: impl Fn(&mut Self, Tile) -> Result<(), OpenClError>,
    ) -> Result<(), OpenClError> {
        let executor = self.executor().clone();
        let tile = executor.fastest(problem, tiles, |tile| {
            let mut recording = Self::new(&executor);
            record(&mut recording, tile)?;
            Ok(recording)
        })?;
        record(self, tile)
    }
}

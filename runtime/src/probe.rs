//! Looking at a run from outside: a [`Probe`] is called around each node, for timing, dumps or faults.

use crate::values::Values;

/// Called around each node of [`Session::run_probed`](crate::Session::run_probed).
pub trait Probe {
    /// Node number `node` is about to run.
    fn before(&mut self, node: usize) {
        let _ = node;
    }

    /// Node number `node` has written `output`, the whole batch.
    fn after(&mut self, node: usize, output: Values<'_>) {
        let _ = (node, output);
    }
}

/// Looks at nothing and costs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl Probe for NoProbe {}

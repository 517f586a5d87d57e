//! Looking at a run from outside: a [`Probe`] is called around each node, for timing, dumps or faults.

/// What a node has written: the whole batch, NHWC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Output<'a> {
    /// Real numbers.
    F32(&'a [f32]),
    /// Quantized ones; what they mean is in the tensor's [`DType`](crate::model::schema::DType).
    I8(&'a [i8]),
}

/// Called around each node of [`Session::run_probed`](crate::Session::run_probed).
pub trait Probe {
    /// Node number `node` is about to run.
    fn before(&mut self, node: usize) {
        let _ = node;
    }

    /// Node number `node` has written `output`.
    fn after(&mut self, node: usize, output: Output<'_>) {
        let _ = (node, output);
    }
}

/// Looks at nothing and costs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl Probe for NoProbe {}

//! Runs networks over samples of a data set and looks at their values.

use kinglet::probe::Probe;
use kinglet::{AnySession, Model, SessionMemory, Values};
use kinglet_kernels::Kernels;
use rayon::prelude::*;

use crate::dataset::{Dataset, Sample};
use crate::evaluate::set_sample;

/// Samples of a data set.
#[derive(Debug, Clone)]
pub(super) struct Samples<'a> {
    pub(super) data: &'a Dataset,
    /// Their places.
    pub(super) indices: Vec<usize>,
}

/// Samples that one thread runs at a stretch. What is summed up is so stretch by stretch, and does not depend on the
/// number of threads.
const STRETCH: usize = 16;

impl Samples<'_> {
    /// Goes through the samples in stretches on all cores: what `body` finds of each sample, by its place in this list, it
    /// adds to what the stretch began with. `memory` is a thread's.
    pub(super) fn stretches<M, T: Send>(
        &self,
        memory: impl Fn() -> M + Sync + Send,
        new: impl Fn() -> T + Sync,
        body: impl Fn(&mut M, &mut T, usize, Sample<'_>) + Sync,
    ) -> Vec<T> {
        let stretches = self.indices.par_chunks(STRETCH).enumerate();
        let found = stretches.map_init(memory, |memory, (stretch, indices)| {
            let mut found = new();
            for (place, index) in indices.iter().enumerate() {
                let place = stretch * STRETCH + place;
                body(memory, &mut found, place, self.data.sample(*index));
            }
            found
        });
        found.collect()
    }
}

/// What looks at the values of a sample.
pub(super) trait Watch {
    /// Value number `value`: an input of real numbers, or the output of a node.
    fn see(&mut self, value: usize, numbers: Values<'_>);
}

/// A session's probe that counts as the graph does, whose first values are the inputs.
struct Nodes<'w, W> {
    watch: &'w mut W,
    inputs: usize,
}

impl<W: Watch> Probe for Nodes<'_, W> {
    fn after(&mut self, node: usize, output: Values<'_>) {
        self.watch.see(self.inputs + node, output);
    }
}

/// Memory for one sample at a time.
pub(super) fn memory(model: &Model<'_>, kernels: &'static dyn Kernels) -> SessionMemory {
    SessionMemory::new(model, &kernels, 1)
}

/// Runs `model`, of one input, on a sample and lets `watch` see its values. The memory must be this model's.
pub(super) fn look(
    memory: &mut SessionMemory,
    model: &Model<'_>,
    kernels: &'static dyn Kernels,
    sample: Sample<'_>,
    watch: &mut impl Watch,
) {
    let session = memory.session(model, kernels);
    let mut session: AnySession<'_, _> = session.expect("the memory was made for this model");
    set_sample(&mut session, sample);
    if let Some(input) = session.input_mut(0).and_then(|input| input.into_f32()) {
        watch.see(0, Values::F32(input));
    }
    let inputs = model.inputs().len();
    session.run_probed(&mut Nodes { watch, inputs });
}

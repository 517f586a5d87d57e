//! Files with a fixed batch: exported with 32 samples at once, where a model takes one, and runs any number of them.
//!
//! Nothing in a file says that its first axis is a batch. So such a network is read both ways, as it is and with one
//! sample; it is taken with one where each sample of the output comes from the sample of the input at its place, which
//! is tried.

use kinglet::{AlignedBytes, AnySession, HeapArena, Model};
use kinglet_kernels::Portable;

use super::{Imported, Reader};
use crate::export::{ExportSettings, write};
use crate::import::{ImportError, NodeProblem};
use crate::optimize::optimize;
use crate::random::{Purpose, for_purpose, uniform_between};
use crate::recipe::Normalize;

/// Multiply-accumulates, and elements of all tensors, up to which a network is run to see what its first axis is.
const MOST_MACS: u64 = 1 << 26;

/// Samples may differ by this, times the largest output: sums are in another order.
const ROUNDING: f32 = 1e-5;

/// The network of the file, its fixed batch taken as one where it is.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Imported, ImportError> {
    let Some(batch) = common_batch(reader) else {
        return reader.read();
    };
    let literal = reader.read();
    let with_one_sample = |reader: &mut Reader<'_>, samples: usize| {
        for input in &mut reader.selection.inputs {
            input.dims[0] = samples;
        }
    };
    with_one_sample(reader, 1);
    let single = reader.read();
    with_one_sample(reader, batch);
    let is_batch = |single: &Imported| {
        let outputs = single.outputs.iter();
        let mut outputs = outputs.map(|door| door.dims.as_slice());
        let of_samples = outputs.all(|dims| matches!(dims, [1, _, ..]));
        of_samples
            && match &literal {
                Ok(literal) => samples_are_apart(literal, single, batch),
                Err(error) => reads_batch(error),
            }
    };
    match single {
        Ok(mut single) if is_batch(&single) => {
            single.notes.push(format!(
                "the file has a fixed batch of {batch}: the model takes one sample at a time, or any number of them"
            ));
            Ok(single)
        }
        _ => literal,
    }
}

/// The first axis that all inputs have, if it may be a batch of several samples.
fn common_batch(reader: &Reader<'_>) -> Option<usize> {
    let mut batches = reader
        .selection
        .inputs
        .iter()
        .map(|input| match input.dims[..] {
            [batch, _, ..] if batch > 1 => Some(batch),
            _ => None,
        });
    let first = batches.next()??;
    batches.all(|batch| batch == Some(first)).then_some(first)
}

/// True if a node wants one sample and has found several.
fn reads_batch(error: &ImportError) -> bool {
    match error {
        ImportError::Node { problem, .. } => matches!(**problem, NodeProblem::Batch { .. }),
        _ => false,
    }
}

/// True if what all samples give at once is what each gives alone, one after the other.
fn samples_are_apart(literal: &Imported, single: &Imported, batch: usize) -> bool {
    let shapes = literal.graph.shapes();
    let elements = shapes.iter().map(|shape| shape.len() as u64);
    let elements = elements.fold(0, u64::saturating_add);
    if literal.graph.macs().max(single.graph.macs()).max(elements) > MOST_MACS {
        return false;
    }
    let mut rng = for_purpose(1, Purpose::Initialize, 0, 0);
    // As arrays of the file, for each input all samples.
    let inputs: Vec<Vec<f32>> = literal
        .inputs
        .iter()
        .map(|door| {
            let len = door.dims.iter().product();
            (0..len)
                .map(|_| uniform_between(&mut rng, [-1.0, 1.0]))
                .collect()
        })
        .collect();
    let Some(at_once) = compute(literal, &inputs) else {
        return false;
    };
    let mut one_by_one = vec![Vec::new(); at_once.len()];
    for sample in 0..batch {
        let own = inputs.iter().map(|values| {
            let len = values.len() / batch;
            values[sample * len..][..len].to_vec()
        });
        let Some(found) = compute(single, &own.collect::<Vec<_>>()) else {
            return false;
        };
        for (all, found) in one_by_one.iter_mut().zip(found) {
            all.extend(found);
        }
    }
    at_once.iter().zip(&one_by_one).all(|(a, b)| {
        let largest = a.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= ROUNDING * largest;
        a.len() == b.len() && a.iter().zip(b).all(near)
    })
}

/// What a network computes of arrays of the file; None if it cannot be run.
fn compute(imported: &Imported, inputs: &[Vec<f32>]) -> Option<Vec<Vec<f32>>> {
    let mut graph = imported.graph.clone();
    optimize(&mut graph);
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let (bytes, _) = write(graph, &settings).ok()?;
    let bytes = AlignedBytes::from(bytes.as_slice());
    let model = Model::load(&bytes).ok()?;
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut session = AnySession::new(&model, &mut arena, Portable).ok()?;
    for (index, (values, door)) in inputs.iter().zip(&imported.inputs).enumerate() {
        let values = door.array().to_model(values.clone());
        session.input_mut(index)?.set_f32(&values).ok()?;
    }
    session.run();
    let outputs = imported.outputs.iter().enumerate().map(|(index, door)| {
        let values = session.output(index)?.to_f32().into_owned();
        Some(door.array().to_array(values))
    });
    outputs.collect()
}

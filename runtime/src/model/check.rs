//! The one check of a graph. What passes can be run without errors: every number that a session will rely
//! on is looked at here, in time quadratic in the (capped) number of tensors.

use super::schema::{DType, MAX_ELEMENTS, MAX_TENSORS, Node, TENSOR_ALIGN};
use super::view::GraphView;
use super::{LoadError, Prefix};
use crate::record::{Inputs, Region, resolve};

pub(crate) fn check<const OPS: u64>(
    prefix: &Prefix,
    graph: &GraphView<'_>,
    weights: &[f32],
) -> Result<(), LoadError> {
    let nodes = graph.nodes.len();
    let tensors = graph.tensors.len();
    if nodes == 0 || tensors != nodes.saturating_add(1) || tensors > MAX_TENSORS {
        return Err(LoadError::TensorCount { found: tensors });
    }
    if let Some(unknown) = graph.extensions.iter().find(|e| e.required) {
        return Err(LoadError::Extension { id: unknown.id });
    }
    check_tensors(prefix, graph)?;
    let totals = check_nodes::<OPS>(graph, weights)?;
    check_overlap(graph)?;
    check_meaning(graph)?;

    let agree = |field, found: usize, expected: usize| {
        if expected == found {
            Ok(())
        } else {
            Err(LoadError::Prefix {
                field,
                expected,
                found,
            })
        }
    };
    let last = graph.tensor(nodes);
    agree("records", prefix.records, nodes)?;
    agree("input_len", prefix.input_len, graph.tensor(0).shape.len())?;
    agree("output_len", prefix.output_len, last.shape.len())?;
    agree("scratch_bytes", prefix.scratch_bytes, totals.scratch)?;
    agree(
        "trainable_parameters",
        prefix.trainable_parameters,
        totals.parameters,
    )?;
    agree("suffix_values", prefix.suffix_values, totals.values)?;
    if prefix.operators != totals.operators {
        return Err(LoadError::Prefix {
            field: "operators",
            expected: totals.operators as usize,
            found: prefix.operators as usize,
        });
    }
    Ok(())
}

/// Every tensor has elements, is aligned, lies in the arena, and means something if it is quantized.
fn check_tensors(prefix: &Prefix, graph: &GraphView<'_>) -> Result<(), LoadError> {
    let mut peak = 0;
    // A batch multiplies offsets, so the peak is a multiple too. What is above the last multiple counts as
    // outside: then nothing below can overflow, not even where a `usize` has 32 bits.
    let room = prefix.activation_bytes - prefix.activation_bytes % TENSOR_ALIGN;
    for (number, tensor) in graph.tensors.iter().enumerate() {
        let region = Region::of(&tensor);
        let fits = !tensor.shape.is_empty()
            && tensor.shape.len() <= MAX_ELEMENTS
            && region.offset.is_multiple_of(TENSOR_ALIGN)
            && region.end() <= room;
        if !fits {
            return Err(LoadError::Tensor { tensor: number });
        }
        if let Some(quantization) = tensor.dtype.quantization() {
            let scale = LoadError::Scale { tensor: number };
            quantization.check().map_err(|_| scale)?;
        }
        peak = peak.max(region.end());
    }
    let expected = peak.next_multiple_of(TENSOR_ALIGN);
    if prefix.activation_bytes != expected {
        return Err(LoadError::Prefix {
            field: "activation_bytes",
            expected,
            found: prefix.activation_bytes,
        });
    }
    Ok(())
}

/// What the prefix must agree with.
struct Totals {
    scratch: usize,
    operators: u64,
    parameters: usize,
    values: usize,
}

/// Every node is of an operator in `OPS` and can be resolved, reads what exists at its time, and may be trained if
/// it is in the suffix.
fn check_nodes<const OPS: u64>(
    graph: &GraphView<'_>,
    weights: &[f32],
) -> Result<Totals, LoadError> {
    let nodes = graph.nodes.len();
    let trainable = usize::from(graph.trainable_nodes);
    let Some(suffix) = nodes.checked_sub(trainable) else {
        return Err(LoadError::Suffix { node: 0 });
    };
    let mut totals = Totals {
        scratch: 0,
        operators: 0,
        parameters: 0,
        values: 0,
    };
    let outputs = graph.tensors.iter().skip(1);
    for (index, (node, output)) in graph.nodes.iter().zip(outputs).enumerate() {
        let inputs = inputs_of(graph, index, &node)?;
        let released = usize::from(output.last_use) < index
            || usize::from(output.last_use) >= nodes
            || (index.saturating_add(1) == nodes && usize::from(output.last_use) != index);
        if released {
            return Err(LoadError::Lifetime { node: index });
        }
        let record = resolve::<OPS>(index, &node, &inputs, &output, weights.len())?;
        let possible = record.operation.check(weights);
        possible.map_err(|reason| LoadError::Params {
            node: index,
            reason,
        })?;
        totals.scratch = totals.scratch.max(record.operation.scratch_bytes());
        totals.operators |= node.operator.bit();
        if index >= suffix {
            let chained = node.inputs.first().map(|t| usize::from(*t)) == Some(index);
            let last = index.saturating_add(1) == nodes;
            if !chained || !record.operation.trainable(last) {
                return Err(LoadError::Suffix { node: index });
            }
            totals.parameters = totals
                .parameters
                .saturating_add(record.operation.parameters());
            totals.values = totals.values.saturating_add(output.shape.len());
        }
    }
    if trainable > 0 && totals.parameters == 0 {
        return Err(LoadError::Suffix { node: suffix });
    }
    Ok(totals)
}

/// The tensors that node number `index` reads: they must have been written, and not be released.
fn inputs_of(graph: &GraphView<'_>, index: usize, node: &Node) -> Result<Inputs, LoadError> {
    let mut inputs = Inputs::new();
    for input in &node.inputs {
        let input = usize::from(*input);
        let tensor = graph.tensor(input);
        // Tensor `n` is written before node `n` runs.
        let lives = input <= index && usize::from(tensor.last_use) >= index;
        if !lives || inputs.push(tensor).is_err() {
            return Err(LoadError::Lifetime { node: index });
        }
    }
    Ok(inputs)
}

/// No two tensors that live at the same time share a byte, unless one takes the other's place.
fn check_overlap(graph: &GraphView<'_>) -> Result<(), LoadError> {
    for (later, tensor) in graph.tensors.iter().enumerate().skip(1) {
        let written_by = later.saturating_sub(1);
        let region = Region::of(&tensor);
        let node = graph.nodes.iter().nth(written_by);
        for (earlier, other) in graph.tensors.iter().enumerate().take(later) {
            let last_use = usize::from(other.last_use);
            let other_region = Region::of(&other);
            if last_use < written_by || !region.overlaps(&other_region) {
                continue;
            }
            let takes_its_place = last_use == written_by
                && region == other_region
                && node
                    .as_ref()
                    .and_then(Node::replaces)
                    .is_some_and(|replaced| usize::from(replaced) == earlier);
            if !takes_its_place {
                return Err(LoadError::Overlap {
                    first: earlier,
                    second: later,
                });
            }
        }
    }
    Ok(())
}

/// Input and output are real numbers; normalization and labels fit them.
fn check_meaning(graph: &GraphView<'_>) -> Result<(), LoadError> {
    let (input, output) = (graph.tensor(0), graph.tensor(graph.nodes.len()));
    if input.dtype != DType::F32 || output.dtype != DType::F32 {
        return Err(LoadError::Ends);
    }
    let channels = input.shape.channels;
    let lengths = graph.mean.len() == graph.std.len()
        && (graph.mean.is_empty() || graph.mean.len() == channels);
    let values =
        graph.mean.iter().all(f32::is_finite) && graph.std.iter().all(|s| s.is_finite() && s > 0.0);
    if !lengths || !values {
        return Err(LoadError::Normalization);
    }
    let outputs = output.shape.len();
    if !graph.labels.is_empty() && graph.labels.len() != outputs {
        return Err(LoadError::Labels {
            found: graph.labels.len(),
            outputs,
        });
    }
    Ok(())
}

//! The one check of a graph. What passes can be run without errors: every number that a session will rely
//! on is looked at here, in one walk over the nodes and time quadratic in the (capped) number of tensors.

use kinglet_kernels::Quantization;

use super::schema::{
    Input, MAX_ELEMENTS, MAX_ENDS, MAX_TENSORS, Node, Output, Source, TENSOR_ALIGN, Tensor,
};
use super::view::{GraphView, Labels, Normalization};
use super::{LoadError, Prefix};
use crate::operator::{Operation, Site, resolve};
use crate::record::{Inputs, Region};

pub(crate) fn check<const OPS: u128>(
    prefix: &Prefix,
    graph: &GraphView<'_>,
    weights: &[f32],
) -> Result<(), LoadError> {
    let nodes = graph.nodes.len();
    let tensors = graph.tensors.len();
    let expected = nodes.saturating_add(graph.inputs.len());
    if nodes == 0 || tensors != expected || tensors > MAX_TENSORS {
        return Err(LoadError::TensorCount { found: tensors });
    }
    if let Some(unknown) = graph.extensions.iter().find(|e| e.required) {
        return Err(LoadError::Extension { id: unknown.id });
    }
    check_tensors(prefix, graph)?;
    let totals = check_nodes::<OPS>(graph, weights)?;
    check_overlap::<OPS>(graph)?;
    let (input_len, output_len) = check_ends(graph)?;

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
    agree("records", prefix.records, nodes)?;
    agree("input_len", prefix.input_len, input_len)?;
    agree("output_len", prefix.output_len, output_len)?;
    agree("sum_terms", prefix.sum_terms, totals.terms)?;
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
        let quantization = tensor.dtype.quantization();
        let possible = quantization.map_or(Ok(()), Quantization::check);
        possible.map_err(|_| LoadError::Scale { tensor: number })?;
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
#[derive(Default)]
pub(super) struct Totals {
    pub(super) terms: usize,
    pub(super) operators: u128,
    pub(super) parameters: usize,
    pub(super) values: usize,
}

impl Totals {
    /// Takes in an operation whose output is `output`, part of the trainable suffix or not.
    pub(super) fn add(&mut self, operation: &Operation, output: &Tensor, suffix: bool) {
        self.terms = self.terms.max(operation.terms());
        self.operators |= operation.bit();
        if suffix {
            for parameters in operation.lens().into_iter().flatten() {
                self.parameters = self.parameters.saturating_add(parameters);
            }
            self.values = self.values.saturating_add(output.shape.len());
        }
    }
}

/// Every node is of an operator in `OPS` and can be resolved, reads what exists at its time, and may be trained if
/// it is in the suffix.
fn check_nodes<const OPS: u128>(
    graph: &GraphView<'_>,
    weights: &[f32],
) -> Result<Totals, LoadError> {
    let (nodes, inputs) = (graph.nodes.len(), graph.inputs.len());
    let trainable = usize::from(graph.trainable_nodes);
    let Some(suffix) = nodes.checked_sub(trainable) else {
        return Err(LoadError::Suffix { node: 0 });
    };
    let mut totals = Totals::default();
    for (index, (node, output)) in graph.nodes_with_outputs::<OPS>().enumerate() {
        let first = index.saturating_add(inputs);
        let read = inputs_of(graph, index, first, &node)?;
        let released =
            usize::from(output.last_use) < index || usize::from(output.last_use) >= nodes;
        if released {
            return Err(LoadError::Lifetime { node: index });
        }
        let site = Site::new(index, &read, &output, weights.len())?;
        let (operation, shape) = resolve::<OPS>(&node.operator, &site)?;
        if shape != output.shape {
            return Err(LoadError::Shape { node: index });
        }
        let possible = operation.check::<OPS>(weights);
        possible.map_err(|reason| LoadError::Params {
            node: index,
            reason,
        })?;
        if index >= suffix {
            // It reads what the node before it has written.
            let before = first.checked_sub(1);
            let chained = node.inputs.first().map(|t| usize::from(*t)) == before;
            let last = index.saturating_add(1) == nodes;
            if !chained || !operation.trainable(last) {
                return Err(LoadError::Suffix { node: index });
            }
        }
        totals.add(&operation, &output, index >= suffix);
    }
    if trainable > 0 && totals.parameters == 0 {
        return Err(LoadError::Suffix { node: suffix });
    }
    Ok(totals)
}

/// The tensors that node number `index`, which writes tensor number `written`, reads: they must have been written, and
/// not be released.
fn inputs_of(
    graph: &GraphView<'_>,
    index: usize,
    written: usize,
    node: &Node,
) -> Result<Inputs, LoadError> {
    let mut inputs = Inputs::new();
    for input in &node.inputs {
        let input = usize::from(*input);
        let tensor = graph.tensors.get(input).filter(|_| input < written);
        let tensor = tensor.filter(|tensor| usize::from(tensor.last_use) >= index);
        let pushed = tensor.map(|tensor| inputs.push(tensor));
        if !matches!(pushed, Some(Ok(()))) {
            return Err(LoadError::Lifetime { node: index });
        }
    }
    Ok(inputs)
}

/// No two tensors that live at the same time share a byte, unless one takes the other's place; that of an output of the
/// model nobody takes.
fn check_overlap<const OPS: u128>(graph: &GraphView<'_>) -> Result<(), LoadError> {
    let inputs = graph.inputs.len();
    let mut outputs = heapless::Vec::<u16, MAX_ENDS>::new();
    for output in graph.outputs.iter() {
        // There are no more than it holds.
        let _ = outputs.push(output.tensor);
    }
    let is_output = |number: usize| outputs.iter().any(|output| usize::from(*output) == number);
    // The inputs are there before the first node runs.
    let writers = (0..inputs).map(|_| None);
    let writers = writers.chain(graph.nodes::<OPS>().enumerate().map(Some));
    for ((later, tensor), writer) in graph.tensors.iter().enumerate().zip(writers) {
        let written_by = writer.as_ref().map_or(0, |(index, _)| *index);
        let region = Region::of(&tensor);
        let replaced = writer.as_ref().and_then(|(_, node)| node.replaces());
        for (earlier, other) in graph.tensors.iter().enumerate().take(later) {
            let last_use = usize::from(other.last_use);
            let other_region = Region::of(&other);
            if last_use < written_by || !region.overlaps(&other_region) {
                continue;
            }
            let takes_its_place = last_use == written_by
                && region == other_region
                && replaced.is_some_and(|replaced| usize::from(replaced) == earlier)
                && !is_output(earlier);
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

/// Inputs and outputs are what they are said to be; returns the elements of the first of each.
fn check_ends(graph: &GraphView<'_>) -> Result<(usize, usize), LoadError> {
    let nodes = graph.nodes.len();
    for (input, tensor) in graph.inputs.iter().zip(graph.tensors.iter()) {
        check_source(input.source.as_ref(), &tensor)?;
        check_normalization(&input, &tensor)?;
    }
    // The trainable suffix writes the first output and no other.
    let suffix = graph.tensors.len() - usize::from(graph.trainable_nodes).min(nodes);
    let mut output_len = 0;
    for (index, output) in graph.outputs.iter().enumerate() {
        let number = usize::from(output.tensor);
        let tensor = graph.tensors.get(number);
        // It is there when the last node has run.
        let tensor = tensor.filter(|t| usize::from(t.last_use).saturating_add(1) == nodes);
        let last = number.saturating_add(1) == graph.tensors.len();
        let placed = match (index, graph.trainable_nodes) {
            (_, 0) => true,
            (0, _) => last,
            _ => number < suffix,
        };
        let tensor = tensor.filter(|_| placed);
        let tensor = tensor.ok_or(LoadError::Output { output: index })?;
        check_source(output.source.as_ref(), &tensor)?;
        check_labels(&output, &tensor)?;
        if index == 0 {
            output_len = tensor.shape.len();
        }
    }
    let input_len = graph.tensors.get(0).map_or(0, |input| input.shape.len());
    Ok((input_len, output_len))
}

/// The array of the source has the elements of the tensor, and each axis once.
fn check_source(source: Option<&Source>, tensor: &Tensor) -> Result<(), LoadError> {
    let Some(Source { shape, order }) = source else {
        return Ok(());
    };
    let elements = shape.iter().fold(1usize, |product, extent| {
        product.saturating_mul(*extent as usize)
    });
    let [a, b, c] = order;
    match elements == tensor.shape.len() && a != b && b != c && a != c {
        true => Ok(()),
        false => Err(LoadError::Source),
    }
}

/// Pictures have a mean and a standard deviation for each channel, or none.
fn check_normalization(input: &Input<'_>, tensor: &Tensor) -> Result<(), LoadError> {
    let normalization = Normalization::new(input.normalization);
    let len = tensor.shape.channels.saturating_mul(8);
    let lengths = input.normalization.is_empty() || input.normalization.len() == len;
    let values = normalization.mean().all(f32::is_finite)
        && normalization.std().all(|s| s.is_finite() && s > 0.0);
    match lengths && values {
        true => Ok(()),
        false => Err(LoadError::Normalization),
    }
}

/// There is a name for each element, or none.
fn check_labels(output: &Output<'_>, tensor: &Tensor) -> Result<(), LoadError> {
    let (labels, outputs) = (Labels::new(output.labels), tensor.shape.len());
    let found = labels.len();
    match labels.is_empty() || (found == outputs && output.labels.ends_with('\n')) {
        true => Ok(()),
        false => Err(LoadError::Labels { found, outputs }),
    }
}

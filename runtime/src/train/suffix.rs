//! The trainable suffix: forward, backward, and the update of its parameters.

use kinglet_kernels::{Activation, Kernels, Linear, Unary, portable};

use super::{Bounds, Optimizer};
use crate::operator::{LinearF32, Operation, Span, unary};
use crate::record::Record;
use crate::session::Session;

/// The records of the trainable nodes.
pub(super) fn suffix<'a, const OPS: u128, K: Kernels>(
    session: &Session<'a, OPS, K>,
) -> &'a [Record] {
    let records = session.records();
    let body = records
        .len()
        .saturating_sub(session.model().trainable_nodes());
    records.get(body..).unwrap_or_default()
}

/// Computes the suffix from `features` into `values`, the output of one node after that of the other.
pub(super) fn forward<const OPS: u128>(
    records: &[Record],
    features: &[f32],
    weights: &[f32],
    values: &mut [f32],
) {
    let (mut input, mut weights, mut values) = (features, weights, values);
    for record in records {
        let Some((output, rest)) = values.split_at_mut_checked(record.output.len / 4) else {
            return;
        };
        match &record.operation {
            Operation::LinearF32(linear) => {
                let (params, bias) = (&linear.params, linear.layer.bias.is_some());
                let parameters = take_parameters(&mut weights, params, bias);
                portable::linear_f32(params, input, parameters.0, parameters.1, output);
            }
            Operation::UnaryF32(function) => {
                copy(input, output);
                unary::known::<OPS>(*function, |function| portable::unary_f32(function, output));
            }
            Operation::SoftmaxF32(softmax) => {
                copy(input, output);
                portable::softmax_f32(softmax.channels, output);
            }
            other => debug_assert!(false, "{other:?} in a trainable suffix"),
        }
        (input, values) = (output, rest);
    }
}

/// A suffix on the way back, with the gradient of its last output in place.
pub(super) struct Suffix<'s> {
    pub(super) records: &'s [Record],
    pub(super) features: &'s [f32],
    pub(super) values: &'s [f32],
    pub(super) gradients: &'s mut [f32],
    pub(super) weights: &'s mut [f32],
    pub(super) state: &'s mut [f32],
}

/// A node of it, and what is the node's.
struct Node<'s> {
    operation: &'s Operation,
    /// What it read: the output of the node before it, or the features.
    input: &'s [f32],
    output: &'s [f32],
    d_output: &'s mut [f32],
}

/// The parameters of a linear layer, and the optimizer's state of each.
struct Parameters<'s> {
    weights: &'s mut [f32],
    bias: &'s mut [f32],
    state: &'s mut [f32],
    bias_state: &'s mut [f32],
}

impl<'s> Suffix<'s> {
    /// Takes off the last node.
    fn take_node(&mut self) -> Option<Node<'s>> {
        let (record, before) = self.records.split_last()?;
        self.records = before;
        let len = record.output.len / 4;
        let at = self.values.len().saturating_sub(len);
        let (values, output) = self.values.split_at_checked(at)?;
        self.values = values;
        let input = match before.last() {
            Some(previous) => {
                let at = values.len().saturating_sub(previous.output.len / 4);
                values.get(at..).unwrap_or_default()
            }
            None => self.features,
        };
        Some(Node {
            operation: &record.operation,
            input,
            output,
            d_output: take_last(&mut self.gradients, len),
        })
    }

    /// Takes off the parameters of a layer, the last that are left.
    fn take_parameters(&mut self, linear: &LinearF32, slots: usize) -> Parameters<'s> {
        let weights = linear.params.weights_len();
        let bias = linear.layer.bias.map_or(0, Span::len);
        let slots = |len: usize| len.saturating_mul(slots);
        Parameters {
            bias: take_last(&mut self.weights, bias),
            weights: take_last(&mut self.weights, weights),
            bias_state: take_last(&mut self.state, slots(bias)),
            state: take_last(&mut self.state, slots(weights)),
        }
    }

    /// Computes the gradients of all nodes' outputs (of a linear layer's, before its activation), from the last to the
    /// first. Returns what the gradient of no parameter is larger than, of either sign; NaN if one might be none.
    pub(super) fn backward<const OPS: u128>(&mut self) -> f32 {
        let mut suffix = Suffix {
            gradients: self.gradients,
            weights: self.weights,
            state: &mut [],
            ..*self
        };
        let mut bound = 0;
        while let Some(node) = suffix.take_node() {
            let Node {
                operation,
                input,
                output,
                d_output,
            } = node;
            // Nobody asks for the gradient of the features.
            let d_input = match suffix.records.is_empty() {
                true => None,
                false => {
                    let at = suffix.gradients.len().saturating_sub(input.len());
                    suffix.gradients.get_mut(at..)
                }
            };
            match operation {
                Operation::LinearF32(linear) => {
                    let params = &linear.params;
                    match params.activation() {
                        Activation::Identity => {}
                        Activation::Relu => {
                            portable::unary_f32_backward(Unary::Relu, output, d_output);
                        }
                        Activation::Relu6 => {
                            portable::unary_f32_backward(Unary::Relu6, output, d_output);
                        }
                    }
                    // A weight's gradient is a product of both, a bias's that of the output.
                    let factor = largest(input).max(magnitude(1.0));
                    let product = f32::from_bits(factor) * f32::from_bits(largest(d_output));
                    bound = bound.max(magnitude(product));
                    if let Some(d_input) = d_input {
                        let bias = linear.layer.bias.map_or(0, Span::len);
                        take_last(&mut suffix.weights, bias);
                        let weights = take_last(&mut suffix.weights, params.weights_len());
                        portable::linear_f32_backward_input(params, d_output, weights, d_input);
                    }
                }
                Operation::UnaryF32(function) => {
                    if let Some(d_input) = d_input {
                        copy(d_output, d_input);
                        unary::known::<OPS>(*function, |function| {
                            portable::unary_f32_backward(function, output, d_input);
                        });
                    }
                }
                other => debug_assert!(false, "{other:?} in a trainable suffix"),
            }
        }
        f32::from_bits(bound)
    }

    /// Moves the parameters against their gradients, once [`backward`](Self::backward) has made those of the outputs.
    pub(super) fn update<O: Optimizer>(mut self, optimizer: &O, step: O::Step) {
        while let Some(node) = self.take_node() {
            let Operation::LinearF32(linear) = node.operation else {
                continue;
            };
            let Parameters {
                weights,
                bias,
                state,
                bias_state,
            } = self.take_parameters(linear, O::SLOTS);
            let d_output = node.d_output;
            // At least 1 by construction of `Linear`; `max` lets the compiler know.
            let row = linear.params.in_features().max(1);
            let mut state = state;
            for (weights, d) in weights.chunks_exact_mut(row).zip(d_output.iter()) {
                let gradients = node.input.iter().map(|x| *d * *x);
                let state = take_first(&mut state, row.saturating_mul(O::SLOTS));
                optimizer.update(step, weights, gradients, state);
            }
            optimizer.update(step, bias, d_output.iter().copied(), bias_state);
        }
    }
}

/// What no parameter and no state is larger than, looked up.
pub(super) fn bounds_of(weights: &[f32], state: &[f32]) -> Bounds {
    Bounds {
        weight: f32::from_bits(largest(weights)),
        state: f32::from_bits(largest(state)),
    }
}

/// What has the largest absolute value, as bits: those of NaN are larger than those of infinity.
fn largest(values: &[f32]) -> u32 {
    values.iter().map(|x| magnitude(*x)).fold(0, u32::max)
}

/// The bits of the absolute value, which are in the order of the values.
fn magnitude(x: f32) -> u32 {
    x.abs().to_bits()
}

pub(super) fn copy(from: &[f32], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t = *f);
}

/// Takes a layer's weights and bias off the front of `parameters`.
fn take_parameters<'p>(
    parameters: &mut &'p [f32],
    params: &Linear,
    bias: bool,
) -> (&'p [f32], Option<&'p [f32]>) {
    let mut take = |len| {
        let (taken, rest) = parameters.split_at_checked(len).unwrap_or_default();
        *parameters = rest;
        taken
    };
    let weights = take(params.weights_len());
    (weights, bias.then(|| take(params.out_features())))
}

/// Takes the first `len` values off `slice`.
fn take_first<'s>(slice: &mut &'s mut [f32], len: usize) -> &'s mut [f32] {
    let whole = core::mem::take(slice);
    let (taken, rest) = whole.split_at_mut_checked(len).unwrap_or_default();
    *slice = rest;
    taken
}

/// Takes the last `len` values off `slice`.
fn take_last<'s>(slice: &mut &'s mut [f32], len: usize) -> &'s mut [f32] {
    let whole = core::mem::take(slice);
    let at = whole.len().saturating_sub(len);
    let (rest, taken) = whole.split_at_mut_checked(at).unwrap_or_default();
    *slice = rest;
    taken
}

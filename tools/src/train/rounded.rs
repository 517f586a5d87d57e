//! The parameters that layers on 8-bit numbers compute with: weights that are whole multiples of each output channel's scale, and
//! biases of the sums', as they will be exported. Gradients are those of the rounded ones, and move the parameters themselves: small
//! steps add up until a weight rounds to the next number.

use kinglet_kernels::Quantization;

use super::plan::Place;
use super::stage::fake_quantize::quantization;
use crate::graph::{Graph, Operation, Role, Tensor};
use crate::quantize::round;

/// All parameters of a network, those of some layers rounded.
#[derive(Debug)]
pub(super) struct Rounded {
    layers: Vec<Layer>,
    parameters: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    place: Place,
    /// Weights of an output channel.
    row: usize,
    /// Where the range of what it reads lies in the statistics.
    input: std::ops::Range<usize>,
}

impl Rounded {
    /// For the layers of `network` that read numbers which are rounded; None if there are none.
    pub(super) fn of(network: &Graph, tensors: &[Tensor]) -> Option<Self> {
        let nodes = network.nodes.iter().enumerate();
        let layers = nodes.filter_map(|(index, node)| {
            let row = match &node.operation {
                Operation::Conv2d { params, .. } => params.taps(),
                Operation::Linear { params, .. } => params.in_features(),
                _ => return None,
            };
            let rounding = network.rounding(node.inputs[0])?;
            let mut tensors_of = tensors.iter();
            let is_range = |tensor: &&Tensor| tensor.node == rounding && tensor.role == Role::Range;
            Some(Layer {
                place: Place::of(tensors, index),
                row,
                input: tensors_of.find(is_range)?.range.clone(),
            })
        });
        let layers: Vec<Layer> = layers.collect();
        (!layers.is_empty()).then_some(Self {
            layers,
            parameters: Vec::new(),
        })
    }

    /// Takes note of changed parameters, and of ranges in the statistics.
    pub(super) fn update(&mut self, parameters: &[f32], statistics: &[f32]) {
        self.parameters.clear();
        self.parameters.extend_from_slice(parameters);
        for layer in &self.layers {
            let (weights, bias) = layer.place.values(parameters);
            // Before any batch was seen, sums have no scale that biases could be rounded to.
            let input = quantization(&statistics[layer.input.clone()]);
            let known = input.unwrap_or(Quantization::new(1.0, 0));
            let rounded = round(
                weights,
                layer.row,
                bias.filter(|_| input.is_some()),
                known.scale,
            );
            self.parameters[layer.place.weights.clone()].copy_from_slice(&rounded.weights);
            if let (Some(range), Some(bias)) = (&layer.place.bias, rounded.bias) {
                self.parameters[range.clone()].copy_from_slice(&bias);
            }
        }
    }

    /// What a pass computes with.
    pub(super) fn parameters<'a>(rounded: &'a Option<Self>, parameters: &'a [f32]) -> &'a [f32] {
        match rounded {
            Some(rounded) => &rounded.parameters,
            None => parameters,
        }
    }
}

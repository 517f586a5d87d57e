//! Corrects biases: rounding and cutting off shift the mean of a layer's outputs, channel by channel, by what its bias can
//! take back (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2;
//! with samples, as in its appendix D).
//!
//! The network is computed node by node over all samples twice, on real numbers and on such as 8-bit ones can be. What a
//! layer is shifted by is known when it has been computed, and its readers are computed from the corrected one.

use kinglet::SessionMemory;
use kinglet_kernels::{Activation, Portable, Quantization, Shape};
use rayon::prelude::*;

use super::QuantizeError;
use super::network::{Arithmetic, Network, Scheme, is_layer};
use super::rewrite::rounded;
use super::run::Samples;
use crate::dataset::Sample;
use crate::export::{ExportSettings, write};
use crate::graph::{Graph, Input, Node, Operation, Output};
use crate::model_file::ModelFile;
use crate::model_input::normalized;
use crate::recipe::Normalize;

/// Bytes that values of samples may take. Fewer samples have means that are nearly as good.
const ROOM: usize = 256 << 20;

/// `network` with biases that give each layer's outputs the mean that they have on real numbers.
pub(super) fn correct(
    network: &Network,
    scheme: &Scheme,
    quantizations: &[Option<Quantization>],
    samples: &Samples<'_>,
) -> Result<Network, QuantizeError> {
    let mut corrected = network.clone();
    let count = samples.indices.len().min(room(network));
    let inputs = inputs(network, &samples.indices[..count], samples)?;
    let graph = &network.graph;
    let mut values = vec![None; network.shapes.len()];
    values[0] = Some(Both {
        rounded: stored(inputs.clone(), scheme, quantizations, 0),
        real: inputs,
    });
    for (index, node) in graph.nodes.iter().enumerate() {
        let value = graph.value_of(index);
        let shapes: Vec<Shape> = node.inputs.iter().map(|v| network.shapes[*v]).collect();
        let read: Vec<&Both> = node
            .inputs
            .iter()
            .filter_map(|v| values[*v].as_ref())
            .collect();
        let real: Vec<&[f32]> = read.iter().map(|both| both.real.as_slice()).collect();
        let is_real = scheme.nodes[index] == Arithmetic::Real;
        let inputs: Vec<Vec<f32>> = read
            .iter()
            .zip(&node.inputs)
            .map(|(both, input)| match quantizations[*input] {
                Some(quantization) if !is_real => snap(both.rounded.clone(), quantization),
                _ => both.rounded.clone(),
            })
            .collect();
        let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let (plain, activation) = without_activation(&node.operation);
        let input = quantizations[node.inputs[0]].filter(|_| !is_real);
        let mut real = compute(&plain, &shapes, &real, count)?;
        let mut rounded = compute(&rounded(&plain, input), &shapes, &inputs, count)?;
        if is_layer(node) {
            let channels = network.shapes[value].channels;
            let shift = shift(&real, &rounded, channels);
            let pixels = rounded.chunks_exact_mut(channels);
            pixels.for_each(|pixel| add(pixel, &shift));
            give(&mut corrected.graph.nodes[index], &shift);
        }
        let (low, high) = activation.range();
        for number in real.iter_mut().chain(&mut rounded) {
            *number = number.clamp(low, high);
        }
        values[value] = Some(Both {
            real,
            rounded: stored(rounded, scheme, quantizations, value),
        });
        for input in &node.inputs {
            // Nobody reads it any more.
            if graph.readers(*input).last() == Some(index) {
                values[*input] = None;
            }
        }
    }
    Ok(corrected)
}

/// A value over all samples.
#[derive(Clone)]
struct Both {
    real: Vec<f32>,
    rounded: Vec<f32>,
}

/// How many samples there is room for: of the largest values, each twice and once more while it is computed.
fn room(network: &Network) -> usize {
    let largest = network.shapes.iter().map(|shape| shape.len()).max();
    (ROOM / (largest.unwrap_or(1) * size_of::<f32>() * 6)).max(1)
}

/// What the network sees of the samples.
fn inputs(
    network: &Network,
    indices: &[usize],
    samples: &Samples<'_>,
) -> Result<Vec<f32>, QuantizeError> {
    let file = network.model()?;
    let model = file.model();
    let first = model.inputs().iter().next();
    let first = first.ok_or(QuantizeError::NoLayers)?;
    let inputs = indices
        .iter()
        .map(|index| match samples.data.sample(*index) {
            Sample::Image(pixels) => normalized(&first, pixels),
            Sample::Features(features) => features.to_vec(),
        });
    Ok(inputs.flatten().collect())
}

/// The numbers that `value` has where it is of 8 bits.
fn stored(
    numbers: Vec<f32>,
    scheme: &Scheme,
    quantizations: &[Option<Quantization>],
    value: usize,
) -> Vec<f32> {
    match quantizations[value].filter(|_| scheme.stored[value]) {
        Some(quantization) => snap(numbers, quantization),
        None => numbers,
    }
}

fn snap(mut numbers: Vec<f32>, quantization: Quantization) -> Vec<f32> {
    for number in &mut numbers {
        *number = quantization.dequantize(quantization.quantize(*number));
    }
    numbers
}

/// The operation of a layer, whose activation comes after the correction.
fn without_activation(operation: &Operation) -> (Operation, Activation) {
    let mut plain = operation.clone();
    let activation = match &mut plain {
        Operation::Conv2d { params, .. } => {
            let activation = params.activation();
            *params = params.with_activation(Activation::Identity);
            activation
        }
        Operation::Linear { params, .. } => {
            let activation = params.activation();
            *params = params.with_activation(Activation::Identity);
            activation
        }
        _ => Activation::Identity,
    };
    (plain, activation)
}

/// By how much the mean of each channel is to go up.
fn shift(real: &[f32], rounded: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; channels];
    let pixels = real
        .chunks_exact(channels)
        .zip(rounded.chunks_exact(channels));
    let count = pixels.len();
    for (real, rounded) in pixels {
        for ((sum, real), rounded) in sums.iter_mut().zip(real).zip(rounded) {
            *sum += f64::from(*real) - f64::from(*rounded);
        }
    }
    let mean = |sum: &f64| (sum / count.max(1) as f64) as f32;
    sums.iter().map(mean).collect()
}

fn add(numbers: &mut [f32], other: &[f32]) {
    numbers.iter_mut().zip(other).for_each(|(a, b)| *a += b);
}

/// Adds `shift` to the bias of a layer.
fn give(node: &mut Node, shift: &[f32]) {
    if let Operation::Conv2d { bias, .. } | Operation::Linear { bias, .. } = &mut node.operation {
        add(bias.get_or_insert_with(|| vec![0.0; shift.len()]), shift);
    }
}

/// What an operation makes of `count` samples of inputs of `shapes`.
fn compute(
    operation: &Operation,
    shapes: &[Shape],
    inputs: &[&[f32]],
    count: usize,
) -> Result<Vec<f32>, QuantizeError> {
    let ends = shapes.iter().map(|shape| Input::new("", *shape));
    let mut graph = Graph::new("", ends.collect());
    let places: Vec<usize> = (0..shapes.len()).collect();
    let output = graph.push("", operation.clone(), &places);
    graph.outputs.push(Output::new("", output));
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let (bytes, _) = write(graph, &settings)?;
    let file = ModelFile::from_bytes(&bytes)?;
    let model = file.model();
    let samples = (0..count).into_par_iter().map_init(
        || SessionMemory::new(&model, &Portable, 1),
        |memory, sample| -> Result<Vec<f32>, QuantizeError> {
            let mut session = memory.session(&model, Portable)?;
            for (place, (input, shape)) in inputs.iter().zip(shapes).enumerate() {
                let own = &input[sample * shape.len()..][..shape.len()];
                if let Some(input) = session.input_mut(place) {
                    input.set_f32(own)?;
                }
            }
            Ok(session.run().to_f32().into_owned())
        },
    );
    let samples: Result<Vec<Vec<f32>>, QuantizeError> = samples.collect();
    Ok(samples?.concat())
}

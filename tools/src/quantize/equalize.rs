//! Brings the channels between two layers to like ranges, which one scale then serves well: what the first layer multiplies
//! a channel by, the second divides by again (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
//! Correction", 2019, section 4.1). ReLU, maxima and means let a positive factor through, so the network computes the
//! same but for rounding.
//!
//! There a channel's range is that of its weights, which have one scale for all. Here weights have a scale for each output
//! channel, and what suffers is the tensor between the layers: its channels' ranges over the samples are used. A
//! depthwise layer behind it pays nothing for that, since its weights of a channel have a scale of their own; another
//! one reads all channels by the same scale, and the burden is shared: the factor is a geometric mean.

use kinglet_kernels::Activation;

use super::network::Network;
use crate::graph::{Graph, Operation};

/// Passes over the pairs: each changes what its neighbours are to balance.
const PASSES: usize = 8;

/// How far one channel may be from another: beyond that a channel is as good as never used.
const MOST: f32 = 1024.0;

/// Two layers and the way between them.
struct Pair {
    first: usize,
    second: usize,
}

/// `network` with its channels in balance, `channels` being their largest sizes; None if there are no two layers to do so
/// with.
pub(super) fn equalize(network: &Network, channels: &[Vec<f32>]) -> Option<Network> {
    let pairs: Vec<Pair> = (0..network.graph.nodes.len())
        .filter_map(|first| Pair::of(&network.graph, first))
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let mut equalized = network.clone();
    let mut channels = channels.to_vec();
    for _ in 0..PASSES {
        for pair in &pairs {
            let value = network.graph.value_of(pair.first);
            let second = &equalized.graph.nodes[pair.second].operation;
            let factors = factors(&channels[value], second);
            for (most, factor) in channels[value].iter_mut().zip(&factors) {
                *most *= factor;
            }
            scale_outputs(&mut equalized.graph.nodes[pair.first].operation, &factors);
            scale_inputs(&mut equalized.graph.nodes[pair.second].operation, &factors);
        }
    }
    Some(equalized)
}

impl Pair {
    /// The pair that begins with node `first`, if one does.
    fn of(graph: &Graph, first: usize) -> Option<Self> {
        let activation = match &graph.nodes[first].operation {
            Operation::Conv2d { params, .. } => params.activation(),
            Operation::Linear { params, .. } => params.activation(),
            _ => return None,
        };
        // ReLU6 lets no factor through.
        if !matches!(activation, Activation::Identity | Activation::Relu) {
            return None;
        }
        let mut at = first;
        loop {
            at = graph.only_reader(graph.value_of(at))?;
            match &graph.nodes[at].operation {
                Operation::MaxPool2d(_) | Operation::AvgPool2d(_) | Operation::Identity => {}
                // The channels are innermost: each comes again after as many elements.
                Operation::Reshape { output } if (output.height, output.width) == (1, 1) => {}
                Operation::Conv2d { .. } | Operation::Linear { .. } => {
                    return Some(Self { first, second: at });
                }
                _ => return None,
            }
        }
    }
}

/// What each channel is to be multiplied by: `most` are their largest sizes, `second` is what reads them.
fn factors(most: &[f32], second: &Operation) -> Vec<f32> {
    let is_depthwise = matches!(
        second,
        Operation::Conv2d { params, .. } if params.groups() == most.len() && most.len() > 1
    );
    let weights = largest_weights(second, most.len());
    let wanted = most.iter().zip(&weights).map(|(most, weight)| {
        match (*most > 0.0 && *weight > 0.0, is_depthwise) {
            (false, _) => None,
            (true, true) => Some(1.0 / most),
            (true, false) => Some((weight / most).sqrt()),
        }
    });
    let wanted: Vec<Option<f32>> = wanted.collect();
    // The channel of the largest size stays as it is: the tensor's range does not move.
    let pairs = most.iter().zip(&wanted);
    let moved = pairs.filter_map(|(most, factor)| Some(most * (*factor)?));
    let (largest, moved) = (
        most.iter().copied().fold(0.0, f32::max),
        moved.fold(0.0, f32::max),
    );
    let unit = largest / moved;
    let factor = |factor: Option<f32>| {
        let factor = factor.map(|factor| factor * unit);
        let factor = factor.filter(|factor| factor.is_finite() && *factor > 0.0);
        factor.map_or(1.0, |factor| factor.clamp(1.0 / MOST, MOST))
    };
    wanted.into_iter().map(factor).collect()
}

/// The largest weight by which each of `channels` is read.
fn largest_weights(operation: &Operation, channels: usize) -> Vec<f32> {
    let mut largest = vec![0.0_f32; channels];
    for_each_weight(operation, channels, |channel, weight| {
        largest[channel] = largest[channel].max(weight.abs());
    });
    largest
}

/// Calls `see` with the input channel of each weight and its value.
fn for_each_weight(operation: &Operation, channels: usize, mut see: impl FnMut(usize, f32)) {
    let (Operation::Conv2d { weights, .. } | Operation::Linear { weights, .. }) = operation else {
        return;
    };
    let channel = reader(operation, channels);
    let pairs = weights.iter().enumerate();
    pairs.for_each(|(place, weight)| see(channel(place), *weight));
}

/// From the place of a weight to the input channel that it is of.
fn reader(operation: &Operation, channels: usize) -> impl Fn(usize) -> usize + use<> {
    let (row, each, outputs_of_group) = match operation {
        Operation::Conv2d { params, .. } => {
            let groups = params.groups();
            let outputs = params.output().channels / groups;
            (params.taps(), channels / groups, outputs)
        }
        Operation::Linear { params, .. } => (params.in_features(), channels, params.out_features()),
        _ => (1, 1, 1),
    };
    move |place| place / row / outputs_of_group * each + place % row % each
}

fn scale_inputs(operation: &mut Operation, factors: &[f32]) {
    let channel = reader(operation, factors.len());
    if let Operation::Conv2d { weights, .. } | Operation::Linear { weights, .. } = operation {
        let weights = weights.iter_mut().enumerate();
        weights.for_each(|(place, weight)| *weight /= factors[channel(place)]);
    }
}

fn scale_outputs(operation: &mut Operation, factors: &[f32]) {
    if let Operation::Conv2d { weights, bias, .. } | Operation::Linear { weights, bias, .. } =
        operation
    {
        let row = weights.len() / factors.len();
        for (row, factor) in weights.chunks_exact_mut(row).zip(factors) {
            row.iter_mut().for_each(|weight| *weight *= factor);
        }
        let bias = bias.iter_mut().flatten().zip(factors);
        bias.for_each(|(bias, factor)| *bias *= factor);
    }
}

//! Leaves out channels that make no difference: those that are the same number whatever the input, and those that nothing
//! reads.
//!
//! Training leaves many behind. A ReLU of what is never positive is 0 in every picture, a channel of 8-bit numbers whose
//! whole range rounds to one number carries nothing, and quantized networks that others trained may be more than half of such.
//! A channel goes with the weights that compute it and those that read it; what it adds to a sum goes into the bias. On
//! 8-bit numbers every output keeps its bits. On real numbers what is left out is exactly 0 or exactly a bias, so outputs
//! differ by the rounding of sums in another order, as far as all numbers are finite.
//!
//! `interval` finds what numbers a channel can have, `removable` what every reader can do without, `shrink` writes the nodes
//! anew. No node goes, inputs and outputs stay whole, and so does what a device is to train.

mod geometry;
mod interval;
mod removable;
mod shrink;

use std::fmt;

use kinglet_kernels::Quantization;
use serde::Serialize;

use crate::digits::grouped;
use crate::graph::{Graph, Int8Operation, Operation};

/// What became of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Channel {
    /// It is the channel of this number now.
    Kept(usize),
    /// It was left out, and always means this number.
    Constant(f32),
    /// It was left out, and nothing read it.
    Unread,
}

/// What was left out of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Removed {
    /// Of every value of the graph, what became of its channels.
    pub channels: Vec<Vec<Channel>>,
    /// What that saves.
    pub saving: Saving,
}

/// The layers of a network before and after channels were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Saving {
    /// With all channels.
    pub before: Size,
    /// Without those that make no difference.
    pub after: Size,
}

/// How large the layers of a network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Output channels of all convolutions and linear layers.
    pub channels: usize,
    /// Multiply-accumulates of one sample.
    pub macs: u64,
    /// Bytes of all weights, without biases.
    pub weight_bytes: usize,
}

impl Size {
    fn of(graph: &Graph) -> Self {
        let layers = graph.nodes.iter().map(|node| match &node.operation {
            Operation::Conv2d {
                params, weights, ..
            } => (params.output().channels, size_of_val(&weights[..])),
            Operation::Linear {
                params, weights, ..
            } => (params.out_features(), size_of_val(&weights[..])),
            Operation::Int8 { operation, .. } => match operation {
                Int8Operation::Conv2d { params, layer, .. } => {
                    (params.output().channels, layer.weights.len())
                }
                Int8Operation::Linear { params, layer, .. } => {
                    (params.out_features(), layer.weights.len())
                }
                _ => (0, 0),
            },
            _ => (0, 0),
        });
        let (channels, weight_bytes) =
            layers.fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        Self {
            channels,
            macs: graph.macs(),
            weight_bytes,
        }
    }
}

impl fmt::Display for Saving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after } = self;
        let number = |number: usize| grouped(number as u64);
        write!(
            f,
            "left out {} of {} channels, which are the same for every input or read by nothing: {} multiply-accumulates instead of {}, {} bytes of weights instead of {} (--keep-constant keeps them)",
            number(before.channels - after.channels),
            number(before.channels),
            grouped(after.macs),
            grouped(before.macs),
            number(after.weight_bytes),
            number(before.weight_bytes),
        )
    }
}

/// Leaves out the channels of an optimized graph that make no difference; None if there are none. The last `trained` nodes
/// and what they read stay as they are.
pub fn leave_out_constant(graph: &mut Graph, trained: usize) -> Option<Removed> {
    let intervals = interval::intervals(graph);
    let first_trained = graph.nodes.len().saturating_sub(trained);
    let kept = removable::kept(graph, &intervals, first_trained);
    if kept.iter().flatten().all(|kept| *kept) {
        return None;
    }
    let shrunk = shrink::shrink(graph, &intervals, &kept);
    debug_assert!(shrunk.is_ok(), "{shrunk:?}");
    let shrunk = shrunk.ok()?;
    let meanings = graph.meanings();
    let values = kept.iter().zip(&intervals).zip(meanings);
    let removed = Removed {
        channels: values
            .map(|((kept, intervals), meaning)| fates(kept, intervals, meaning))
            .collect(),
        saving: Saving {
            before: Size::of(graph),
            after: Size::of(&shrunk),
        },
    };
    *graph = shrunk;
    Some(removed)
}

/// What becomes of the channels of a value whose numbers mean `meaning`.
fn fates(
    kept: &[bool],
    intervals: &[interval::Interval],
    meaning: Option<Quantization>,
) -> Vec<Channel> {
    let mut place = 0;
    let channels = kept.iter().zip(intervals);
    let channels = channels.map(|(kept, interval)| match (kept, interval.constant()) {
        (true, _) => {
            place += 1;
            Channel::Kept(place - 1)
        }
        (false, Some(number)) => Channel::Constant(match meaning {
            Some(meaning) => meaning.dequantize(number as i8),
            None => number,
        }),
        (false, None) => Channel::Unread,
    });
    channels.collect()
}

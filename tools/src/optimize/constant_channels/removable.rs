//! Which channels can be left out: those that every node which reads them can do without.
//!
//! A layer does without a channel that is the same number everywhere, which its bias takes over, and without one that none of
//! its weights meets. What computes channel by channel does without a channel if its output does. So a channel is followed
//! through such nodes, in both directions, until nothing changes: it goes from all of their tensors or from none.
//!
//! Microcontrollers read four 8-bit numbers at once, and take a depthwise convolution of 30 channels for several times as long
//! as one of 32. So up to three channels more are kept where they fill the last word.

use super::geometry::Geometry;
use super::interval::Interval;
use crate::graph::{Graph, Int8Operation, Operation};
use kinglet_kernels::{Axis, Quantization, Shape};

/// How many 8-bit numbers are read at once.
const WORD: usize = 4;

/// Of every value, which of its channels are kept. Values that nodes from `trained` on read or write are kept whole: their
/// weights will be others.
pub(super) fn kept(graph: &Graph, intervals: &[Vec<Interval>], trained: usize) -> Vec<Vec<bool>> {
    let shapes = graph.shapes();
    let mut search = Search {
        graph,
        intervals,
        meanings: graph.meanings(),
        kept: shapes.iter().map(|s| vec![false; s.channels]).collect(),
        shapes,
        has_changed: true,
    };
    let outputs = graph.outputs.iter().map(|output| output.value);
    for value in (0..graph.inputs.len()).chain(outputs) {
        search.keep_all(value);
    }
    for (index, node) in graph.nodes.iter().enumerate().skip(trained) {
        search.keep_all(graph.value_of(index));
        node.inputs.iter().for_each(|value| search.keep_all(*value));
    }
    search.settle();
    for value in 0..search.kept.len() {
        search.fill_word(value);
        search.settle();
    }
    search.kept
}

struct Search<'a> {
    graph: &'a Graph,
    intervals: &'a [Vec<Interval>],
    meanings: Vec<Option<Quantization>>,
    shapes: Vec<Shape>,
    kept: Vec<Vec<bool>>,
    has_changed: bool,
}

impl Search<'_> {
    fn keep(&mut self, value: usize, channel: usize) {
        self.has_changed |= !self.kept[value][channel];
        self.kept[value][channel] = true;
    }

    fn keep_all(&mut self, value: usize) {
        (0..self.kept[value].len()).for_each(|channel| self.keep(value, channel));
    }

    /// Keeps whatever follows from what is kept.
    fn settle(&mut self) {
        while std::mem::take(&mut self.has_changed) {
            for index in (0..self.graph.nodes.len()).rev() {
                self.visit(index);
            }
            // No tensor is without channels.
            for value in 0..self.kept.len() {
                if !self.kept[value].contains(&true) {
                    self.keep(value, 0);
                }
            }
        }
    }

    /// Keeps as many channels of 8-bit numbers as fill words, if there are as many.
    fn fill_word(&mut self, value: usize) {
        let kept = &self.kept[value];
        let count = kept.iter().filter(|kept| **kept).count();
        let filled = count.next_multiple_of(WORD);
        if self.meanings[value].is_none() || filled > kept.len() {
            return;
        }
        let others = (0..kept.len()).filter(|channel| !kept[*channel]);
        let others: Vec<usize> = others.take(filled - count).collect();
        others
            .into_iter()
            .for_each(|channel| self.keep(value, channel));
    }

    /// Keeps both channels if one is.
    fn tie(&mut self, (a, channel_a): (usize, usize), (b, channel_b): (usize, usize)) {
        if self.kept[a][channel_a] || self.kept[b][channel_b] {
            self.keep(a, channel_a);
            self.keep(b, channel_b);
        }
    }

    /// Ties each channel of `input` with the one of `output` that is `offset` further.
    fn tie_each(&mut self, input: usize, output: usize, offset: usize) {
        for channel in 0..self.kept[input].len() {
            self.tie((input, channel), (output, channel + offset));
        }
    }

    /// Keeps what node `index` needs of what it reads, and has to write.
    fn visit(&mut self, index: usize) {
        let graph = self.graph;
        let node = &graph.nodes[index];
        let (input, output) = (node.inputs[0], graph.value_of(index));
        let (from, to) = (self.shapes[input], self.shapes[output]);
        match &node.operation {
            Operation::Conv2d {
                params, weights, ..
            } => {
                let geometry = Geometry::of_conv2d(params);
                self.layer((input, output), &geometry, |at| weights[at] == 0.0);
            }
            Operation::Linear {
                params, weights, ..
            } => {
                let geometry = Geometry::of_linear(params, from);
                self.layer((input, output), &geometry, |at| weights[at] == 0.0);
            }
            Operation::Int8 { operation, .. } => match operation {
                Int8Operation::Conv2d { params, layer, .. } => {
                    let geometry = Geometry::of_conv2d(params);
                    self.layer((input, output), &geometry, |at| layer.weights[at] == 0);
                }
                Int8Operation::Linear { params, layer, .. } => {
                    let geometry = Geometry::of_linear(params, from);
                    self.layer((input, output), &geometry, |at| layer.weights[at] == 0);
                }
                Int8Operation::AvgPool2d(_)
                | Int8Operation::Requantize { .. }
                | Int8Operation::Table { .. }
                | Int8Operation::Add { .. } => {
                    node.inputs
                        .iter()
                        .for_each(|v| self.tie_each(*v, output, 0));
                }
                Int8Operation::Binary { .. } if self.is_of_channels(index) => {
                    node.inputs
                        .iter()
                        .for_each(|v| self.tie_each(*v, output, 0));
                }
                Int8Operation::Binary { .. } | Int8Operation::Softmax => self.keep_ends(index),
            },
            Operation::Concat {
                axis: Axis::Channels,
            } => {
                let mut offset = 0;
                for value in &node.inputs {
                    self.tie_each(*value, output, offset);
                    offset += self.shapes[*value].channels;
                }
            }
            Operation::Reshape { .. } if to.channels == to.len() && from.channels > 0 => {
                for feature in 0..to.channels {
                    self.tie((input, feature % from.channels), (output, feature));
                }
            }
            _ if self.is_of_channels(index) => {
                node.inputs
                    .iter()
                    .for_each(|v| self.tie_each(*v, output, 0));
            }
            _ => self.keep_ends(index),
        }
    }

    /// Keeps all channels of what a node reads and writes.
    fn keep_ends(&mut self, index: usize) {
        self.keep_all(self.graph.value_of(index));
        let inputs = &self.graph.nodes[index].inputs;
        inputs.iter().for_each(|value| self.keep_all(*value));
    }

    /// True if a node computes each channel of its output of that channel of all that it reads.
    fn is_of_channels(&self, index: usize) -> bool {
        let node = &self.graph.nodes[index];
        let channels = self.shapes[self.graph.value_of(index)].channels;
        let mut read = node.inputs.iter().map(|value| self.shapes[*value].channels);
        let has_own_channels = match &node.operation {
            Operation::MaxPool2d(_)
            | Operation::AvgPool2d(_)
            | Operation::Unary(_)
            | Operation::ChannelAffine { .. }
            | Operation::Binary { .. }
            | Operation::BinaryConstant { .. }
            | Operation::Concat { .. }
            | Operation::Slice { .. }
            | Operation::Pad { .. }
            | Operation::Upsample { .. }
            | Operation::Reshape { .. }
            | Operation::Quantize(_)
            | Operation::Dequantize(_)
            | Operation::Int8 {
                operation: Int8Operation::Binary { .. },
                ..
            }
            | Operation::Identity => true,
            Operation::Transpose { order } => order[2] == Axis::Channels,
            _ => false,
        };
        has_own_channels && read.all(|read| read == channels)
    }

    /// A layer does without the channels of its output. With one group it does without those of its input that no kept
    /// output needs; of more groups each goes or stays as a whole.
    fn layer(
        &mut self,
        (input, output): (usize, usize),
        geometry: &Geometry,
        is_zero: impl Fn(usize) -> bool,
    ) {
        let (ins, outs) = (geometry.group_in_channels(), geometry.group_out_channels());
        if geometry.groups > 1 {
            for group in 0..geometry.groups {
                let (ins, outs) = (
                    group * ins..(group + 1) * ins,
                    group * outs..(group + 1) * outs,
                );
                if self.kept[input][ins.clone()].contains(&true)
                    || self.kept[output][outs.clone()].contains(&true)
                {
                    ins.for_each(|channel| self.keep(input, channel));
                    outs.for_each(|channel| self.keep(output, channel));
                }
            }
            return;
        }
        let padding = self.meanings[input].map_or(0.0, |meaning| f32::from(meaning.zero_point));
        let outs = (0..outs).filter(|channel| self.kept[output][*channel]);
        let outs: Vec<usize> = outs.collect();
        for channel in 0..ins {
            // What padding is cannot be told from it, and needs no place in the bias.
            let in_bias = self.intervals[input][channel]
                .constant()
                .is_some_and(|constant| constant == padding || geometry.is_inside());
            let meets = |out: &usize| {
                let mut places = 0..geometry.places();
                places.any(|place| !is_zero(geometry.weights_at(*out, place) + channel))
            };
            if !self.kept[input][channel] && !in_bias && outs.iter().any(meets) {
                self.keep(input, channel);
            }
        }
    }
}

//! The network as a device computes it: its layers in their order, each from one feature map to the next, or in place
//! where nobody needs the map as it was.

use std::ops::Range;

use kinglet::opencl::Recording;
use kinglet_kernels::{Conv2d, Linear, Pool2d, Shape, Unary};

use crate::network::{Network, Operation, Role};
use crate::train::stage::dropout::{Dropout, Granularity};
use crate::train::stage::{Place, fused};

/// What a layer computes, and where what belongs to it lies.
pub(super) enum Kind {
    Conv2d {
        params: Conv2d,
        place: Place,
        /// Computed in passing.
        function: Option<Unary>,
        /// Its part of the packed weights.
        packed: Range<usize>,
    },
    Linear {
        params: Linear,
        place: Place,
        /// Computed in passing.
        function: Option<Unary>,
    },
    MaxPool2d(Pool2d),
    AvgPool2d(Pool2d),
    Unary(Unary),
    /// Over that many channels.
    Softmax(usize),
    BatchNorm {
        channels: usize,
        epsilon: f32,
        momentum: f32,
        place: Place,
        running_mean: Range<usize>,
        running_variance: Range<usize>,
        /// Its part of the moments.
        moments: Range<usize>,
    },
    Dropout {
        dropout: Dropout,
        /// Its part of the factors of one sample.
        factors: Range<usize>,
    },
}

/// One layer: from map `from` to map `to`, which are the same where it works in place.
pub(super) struct Layer {
    pub(super) kind: Kind,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// All layers, and how long what they share is.
pub(super) struct Layers {
    pub(super) layers: Vec<Layer>,
    /// Values of one sample in each map.
    pub(super) map_lens: Vec<usize>,
    /// The first layer with parameters: the gradient goes no further back.
    pub(super) first_trained: usize,
    pub(super) packed_len: usize,
    pub(super) moments_len: usize,
    /// Factors of all dropouts for one sample.
    pub(super) factors_len: usize,
    /// Whether the newest map is needed for a gradient as it is.
    kept: bool,
}

impl Layers {
    /// The layers of `network` up to its logits: the loss contains the softmax.
    pub(super) fn of(network: &Network) -> Self {
        let architecture = network.architecture();
        let mut all = Self {
            layers: Vec::new(),
            map_lens: vec![architecture.input.len()],
            first_trained: 0,
            packed_len: 0,
            moments_len: 0,
            factors_len: 0,
            // Each step brings the input anew.
            kept: false,
        };
        let layers = &architecture.layers[..architecture.logits_layers()];
        let mut skip = false;
        for (index, layer) in layers.iter().enumerate() {
            if std::mem::take(&mut skip) {
                continue;
            }
            let function = match layers.get(index + 1).map(|next| next.operation) {
                Some(Operation::Unary(function @ (Unary::Relu | Unary::Relu6))) => Some(function),
                _ => None,
            };
            let place = || Place::of(network, index);
            let output = layer.output;
            match layer.operation {
                Operation::Conv2d(params, _) => {
                    skip = function.is_some();
                    let packed = Recording::conv2d_f32_packed_len(&params);
                    let kind = Kind::Conv2d {
                        params: params.with_activation(fused(function)),
                        place: place(),
                        function,
                        packed: part(&mut all.packed_len, packed),
                    };
                    all.push(kind, output, function.is_some());
                }
                Operation::Linear(params, _) => {
                    skip = function.is_some();
                    let kind = Kind::Linear {
                        params: params.with_activation(fused(function)),
                        place: place(),
                        function,
                    };
                    all.push(kind, output, function.is_some());
                }
                Operation::MaxPool2d(params) => all.push(Kind::MaxPool2d(params), output, false),
                Operation::AvgPool2d(params) => all.push(Kind::AvgPool2d(params), output, false),
                Operation::Unary(function) => {
                    all.push_in_place(Kind::Unary(function), output, true)
                }
                Operation::Softmax => {
                    all.push_in_place(Kind::Softmax(output.channels), output, true);
                }
                Operation::BatchNorm2d { epsilon, momentum } => {
                    let range = |role| {
                        let tensor = network.tensor(index, role);
                        tensor.map_or(0..0, |tensor| tensor.range.clone())
                    };
                    let kind = Kind::BatchNorm {
                        channels: output.channels,
                        epsilon,
                        momentum,
                        place: place(),
                        running_mean: range(Role::RunningMean),
                        running_variance: range(Role::RunningVariance),
                        moments: part(&mut all.moments_len, 2 * output.channels),
                    };
                    all.push(kind, output, false);
                }
                Operation::Dropout(p) => {
                    let dropout = Dropout::new(index, p, Granularity::Value);
                    all.push_dropout(dropout, output);
                }
                Operation::Dropout2d(p) => {
                    let granularity = Granularity::Channel(output.channels);
                    all.push_dropout(Dropout::new(index, p, granularity), output);
                }
                Operation::Flatten => {}
            }
        }
        let has_parameters = |layer: &Layer| {
            matches!(
                layer.kind,
                Kind::Conv2d { .. } | Kind::Linear { .. } | Kind::BatchNorm { .. }
            )
        };
        let first_trained = all.layers.iter().position(has_parameters);
        all.first_trained = first_trained.unwrap_or(all.layers.len());
        all
    }

    /// Adds a layer that writes a map of its own; `kept` if its gradient needs that map.
    fn push(&mut self, kind: Kind, output: Shape, kept: bool) {
        let from = self.map_lens.len() - 1;
        self.map_lens.push(output.len());
        let to = from + 1;
        self.layers.push(Layer { kind, from, to });
        self.kept = kept;
    }

    /// Adds a layer that can work in place.
    fn push_in_place(&mut self, kind: Kind, output: Shape, kept: bool) {
        if self.kept {
            return self.push(kind, output, kept);
        }
        let map = self.map_lens.len() - 1;
        let (from, to) = (map, map);
        self.layers.push(Layer { kind, from, to });
        self.kept = kept;
    }

    fn push_dropout(&mut self, dropout: Dropout, output: Shape) {
        let factors = part(&mut self.factors_len, output.len());
        self.push_in_place(Kind::Dropout { dropout, factors }, output, false);
    }

    /// Values of one sample's logits.
    pub(super) fn classes(&self) -> usize {
        self.map_lens.last().copied().unwrap_or(0)
    }
}

/// The next `len` of a whole that grows by them.
fn part(whole: &mut usize, len: usize) -> Range<usize> {
    let start = *whole;
    *whole += len;
    start..*whole
}

//! What numbers occur: each value of a network over the samples of a data set, in two passes. The first finds how far
//! they reach, the second how often each size occurs.
//!
//! The portable kernels compute both, so that every machine finds the same.

use kinglet::Values;
use kinglet_kernels::Portable;

use super::QuantizeError;
use super::histogram::Histogram;
use super::network::{Network, Scheme};
use super::range::{Method, Range};
use super::run::{Samples, Watch, look, memory};
use crate::graph::Operation;

/// What was found of each value.
#[derive(Debug, Clone)]
pub(super) struct Statistics {
    /// The largest size of those of each channel.
    pub(super) channels: Vec<Vec<f32>>,
    /// Of the first value of each group, the numbers of all that decide on it, and their reach.
    groups: Vec<Option<(Range, Histogram)>>,
    /// Whether the numbers of a group are pixels, of which each is worth as much.
    pixels: Vec<bool>,
}

impl Statistics {
    /// Runs `network` over `samples`.
    ///
    /// # Errors
    /// [`QuantizeError::NotFinite`] if a value that is to be quantized overflows.
    pub(super) fn collect(
        network: &Network,
        scheme: &Scheme,
        samples: &Samples<'_>,
    ) -> Result<Self, QuantizeError> {
        let file = network.model()?;
        let model = file.model();
        let new = || Reach::new(network);
        let memory = || memory(&model, &Portable);
        let stretches = samples.stretches(memory, new, |memory, reach, _, sample| {
            look(memory, &model, &Portable, sample, reach);
        });
        let reach = stretches.into_iter().reduce(Reach::merge);
        let reach = reach.unwrap_or_else(new);
        let graph = &network.graph;
        let decides: Vec<bool> = (0..network.shapes.len())
            .map(|value| scheme.decides(graph, value))
            .collect();
        let unbounded = |value: &usize| decides[*value] && !reach.finite[*value];
        if let Some(value) = (0..decides.len()).find(unbounded) {
            // It may have become so before.
            let first = (0..value).find(|value| !reach.finite[*value]);
            let node = graph.producer(first.unwrap_or(value));
            return Err(QuantizeError::NotFinite {
                layer: node.map_or("the input".to_owned(), |n| graph.nodes[n].name.clone()),
            });
        }
        let images = samples.data.is_images();
        let mut ranges = vec![None; decides.len()];
        let mut pixels = vec![false; decides.len()];
        for (value, group) in scheme.groups.iter().enumerate() {
            let Some(group) = group.filter(|_| decides[value]) else {
                continue;
            };
            let mut own = reach.extents[value];
            if images && is_copied_input(network, value) {
                own = own.union(network.pixels());
                pixels[group] = true;
            }
            let range: &mut Option<Range> = &mut ranges[group];
            *range = Some(range.map_or(own, |range| range.union(own)));
        }
        let new = || Sizes {
            groups: &scheme.groups,
            decides: &decides,
            histograms: ranges
                .iter()
                .map(|range| range.map(|range| Histogram::new(range.low, range.high)))
                .collect(),
        };
        let stretches = samples.stretches(memory, new, |memory, sizes, _, sample| {
            look(memory, &model, &Portable, sample, sizes);
        });
        let sizes = stretches.into_iter().reduce(Sizes::merge);
        let histograms = sizes.unwrap_or_else(new).histograms;
        let groups = ranges.into_iter().zip(histograms);
        Ok(Self {
            channels: reach.channels,
            groups: groups.map(|(range, sizes)| range.zip(sizes)).collect(),
            pixels,
        })
    }

    /// The range of every value that is quantized.
    pub(super) fn ranges(&self, scheme: &Scheme, method: Method) -> Vec<Option<Range>> {
        let groups = self.groups.iter().zip(&self.pixels);
        let own: Vec<Option<Range>> = groups
            .map(|(group, pixels)| {
                let method = if *pixels { Method::MinMax } else { method };
                let (extent, numbers) = group.as_ref()?;
                Some(method.range(*extent, numbers))
            })
            .collect();
        let groups = scheme.groups.iter();
        groups
            .map(|group| group.map(|group| own[group].unwrap_or(Range::ZERO)))
            .collect()
    }
}

/// Whether a value is an input, or made of one by copies.
fn is_copied_input(network: &Network, value: usize) -> bool {
    let graph = &network.graph;
    match graph.producer(value) {
        None => true,
        Some(node) => {
            let node = &graph.nodes[node];
            let copies = matches!(
                node.operation,
                Operation::Reshape { .. }
                    | Operation::Transpose { .. }
                    | Operation::Pad { .. }
                    | Operation::Slice { .. }
                    | Operation::Upsample { .. }
            );
            copies && is_copied_input(network, node.inputs[0])
        }
    }
}

/// The first pass.
struct Reach {
    extents: Vec<Range>,
    channels: Vec<Vec<f32>>,
    finite: Vec<bool>,
}

impl Reach {
    fn new(network: &Network) -> Self {
        let shapes = &network.shapes;
        Self {
            extents: vec![Range::ZERO; shapes.len()],
            channels: shapes.iter().map(|s| vec![0.0; s.channels]).collect(),
            finite: vec![true; shapes.len()],
        }
    }

    fn merge(mut self, other: Self) -> Self {
        for value in 0..self.extents.len() {
            self.extents[value] = self.extents[value].union(other.extents[value]);
            self.finite[value] &= other.finite[value];
            let pairs = self.channels[value].iter_mut().zip(&other.channels[value]);
            pairs.for_each(|(own, other)| *own = own.max(*other));
        }
        self
    }
}

impl Watch for Reach {
    fn see(&mut self, value: usize, numbers: Values<'_>) {
        let numbers = numbers.as_f32().unwrap_or_default();
        let (mut low, mut high) = (0.0_f32, 0.0_f32);
        let channels = &mut self.channels[value];
        for pixel in numbers.chunks_exact(channels.len()) {
            for (number, most) in pixel.iter().zip(channels.iter_mut()) {
                *most = most.max(number.abs());
                low = low.min(*number);
                high = high.max(*number);
            }
        }
        self.extents[value] = self.extents[value].union(Range { low, high });
        self.finite[value] &= numbers.iter().all(|number| number.is_finite());
    }
}

/// The second pass.
struct Sizes<'a> {
    groups: &'a [Option<usize>],
    decides: &'a [bool],
    histograms: Vec<Option<Histogram>>,
}

impl Sizes<'_> {
    fn merge(mut self, other: Self) -> Self {
        for (own, other) in self.histograms.iter_mut().zip(&other.histograms) {
            if let (Some(own), Some(other)) = (own, other) {
                own.merge(other);
            }
        }
        self
    }
}

impl Watch for Sizes<'_> {
    fn see(&mut self, value: usize, numbers: Values<'_>) {
        if let Some(group) = self.groups[value].filter(|_| self.decides[value])
            && let Some(histogram) = &mut self.histograms[group]
        {
            histogram.add(numbers.as_f32().unwrap_or_default());
        }
    }
}

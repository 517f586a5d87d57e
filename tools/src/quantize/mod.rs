//! Quantizes a trained network: the same layers on 8-bit numbers, from samples alone, without training.
//!
//! The samples show which numbers each tensor has (`calibrate`), a [`Method`] says which of them 256 steps are to tell
//! apart, and the network is written down as quantized ones of other tools are (`rewrite`): the passes that import
//! those join what computes on 8-bit numbers. Activations have a scale and a zero point for each tensor, weights a scale
//! for each output channel. What has no counterpart on 8-bit numbers stays on real ones.
//!
//! Which method is best, whether biases are corrected (`correct`) and channels brought into balance (`equalize`) is
//! decided by what they make of samples that were held out.

mod calibrate;
mod correct;
mod equalize;
mod error;
mod histogram;
mod learned;
mod measure;
mod network;
mod range;
mod report;
mod rewrite;
mod run;
mod search;
#[cfg(test)]
mod tests;
mod weights;

use std::collections::BTreeSet;

use kinglet_kernels::Kernels;

pub use self::error::QuantizeError;
pub(crate) use self::learned::with_learned_ranges;
use self::measure::Judge;
use self::network::{Arithmetic, Network, Scheme};
pub use self::range::{Method, Range};
pub use self::report::{Cost, Layer, Report, Side, Trial};
use self::rewrite::rewrite;
pub(crate) use self::rewrite::rounded;
use self::run::Samples;
use self::search::{Candidate, Search};
pub(crate) use self::weights::round;
use crate::dataset::{Collection, Dataset, Sample, spread};
use crate::evaluate::{check_fit, evaluate};
use crate::export::{ExportError, trainable_nodes, write};
use crate::graph::Operation;
use crate::meaning::Meaning;
use crate::model_file::ModelFile;
use crate::optimize::leave_out_constant;

/// How a network is to be quantized.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Samples to calibrate with; fewer are taken where there are no more.
    pub samples: usize,
    /// How ranges follow from what occurs; None for what is best.
    pub method: Option<Method>,
    /// The tensors, by their numbers in the model's file, whose layers stay on real numbers.
    pub keep_float: BTreeSet<usize>,
    /// How many linear layers at the end a device may train: they stay on real numbers.
    pub fine_tune_last: usize,
    /// Whether channels that make no difference are left in.
    pub keep_constant: bool,
    /// Whether to measure what each layer costs by itself.
    pub per_layer: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            samples: 256,
            method: None,
            keep_float: BTreeSet::new(),
            fine_tune_last: 0,
            keep_constant: false,
            per_layer: false,
        }
    }
}

/// Samples that decide between methods, if there are as many.
const HELD_OUT: usize = 1000;

/// The part of the training samples that is held out where the data set has none to validate with.
const HELD_OUT_PART: f64 = 0.25;

/// Which samples are taken does not change from run to run.
const SEED: u64 = 1;

/// A network on 8-bit numbers.
#[derive(Debug)]
pub struct Quantized {
    /// The model file.
    pub bytes: Vec<u8>,
    /// How it was made, and how good it is.
    pub report: Report,
}

/// Quantizes the network in `file`, with the training samples of `data`; `kernels` measure, and have no part in what is
/// written.
///
/// # Errors
/// [`QuantizeError`] if the network is not one of real numbers, or the samples are not its own.
pub fn quantize(
    file: &ModelFile,
    data: &Collection,
    settings: &Settings,
    kernels: &'static dyn Kernels,
) -> Result<Quantized, QuantizeError> {
    let network = Network::of(&file.model())?;
    check_fit(&file.model(), &data.train)?;
    let (own, held_out) = parts(data, settings.samples);
    let samples = Samples {
        data: &data.train,
        indices: own,
    };
    let held_out = Samples {
        data: &data.train,
        indices: held_out,
    };
    check_samples(&samples)?;
    check_samples_are_finite(&held_out)?;
    let judge = Judge::new(&network, &held_out, kernels)?;
    let keep = kept(&network, settings)?;
    let mut search = Search::new(&keep, &samples, &judge);
    let best = search.run(&network, settings.method)?;
    let trials = search.trials;
    let mut layers = layers(&network, &best, &keep, &judge)?;
    if settings.per_layer {
        for (node, layer) in &mut layers {
            layer.alone = cost(*node, &best, &judge)?;
        }
    }
    let layers = layers.into_iter().map(|(_, layer)| layer).collect();
    let mut written = network.settings.clone();
    written.fine_tune_last = settings.fine_tune_last;
    let mut graph = best.rewritten.graph;
    let removed = match settings.keep_constant {
        true => None,
        false => {
            let trained = trainable_nodes(&graph, settings.fine_tune_last)?;
            leave_out_constant(&mut graph, trained)
        }
    };
    let macs = (network.graph.macs(), graph.macs());
    let (bytes, _) = write(graph, &written)?;
    let quantized = ModelFile::from_bytes(&bytes)?;
    let (part, measured) = match &data.test {
        Some(test) => ("test", all(test)),
        None => ("held out", held_out.clone()),
    };
    let side = |file: &ModelFile, macs: u64| side(file, macs, &measured, kernels);
    let report = Report {
        samples: samples.indices.len(),
        held_out: held_out.indices.len(),
        taken: best.trial,
        trials,
        layers,
        part: part.to_owned(),
        f32: side(file, macs.0)?,
        int8: side(&quantized, macs.1)?,
        saving: removed.map(|removed| removed.saving),
    };
    Ok(Quantized { bytes, report })
}

/// The samples to calibrate with and those that are held out: spread over the classes, always the same ones.
fn parts(data: &Collection, samples: usize) -> (Vec<usize>, Vec<usize>) {
    let labels = data.train.labels();
    let everything = || (0..labels.len()).collect::<Vec<_>>();
    // A handful of samples has to do for both.
    let (own, held_out) = match data.parts(HELD_OUT_PART, SEED) {
        Ok((own, held_out)) if !own.is_empty() && !held_out.is_empty() => (own, held_out),
        _ => (everything(), everything()),
    };
    (
        spread(labels, own, samples, SEED),
        spread(labels, held_out, HELD_OUT, SEED),
    )
}

fn all(data: &Dataset) -> Samples<'_> {
    Samples {
        data,
        indices: (0..data.len()).collect(),
    }
}

/// Refuses samples that say nothing of the numbers to come.
fn check_samples(samples: &Samples<'_>) -> Result<(), QuantizeError> {
    check_samples_are_finite(samples)?;
    let mut all = samples.indices.iter().map(|i| samples.data.sample(*i));
    let first = all.next();
    match all.len() > 0 && all.all(|sample| Some(sample) == first) {
        true => Err(QuantizeError::Constant {
            count: samples.indices.len(),
        }),
        false => Ok(()),
    }
}

fn check_samples_are_finite(samples: &Samples<'_>) -> Result<(), QuantizeError> {
    for index in &samples.indices {
        if let Sample::Features(features) = samples.data.sample(*index)
            && let Some(value) = features.iter().find(|value| !value.is_finite())
        {
            return Err(QuantizeError::Sample {
                sample: *index,
                value: *value,
            });
        }
    }
    Ok(())
}

/// The nodes that stay on real numbers because it was said.
fn kept(network: &Network, settings: &Settings) -> Result<BTreeSet<usize>, QuantizeError> {
    let graph = &network.graph;
    let nodes = 0..graph.nodes.len();
    let tensor = |node: usize| network.tensors[graph.value_of(node)];
    let named = nodes
        .clone()
        .filter(|node| settings.keep_float.contains(&tensor(*node)));
    let mut kept: BTreeSet<usize> = named.collect();
    if settings.fine_tune_last > 0 {
        let is_linear =
            |node: &usize| matches!(graph.nodes[*node].operation, Operation::Linear { .. });
        let linear: Vec<usize> = nodes.clone().filter(is_linear).collect();
        let wanted = settings.fine_tune_last;
        let first = linear.len().checked_sub(wanted).map(|at| linear[at]);
        let first = first.ok_or(ExportError::TooFewLinear {
            wanted,
            found: linear.len(),
        })?;
        kept.extend(first..graph.nodes.len());
    }
    Ok(kept)
}

/// What became of each node that computes, with its number.
fn layers(
    network: &Network,
    best: &Candidate,
    keep: &BTreeSet<usize>,
    judge: &Judge<'_>,
) -> Result<Vec<(usize, Layer)>, QuantizeError> {
    let graph = &network.graph;
    let scheme = &best.calibrated.scheme;
    let nodes = (0..graph.nodes.len()).filter(|node| scheme.nodes[*node] != Arithmetic::Copy);
    let nodes: Vec<usize> = nodes.collect();
    // What is cut off before a max pool is no noise behind it.
    let ends = nodes
        .iter()
        .map(|node| network.end(scheme, graph.value_of(*node)));
    let ends: Vec<usize> = ends.collect();
    // In balance, the values between layers are others.
    let ratios = judge.layers(&best.calibrated.network, &best.rewritten, &ends)?;
    let layers = nodes
        .iter()
        .zip(ends)
        .zip(ratios)
        .map(|((node, end), ratio)| {
            let is_int8 = scheme.nodes[*node] == Arithmetic::Int8;
            let range = best.quantizations[end].filter(|_| is_int8);
            let real = |number: i8| range.map(|range| range.dequantize(number));
            let reason = match &graph.nodes[*node].operation {
                _ if is_int8 => None,
                _ if keep.contains(node) => Some("kept"),
                Operation::Conv2d { .. } | Operation::Linear { .. } => {
                    Some("its sums could overflow")
                }
                // It has one, but classes that are close become equal.
                Operation::Softmax => Some("classes stay apart"),
                _ => Some("no 8-bit counterpart"),
            };
            let layer = Layer {
                tensor: network.tensors[graph.value_of(*node)],
                layer: graph.nodes[*node].name.clone(),
                element: if is_int8 { "i8" } else { "f32" },
                reason,
                low: real(i8::MIN),
                high: real(i8::MAX),
                decibels: ratio.map(|ratio| ratio.decibels()),
                alone: None,
            };
            (*node, layer)
        });
    Ok(layers.collect())
}

/// What node `alone` costs if all others stay on real numbers; None if it is itself on such.
fn cost(alone: usize, best: &Candidate, judge: &Judge<'_>) -> Result<Option<Cost>, QuantizeError> {
    if best.calibrated.scheme.nodes[alone] != Arithmetic::Int8 {
        return Ok(None);
    }
    let network = &best.calibrated.network;
    let scheme = Scheme::new(network, |node| node != alone);
    let rewritten = rewrite(network, &scheme, &best.quantizations);
    let score = judge.score(&rewritten, network)?;
    let samples = judge.samples.indices.len().max(1) as f64;
    let lost = |(own, found): (usize, usize)| (own as f64 - found as f64) / samples;
    Ok(Some(Cost {
        accuracy: judge.own.correct.zip(score.correct).map(lost),
        decibels: score.decibels,
    }))
}

/// How one of the two networks does on `samples`.
fn side(
    file: &ModelFile,
    macs: u64,
    samples: &Samples<'_>,
    kernels: &'static dyn Kernels,
) -> Result<Side, QuantizeError> {
    let model = file.model();
    let found = match Meaning::of(&model, 0).is_classes() {
        true => Some(evaluate(&model, kernels, samples.data, &samples.indices)?),
        false => None,
    };
    Ok(Side {
        accuracy: found.map(|found| found.accuracy()),
        file: file.bytes().len(),
        arena: model.sizes().arena,
        macs,
    })
}

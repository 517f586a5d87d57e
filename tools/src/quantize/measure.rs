//! How much of a network is left on 8-bit numbers: right answers, and the signal beside the noise, in decibels.

use kinglet::{Model, Values};
use kinglet_kernels::{Kernels, Portable};

use super::QuantizeError;
use super::network::Network;
use super::rewrite::Rewritten;
use super::run::{Samples, Watch, look, memory};
use crate::evaluate::argmax;
use crate::export::write;
use crate::meaning::Meaning;
use crate::model_file::ModelFile;

/// A signal beside the noise that was added to it: sums of squares.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Ratio {
    signal: f64,
    noise: f64,
}

impl Ratio {
    /// Adds a stretch of the signal and what became of it.
    pub(super) fn add(&mut self, signal: &[f32], found: impl IntoIterator<Item = f32>) {
        for (signal, found) in signal.iter().zip(found) {
            let (signal, found) = (f64::from(*signal), f64::from(found));
            self.signal += signal * signal;
            self.noise += (signal - found).powi(2);
        }
    }

    fn merge(&mut self, other: Self) {
        self.signal += other.signal;
        self.noise += other.noise;
    }

    /// In decibels; infinite without noise.
    pub(super) fn decibels(self) -> f64 {
        match self.noise > 0.0 {
            true => 10.0 * (self.signal / self.noise).log10(),
            false => f64::INFINITY,
        }
    }
}

/// How a network did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Score {
    /// Right answers, of a network that tells classes apart.
    pub(super) correct: Option<usize>,
    /// Of the first output, before softmax.
    pub(super) decibels: f64,
}

/// How much better, in right answers, is no chance: half a percent of the samples.
const CHANCE: f64 = 0.005;

impl Score {
    /// Whether this is better than `other`: more right answers by more than chance, or a clearer signal.
    pub(super) fn is_better_than(&self, other: &Self, samples: usize) -> bool {
        let chance = (samples as f64 * CHANCE) as usize;
        match (self.correct, other.correct) {
            (Some(own), Some(other)) if own > other + chance => true,
            (Some(own), Some(other)) if other > own + chance => false,
            _ => self.decibels > other.decibels,
        }
    }
}

/// What the network of real numbers makes of samples that it was not calibrated with, and how others are compared with it.
pub(super) struct Judge<'a> {
    pub(super) samples: &'a Samples<'a>,
    kernels: &'static dyn Kernels,
    /// The value that is compared: the first output before softmax.
    value: usize,
    outputs: Vec<f32>,
    /// Whether the largest output is that of a class.
    tells_classes: bool,
    /// What it makes of them itself.
    pub(super) own: Score,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        network: &Network,
        samples: &'a Samples<'a>,
        kernels: &'static dyn Kernels,
    ) -> Result<Self, QuantizeError> {
        let file = network.model()?;
        let model = file.model();
        let value = network.graph.logits();
        // Of other kernels the last bits would differ, and perhaps the choice.
        let outputs = outputs(&model, &Portable, samples, value);
        let tells_classes = Meaning::of(&model, 0).is_classes();
        let mut judge = Self {
            samples,
            kernels,
            value,
            outputs,
            tells_classes,
            own: Score {
                correct: None,
                decibels: f64::INFINITY,
            },
        };
        judge.own.correct = judge.correct(&judge.outputs);
        Ok(judge)
    }

    /// What the network itself makes of every sample, before softmax.
    #[cfg(test)]
    pub(super) fn outputs(&self) -> &[f32] {
        &self.outputs
    }

    /// How `rewritten` does.
    pub(super) fn score(
        &self,
        rewritten: &Rewritten,
        network: &Network,
    ) -> Result<Score, QuantizeError> {
        let found = self.outputs_of(rewritten, network)?;
        let mut ratio = Ratio::default();
        ratio.add(&self.outputs, found.iter().copied());
        Ok(Score {
            correct: self.correct(&found),
            decibels: ratio.decibels(),
        })
    }

    /// What `rewritten` makes of every sample, before softmax.
    pub(super) fn outputs_of(
        &self,
        rewritten: &Rewritten,
        network: &Network,
    ) -> Result<Vec<f32>, QuantizeError> {
        let file = model_of(rewritten, network)?;
        let value = value_in(rewritten, self.value);
        Ok(outputs(&file.model(), self.kernels, self.samples, value))
    }

    fn correct(&self, outputs: &[f32]) -> Option<usize> {
        let each = outputs.len() / self.samples.indices.len().max(1);
        let pairs = outputs.chunks(each.max(1)).zip(&self.samples.indices);
        let is_right = |(outputs, index): &(&[f32], &usize)| {
            argmax(outputs) == Some(self.samples.data.label(**index).into())
        };
        self.tells_classes.then(|| pairs.filter(is_right).count())
    }

    /// The ratio of each of `values`, which `network` computes, to what `rewritten` makes of them; None where it
    /// computes none.
    pub(super) fn layers(
        &self,
        network: &Network,
        rewritten: &Rewritten,
        values: &[usize],
    ) -> Result<Vec<Option<Ratio>>, QuantizeError> {
        let (real, int8) = (network.model()?, model_of(rewritten, network)?);
        let (real, int8) = (real.model(), int8.model());
        let known = |value: &usize| rewritten.values.contains(value);
        let known: Vec<usize> = values.iter().copied().filter(known).collect();
        let mut places = vec![None; network.shapes.len()];
        let mut counterparts = vec![None; int8.tensors().len()];
        for (place, value) in known.iter().enumerate() {
            places[*value] = Some(place);
            counterparts[value_in(rewritten, *value)] = Some(place);
        }
        let kernels = self.kernels;
        let found = self.samples.stretches(
            || (memory(&real, kernels), memory(&int8, kernels)),
            || vec![Ratio::default(); known.len()],
            |(own, other), ratios, _, sample| {
                let mut seen = Seen {
                    places: &places,
                    numbers: vec![Vec::new(); known.len()],
                };
                look(own, &real, kernels, sample, &mut seen);
                let mut compared = Compared {
                    places: &counterparts,
                    expected: &seen.numbers,
                    ratios,
                };
                look(other, &int8, kernels, sample, &mut compared);
            },
        );
        let mut ratios = vec![Ratio::default(); known.len()];
        for stretch in found {
            let pairs = ratios.iter_mut().zip(stretch);
            pairs.for_each(|(sum, part)| sum.merge(part));
        }
        let of = |value: &usize| known.iter().position(|known| known == value);
        Ok(values.iter().map(|v| of(v).map(|at| ratios[at])).collect())
    }
}

/// A network on 8-bit numbers as a model.
fn model_of(rewritten: &Rewritten, network: &Network) -> Result<ModelFile, QuantizeError> {
    let (bytes, _) = write(rewritten.graph.clone(), &network.settings)?;
    Ok(ModelFile::from_bytes(&bytes)?)
}

/// The value of the rewritten graph that is `value` at last: as 8-bit numbers, where it becomes such.
fn value_in(rewritten: &Rewritten, value: usize) -> usize {
    let node = rewritten.values.iter().rposition(|own| *own == value);
    node.map_or(0, |node| rewritten.graph.value_of(node))
}

/// One value of `model` for every sample.
fn outputs(
    model: &Model<'_>,
    kernels: &'static dyn Kernels,
    samples: &Samples<'_>,
    value: usize,
) -> Vec<f32> {
    let stretches = samples.stretches(
        || memory(model, kernels),
        || One {
            value,
            numbers: Vec::new(),
        },
        |memory, found, _, sample| look(memory, model, kernels, sample, found),
    );
    stretches.into_iter().flat_map(|one| one.numbers).collect()
}

/// Keeps one value of each sample.
struct One {
    value: usize,
    numbers: Vec<f32>,
}

impl Watch for One {
    fn see(&mut self, value: usize, numbers: Values<'_>) {
        if value == self.value {
            self.numbers.extend(numbers.iter());
        }
    }
}

/// Keeps some values of a sample.
struct Seen<'a> {
    places: &'a [Option<usize>],
    numbers: Vec<Vec<f32>>,
}

impl Watch for Seen<'_> {
    fn see(&mut self, value: usize, numbers: Values<'_>) {
        if let Some(place) = self.places[value] {
            self.numbers[place] = numbers.iter().collect();
        }
    }
}

/// Compares them with others.
struct Compared<'a> {
    places: &'a [Option<usize>],
    expected: &'a [Vec<f32>],
    ratios: &'a mut [Ratio],
}

impl Watch for Compared<'_> {
    fn see(&mut self, value: usize, numbers: Values<'_>) {
        if let Some(place) = self.places[value] {
            self.ratios[place].add(&self.expected[place], numbers.iter());
        }
    }
}

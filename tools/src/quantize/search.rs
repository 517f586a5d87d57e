//! Which way to quantize a network is best, by what the samples that were held out say.

use std::collections::BTreeSet;

use kinglet_kernels::Quantization;

use super::QuantizeError;
use super::calibrate::Statistics;
use super::correct::correct;
use super::equalize::equalize;
use super::measure::{Judge, Score};
use super::network::{Network, Scheme};
use super::range::Method;
use super::report::Trial;
use super::rewrite::{Rewritten, rewrite};
use super::run::Samples;

/// A network and what its values are.
#[derive(Debug, Clone)]
pub(super) struct Calibrated {
    /// With its channels in balance, if that is tried.
    pub(super) network: Network,
    pub(super) scheme: Scheme,
    statistics: Statistics,
    is_equalized: bool,
}

/// A network that was quantized.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// What it was made of.
    pub(super) calibrated: Calibrated,
    /// What the numbers of each value mean.
    pub(super) quantizations: Vec<Option<Quantization>>,
    pub(super) rewritten: Rewritten,
    /// Its place among all that were tried.
    pub(super) trial: usize,
    method: Method,
    score: Score,
}

/// The ways to quantize a network, one after the other.
pub(super) struct Search<'a> {
    keep: &'a BTreeSet<usize>,
    samples: &'a Samples<'a>,
    judge: &'a Judge<'a>,
    pub(super) trials: Vec<Trial>,
}

impl<'a> Search<'a> {
    /// Nodes of `keep` stay on real numbers.
    pub(super) fn new(
        keep: &'a BTreeSet<usize>,
        samples: &'a Samples<'a>,
        judge: &'a Judge<'a>,
    ) -> Self {
        Self {
            keep,
            samples,
            judge,
            trials: Vec::new(),
        }
    }

    /// Tries `method`, or every one, and with the best what else may help; returns what was best of all.
    pub(super) fn run(
        &mut self,
        network: &Network,
        method: Option<Method>,
    ) -> Result<Candidate, QuantizeError> {
        let plain = self.calibrate(network.clone(), false)?;
        let mut best = self.attempt(&plain, method.unwrap_or(Method::ALL[0]), false)?;
        if method.is_none() {
            for method in &Method::ALL[1..] {
                let other = self.attempt(&plain, *method, false)?;
                best = self.better(best, other);
            }
        }
        let other = self.attempt(&plain, best.method, true)?;
        best = self.better(best, other);
        if let Some(equalized) = equalize(network, &plain.statistics.channels) {
            let equalized = self.calibrate(equalized, true)?;
            for is_corrected in [false, true] {
                let other = self.attempt(&equalized, best.method, is_corrected)?;
                best = self.better(best, other);
            }
        }
        Ok(best)
    }

    fn better(&self, best: Candidate, other: Candidate) -> Candidate {
        let samples = self.judge.samples.indices.len();
        match other.score.is_better_than(&best.score, samples) {
            true => other,
            false => best,
        }
    }

    /// Finds what values the network has. Layers that no `i32` could sum up are left on real numbers.
    fn calibrate(&self, network: Network, is_equalized: bool) -> Result<Calibrated, QuantizeError> {
        let mut keep = self.keep.clone();
        loop {
            let scheme = Scheme::new(&network, |node| keep.contains(&node));
            let statistics = Statistics::collect(&network, &scheme, self.samples)?;
            let quantizations = quantizations(&statistics, &scheme, Method::MinMax);
            let refused = rewrite(&network, &scheme, &quantizations).refused;
            if refused.is_empty() {
                return Ok(Calibrated {
                    network,
                    scheme,
                    statistics,
                    is_equalized,
                });
            }
            keep.extend(refused);
        }
    }

    fn attempt(
        &mut self,
        calibrated: &Calibrated,
        method: Method,
        is_corrected: bool,
    ) -> Result<Candidate, QuantizeError> {
        let Calibrated {
            network,
            scheme,
            statistics,
            is_equalized,
        } = calibrated;
        let quantizations = quantizations(statistics, scheme, method);
        let rewritten = match is_corrected {
            true => {
                let corrected = correct(network, scheme, &quantizations, self.samples)?;
                rewrite(&corrected, scheme, &quantizations)
            }
            false => rewrite(network, scheme, &quantizations),
        };
        let score = self.judge.score(&rewritten, network)?;
        let samples = self.judge.samples.indices.len().max(1) as f64;
        let trial = self.trials.len();
        self.trials.push(Trial {
            method: method.to_string(),
            corrected: is_corrected,
            equalized: *is_equalized,
            accuracy: score.correct.map(|correct| correct as f64 / samples),
            decibels: score.decibels,
        });
        Ok(Candidate {
            calibrated: calibrated.clone(),
            quantizations,
            rewritten,
            trial,
            method,
            score,
        })
    }
}

fn quantizations(
    statistics: &Statistics,
    scheme: &Scheme,
    method: Method,
) -> Vec<Option<Quantization>> {
    let ranges = statistics.ranges(scheme, method).into_iter();
    ranges
        .map(|range| range.map(|range| range.quantization()))
        .collect()
}

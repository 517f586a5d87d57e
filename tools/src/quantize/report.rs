//! What became of a network on 8-bit numbers.

use serde::Serialize;

use crate::optimize::Saving;

/// How a network was quantized, and what is left of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Samples that it was calibrated with.
    pub samples: usize,
    /// Others that decided what is best, and that the layers were compared on.
    pub held_out: usize,
    /// What was tried, in that order.
    pub trials: Vec<Trial>,
    /// Which of them was taken, by its place.
    pub taken: usize,
    /// The layers, but for those that only copy.
    pub layers: Vec<Layer>,
    /// The part of the data set that both networks were measured on: `test`, or `held out` where there is none.
    pub part: String,
    /// The network of real numbers.
    pub f32: Side,
    /// That on 8-bit numbers.
    pub int8: Side,
    /// What channels of it that make no difference saved when they were left out; None if there are none.
    pub saving: Option<Saving>,
}

/// One way to quantize a network, and what it made of the samples that were held out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// How ranges follow from what occurs.
    pub method: String,
    /// Whether biases were corrected.
    pub corrected: bool,
    /// Whether channels were brought into balance.
    pub equalized: bool,
    /// Right answers, from 0 to 1, of a network that tells classes apart.
    pub accuracy: Option<f64>,
    /// The first output, before softmax, beside its noise.
    pub decibels: f64,
}

/// A layer on its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// Its tensor in the file, as `kinglet inspect` numbers them.
    pub tensor: usize,
    /// What it computes.
    pub layer: String,
    /// `i8` or `f32`.
    pub element: &'static str,
    /// Why it is on real numbers, where it is.
    pub reason: Option<&'static str>,
    /// The smallest number that its output tells apart, where that is of 8 bits.
    pub low: Option<f32>,
    /// The largest.
    pub high: Option<f32>,
    /// Its output beside the noise, in decibels, with all layers before it quantized as well.
    pub decibels: Option<f64>,
    /// What it costs if it alone is quantized.
    pub alone: Option<Cost>,
}

/// What a layer costs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Accuracy that is lost, from 0 to 1; below 0 if it became better.
    pub accuracy: Option<f64>,
    /// The first output, before softmax, beside its noise.
    pub decibels: f64,
}

/// One of the two networks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Side {
    /// Right answers, from 0 to 1, of a network that tells classes apart.
    pub accuracy: Option<f64>,
    /// Bytes of the file.
    pub file: usize,
    /// Bytes of the arena on this machine.
    pub arena: usize,
    /// Multiply-accumulates of a sample.
    pub macs: u64,
}

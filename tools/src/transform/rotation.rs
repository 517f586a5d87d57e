//! `RandomRotation`: turns the picture about its center (or another point), nearest pixel, size unchanged.

use nalgebra::{Matrix3, Rotation2, Translation2};
use rand_chacha::ChaCha8Rng;

use super::{Canvas, affine};
use crate::random::uniform_between;

/// A rotation by an angle drawn from a range.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomRotation {
    /// `degrees`: smallest and largest angle, counter-clockwise.
    pub degrees: [f32; 2],
    /// `center`: the fixed point as (x, y) in pixels from the upper left corner; the middle if absent.
    pub center: Option<[f64; 2]>,
    /// `fill`: the color of what comes in from outside, channel by channel.
    pub fill: Vec<u8>,
}

impl RandomRotation {
    pub(super) fn apply(&self, rng: &mut ChaCha8Rng, canvas: &mut Canvas) {
        let degrees = uniform_between(rng, self.degrees);
        self.rotate(f64::from(degrees), canvas);
    }

    /// Turns by `degrees`.
    pub(super) fn rotate(&self, degrees: f64, canvas: &mut Canvas) {
        let shape = canvas.shape();
        let middle = [shape.width as f64 / 2.0, shape.height as f64 / 2.0];
        let map = rotation(degrees, self.center.unwrap_or(middle));
        affine::draw(canvas, &map, &self.fill);
    }
}

/// The map from a place in the turned picture to the one in the picture: shift the center to the origin, turn,
/// shift back.
fn rotation(degrees: f64, [x, y]: [f64; 2]) -> Matrix3<f64> {
    let turn = Rotation2::new(degrees.to_radians()).to_homogeneous();
    // Pillow's 15 decimals: a quarter turn hits pixels exactly.
    let turn = turn.map(|x| (x * 1e15).round_ties_even() / 1e15);
    let center = Translation2::new(x, y);
    center.to_homogeneous() * turn * center.inverse().to_homogeneous()
}

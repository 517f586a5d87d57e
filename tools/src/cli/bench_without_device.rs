//! `kinglet bench` in a program that was built without OpenCL: there is no device to measure.

use std::convert::Infallible;
use std::time::Duration;

use kinglet::Model;
use serde::Serialize;

use super::Failure;
use crate::bench::{LayerTime, Other};
use crate::device::{DeviceChoice, Storage, open};

/// There is none.
pub(super) struct DeviceSession(Infallible);

/// There is none.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Queue {
    pub(super) launches: usize,
    pub(super) enqueue_us: f64,
}

impl DeviceSession {
    pub(super) fn open(
        (choice, storage): (&DeviceChoice, Storage),
        _model: &Model<'_>,
        _input: &[f32],
    ) -> Result<Option<Self>, Failure> {
        open(choice, storage)?;
        Ok(None)
    }

    pub(super) fn contender(&mut self) -> Other<'_> {
        match self.0 {}
    }

    pub(super) fn layers(&mut self, _time: Duration) -> Result<Vec<LayerTime>, Failure> {
        match self.0 {}
    }

    pub(super) fn queue(&mut self) -> Result<Queue, Failure> {
        match self.0 {}
    }
}

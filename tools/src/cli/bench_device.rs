//! The OpenCL device that `kinglet bench` measures beside the kernel sets.

use std::time::{Duration, Instant};

use kinglet::Model;
use kinglet::opencl::{OpenClError, Session};
use serde::Serialize;

use super::Failure;
use super::device::note;
use crate::bench::{LayerTime, Other, Stats, device_layers};
use crate::device::{DeviceChoice, Storage, open};

/// A session of the model on a device.
pub(super) struct DeviceSession<'a> {
    name: String,
    session: Session<'a>,
    failure: Option<OpenClError>,
}

/// What it takes to hand work to a device.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Queue {
    /// Kernels of one run.
    pub(super) launches: usize,
    /// Time to enqueue one of them, median; nothing is waited for.
    pub(super) enqueue_us: f64,
}

impl<'a> DeviceSession<'a> {
    /// A session of `model` on the device of that choice, if it is one; `input` is a batch.
    pub(super) fn open(
        (choice, storage): (&DeviceChoice, Storage),
        model: &Model<'a>,
        input: &[f32],
    ) -> Result<Option<Self>, Failure> {
        let (device, notes) = open(choice, storage)?;
        notes.iter().for_each(|text| note(text));
        let Some(device) = device else {
            return Ok(None);
        };
        let batch = input.len() / model.input().len().max(1);
        let mut session = Session::new(&device.executor, model, batch, device.storage)?;
        session.set_input_f32(input)?;
        let name = device.name().to_owned();
        Ok(Some(Self {
            name,
            session,
            failure: None,
        }))
    }

    /// A contender among kernel sets. One run: upload, all layers, download.
    pub(super) fn contender(&mut self) -> Other<'_> {
        let run = || {
            if let Err(error) = self.session.run() {
                self.failure.get_or_insert(error);
            }
        };
        Other {
            name: self.name.clone(),
            run: Box::new(run),
        }
    }

    /// The times of its layers.
    pub(super) fn layers(&mut self, time: Duration) -> Result<Vec<LayerTime>, Failure> {
        Ok(device_layers(&mut self.session, time)?)
    }

    /// What it takes to enqueue a run.
    pub(super) fn queue(&mut self) -> Result<Queue, Failure> {
        if let Some(error) = self.failure.take() {
            return Err(error.into());
        }
        let mut times = Vec::new();
        let start = Instant::now();
        while times.is_empty() || start.elapsed() < Duration::from_millis(200) {
            times.push(self.session.time_to_enqueue()?);
        }
        let launches = self.session.launches();
        Ok(Queue {
            launches,
            enqueue_us: Stats::of(&mut times).median_us / launches.max(1) as f64,
        })
    }
}

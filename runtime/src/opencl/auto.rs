//! Device or CPU: measured on the model itself, then remembered.

use std::format;
use std::string::String;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec::Vec;

use kinglet_kernels::Kernels;

use super::{Element, Executor, OpenClError, Session};
use crate::{AnySession, ValuesMut};

/// How long one run of a batch takes on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// Median on the CPU, on one thread.
    pub cpu: Duration,
    /// Median on the device, input and output included.
    pub device: Duration,
}

/// Runs that are measured on each side, after one that does not count.
const RUNS: usize = 15;
/// No more than this for one side.
const PATIENCE: Duration = Duration::from_millis(300);

impl Comparison {
    /// Compares `cpu` with a session for the same model and batch on `executor`. What is found is kept in the
    /// cache; where it is known, no session is made unless it is the faster one.
    ///
    /// Returns the device's session where that is faster than the CPU with `threads` such sessions at work.
    ///
    /// # Errors
    /// [`OpenClError`] if the device fails.
    pub fn of<'a, K: Kernels>(
        executor: &Arc<Executor>,
        cpu: &mut AnySession<'a, K>,
        storage: Element,
        threads: usize,
    ) -> Result<(Self, Option<Session<'a>>), OpenClError> {
        let (model, batch) = (*cpu.model(), cpu.batch());
        let name = |side: &str| {
            let kernels = cpu.kernels().name();
            format!("{side} {} {batch} {storage:?} {kernels}", model.id())
        };
        let names = [name("cpu"), name("device")];
        let session = || Session::new(executor, &model, batch, storage);
        if let Some(known) = Self::known(executor, &names) {
            let device = match known.device_wins(threads) {
                true => Some(session()?),
                false => None,
            };
            return Ok((known, device));
        }
        let mut device = session()?;
        let mut failure = None;
        let comparison = Self {
            cpu: median(|| {
                for index in 0..model.inputs().len() {
                    if let Some(ValuesMut::F32(input)) = cpu.input_mut(index) {
                        input.fill(0.5);
                    }
                }
                cpu.run();
            }),
            device: median(|| failure = device.run().err().or(failure.take())),
        };
        if let Some(failure) = failure {
            return Err(failure);
        }
        for (name, time) in names.iter().zip([comparison.cpu, comparison.device]) {
            let tenths = time.as_nanos().div_ceil(100);
            executor
                .findings
                .set(name, u32::try_from(tenths).unwrap_or(u32::MAX));
        }
        executor.save();
        // As the next start reads it, rounded alike.
        let comparison = Self::known(executor, &names).unwrap_or(comparison);
        Ok((
            comparison,
            comparison.device_wins(threads).then_some(device),
        ))
    }

    /// True if the device is faster than `threads` threads of the CPU.
    pub fn device_wins(&self, threads: usize) -> bool {
        self.device < self.cpu / u32::try_from(threads.max(1)).unwrap_or(1)
    }

    fn known(executor: &Executor, names: &[String; 2]) -> Option<Self> {
        let time = |name| {
            let tenths = executor.findings.get(name)?;
            Some(Duration::from_nanos(u64::from(tenths) * 100))
        };
        Some(Self {
            cpu: time(&names[0])?,
            device: time(&names[1])?,
        })
    }
}

/// The median time of some calls.
fn median(mut run: impl FnMut()) -> Duration {
    run();
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.is_empty() || (times.len() < RUNS && begin.elapsed() < PATIENCE) {
        let start = Instant::now();
        run();
        times.push(start.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

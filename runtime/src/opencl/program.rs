//! Programs of a device: compiled on first use within a time limit, or taken from the cache.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::CString;
use std::format;
use std::string::{String, ToString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::vec::Vec;

use kinglet_kernels::opencl::{PRELUDE, Source};
use ocl::OclCoreError;
use ocl::core::{
    self, Context, DeviceId, Program, ProgramBuildInfo, ProgramBuildInfoResult, ProgramBuildStatus,
    ProgramInfo, ProgramInfoResult,
};

use super::OpenClError;
use super::cache::{Cache, Key};
use super::error::first_line;

/// The programs of one device.
#[derive(Debug)]
pub(super) struct Programs {
    context: Context,
    device: DeviceId,
    /// What names the device and its driver.
    identity: Vec<String>,
    /// How long a driver may compile.
    limit: Duration,
    built: Mutex<HashMap<(&'static str, String), Program>>,
    /// Whether the compiler did not come back: it is not called again.
    hangs: AtomicBool,
    /// Programs that the cache does not have yet.
    fresh: Mutex<Vec<(Key, Program)>>,
}

impl Programs {
    pub(super) fn new(
        context: &Context,
        device: DeviceId,
        identity: Vec<String>,
        limit: Duration,
    ) -> Self {
        Self {
            context: context.clone(),
            device,
            identity,
            limit,
            built: Mutex::default(),
            hangs: AtomicBool::new(false),
            fresh: Mutex::default(),
        }
    }

    /// The program of `source` with these options: `-D NAME=VALUE`, and nothing that changes arithmetic.
    pub(super) fn get(
        &self,
        source: &Source,
        options: &str,
        cache: &Cache,
    ) -> Result<Program, OpenClError> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (source.name, options.to_string());
        if let Some(program) = built.get(&name) {
            return Ok(program.clone());
        }
        let program = self.build(source, options, cache)?;
        built.insert(name, program.clone());
        Ok(program)
    }

    fn build(&self, source: &Source, options: &str, cache: &Cache) -> Result<Program, OpenClError> {
        let options = format!("-cl-std=CL1.2 {options}");
        // Some drivers refuse spaces at the end.
        let options = options.trim_end();
        let identity = self.identity.iter().map(String::as_str);
        let key = Key::of(identity.chain([PRELUDE.text, source.text, options]));
        let known = cache.try_out(key, |binary| {
            self.compile(source.name, options, move |context, device| {
                core::create_program_with_binary(context, &[device], &[&binary])
            })
            .ok()
        });
        // A driver may refuse what it has once written: then there is still the text.
        if let Some(program) = known {
            return Ok(program);
        }
        let text = format!(
            "{}\n#line 1 \"{}\"\n{}",
            PRELUDE.text, source.name, source.text
        );
        let text = CString::new(text).map_err(|_| OpenClError::Build {
            source: source.name,
            log: "the text has a zero byte".into(),
        })?;
        let program = self.compile(source.name, options, move |context, _| {
            core::create_program_with_source(context, &[text])
        })?;
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.push((key, program.clone()));
        Ok(program)
    }

    /// Creates and compiles on a thread of its own: a driver that hangs keeps that thread, not the caller.
    fn compile(
        &self,
        source: &'static str,
        options: &str,
        create: impl FnOnce(&Context, DeviceId) -> core::Result<Program> + Send + 'static,
    ) -> Result<Program, OpenClError> {
        let too_late = OpenClError::Hangs {
            work: format!("compiling {source}"),
            limit: self.limit,
        };
        if self.hangs.load(Ordering::Relaxed) {
            return Err(too_late);
        }
        let (context, device) = (self.context.clone(), self.device);
        let options = CString::new(options).map_err(|_| OpenClError::Build {
            source,
            log: "the options have a zero byte".into(),
        })?;
        let (sender, receiver) = channel();
        let work = move || {
            let program = create(&context, device).and_then(|program| {
                core::build_program(&program, Some(&[device]), &options, None, None)?;
                // A failure with an empty log is no error to `ocl`.
                match core::get_program_build_info(&program, device, ProgramBuildInfo::BuildStatus)?
                {
                    ProgramBuildInfoResult::BuildStatus(ProgramBuildStatus::Success) => Ok(program),
                    status => Err(format!("build status {status:?}").into()),
                }
            });
            // Nobody listens any more after the time limit.
            let _ = sender.send(program);
        };
        let thread = std::thread::Builder::new()
            .name("kinglet-opencl-build".into())
            // Compilers recurse deeply.
            .stack_size(16 << 20);
        thread.spawn(work).map_err(|e| OpenClError::Build {
            source,
            log: e.to_string(),
        })?;
        match receiver.recv_timeout(self.limit) {
            Ok(Ok(program)) => Ok(program),
            Ok(Err(error)) => Err(OpenClError::Build {
                source,
                log: build_log(&error),
            }),
            Err(RecvTimeoutError::Timeout) => {
                self.hangs.store(true, Ordering::Relaxed);
                Err(too_late)
            }
            Err(RecvTimeoutError::Disconnected) => Err(OpenClError::Build {
                source,
                log: "the driver panicked".into(),
            }),
        }
    }

    /// Keeps the programs that were compiled since the last call. Some drivers compile a part of a program at its
    /// first launch, so this is best called after one.
    pub(super) fn save(&self, cache: &Cache) {
        let fresh = {
            let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *fresh)
        };
        for (key, program) in fresh {
            if let Ok(ProgramInfoResult::Binaries(binaries)) =
                core::get_program_info(&program, ProgramInfo::Binaries)
                && let [binary] = binaries.as_slice()
                && !binary.is_empty()
            {
                cache.write(key, binary);
            }
        }
    }
}

/// The line of a build error that says most: the first that names an error, else the first.
fn build_log(error: &OclCoreError) -> String {
    let text = error.to_string();
    let line = text.lines().find(|line| line.contains("error"));
    line.map_or_else(|| first_line(&text), |line| line.trim().into())
}

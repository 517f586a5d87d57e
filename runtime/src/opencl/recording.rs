//! Work for a device, made ready once and enqueued any number of times.
#![allow(unsafe_code)]

use std::fmt::Write;
use std::ops::Range;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use kinglet_kernels::opencl::Source;
use ocl::core::{self, ArgVal, Kernel, KernelWorkGroupInfo, KernelWorkGroupInfoResult, Mem};

use super::{Element, Executor, OpenClError, Slice};

/// A list of launches, every one with its arguments set. The operations are methods, named as in
/// [`Kernels`](kinglet_kernels::Kernels) and with its order of arguments; the files of `ops` have them.
///
/// Each checks the lengths of its tensors when it is recorded: enqueueing can only fail in the driver.
#[derive(Debug)]
pub struct Recording {
    executor: Arc<Executor>,
    launches: Vec<Launch>,
}

#[derive(Debug)]
struct Launch {
    kernel: Kernel,
    /// Where its work-items begin.
    offset: [usize; 3],
    global: [usize; 3],
    local: [usize; 3],
    /// A kernel object does not keep the memory of its arguments.
    _memory: Vec<Mem>,
}

/// Launches after which the driver is told to begin: some have room for not many more.
const FLUSH_EVERY: usize = 32;

/// A number that kernels cannot count to.
fn too_large(found: usize, limit: u32) -> OpenClError {
    OpenClError::TooLarge {
        found,
        limit: limit as usize,
    }
}

impl Recording {
    /// An empty list.
    pub fn new(executor: &Arc<Executor>) -> Self {
        Self {
            executor: Arc::clone(executor),
            launches: Vec::new(),
        }
    }

    /// The device it is for.
    pub fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    /// Number of launches.
    pub fn len(&self) -> usize {
        self.launches.len()
    }

    /// True if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.launches.is_empty()
    }

    /// Enqueues all launches in order and waits for none.
    ///
    /// # Errors
    /// [`OpenClError::Driver`]; those before the one that failed may still run.
    pub fn enqueue(&self) -> Result<(), OpenClError> {
        self.enqueue_part(0..self.launches.len())
    }

    /// Enqueues the launches in `range`, as far as they exist.
    pub(super) fn enqueue_part(&self, range: Range<usize>) -> Result<(), OpenClError> {
        let flush =
            || core::flush(&self.executor.queue).map_err(|e| OpenClError::driver("clFlush", &e));
        for (launch, number) in self.launches.get(range).unwrap_or_default().iter().zip(1..) {
            // SAFETY: `push` was told that the kernel keeps to its slices, whose memory the launch holds. The
            // queue is in order, and the host touches buffers through the same queue only.
            unsafe {
                core::enqueue_kernel(
                    &self.executor.queue,
                    &launch.kernel,
                    3,
                    Some(launch.offset),
                    &launch.global,
                    Some(launch.local),
                    None::<core::Event>,
                    None::<&mut core::Event>,
                )
            }
            .map_err(|e| OpenClError::driver("clEnqueueNDRangeKernel", &e))?;
            if number % FLUSH_EVERY == 0 {
                flush()?;
            }
        }
        flush()
    }

    /// Adds a launch.
    ///
    /// # Safety
    /// The kernel reads and writes elements of the slices among its arguments only, for these numbers and any
    /// size of work-group, and no two of its work-items write the same element or read what another writes.
    pub(super) unsafe fn push(&mut self, call: Call<'_>) -> Result<(), OpenClError> {
        let program = self.executor.program(call.source, &call.options)?;
        let kernel = core::create_kernel(&program, call.kernel)
            .map_err(|e| OpenClError::driver("clCreateKernel", &e))?;
        let mut memory = Vec::new();
        for (argument, at) in call.arguments.into_iter().zip(0..) {
            let set = match argument {
                Argument::Memory(mem) => {
                    let set = core::set_kernel_arg(&kernel, at, ArgVal::mem(mem));
                    memory.push(mem.clone());
                    set
                }
                Argument::Unsigned(value) => {
                    let value = u32::try_from(value).map_err(|_| too_large(value, u32::MAX))?;
                    core::set_kernel_arg(&kernel, at, ArgVal::scalar(&value))
                }
                Argument::Signed(value) => {
                    let most = i32::MAX.unsigned_abs();
                    let value = i32::try_from(value).map_err(|_| too_large(value, most))?;
                    core::set_kernel_arg(&kernel, at, ArgVal::scalar(&value))
                }
                Argument::Float(value) => core::set_kernel_arg(&kernel, at, ArgVal::scalar(&value)),
                Argument::Local(floats) => {
                    core::set_kernel_arg(&kernel, at, ArgVal::local::<f32>(&floats))
                }
            };
            set.map_err(|e| OpenClError::driver("clSetKernelArg", &e))?;
        }
        let local = self.fit(&kernel, call.local);
        let mut global = call.global;
        for (global, local) in global.iter_mut().zip(local) {
            *global = global.next_multiple_of(local).max(local);
        }
        let most = self.executor.options.max_groups.max(1);
        let most = local.map(|local| local.saturating_mul(most));
        for (offset, global) in parts(global, most) {
            self.launches.push(Launch {
                kernel: kernel.clone(),
                offset,
                global,
                local,
                _memory: memory.clone(),
            });
        }
        Ok(())
    }

    /// The wished size of a work-group, made smaller until the device can run this kernel with it. Never larger: its
    /// local memory was sized for what was wished.
    fn fit(&self, kernel: &Kernel, mut local: [usize; 3]) -> [usize; 3] {
        let info = self.executor.info();
        let of_kernel =
            core::get_kernel_work_group_info(kernel, info.id, KernelWorkGroupInfo::WorkGroupSize);
        let limit = match of_kernel {
            Ok(KernelWorkGroupInfoResult::WorkGroupSize(size)) => size.min(info.work_group),
            _ => info.work_group,
        };
        for (local, most) in local.iter_mut().zip(info.work_items) {
            *local = (*local).clamp(1, most.max(1));
        }
        while local.iter().product::<usize>() > limit.max(1) {
            // The product is above 1, so the largest is.
            if let Some(largest) = local.iter_mut().max() {
                *largest /= 2;
            }
        }
        local
    }
}

/// `global` work-items in boxes of at most `most` on each axis: where each begins, and its extent.
fn parts(global: [usize; 3], most: [usize; 3]) -> impl Iterator<Item = ([usize; 3], [usize; 3])> {
    let starts = move |axis: usize| (0..global[axis]).step_by(most[axis].max(1));
    starts(2).flat_map(move |z| {
        starts(1).flat_map(move |y| {
            starts(0).map(move |x| {
                let offset = [x, y, z];
                let extent = |axis: usize| most[axis].min(global[axis] - offset[axis]);
                (offset, [extent(0), extent(1), extent(2)])
            })
        })
    })
}

/// A launch to be: a kernel, its arguments in their order, how many work-items.
#[derive(Debug)]
pub(super) struct Call<'a> {
    source: &'static Source,
    kernel: &'static str,
    options: String,
    arguments: Vec<Argument<'a>>,
    global: [usize; 3],
    local: [usize; 3],
}

#[derive(Debug)]
enum Argument<'a> {
    Memory(&'a Mem),
    Unsigned(usize),
    Signed(usize),
    Float(f32),
    Local(usize),
}

impl<'a> Call<'a> {
    /// The kernel of that name in a file.
    pub(super) fn new(source: &'static Source, kernel: &'static str) -> Self {
        Self {
            source,
            kernel,
            options: String::new(),
            arguments: Vec::new(),
            global: [1; 3],
            local: [1; 3],
        }
    }

    /// Compiles the file with storage in `element`. Files without it are for f32.
    pub(super) fn storage(mut self, element: Element) -> Self {
        if element == Element::F16 {
            self.options.push_str("-D HALF_STORAGE ");
        }
        self
    }

    /// Compiles the file with a macro.
    pub(super) fn define(mut self, name: &str, value: usize) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.options, "-D {name}={value} ");
        self
    }

    /// A tensor: two arguments, the buffer and the first element's place.
    pub(super) fn slice(mut self, slice: Slice<'a>) -> Self {
        self.arguments.push(Argument::Memory(slice.memory()));
        self.arguments.push(Argument::Unsigned(slice.at()));
        self
    }

    /// A tensor that may be absent: three arguments, a buffer, a place, and an `int` that is 0 if it is absent.
    /// In its place stands `other`, since not every driver takes a null pointer.
    pub(super) fn optional(self, slice: Option<Slice<'a>>, other: Slice<'a>) -> Self {
        self.slice(slice.unwrap_or(other))
            .int(usize::from(slice.is_some()))
    }

    /// An `int`.
    pub(super) fn int(mut self, value: usize) -> Self {
        self.arguments.push(Argument::Signed(value));
        self
    }

    /// A `float`.
    pub(super) fn float(mut self, value: f32) -> Self {
        self.arguments.push(Argument::Float(value));
        self
    }

    /// Local memory of that many floats.
    pub(super) fn local_floats(mut self, floats: usize) -> Self {
        self.arguments.push(Argument::Local(floats));
        self
    }

    /// Work-items, which are rounded up to whole work-groups: kernels leave out what is beyond.
    pub(super) fn global(mut self, global: [usize; 3]) -> Self {
        self.global = global;
        self
    }

    /// The wished work-group. The device may make it smaller.
    pub(super) fn local(mut self, local: [usize; 3]) -> Self {
        self.local = local;
        self
    }
}

/// `Ok` if `slice` has at least `needed` elements.
pub(super) fn at_least(
    tensor: &'static str,
    slice: Slice<'_>,
    needed: usize,
) -> Result<(), OpenClError> {
    match slice.len() >= needed {
        true => Ok(()),
        false => Err(OpenClError::Length {
            tensor,
            needed,
            found: slice.len(),
        }),
    }
}

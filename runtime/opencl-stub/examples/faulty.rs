//! An OpenCL library with faults, for tests of what a program does about them. It replaces a few
//! functions; all others are those of the real loader, `libOpenCL.so.1`, which it depends on.
//!
//! ```text
//! cargo build -p kinglet-opencl-stub --features _faulty --example faulty
//! KINGLET_OPENCL_LIB=target/debug/examples/libfaulty.so KINGLET_FAULT=launch-fails kinglet run ...
//! ```
//!
//! The environment variable `KINGLET_FAULT` chooses the faults, separated by commas. Without any it is
//! the real loader.
//!
//! | fault | what happens |
//! |---|---|
//! | `gpu` | every device says that it is a GPU and no CPU |
//! | `build-hang` | `clBuildProgram` takes 1000 s, and a second call ends the process: nobody waits twice |
//! | `build-fails` | `clBuildProgram` gives `CL_BUILD_PROGRAM_FAILURE` |
//! | `no-memory` | `clCreateBuffer` gives `CL_MEM_OBJECT_ALLOCATION_FAILURE` above 64 KiB |
//! | `launch-fails` | `clEnqueueNDRangeKernel` gives `CL_OUT_OF_RESOURCES` |
//! | `wrong` | no kernel that is enqueued runs; the commands end with success |
//! | `wrong-later` | the same after the first 200 kernels of the process |
//! | `lost` | `clEnqueueReadBuffer` gives `CL_INVALID_COMMAND_QUEUE` after the first 3 reads of the process |
//! | `read-hang` | no read ends |

#![allow(non_snake_case)]

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{mem, ptr, slice, thread};

use cl_sys::*;

// By its full name, which only a loader has: `-lOpenCL` is the empty archive of this package. That one of
// these is called is what makes this library depend on the loader.
#[link(name = "libOpenCL.so.1", kind = "dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    #[link_name = "clEnqueueMarkerWithWaitList"]
    fn enqueue_marker(
        queue: cl_command_queue,
        num_waits: cl_uint,
        waits: *const cl_event,
        event: *mut cl_event,
    ) -> cl_int;
    #[link_name = "clGetCommandQueueInfo"]
    fn queue_info(
        queue: cl_command_queue,
        name: cl_command_queue_info,
        size: size_t,
        value: *mut c_void,
        size_ret: *mut size_t,
    ) -> cl_int;
    #[link_name = "clCreateUserEvent"]
    fn create_user_event(context: cl_context, errcode_ret: *mut cl_int) -> cl_event;
}

const VARIABLE: &str = "KINGLET_FAULT";

const NAMES: &[&str] = &[
    "gpu",
    "build-hang",
    "build-fails",
    "no-memory",
    "launch-fails",
    "wrong",
    "wrong-later",
    "lost",
    "read-hang",
];

/// The largest buffer that `no-memory` grants, in bytes.
const MEMORY: usize = 64 * 1024;

/// Kernels that run before those that `wrong-later` drops: more than a self-test has.
const RIGHT_LAUNCHES: usize = 200;

/// Reads that succeed before `lost`.
const READS: usize = 3;

/// True if the fault `name` is chosen.
///
/// A name that is none ends the process: a test of a fault that does not happen must not pass.
fn has(name: &str) -> bool {
    static CHOSEN: OnceLock<Vec<String>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let value = std::env::var(VARIABLE).unwrap_or_default();
        let names: Vec<_> = value
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
            eprintln!("{VARIABLE}: there is no fault `{unknown}`; choose from {NAMES:?}");
            std::process::abort();
        }
        names
    });
    chosen.iter().any(|chosen| chosen == name)
}

/// The function `name` of the real library.
fn real_address(name: &CStr) -> *mut c_void {
    // SAFETY: it is loaded since this library depends on it, and stays as long; the names end with zeros.
    unsafe {
        let library = libc::dlopen(c"libOpenCL.so.1".as_ptr(), libc::RTLD_NOW);
        libc::dlsym(library, name.as_ptr())
    }
}

/// Defines functions in place of those of the real library, which their bodies know as `$real`.
macro_rules! replace {
    ($(
        fn $function:ident($($name:ident: $type:ty),* $(,)?) -> $result:ty, $real:ident $body:block
    )*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "system" fn $function($($name: $type),*) -> $result {
            type Function = unsafe extern "system" fn($($type),*) -> $result;
            const _: Function = cl_sys::$function;
            let address = real_address(
                const {
                    match CStr::from_bytes_with_nul(concat!(stringify!($function), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => unreachable!(),
                    }
                },
            );
            assert!(!address.is_null());
            // SAFETY: the function of this name has this signature in every OpenCL library.
            let $real = unsafe { mem::transmute::<*mut c_void, Function>(address) };
            $body
        }
    )* };
}

replace! {
    fn clGetDeviceIDs(
        platform: cl_platform_id,
        device_type: cl_device_type,
        num_entries: cl_uint,
        devices: *mut cl_device_id,
        num_devices: *mut cl_uint,
    ) -> cl_int, real {
        let device_type = match has("gpu") {
            false => device_type,
            true if device_type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_DEFAULT) != 0 => {
                CL_DEVICE_TYPE_ALL
            }
            true => return CL_DEVICE_NOT_FOUND,
        };
        // SAFETY: the arguments are the caller's.
        unsafe { real(platform, device_type, num_entries, devices, num_devices) }
    }

    fn clGetDeviceInfo(
        device: cl_device_id,
        name: cl_device_info,
        size: size_t,
        value: *mut c_void,
        size_ret: *mut size_t,
    ) -> cl_int, real {
        // SAFETY: the arguments are the caller's.
        let status = unsafe { real(device, name, size, value, size_ret) };
        let answered = status == CL_SUCCESS && !value.is_null();
        if has("gpu") && name == CL_DEVICE_TYPE && answered {
            // SAFETY: a device type was just written there.
            unsafe { value.cast::<cl_device_type>().write_unaligned(CL_DEVICE_TYPE_GPU) };
        }
        status
    }

    fn clBuildProgram(
        program: cl_program,
        num_devices: cl_uint,
        devices: *const cl_device_id,
        options: *const c_char,
        notify: Option<extern "C" fn(cl_program, *mut c_void)>,
        user_data: *mut c_void,
    ) -> cl_int, real {
        if has("build-hang") {
            static CALLS: AtomicUsize = AtomicUsize::new(0);
            if CALLS.fetch_add(1, Ordering::Relaxed) > 0 {
                eprintln!("{VARIABLE}: the compiler that hangs is called again");
                std::process::abort();
            }
            thread::sleep(Duration::from_secs(1000));
        }
        if has("build-fails") {
            return CL_BUILD_PROGRAM_FAILURE;
        }
        // SAFETY: the arguments are the caller's.
        unsafe { real(program, num_devices, devices, options, notify, user_data) }
    }

    fn clCreateBuffer(
        context: cl_context,
        flags: cl_mem_flags,
        size: size_t,
        host: *mut c_void,
        errcode_ret: *mut cl_int,
    ) -> cl_mem, real {
        if has("no-memory") && size > MEMORY {
            if !errcode_ret.is_null() {
                // SAFETY: not null, so the caller has room for the code there.
                unsafe { *errcode_ret = CL_MEM_OBJECT_ALLOCATION_FAILURE };
            }
            return ptr::null_mut();
        }
        // SAFETY: the arguments are the caller's.
        unsafe { real(context, flags, size, host, errcode_ret) }
    }

    fn clEnqueueNDRangeKernel(
        queue: cl_command_queue,
        kernel: cl_kernel,
        dimensions: cl_uint,
        global_offset: *const size_t,
        global_size: *const size_t,
        local_size: *const size_t,
        num_waits: cl_uint,
        waits: *const cl_event,
        event: *mut cl_event,
    ) -> cl_int, real {
        static LAUNCHES: AtomicUsize = AtomicUsize::new(0);
        if has("launch-fails") {
            return CL_OUT_OF_RESOURCES;
        }
        let earlier = LAUNCHES.fetch_add(1, Ordering::Relaxed);
        if has("wrong") || has("wrong-later") && earlier >= RIGHT_LAUNCHES {
            // SAFETY: the arguments are the caller's. A marker waits and signals as the kernel would.
            return unsafe { enqueue_marker(queue, num_waits, waits, event) };
        }
        // SAFETY: the arguments are the caller's.
        unsafe {
            real(
                queue, kernel, dimensions, global_offset, global_size, local_size, num_waits, waits,
                event,
            )
        }
    }

    fn clEnqueueReadBuffer(
        queue: cl_command_queue,
        buffer: cl_mem,
        blocking: cl_bool,
        offset: size_t,
        size: size_t,
        pointer: *mut c_void,
        num_waits: cl_uint,
        waits: *const cl_event,
        event: *mut cl_event,
    ) -> cl_int, real {
        static DONE: AtomicUsize = AtomicUsize::new(0);
        if has("lost") && DONE.fetch_add(1, Ordering::Relaxed) >= READS {
            return CL_INVALID_COMMAND_QUEUE;
        }
        let mut all_waits = match num_waits {
            0 => Vec::new(),
            // SAFETY: the caller's list has this many events.
            _ => unsafe { slice::from_raw_parts(waits, num_waits as usize) }.to_vec(),
        };
        if has("read-hang") {
            match never(queue) {
                Ok(event) => all_waits.push(event),
                Err(status) => return status,
            }
        }
        let waits = match all_waits.is_empty() {
            // An empty list must be null.
            true => ptr::null(),
            false => all_waits.as_ptr(),
        };
        // SAFETY: the arguments are the caller's, with a list of as many events as are named.
        unsafe {
            real(
                queue, buffer, blocking, offset, size, pointer, all_waits.len() as cl_uint, waits,
                event,
            )
        }
    }
}

/// An event in the context of `queue` that nobody will set.
fn never(queue: cl_command_queue) -> Result<cl_event, cl_int> {
    let mut context: cl_context = ptr::null_mut();
    // SAFETY: there is room for one context.
    let status = unsafe {
        queue_info(
            queue,
            CL_QUEUE_CONTEXT,
            size_of_val(&context),
            (&raw mut context).cast(),
            ptr::null_mut(),
        )
    };
    if status != CL_SUCCESS {
        return Err(status);
    }
    let mut status = CL_SUCCESS;
    // SAFETY: the context was just read from a queue of the caller; there is room for one code.
    let event = unsafe { create_user_event(context, &mut status) };
    match status {
        CL_SUCCESS => Ok(event),
        _ => Err(status),
    }
}

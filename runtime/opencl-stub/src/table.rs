//! The functions of OpenCL that `cl-sys` declares, each forwarded to the library.

use std::ffi::c_char;
use std::mem;
use std::ptr::{self, NonNull};

use cl_sys::*;

use crate::loader::Symbol;

/// Of `cl_khr_icd`: there are no platforms. `cl-sys` does not have it.
const CL_PLATFORM_NOT_FOUND_KHR: cl_int = -1001;

/// Defines functions that forward to the library. Each row begins with what the function answers where
/// the library does not have it:
/// - `status`: `CL_INVALID_OPERATION`
/// - `release`: success, whatever the library answers
/// - `object`: null, and `CL_INVALID_OPERATION` in its last argument
/// - `pointer`: null
/// - `nothing`: it has no result.
macro_rules! forward {
    ($($answer:ident fn $function:ident($($type:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        $(forward! {
            @define $answer $function [] [$($type),*] [a b c d e f g h i j k l m n] $($result)?
        })*
    };
    // Takes a name from the list for the next argument.
    (
        @define $answer:ident $function:ident [$($named:tt)*] [$type:ty $(, $types:ty)*]
        [$name:ident $($names:ident)*] $($result:ty)?
    ) => {
        forward! {
            @define $answer $function [$($named)* ($name: $type)] [$($types),*]
            [$($names)*] $($result)?
        }
    };
    (
        @define $answer:ident $function:ident [$(($name:ident: $type:ty))*] [] [$($_:ident)*]
        $($result:ty)?
    ) => {
        #[unsafe(no_mangle)]
        unsafe extern "system" fn $function($($name: $type),*) $(-> $result)? {
            type Function = unsafe extern "system" fn($($type),*) $(-> $result)?;
            // Does not compile if the row is not what `cl-sys` declares.
            const _: Function = cl_sys::$function;
            static SYMBOL: Symbol = Symbol::new(concat!(stringify!($function), "\0"));
            match SYMBOL.address() {
                // SAFETY: the function of this name has this signature in every OpenCL library.
                Some(address) => unsafe {
                    let result = mem::transmute::<NonNull<c_void>, Function>(address)($($name),*);
                    forward!(@known $answer result $($name)*)
                },
                None => forward!(@answer $answer $($name)*),
            }
        }
    };
    (@known status $result:ident $($_:ident)*) => { known($result) };
    (@known release $result:ident $($_:ident)*) => {{
        let _ = $result;
        CL_SUCCESS
    }};
    (@known object $result:ident $errcode_ret:ident) => {{
        if !$errcode_ret.is_null() {
            *$errcode_ret = known(*$errcode_ret);
        }
        $result
    }};
    (@known object $result:ident $_:ident $($rest:ident)+) => {
        forward!(@known object $result $($rest)+)
    };
    (@known $answer:ident $result:ident $($_:ident)*) => { $result };
    (@answer release $($_:ident)*) => { CL_SUCCESS };
    (@answer status $($_:ident)*) => { CL_INVALID_OPERATION };
    (@answer object $errcode_ret:ident) => {{
        if !$errcode_ret.is_null() {
            // SAFETY: not null, so the caller has room for the code there.
            unsafe { *$errcode_ret = CL_INVALID_OPERATION };
        }
        ptr::null_mut()
    }};
    (@answer object $_:ident $($rest:ident)+) => { forward!(@answer object $($rest)+) };
    (@answer pointer $($_:ident)*) => { ptr::null_mut() };
    (@answer nothing $($_:ident)*) => { () };
}

/// An error code that `ocl` knows: it panics on any other, and drivers have their own. Those of a lost device are
/// the usual ones of this kind.
const fn known(status: cl_int) -> cl_int {
    match status {
        // -9999 is NVIDIA's for an access out of bounds.
        -19..=0 | -70..=-30 | -1001..=-1000 | -9999 => status,
        _ => CL_OUT_OF_RESOURCES,
    }
}

/// The one function that is not forwarded as it is: see the documentation of the crate.
#[unsafe(no_mangle)]
unsafe extern "system" fn clGetPlatformIDs(
    num_entries: cl_uint,
    platforms: *mut cl_platform_id,
    num_platforms: *mut cl_uint,
) -> cl_int {
    type Function = unsafe extern "system" fn(cl_uint, *mut cl_platform_id, *mut cl_uint) -> cl_int;
    static SYMBOL: Symbol = Symbol::new("clGetPlatformIDs\0");
    let status = match SYMBOL.address() {
        // SAFETY: the function of this name has this signature in every OpenCL library.
        Some(address) => unsafe {
            mem::transmute::<NonNull<c_void>, Function>(address)(
                num_entries,
                platforms,
                num_platforms,
            )
        },
        None => CL_PLATFORM_NOT_FOUND_KHR,
    };
    if status != CL_PLATFORM_NOT_FOUND_KHR {
        return known(status);
    }
    if !num_platforms.is_null() {
        // SAFETY: not null, so the caller has room for the number there.
        unsafe { *num_platforms = 0 };
    }
    CL_SUCCESS
}

forward! {
    status fn clGetPlatformInfo(
        cl_platform_id, cl_platform_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    status fn clGetDeviceIDs(
        cl_platform_id, cl_device_type, cl_uint, *mut cl_device_id, *mut cl_uint
    ) -> cl_int;
    status fn clGetDeviceInfo(
        cl_device_id, cl_device_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    status fn clCreateSubDevices(
        cl_device_id, *const cl_device_partition_property, cl_uint, *mut cl_device_id, *mut cl_uint
    ) -> cl_int;
    status fn clRetainDevice(cl_device_id) -> cl_int;
    release fn clReleaseDevice(cl_device_id) -> cl_int;
    object fn clCreateContext(
        *const cl_context_properties, cl_uint, *const cl_device_id,
        Option<extern "C" fn(*const c_char, *const c_void, size_t, *mut c_void)>, *mut c_void,
        *mut cl_int
    ) -> cl_context;
    object fn clCreateContextFromType(
        *const cl_context_properties, cl_device_type,
        Option<extern "C" fn(*const c_char, *const c_void, size_t, *mut c_void)>, *mut c_void,
        *mut cl_int
    ) -> cl_context;
    status fn clRetainContext(cl_context) -> cl_int;
    release fn clReleaseContext(cl_context) -> cl_int;
    status fn clGetContextInfo(
        cl_context, cl_context_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    object fn clCreateCommandQueue(
        cl_context, cl_device_id, cl_command_queue_properties, *mut cl_int
    ) -> cl_command_queue;
    status fn clRetainCommandQueue(cl_command_queue) -> cl_int;
    release fn clReleaseCommandQueue(cl_command_queue) -> cl_int;
    status fn clGetCommandQueueInfo(
        cl_command_queue, cl_command_queue_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    object fn clCreateBuffer(cl_context, cl_mem_flags, size_t, *mut c_void, *mut cl_int) -> cl_mem;
    object fn clCreateSubBuffer(
        cl_mem, cl_mem_flags, cl_buffer_create_type, *const c_void, *mut cl_int
    ) -> cl_mem;
    object fn clCreateImage2D(
        cl_context, cl_mem_flags, *mut cl_image_format, size_t, size_t, size_t, *mut c_void,
        *mut cl_int
    ) -> cl_mem;
    object fn clCreateImage3D(
        cl_context, cl_mem_flags, *mut cl_image_format, size_t, size_t, size_t, size_t, size_t,
        *mut c_void, *mut cl_int
    ) -> cl_mem;
    object fn clCreateImage(
        cl_context, cl_mem_flags, *const cl_image_format, *const cl_image_desc, *mut c_void,
        *mut cl_int
    ) -> cl_mem;
    status fn clRetainMemObject(cl_mem) -> cl_int;
    release fn clReleaseMemObject(cl_mem) -> cl_int;
    status fn clGetSupportedImageFormats(
        cl_context, cl_mem_flags, cl_mem_object_type, cl_uint, *mut cl_image_format, *mut cl_uint
    ) -> cl_int;
    status fn clGetMemObjectInfo(cl_mem, cl_mem_info, size_t, *mut c_void, *mut size_t) -> cl_int;
    status fn clGetImageInfo(cl_mem, cl_image_info, size_t, *mut c_void, *mut size_t) -> cl_int;
    status fn clSetMemObjectDestructorCallback(
        cl_mem, Option<extern "C" fn(cl_mem, *mut c_void)>, *mut c_void
    ) -> cl_int;
    object fn clCreateSampler(
        cl_context, cl_bool, cl_addressing_mode, cl_filter_mode, *mut cl_int
    ) -> cl_sampler;
    status fn clRetainSampler(cl_sampler) -> cl_int;
    release fn clReleaseSampler(cl_sampler) -> cl_int;
    status fn clGetSamplerInfo(
        cl_sampler, cl_sampler_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    object fn clCreateProgramWithSource(
        cl_context, cl_uint, *const *const c_char, *const size_t, *mut cl_int
    ) -> cl_program;
    object fn clCreateProgramWithBinary(
        cl_context, cl_uint, *const cl_device_id, *const size_t, *const *const c_uchar, *mut cl_int,
        *mut cl_int
    ) -> cl_program;
    object fn clCreateProgramWithBuiltInKernels(
        cl_context, cl_uint, *const cl_device_id, *const char, *mut cl_int
    ) -> cl_program;
    status fn clRetainProgram(cl_program) -> cl_int;
    release fn clReleaseProgram(cl_program) -> cl_int;
    status fn clBuildProgram(
        cl_program, cl_uint, *const cl_device_id, *const c_char,
        Option<extern "C" fn(cl_program, *mut c_void)>, *mut c_void
    ) -> cl_int;
    status fn clUnloadCompiler() -> cl_int;
    status fn clCompileProgram(
        cl_program, cl_uint, *const cl_device_id, *const c_char, cl_uint, *const cl_program,
        *const *const c_char, Option<extern "C" fn(cl_program, *mut c_void)>, *mut c_void
    ) -> cl_int;
    object fn clLinkProgram(
        cl_context, cl_uint, *const cl_device_id, *const c_char, cl_uint, *const cl_program,
        Option<extern "C" fn(cl_program, *mut c_void)>, *mut c_void, *mut cl_int
    ) -> cl_program;
    status fn clGetProgramInfo(
        cl_program, cl_program_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    status fn clGetProgramBuildInfo(
        cl_program, cl_device_id, cl_program_build_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    object fn clCreateKernel(cl_program, *const c_char, *mut cl_int) -> cl_kernel;
    status fn clCreateKernelsInProgram(cl_program, cl_uint, *mut cl_kernel, *mut cl_uint) -> cl_int;
    status fn clRetainKernel(cl_kernel) -> cl_int;
    release fn clReleaseKernel(cl_kernel) -> cl_int;
    status fn clSetKernelArg(cl_kernel, cl_uint, size_t, *const c_void) -> cl_int;
    status fn clGetKernelInfo(
        cl_kernel, cl_kernel_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    status fn clGetKernelArgInfo(
        cl_kernel, cl_uint, cl_kernel_arg_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    status fn clGetKernelWorkGroupInfo(
        cl_kernel, cl_device_id, cl_kernel_work_group_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    status fn clWaitForEvents(cl_uint, *const cl_event) -> cl_int;
    status fn clGetEventInfo(cl_event, cl_event_info, size_t, *mut c_void, *mut size_t) -> cl_int;
    object fn clCreateUserEvent(cl_context, *mut cl_int) -> cl_event;
    status fn clRetainEvent(cl_event) -> cl_int;
    release fn clReleaseEvent(cl_event) -> cl_int;
    status fn clSetUserEventStatus(cl_event, cl_int) -> cl_int;
    status fn clSetEventCallback(
        cl_event, cl_int, Option<extern "C" fn(cl_event, cl_int, *mut c_void)>, *mut c_void
    ) -> cl_int;
    status fn clGetEventProfilingInfo(
        cl_event, cl_profiling_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    status fn clFlush(cl_command_queue) -> cl_int;
    status fn clFinish(cl_command_queue) -> cl_int;
    status fn clEnqueueReadBuffer(
        cl_command_queue, cl_mem, cl_bool, size_t, size_t, *mut c_void, cl_uint, *const cl_event,
        *mut cl_event
    ) -> cl_int;
    status fn clEnqueueReadBufferRect(
        cl_command_queue, cl_mem, cl_bool, *const size_t, *const size_t, *const size_t, size_t,
        size_t, size_t, size_t, *mut c_void, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueWriteBuffer(
        cl_command_queue, cl_mem, cl_bool, size_t, size_t, *const c_void, cl_uint, *const cl_event,
        *mut cl_event
    ) -> cl_int;
    status fn clEnqueueWriteBufferRect(
        cl_command_queue, cl_mem, cl_bool, *const size_t, *const size_t, *const size_t, size_t,
        size_t, size_t, size_t, *const c_void, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueFillBuffer(
        cl_command_queue, cl_mem, *const c_void, size_t, size_t, size_t, cl_uint, *const cl_event,
        *mut cl_event
    ) -> cl_int;
    status fn clEnqueueCopyBuffer(
        cl_command_queue, cl_mem, cl_mem, size_t, size_t, size_t, cl_uint, *const cl_event,
        *mut cl_event
    ) -> cl_int;
    status fn clEnqueueCopyBufferRect(
        cl_command_queue, cl_mem, cl_mem, *const size_t, *const size_t, *const size_t, size_t,
        size_t, size_t, size_t, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueReadImage(
        cl_command_queue, cl_mem, cl_bool, *const size_t, *const size_t, size_t, size_t,
        *mut c_void, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueWriteImage(
        cl_command_queue, cl_mem, cl_bool, *const size_t, *const size_t, size_t, size_t,
        *const c_void, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueFillImage(
        cl_command_queue, cl_mem, *const c_void, *const size_t, *const size_t, cl_uint,
        *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueCopyImage(
        cl_command_queue, cl_mem, cl_mem, *const size_t, *const size_t, *const size_t, cl_uint,
        *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueCopyImageToBuffer(
        cl_command_queue, cl_mem, cl_mem, *const size_t, *const size_t, size_t, cl_uint,
        *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueCopyBufferToImage(
        cl_command_queue, cl_mem, cl_mem, size_t, *const size_t, *const size_t, cl_uint,
        *const cl_event, *mut cl_event
    ) -> cl_int;
    object fn clEnqueueMapBuffer(
        cl_command_queue, cl_mem, cl_bool, cl_map_flags, size_t, size_t, cl_uint, *const cl_event,
        *mut cl_event, *mut cl_int
    ) -> *mut c_void;
    object fn clEnqueueMapImage(
        cl_command_queue, cl_mem, cl_bool, cl_map_flags, *const size_t, *const size_t, *mut size_t,
        *mut size_t, cl_uint, *const cl_event, *mut cl_event, *mut cl_int
    ) -> *mut c_void;
    status fn clEnqueueUnmapMemObject(
        cl_command_queue, cl_mem, *mut c_void, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueMigrateMemObjects(
        cl_command_queue, cl_uint, *const cl_mem, cl_mem_migration_flags, cl_uint, *const cl_event,
        *mut cl_event
    ) -> cl_int;
    status fn clEnqueueNDRangeKernel(
        cl_command_queue, cl_kernel, cl_uint, *const size_t, *const size_t, *const size_t, cl_uint,
        *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueTask(
        cl_command_queue, cl_kernel, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueNativeKernel(
        cl_command_queue, Option<extern "C" fn(*mut c_void)>, *mut c_void, size_t, cl_uint,
        *const cl_mem, *const *const c_void, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueMarker(cl_command_queue, *mut cl_event) -> cl_int;
    status fn clEnqueueMarkerWithWaitList(
        cl_command_queue, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueWaitForEvents(cl_command_queue, cl_uint, *mut cl_event) -> cl_int;
    status fn clEnqueueBarrierWithWaitList(
        cl_command_queue, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueBarrier(cl_command_queue) -> cl_int;
    nothing fn clGetExtensionFunctionAddress(*mut c_char);
    pointer fn clGetExtensionFunctionAddressForPlatform(
        cl_platform_id, *const c_char
    ) -> *mut c_void;
    object fn clCreateFromGLBuffer(cl_context, cl_mem_flags, cl_GLuint, *mut cl_int) -> cl_mem;
    object fn clCreateFromGLTexture(
        cl_context, cl_mem_flags, cl_GLenum, cl_GLint, cl_GLuint, *mut cl_int
    ) -> cl_mem;
    status fn clGetGLObjectInfo(cl_mem, *mut cl_gl_object_type, *mut cl_GLuint) -> cl_int;
    status fn clGetGLTextureInfo(
        cl_mem, cl_gl_texture_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    object fn clCreateFromGLRenderbuffer(
        cl_context, cl_mem_flags, cl_GLuint, *mut cl_int
    ) -> cl_mem;
    status fn clEnqueueAcquireGLObjects(
        cl_command_queue, cl_uint, *const cl_mem, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clEnqueueReleaseGLObjects(
        cl_command_queue, cl_uint, *const cl_mem, cl_uint, *const cl_event, *mut cl_event
    ) -> cl_int;
    status fn clGetGLContextInfoKHR(
        *const cl_context_properties, cl_gl_context_info, size_t, *mut c_void, *mut size_t
    ) -> cl_int;
    object fn clCreateFromGLTexture2D(
        cl_context, cl_mem_flags, cl_GLenum, cl_GLint, cl_GLuint, *mut cl_int
    ) -> cl_mem;
    object fn clCreateFromGLTexture3D(
        cl_context, cl_mem_flags, cl_GLenum, cl_GLint, cl_GLuint, *mut cl_int
    ) -> cl_mem;
}

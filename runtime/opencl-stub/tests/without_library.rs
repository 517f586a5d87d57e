//! What a program sees of OpenCL where there is no library.

use std::ptr;

use cl_sys::{CL_DEVICE_TYPE_ALL, CL_INVALID_OPERATION, CL_SUCCESS};
use kinglet_opencl_stub::{NoLibrary, VARIABLE, library};

/// The only test of this program: the variable counts for the whole process.
#[test]
fn there_are_no_platforms_and_every_other_function_fails() {
    // SAFETY: no other thread reads or writes the environment.
    unsafe { std::env::set_var(VARIABLE, "none") };

    let mut platforms = 7;
    // SAFETY: room for no platform is offered, and for one number.
    let status = unsafe { cl_sys::clGetPlatformIDs(0, ptr::null_mut(), &mut platforms) };
    assert_eq!((status, platforms), (CL_SUCCESS, 0));
    // SAFETY: nothing is asked for.
    let status = unsafe { cl_sys::clGetPlatformIDs(0, ptr::null_mut(), ptr::null_mut()) };
    assert_eq!(status, CL_SUCCESS);

    // SAFETY: room for no device is offered.
    let status = unsafe {
        let none = ptr::null_mut();
        cl_sys::clGetDeviceIDs(none, CL_DEVICE_TYPE_ALL, 0, none.cast(), none.cast())
    };
    assert_eq!(status, CL_INVALID_OPERATION);

    let mut code = CL_SUCCESS;
    // SAFETY: a context of no devices is asked for, with room for one code.
    let context = unsafe {
        cl_sys::clCreateContext(
            ptr::null(),
            0,
            ptr::null(),
            None,
            ptr::null_mut(),
            &mut code,
        )
    };
    assert!(context.is_null());
    assert_eq!(code, CL_INVALID_OPERATION);

    assert_eq!(library(), Err(&NoLibrary::NotWanted));
}

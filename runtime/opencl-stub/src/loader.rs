//! The choice of the library, and the addresses of its functions.

use std::ffi::{CStr, CString, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::{NoLibrary, VARIABLE};

/// The names of a library, most usual first.
#[cfg(not(target_os = "android"))]
const NAMES: &[&str] = &[
    "libOpenCL.so.1",
    "libOpenCL.so",
    "libmali.so.1",
    "libmali.so",
    "libGLES_mali.so",
    "libPVROCL.so.1",
    "libPVROCL.so",
];

/// The names of a library, most usual first. Programs that are no apps find it by its path only.
#[cfg(all(target_os = "android", target_pointer_width = "64"))]
const NAMES: &[&str] = &[
    "libOpenCL.so",
    "libGLES_mali.so",
    "libmali.so",
    "libPVROCL.so",
    "/vendor/lib64/libOpenCL.so",
    "/system/vendor/lib64/libOpenCL.so",
    "/system/lib64/libOpenCL.so",
    "/vendor/lib64/egl/libGLES_mali.so",
    "/system/vendor/lib64/egl/libGLES_mali.so",
];

/// The names of a library, most usual first. Programs that are no apps find it by its path only.
#[cfg(all(target_os = "android", target_pointer_width = "32"))]
const NAMES: &[&str] = &[
    "libOpenCL.so",
    "libGLES_mali.so",
    "libmali.so",
    "libPVROCL.so",
    "/vendor/lib/libOpenCL.so",
    "/system/vendor/lib/libOpenCL.so",
    "/system/lib/libOpenCL.so",
    "/vendor/lib/egl/libGLES_mali.so",
    "/system/vendor/lib/egl/libGLES_mali.so",
];

/// The function without which a library is no use: a driver for graphics alone, say.
const ENTRY: &CStr = c"clGetPlatformIDs";

/// A library that stays loaded until the process ends.
#[derive(Debug)]
pub(crate) struct Library {
    name: String,
    /// From `dlopen`, and never closed.
    handle: AtomicPtr<c_void>,
}

impl Library {
    /// The name or path under which it was loaded.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The address of the function `name`, of the library or of one that it depends on.
    fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the handle is open, and `name` ends with a zero.
        unsafe { libc::dlsym(self.handle.load(Ordering::Relaxed), name.as_ptr()) }
    }
}

/// The library of this process, or why there is none.
pub(crate) fn library() -> &'static Result<Library, NoLibrary> {
    static LIBRARY: OnceLock<Result<Library, NoLibrary>> = OnceLock::new();
    LIBRARY.get_or_init(|| choose(std::env::var_os(VARIABLE).as_deref()))
}

/// Loads the library that `wanted`, the value of the environment variable, asks for.
fn choose(wanted: Option<&OsStr>) -> Result<Library, NoLibrary> {
    match wanted {
        Some(value) if value == "none" => Err(NoLibrary::NotWanted),
        Some(value) if !value.is_empty() => open(value).map_err(|reason| NoLibrary::Unusable {
            path: value.to_string_lossy().into_owned(),
            reason,
        }),
        _ => search(NAMES),
    }
}

/// Loads the first of `names` that can be used.
fn search(names: &'static [&'static str]) -> Result<Library, NoLibrary> {
    let mut first_reason = None;
    for name in names {
        match open(OsStr::new(name)) {
            Ok(library) => return Ok(library),
            Err(reason) => _ = first_reason.get_or_insert(reason),
        }
    }
    Err(NoLibrary::NotFound {
        names,
        reason: first_reason.unwrap_or_default(),
    })
}

/// Loads one library, or says why it cannot be used.
fn open(name: &OsStr) -> Result<Library, String> {
    let path = CString::new(name.as_bytes()).map_err(|error| error.to_string())?;
    // Local: its symbols must not be found in place of those that this crate defines.
    // SAFETY: `path` ends with a zero. Loading runs the library's own initializers, as linking would.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return Err(last_error());
    }
    let library = Library {
        name: name.to_string_lossy().into_owned(),
        handle: AtomicPtr::new(handle),
    };
    if library.symbol(ENTRY).is_null() {
        let reason = last_error();
        // SAFETY: opened above, and nothing of it is in use.
        unsafe { libc::dlclose(handle) };
        return Err(reason);
    }
    Ok(library)
}

/// What the system's loader has to say about the last failure on this thread.
fn last_error() -> String {
    // SAFETY: no arguments.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "no reason was given".to_owned();
    }
    // SAFETY: a string that ends with a zero and lives until the next call of this family on this thread.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// A function of the library, looked up when it is first called: an old library need not have those
/// that nobody calls.
pub(crate) struct Symbol {
    name: &'static CStr,
    /// `UNKNOWN` before the first call; null if the library does not have it.
    address: AtomicPtr<c_void>,
}

/// No address of a function.
const UNKNOWN: *mut c_void = ptr::without_provenance_mut(1);

impl Symbol {
    /// The function that `name`, which ends with a zero, names.
    pub(crate) const fn new(name: &'static str) -> Self {
        match CStr::from_bytes_with_nul(name.as_bytes()) {
            Ok(name) => Self {
                name,
                address: AtomicPtr::new(UNKNOWN),
            },
            Err(_) => panic!("the name of a symbol ends with its only zero"),
        }
    }

    /// Its address, or None without a library or in one that does not have it.
    pub(crate) fn address(&self) -> Option<NonNull<c_void>> {
        // Threads that race here find the same address. It guards no other data: the loader's own
        // locks order what it did before what they read.
        let mut address = self.address.load(Ordering::Acquire);
        if address == UNKNOWN {
            address = match library() {
                Ok(library) => library.symbol(self.name),
                Err(_) => ptr::null_mut(),
            };
            self.address.store(address, Ordering::Release);
        }
        NonNull::new(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_loads_nothing() {
        let why = choose(Some(OsStr::new("none"))).unwrap_err();
        assert_eq!(why, NoLibrary::NotWanted);
        assert_eq!(
            why.to_string(),
            "OpenCL is switched off by KINGLET_OPENCL_LIB=none"
        );
    }

    #[test]
    fn a_path_without_a_file_is_named_with_the_reason() {
        let why = choose(Some(OsStr::new("/nowhere/libOpenCL.so"))).unwrap_err();
        let text = why.to_string();
        assert!(matches!(why, NoLibrary::Unusable { .. }), "{text}");
        assert!(
            text.contains("KINGLET_OPENCL_LIB=/nowhere/libOpenCL.so"),
            "{text}"
        );
        assert!(text.contains("No such file"), "{text}");
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn a_library_without_the_functions_is_not_taken() {
        let why = choose(Some(OsStr::new("libc.so.6"))).unwrap_err();
        assert!(why.to_string().contains("clGetPlatformIDs"), "{why}");
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn the_search_passes_over_what_cannot_be_used_and_tells_its_first_reason() {
        const USELESS: &[&str] = &["libnowhere.so.7", "libc.so.6"];
        let why = search(USELESS).unwrap_err();
        let text = why.to_string();
        assert!(text.contains("libnowhere.so.7: cannot open"), "{text}");
        assert!(
            text.ends_with("tried libnowhere.so.7, libc.so.6)"),
            "{text}"
        );
    }
}

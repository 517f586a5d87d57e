//! Puts the linker script where the linker looks, and the model and samples where `payload` includes
//! them: those named by `KINGLET_MODEL`, which then is the model of 8-bit numbers too, and `KINGLET_SAMPLES`, or the
//! committed ones.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    copy(Path::new("memory.x"), &out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());
    for (variable, default, name) in [
        ("KINGLET_MODEL", "../models/micro.kgl", "model.kgl"),
        (
            "KINGLET_MODEL",
            "../models/micro.int8.kgl",
            "model.int8.kgl",
        ),
        ("KINGLET_SAMPLES", "../models/micro.samples", "samples"),
    ] {
        println!("cargo::rerun-if-env-changed={variable}");
        let path = env::var_os(variable).map_or_else(|| PathBuf::from(default), PathBuf::from);
        copy(&path, &out.join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", from.display());
    let bytes = fs::read(from)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", from.display())))?;
    fs::write(to, bytes)
}

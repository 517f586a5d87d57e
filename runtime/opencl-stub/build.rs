//! Answers the linker. `cl-sys` asks it for `-lOpenCL`, which is there only where a development package
//! is installed; an empty archive of that name does as well, since `src/table.rs` defines the symbols.

use std::path::PathBuf;

/// What begins an archive, and all there is in one without members.
const EMPTY_ARCHIVE: &[u8] = b"!<arch>\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    // As `cfg(all(unix, not(target_vendor = "apple")))` in `src/lib.rs`.
    let apple = std::env::var("CARGO_CFG_TARGET_VENDOR")? == "apple";
    if std::env::var_os("CARGO_CFG_UNIX").is_some() && !apple {
        let folder = PathBuf::from(std::env::var("OUT_DIR")?);
        std::fs::write(folder.join("libOpenCL.a"), EMPTY_ARCHIVE)?;
        println!("cargo::rustc-link-search=native={}", folder.display());
    }
    Ok(())
}

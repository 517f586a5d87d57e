//! What can be read from a program without running it: the size of its parts, whether any code that panics
//! was linked, and which libraries it does not start without.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::elf::{SHF_ALLOC, SHF_WRITE, SHT_NOBITS};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags};

/// Sizes by the words of `size`: `text` is what stays in flash, constants and the model included;
/// `data` is in flash and copied to RAM; `bss` is RAM only, the arena included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sizes {
    pub(crate) text: u64,
    pub(crate) data: u64,
    pub(crate) bss: u64,
}

/// Reads the sizes of the image at `path`.
pub(crate) fn sizes(path: &Path) -> Result<Sizes> {
    let bytes = read(path)?;
    let file = parse(&bytes, path)?;
    let mut sizes = Sizes::default();
    for section in file.sections() {
        let SectionFlags::Elf { sh_type, sh_flags } = section.flags() else {
            continue;
        };
        let has = |flag: object::elf::SectionFlags| sh_flags.0 & flag.0 != 0;
        if !has(SHF_ALLOC) {
            continue;
        }
        let part = match (sh_type == SHT_NOBITS, has(SHF_WRITE)) {
            (true, _) => &mut sizes.bss,
            (false, true) => &mut sizes.data,
            (false, false) => &mut sizes.text,
        };
        *part += section.size();
    }
    Ok(sizes)
}

/// Symbols with `panic` in their names that are no code of the panic machinery.
///
/// Empty, and best kept so: an entry needs a comment that says why it cannot be reached by a panic.
const HARMLESS: &[&str] = &[];

/// Fails if the image contains any of Rust's panic machinery. The linker drops what nothing refers to,
/// so a symbol that is there means a panic that the optimizer could not rule out.
pub(crate) fn refuse_panics(path: &Path) -> Result<()> {
    let bytes = read(path)?;
    let file = parse(&bytes, path)?;
    let names = file.symbols().filter_map(|symbol| symbol.name().ok());
    let found = panics(names);
    if file.symbols().next().is_none() {
        bail!("{} has no symbols: it must not be stripped", path.display());
    }
    match found.is_empty() {
        true => Ok(()),
        false => bail!(
            "{} can panic; symbols:\n  {}\nto see who calls them: llvm-objdump --disassemble --demangle {}",
            path.display(),
            found.join("\n  "),
            path.display()
        ),
    }
}

/// The names that tell of a panic. Mangled names keep their words readable (`9panicking`), so there
/// is no need to undo the mangling.
fn panics<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names
        .filter(|name| {
            // `panic_fmt`, `panicking::panic_bounds_check`, ...; the handler itself; and the two ways of
            // core to report a failed `unwrap` and a wrong slice, which begin such a chain.
            [
                "panic",
                "rust_begin_unwind",
                "unwrap_failed",
                "expect_failed",
                "slice_index_fail",
            ]
            .iter()
            .any(|word| name.contains(word))
        })
        .filter(|name| !HARMLESS.contains(name))
        .collect()
}

/// The shared libraries without which the program at `path` does not start.
pub(crate) fn libraries(path: &Path) -> Result<Vec<String>> {
    let bytes = read(path)?;
    let file = parse(&bytes, path)?;
    let libraries = file.import_libraries()?;
    let names = libraries.map(|library| Ok(String::from_utf8_lossy(library?.name()).into_owned()));
    names.collect()
}

/// True if the program at `path` has code or data of its own under `name`.
pub(crate) fn defines(path: &Path, name: &str) -> Result<bool> {
    let bytes = read(path)?;
    let file = parse(&bytes, path)?;
    Ok(file
        .symbols()
        .any(|symbol| symbol.is_definition() && symbol.name() == Ok(name)))
}

/// Names of the program at `path` that contain `word`.
pub(crate) fn names_with(path: &Path, word: &str) -> Result<Vec<String>> {
    let bytes = read(path)?;
    let file = parse(&bytes, path)?;
    let mut names = file
        .symbols()
        .filter_map(|symbol| symbol.name().ok())
        .peekable();
    if names.peek().is_none() {
        bail!("{} has no symbols: it must not be stripped", path.display());
    }
    let found = names.filter(|name| name.contains(word));
    Ok(found.map(str::to_owned).collect())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn parse<'a>(bytes: &'a [u8], path: &Path) -> Result<object::File<'a>> {
    object::File::parse(bytes).with_context(|| format!("{} is no ELF file", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_found_under_mangled_names() {
        let names = [
            "main",
            "_ZN4core9panicking18panic_bounds_check17h0123456789abcdefE",
            "_RNvNtCs1_4core9panicking9panic_fmt",
            "_RNvCs2_7___rustc17rust_begin_unwind",
            "_RNvNtCs1_4core6option13unwrap_failed",
            "__aeabi_memcpy",
        ];
        assert_eq!(panics(names.into_iter()), names[1..5]);
    }

    #[test]
    fn a_program_of_the_host_has_sizes_and_panics() {
        // This test itself: a program with the standard library.
        let path = std::env::current_exe().unwrap();
        if cfg!(target_os = "linux") {
            let sizes = sizes(&path).unwrap();
            assert!(
                sizes.text > 10_000 && sizes.data > 0 && sizes.bss > 0,
                "{sizes:?}"
            );
            assert!(refuse_panics(&path).is_err());
        }
    }

    #[test]
    fn a_program_of_the_host_needs_the_library_of_c_and_defines_main() {
        let path = std::env::current_exe().unwrap();
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            let libraries = libraries(&path).unwrap();
            assert!(
                libraries.iter().any(|name| name == "libc.so.6"),
                "{libraries:?}"
            );
            assert!(defines(&path, "main").unwrap());
            assert!(!defines(&path, "malloc").unwrap());
        }
    }
}

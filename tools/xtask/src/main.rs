//! `cargo xtask VERB`: the one entry point for everything that is checked or installed here.
//!
//! A verb is a row of [`VERBS`] and a module. Continuous integration runs `cargo xtask test`, then `prove`, and
//! nothing else, so what passes on a desk passes there.

mod arguments;
mod conformance;
mod cross;
mod debian;
mod demo;
mod deny;
mod elf;
mod firmware;
mod fuzz;
mod instructions;
mod opencl;
mod packages;
mod process;
mod prove;
mod sanitize;
mod sets;
mod setup;
mod steps;
mod test;
mod toolchain;

use std::process::ExitCode;

use arguments::Arguments;

/// One verb of the command line.
struct Verb {
    name: &'static str,
    /// One line for the list of verbs.
    summary: &'static str,
    /// The page that `cargo xtask VERB --help` prints.
    help: &'static str,
    run: fn(Arguments) -> anyhow::Result<ExitCode>,
}

/// In the order in which a newcomer needs them.
const VERBS: &[Verb] = &[
    Verb {
        name: "setup",
        summary: "install what the other verbs need: targets, emulators, valgrind",
        help: setup::HELP,
        run: setup::verb,
    },
    Verb {
        name: "demo",
        summary: "train, export and fine-tune on this machine, then on an emulated microcontroller",
        help: demo::HELP,
        run: demo::verb,
    },
    Verb {
        name: "test",
        summary: "the checks of a change, with a summary",
        help: test::HELP,
        run: test::verb,
    },
    Verb {
        name: "prove",
        summary: "the slow proofs: licences, ONNX's own test cases, long fuzzing, valgrind over everything",
        help: prove::HELP,
        run: prove::verb,
    },
    Verb {
        name: "firmware",
        summary: "build the board images, run them in QEMU, compare with the committed results",
        help: firmware::HELP,
        run: firmware::verb,
    },
    Verb {
        name: "cross",
        summary: "run the kernels' and the whole-path tests for other machines, emulated",
        help: cross::HELP,
        run: cross::verb,
    },
    Verb {
        name: "opencl",
        summary: "OpenCL without a GPU: no library, no drivers, PoCL, Oclgrind, a faulty driver",
        help: opencl::HELP,
        run: opencl::verb,
    },
    Verb {
        name: "sanitize",
        summary: "AddressSanitizer and valgrind over the runtime and the kernels",
        help: sanitize::HELP,
        run: sanitize::verb,
    },
    Verb {
        name: "instructions",
        summary: "count the instructions of every operation, of each SIMD set beside the portable one",
        help: instructions::HELP,
        run: instructions::verb,
    },
    Verb {
        name: "conformance",
        summary: "run ONNX's own test cases, and random graphs, through import and runtime",
        help: conformance::HELP,
        run: conformance::verb,
    },
    Verb {
        name: "fuzz",
        summary: "run the fuzz targets for a while",
        help: fuzz::HELP,
        run: fuzz::verb,
    },
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_env();
    let name = match arguments.verb() {
        Ok(name) => name,
        Err(error) => return refuse(&error),
    };
    let Some(name) = name else {
        print!("{}", overview());
        return ExitCode::SUCCESS;
    };
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        let names: Vec<_> = VERBS.iter().map(|verb| verb.name).collect();
        return refuse(&anyhow::anyhow!(
            "there is no verb `{name}`; choose one of {}",
            names.join(", ")
        ));
    };
    if arguments.asks_for_help() {
        print!("{}", verb.help);
        return ExitCode::SUCCESS;
    }
    match (verb.run)(arguments) {
        Ok(code) => code,
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &anyhow::Error) -> ExitCode {
    eprintln!("xtask: {error:#}");
    ExitCode::FAILURE
}

fn overview() -> String {
    let mut text = String::from("Usage: cargo xtask VERB [OPTIONS]\n\nVerbs:\n");
    for verb in VERBS {
        text.push_str(&format!("  {:<13}{}\n", verb.name, verb.summary));
    }
    text.push_str("\n`cargo xtask VERB --help` says more about each.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::VERBS;

    #[test]
    fn every_verb_has_a_page_that_shows_its_usage() {
        for verb in VERBS {
            let usage = format!("Usage: cargo xtask {}", verb.name);
            assert!(verb.help.starts_with(&usage), "help of `{}`", verb.name);
            assert!(verb.help.ends_with('\n'), "help of `{}`", verb.name);
        }
    }
}

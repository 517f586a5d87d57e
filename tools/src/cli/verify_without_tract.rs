//! `kinglet verify` in a program that was built without tract: there is nothing to compare with.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;

use super::Failure;

/// Compare an imported model with its ONNX file, layer by layer (not in this program: built without it)
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Whatever the command takes elsewhere
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _ignored: Vec<OsString>,
}

pub(super) fn run(_: &Arguments) -> Result<ExitCode, Failure> {
    Err(
        "this program was built without verify; `cargo install --path tools` builds one with it, \
         as default features do"
            .into(),
    )
}

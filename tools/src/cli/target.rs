//! `--target`: the machine that a file is written for.

use clap::{Args, ValueEnum};
use kinglet::model::{Target, encode_for};

use super::Failure;
use crate::model_file::ModelFile;

/// For which machine a command writes a model.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct TargetArguments {
    /// The machine whose kernels read the weights where they lie; the file runs on all others, too
    #[arg(long, value_enum, default_value_t, value_name = "MACHINE")]
    target: Machine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Machine {
    /// None in particular
    #[default]
    Generic,
    /// Cortex-M4, M7 and others with the DSP extension: 8-bit weights lie in pairs of rows
    CortexM,
}

impl TargetArguments {
    /// A model file as the machine reads it best.
    pub(super) fn aim(self, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let target = match self.target {
            Machine::Generic => Target::Generic,
            Machine::CortexM => Target::CortexM,
        };
        let file = ModelFile::from_bytes(&bytes)?;
        if Target::of(&file.model()) == target {
            return Ok(bytes);
        }
        let aimed = encode_for(target, &file.model())?;
        if aimed == bytes {
            eprintln!(
                "note: no layer of 8-bit numbers that --target could lay out: the file is the same for every machine"
            );
        }
        Ok(aimed)
    }
}

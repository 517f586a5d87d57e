//! The arguments of a verb: flags and `--name VALUE` options, each taken out by the verb that knows
//! it, so that whatever is left over is an error.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

/// What stood on the command line after `cargo xtask`.
pub(crate) struct Arguments {
    parser: lexopt::Parser,
}

impl Arguments {
    /// The arguments of this process.
    pub(crate) fn from_env() -> Self {
        Self {
            parser: lexopt::Parser::from_env(),
        }
    }

    /// Takes the verb. None, if there is none or help was asked for instead of one.
    pub(crate) fn verb(&mut self) -> Result<Option<String>> {
        match self.parser.next()? {
            None | Some(Short('h') | Long("help")) => Ok(None),
            Some(Value(name)) if name == "help" => Ok(None),
            Some(Value(name)) => Ok(Some(name.to_string_lossy().into_owned())),
            Some(other) => bail!("a verb must come first: {}", other.unexpected()),
        }
    }

    /// True if `--help` stands anywhere after the verb.
    pub(crate) fn asks_for_help(&mut self) -> bool {
        self.parser
            .try_raw_args()
            .is_some_and(|raw| raw.as_slice().iter().any(|a| a == "--help" || a == "-h"))
    }

    /// Stores each argument in the option of its name.
    ///
    /// # Errors
    /// An argument that none of the options knows, or one whose value is missing or wrong.
    pub(crate) fn options(mut self, options: &mut [(&str, Slot<'_>)]) -> Result<()> {
        while let Some(argument) = self.parser.next()? {
            let Long(name) = argument else {
                return Err(argument.unexpected().into());
            };
            let name = name.to_owned();
            let Some((_, slot)) = options.iter_mut().find(|(known, _)| *known == name) else {
                let known: Vec<_> = options
                    .iter()
                    .map(|(name, _)| format!("--{name}"))
                    .collect();
                match known.is_empty() {
                    true => bail!("unknown option `--{name}`: this verb takes none"),
                    false => bail!(
                        "unknown option `--{name}`: choose from {}",
                        known.join(", ")
                    ),
                }
            };
            match slot {
                Slot::Flag(flag) => **flag = true,
                Slot::Path(path) => **path = Some(PathBuf::from(self.parser.value()?)),
                Slot::Seconds(seconds) => {
                    let value = self.parser.value()?;
                    **seconds = value
                        .parse()
                        .with_context(|| format!("`--{name}` takes whole seconds"))?;
                }
            }
        }
        Ok(())
    }
}

/// Where the value of an option goes.
pub(crate) enum Slot<'a> {
    /// `--name`.
    Flag(&'a mut bool),
    /// `--name PATH`.
    Path(&'a mut Option<PathBuf>),
    /// `--name N`.
    Seconds(&'a mut u64),
}

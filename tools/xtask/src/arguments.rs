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

    /// Takes the next argument if it is a word and not an option.
    pub(crate) fn word(&mut self) -> Result<Option<String>> {
        let Some(mut raw) = self.parser.try_raw_args() else {
            return Ok(None);
        };
        let word = raw.next_if(|word| !word.as_encoded_bytes().starts_with(b"-"));
        match word.map(|word| word.into_string()) {
            None => Ok(None),
            Some(Ok(word)) => Ok(Some(word)),
            Some(Err(word)) => bail!("`{}` is not UTF-8", word.display()),
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
                Slot::Name(word) => **word = Some(self.parser.value()?.string()?),
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
    /// `--name NAME`.
    Name(&'a mut Option<String>),
    /// `--name PATH`.
    Path(&'a mut Option<PathBuf>),
    /// `--name N`.
    Seconds(&'a mut u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Arguments {
        Arguments {
            parser: lexopt::Parser::from_args(words),
        }
    }

    #[test]
    fn a_word_is_taken_and_an_option_left() {
        let mut all = arguments(&["cross", "wasm32", "--quick"]);
        assert_eq!(all.verb().unwrap().as_deref(), Some("cross"));
        assert_eq!(all.word().unwrap().as_deref(), Some("wasm32"));
        assert_eq!(all.word().unwrap(), None);
        let mut quick = false;
        all.options(&mut [("quick", Slot::Flag(&mut quick))])
            .unwrap();
        assert!(quick);
        assert_eq!(arguments(&[]).word().unwrap(), None);
    }

    #[test]
    fn what_no_verb_has_taken_is_refused_by_name() {
        let error = arguments(&["two"]).options(&mut []).unwrap_err();
        assert!(error.to_string().contains("two"), "{error}");
        let error = arguments(&["--slow"]).options(&mut []).unwrap_err();
        assert!(error.to_string().contains("--slow"), "{error}");
    }
}

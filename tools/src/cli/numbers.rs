//! Numbers on the command line: what is refused says what would be right.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::builder::ValueParser;
use clap::{Arg, Command, value_parser};

/// A whole number from 0.
pub(super) fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    let number = text.parse();
    number.map_err(|_| "a whole number from 0 is right".to_owned())
}

/// A whole number from 1.
pub(super) fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse();
    number.map_err(|_| "a whole number from 1 is right".to_owned())
}

/// A number that is at least 0.
pub(super) fn at_least_zero(text: &str) -> Result<f32, String> {
    number(text, |x| x >= 0.0, "a number of at least 0 is right")
}

/// A number that is at least 0 and below 1.
pub(super) fn fraction(text: &str) -> Result<f32, String> {
    let right = "a number of at least 0 and below 1 is right";
    number(text, |x| (0.0..1.0).contains(&x), right)
}

fn number(text: &str, valid: impl Fn(f32) -> bool, right: impl Display) -> Result<f32, String> {
    let number = text.parse().ok();
    let number = number.filter(|x: &f32| x.is_finite() && valid(*x));
    number.ok_or_else(|| right.to_string())
}

/// Lets negative numbers reach the options of every command, which say what is right instead: clap would take `-1` for an
/// option of its own and call it unexpected.
pub(super) fn with_negative_numbers(command: Command) -> Command {
    command
        .mut_args(with_negative_number)
        .mut_subcommands(with_negative_numbers)
}

fn with_negative_number(argument: Arg) -> Arg {
    if argument.is_positional() || !argument.get_action().takes_values() {
        return argument;
    }
    let is = argument.get_value_parser().type_id();
    let argument = match argument.get_value_delimiter() {
        None => argument.allow_negative_numbers(true),
        // A list that begins with a negative number is none itself.
        Some(_) => argument.allow_hyphen_values(true),
    };
    if is == ValueParser::from(value_parser!(usize)).type_id() {
        argument.value_parser(whole::<usize>)
    } else if is == ValueParser::from(value_parser!(u64)).type_id() {
        argument.value_parser(whole::<u64>)
    } else {
        argument
    }
}

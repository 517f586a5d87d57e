//! What the program says on its output. Where the standard library's macros panic (a full disk), these end the program
//! with a message; they have the same names, so that no command can forget it.

use std::fmt::Arguments;
use std::io::Write;

/// Writes a line.
macro_rules! println {
    ($($text:tt)*) => {
        $crate::cli::say::line(format_args!($($text)*))
    };
}

/// Writes a text that has its line feeds.
macro_rules! print {
    ($($text:tt)*) => {
        $crate::cli::say::text(format_args!($($text)*))
    };
}

pub(super) fn line(text: Arguments<'_>) {
    self::text(format_args!("{text}\n"));
}

pub(super) fn text(text: Arguments<'_>) {
    let mut output = std::io::stdout().lock();
    let written = output.write_fmt(text).and_then(|()| output.flush());
    if let Err(error) = written {
        eprintln!("error: cannot write to the standard output: {error}");
        // What was meant to be read has not been: no command goes on as if it had.
        std::process::exit(1);
    }
}

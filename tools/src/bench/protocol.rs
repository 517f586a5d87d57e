//! The line protocol of a round: a program of its own for each runtime, visited in turn, so that all of them
//! meet the same weather.
//!
//! Once it is ready the worker prints `READY`. To each line `RUN <warm> <n>` it makes `warm` calls that do not
//! count and then `n` that do, and answers with `<processor ns> <wall ns> <the n call times in ns>`. It ends
//! at `QUIT`, or when nobody asks any more.

use std::io::{self, BufRead, Write};
use std::time::Instant;

use cpu_time::ProcessTime;

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError<E> {
    /// Whoever asks has gone, or the system refused.
    #[error("cannot talk to whoever started this worker: {0}")]
    Io(#[from] io::Error),
    /// A line that is not of the protocol.
    #[error("found \"{0}\"; expected RUN <warm> <n> with at most {MAX_CALLS} calls each, or QUIT")]
    Line(String),
    /// The work itself failed.
    #[error("{0}")]
    Work(E),
}

/// Most calls of a line: their times are kept until all of them are known.
pub const MAX_CALLS: usize = 10_000_000;

/// What is measured.
pub trait Work {
    /// Why a call may fail.
    type Error;

    /// What has to be in place before a call, and is not part of it.
    fn prepare(&mut self) {}

    /// One call.
    ///
    /// # Errors
    /// Whatever ends the round.
    fn call(&mut self) -> Result<(), Self::Error>;
}

/// Says `READY` on `output` and answers the lines of `input` until `QUIT`.
///
/// # Errors
/// [`ServeError`].
pub fn serve<W: Work>(
    work: &mut W,
    input: impl BufRead,
    mut output: impl Write,
) -> Result<(), ServeError<W::Error>> {
    writeln!(output, "READY")?;
    output.flush()?;
    for line in input.lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let count = |word: &str| word.parse().ok().filter(|count| *count <= MAX_CALLS);
        let (warm, calls) = match words.as_slice() {
            ["QUIT"] => break,
            ["RUN", warm, calls] => (count(warm), count(calls)),
            _ => (None, None),
        };
        let (Some(warm), Some(calls)) = (warm, calls) else {
            return Err(ServeError::Line(line));
        };
        let mut times = Vec::with_capacity(calls);
        for _ in 0..warm {
            work.prepare();
            work.call().map_err(ServeError::Work)?;
        }
        let (processor, wall) = (ProcessTime::now(), Instant::now());
        for _ in 0..calls {
            work.prepare();
            let start = Instant::now();
            work.call().map_err(ServeError::Work)?;
            times.push(start.elapsed().as_nanos());
        }
        let (processor, wall) = (processor.elapsed().as_nanos(), wall.elapsed().as_nanos());
        write!(output, "{processor} {wall}")?;
        for time in times {
            write!(output, " {time}")?;
        }
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts, and fails at its tenth call.
    #[derive(Default)]
    struct Counter {
        prepared: usize,
        calls: usize,
    }

    impl Work for Counter {
        type Error = &'static str;

        fn prepare(&mut self) {
            self.prepared += 1;
        }

        fn call(&mut self) -> Result<(), &'static str> {
            self.calls += 1;
            assert_eq!(self.calls, self.prepared, "prepared before each call");
            if self.calls < 10 {
                Ok(())
            } else {
                Err("tired")
            }
        }
    }

    fn talk(input: &str) -> (Counter, String, Result<(), ServeError<&'static str>>) {
        let (mut work, mut output) = (Counter::default(), Vec::new());
        let result = serve(&mut work, input.as_bytes(), &mut output);
        (work, String::from_utf8(output).unwrap(), result)
    }

    #[test]
    fn answers_every_line_until_quit() {
        let (work, output, result) = talk("RUN 2 3\nRUN 0 1\nQUIT\nRUN 0 1\n");
        result.unwrap();
        assert_eq!(work.calls, 6);
        let lines: Vec<Vec<&str>> = output.lines().map(|l| l.split(' ').collect()).collect();
        assert_eq!(lines[0], ["READY"]);
        assert_eq!((lines[1].len(), lines[2].len(), lines.len()), (5, 3, 3));
        for number in lines[1..].iter().flatten() {
            number.parse::<u64>().unwrap();
        }
    }

    #[test]
    fn ends_with_its_input_and_refuses_other_lines() {
        assert!(talk("").2.is_ok());
        for line in ["RUN", "RUN 1", "RUN 1 -1", "RUN 1 99999999999", "run 1 1"] {
            let error = talk(line).2.unwrap_err().to_string();
            assert!(error.starts_with(&format!("found \"{line}\"; ")), "{error}");
        }
    }

    #[test]
    fn a_failed_call_ends_the_round() {
        let (_, output, result) = talk("RUN 0 20\n");
        assert_eq!(result.unwrap_err().to_string(), "tired");
        assert_eq!(output, "READY\n");
    }
}

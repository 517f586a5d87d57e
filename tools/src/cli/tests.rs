//! How the command line is read.

use super::*;

/// What is wrong with a command line.
fn error(arguments: &str) -> String {
    let arguments = ["kinglet"].into_iter().chain(arguments.split(' '));
    let parsed = parse(arguments.map(OsString::from));
    parsed.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_command_line_is_one_that_clap_can_read() {
    numbers::with_negative_numbers(CommandLine::command()).debug_assert();
}

#[test]
fn negative_numbers_are_refused_with_what_would_be_right() {
    const WHOLE: &str = "a whole number from 0 is right";
    for (arguments, expected) in [
        ("train r.toml --out x --seed -1", WHOLE),
        (
            "train r.toml --out x --epochs -3",
            "a whole number from 1 is right",
        ),
        ("train r.toml --out x --threads 1.5", WHOLE),
        ("fine-tune m.kgl --out x --samples -1", WHOLE),
        ("run m.kgl --input x.npy --top -1", WHOLE),
        ("demo --epochs 0", "a whole number from 1 is right"),
        (
            "import a.onnx --input-shape -1,3",
            "N,N,... or NAME=N,N,... is right, as in 1,3,32,32",
        ),
        (
            "fine-tune m.kgl --out x --lr -0.1",
            "a number of at least 0 is right",
        ),
        (
            "fine-tune m.kgl --out x --momentum 1",
            "a number of at least 0 and below 1 is right",
        ),
        ("bench m.kgl --threads -1", "-1 is not in 1..=256"),
        ("verify a.onnx m.kgl --samples -1", "-1 is not in 1..=65535"),
    ] {
        // Without tract this command takes anything, and says that it is not there.
        if arguments.starts_with("verify ") && cfg!(not(feature = "verify")) {
            continue;
        }
        let text = error(arguments);
        assert!(text.contains(expected), "{arguments}: {text}");
    }
    let seed = error("train r.toml --out x --seed -1");
    assert!(
        seed.starts_with("error: invalid value '-1' for '--seed <N>': a whole number"),
        "{seed}"
    );
}

#[test]
fn other_options_are_still_options() {
    let text = error("train r.toml --out x -1");
    assert!(text.contains("unexpected argument '-1'"), "{text}");
    let line = "kinglet train r.toml --out x --seed 7";
    let parsed = parse(line.split(' ').map(OsString::from)).unwrap();
    let Command::Train(_) = parsed.command else {
        panic!("{parsed:?}");
    };
}

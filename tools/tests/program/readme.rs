//! README.md's commands, word for word and in their order, as someone would type them in a fresh checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of README.md's shell blocks that begin with `program`, without their comments.
fn commands(program: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).expect("it is there");
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    let lines = blocks.flat_map(str::lines);
    let lines = lines.filter_map(|line| line.split(" #").next().map(str::trim));
    let own = lines.filter(|line| line.split_whitespace().next() == Some(program));
    own.map(str::to_owned).collect()
}

/// A folder that has of the checkout what the commands read, and where they may write.
fn checkout() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, read) in [("tools", "tools/recipes"), ("tests", "tests/golden")] {
        let at = folder.path().join(read);
        std::fs::create_dir_all(folder.path().join(name)).expect("made");
        copy(&root().join(read), &at);
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).expect("copied")),
        }
    }
}

#[test]
fn every_command_of_the_readme_runs_as_it_stands() {
    let folder = checkout();
    let lines = commands("kinglet");
    let mut failed = Vec::new();
    for line in &lines {
        let arguments = line.split_whitespace().skip(1);
        let output = Command::new(env!("CARGO_BIN_EXE_kinglet"))
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("it starts");
        let (said, error) = (output.stdout, String::from_utf8_lossy(&output.stderr));
        println!("$ {line}\n{}{error}", String::from_utf8_lossy(&said));
        if !cfg!(feature = "verify") && line.starts_with("kinglet verify ") {
            assert!(error.contains("built without verify"), "{error}");
        } else if !output.status.success() {
            failed.push(format!("{line}: {error}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    // What is shown is the program: not a command of it is left out.
    let help = Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .arg("--help")
        .output()
        .expect("it starts");
    let help = String::from_utf8(help.stdout).expect("text");
    let names = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names: Vec<&str> = names
        .take_while(|line| line.starts_with(' '))
        // Descriptions go on further to the right.
        .filter_map(|line| {
            line.strip_prefix("  ")
                .filter(|line| !line.starts_with(' '))
        })
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() > 10, "{help}");
    let shown = |name: &&str| {
        let words = format!("kinglet {name}");
        lines
            .iter()
            .any(|line| *line == words || line.starts_with(&format!("{words} ")))
    };
    let missing: Vec<_> = names.iter().filter(|name| !shown(name)).collect();
    assert!(missing.is_empty(), "README.md does not show {missing:?}");
}

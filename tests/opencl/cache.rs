//! What is kept for the next start.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use kinglet::Model;
use kinglet::opencl::{Element, Session};
use kinglet_tests::graphs::{every_operator, file};

use crate::device::{Folder, with_cache};

/// Opens the device, makes a session and runs it: what a program does at its start.
fn start(folder: &Folder) -> Vec<f32> {
    let file = file(&every_operator());
    let model = Model::load(&file).expect("a valid file");
    let executor = with_cache(folder);
    let mut session = Session::new(&executor, &model, 1, Element::F32).expect("it can be made");
    session.input_mut(0).expect("it has one").fill(0.25);
    session.run().expect("it runs").to_vec()
}

/// When each file was written.
fn written(folder: &Folder) -> BTreeMap<PathBuf, SystemTime> {
    let entries = fs::read_dir(&folder.0).expect("there").flatten();
    let times = entries.map(|entry| {
        let time = entry.metadata().and_then(|metadata| metadata.modified());
        (entry.path(), time.expect("this system keeps times"))
    });
    times.collect()
}

#[test]
fn the_second_start_compiles_and_measures_nothing() {
    let folder = Folder::new("starts");
    let expected = start(&folder);
    let first = written(&folder);
    // Each program that was compiled, and what was measured.
    assert!(first.len() > 5, "{first:?}");
    assert_eq!(start(&folder), expected);
    // What is compiled or measured is written at once.
    assert_eq!(written(&folder), first);
}

#[test]
fn damaged_files_are_never_given_to_the_driver() {
    let folder = Folder::new("flipped");
    let expected = start(&folder);
    for (number, entry) in fs::read_dir(&folder.0)
        .expect("there")
        .flatten()
        .enumerate()
    {
        let mut bytes = fs::read(entry.path()).expect("a file");
        match number % 3 {
            0 => bytes.truncate(bytes.len() / 2),
            1 => *bytes.last_mut().expect("not empty") ^= 0x40,
            _ => bytes.clear(),
        }
        fs::write(entry.path(), bytes).expect("written");
    }
    let found = start(&folder);
    assert_eq!(found, expected);
}

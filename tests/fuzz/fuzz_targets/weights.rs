//! Any bytes as PyTorch's weights: refused, or every tensor is read or refused, within memory that the length of
//! the file bounds. Nothing in a pickle is called.
#![no_main]

use kinglet_tools::import::weights::StateDict;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(file) = StateDict::parse(data) else {
        return;
    };
    // As many as a network has; a file may claim far more.
    for entry in file.entries.iter().take(100) {
        if let Ok(values) = file.values(entry) {
            assert_eq!(values.len(), entry.shape.iter().product::<usize>());
        }
    }
});

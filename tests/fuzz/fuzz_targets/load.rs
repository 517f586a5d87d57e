//! Any bytes as a model file: loaded, and if that succeeds run, trained, saved.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    kinglet_tests::exercise::exercise(data);
});

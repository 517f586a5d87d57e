//! Any bytes as the body of a model file, under a prefix that is put right: what no fuzzer would guess (CRCs,
//! lengths, and the numbers that repeat what the graph says) does not stop it on the way to the check of
//! the graph's meaning.
#![no_main]

use kinglet::model::schema::{File, Graph, PREFIX_LEN};
use kinglet_tests::exercise::exercise;
use kinglet_tests::seal::{honest_prefix, repair_crcs, seal, set_file_len};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((_, body)) = data.split_at_checked(PREFIX_LEN) else {
        return;
    };
    // As it is, but for the CRCs: reaches the reader of the body.
    let mut bytes = data.to_vec();
    bytes[..12].copy_from_slice(b"kinglet\0\x01\0\0\0");
    set_file_len(&mut bytes);
    repair_crcs(&mut bytes);
    exercise(&bytes);

    // Written again around the graph, if there is one: reaches the check of the graph.
    let Ok((graph, rest)) = postcard::take_from_bytes::<Graph<'_>>(body) else {
        return;
    };
    let parts = postcard::take_from_bytes::<(&[u8], &[u8])>(rest);
    let weights = parts.map_or(rest, |((_padding, weights), _)| weights);
    let file = File {
        prefix: honest_prefix(&graph),
        graph,
        padding: &[],
        weights: &weights[..weights.len() / 4 * 4],
    };
    exercise(&seal(&file));
});

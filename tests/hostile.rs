//! Files that are damaged by chance, changed at random or made to take long: none makes the runtime panic,
//! each is judged, and what is not refused runs.

use std::sync::LazyLock;

use kinglet::model::schema::{Extension, File, MAX_TENSORS, PREFIX_LEN, bits};
use kinglet::{AlignedBytes, LoadError, Model, Sizes};
use kinglet_tests::branching::branching;
use kinglet_tests::ends::many_ends;
use kinglet_tests::exercise::{Outcome, exercise};
use kinglet_tests::graphs::{every_operator, file, tiny};
use kinglet_tests::mutate;
use kinglet_tests::quantized::quantized;
use kinglet_tests::seal::{
    honest_prefix, open, repair_crcs, seal, set_file_len, unaries, with_body,
};

fn refusal(bytes: &[u8]) -> Option<LoadError> {
    let bytes = AlignedBytes::from(bytes);
    Model::load(&bytes).err()
}

#[test]
fn every_truncation_is_refused() {
    for spec in [tiny(), every_operator(), quantized(), many_ends()] {
        let whole = file(&spec);
        for found in 0..whole.len() {
            let expected = match found {
                0..PREFIX_LEN => LoadError::Truncated,
                _ => LoadError::Length {
                    expected: whole.len(),
                    found,
                },
            };
            assert_eq!(refusal(&whole[..found]), Some(expected));
            if found < PREFIX_LEN {
                assert_eq!(Sizes::read(&whole[..found]), Err(LoadError::Truncated));
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for spec in [tiny(), every_operator(), quantized(), many_ends()] {
        let mut bytes = file(&spec).to_vec();
        for position in 0..bytes.len() {
            for bit in 0..8 {
                bytes[position] ^= 1 << bit;
                let refused = refusal(&bytes);
                match position {
                    0..8 => assert_eq!(refused, Some(LoadError::Magic)),
                    8..12 => assert!(matches!(refused, Some(LoadError::Version { .. }))),
                    12..PREFIX_LEN => assert_eq!(refused, Some(LoadError::PrefixCrc)),
                    _ => assert_eq!(refused, Some(LoadError::BodyCrc)),
                }
                assert_eq!(
                    Sizes::read(&bytes).err(),
                    refused.filter(|_| position < PREFIX_LEN)
                );
                bytes[position] ^= 1 << bit;
            }
        }
        assert_eq!(refusal(&bytes), None);
    }
}

#[test]
fn a_trusted_file_is_checked_but_for_its_checksum() {
    let trusted = |bytes: &[u8]| {
        let bytes = AlignedBytes::from(bytes);
        Model::load_trusted::<{ bits::ALL }>(&bytes).err()
    };
    let mut differ = 0;
    for spec in [tiny(), quantized()] {
        let whole = file(&spec);
        assert_eq!(trusted(&whole), None);
        for position in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[position] ^= 1 << (position % 8);
            let found = trusted(&bytes);
            if position >= PREFIX_LEN {
                differ += usize::from(found.is_none());
                repair_crcs(&mut bytes);
            }
            assert_eq!(found, refusal(&bytes), "byte {position}");
        }
        assert_eq!(
            trusted(&whole[..whole.len() - 1]),
            refusal(&whole[..whole.len() - 1])
        );
    }
    assert!(differ > 100, "{differ}");
}

#[test]
fn bytes_between_words_are_refused() {
    let bytes = file(&tiny());
    for shift in 1..4 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(&bytes);
        let shifted = AlignedBytes::from(shifted.as_slice());
        let refused = Model::load(&shifted[shift..]).map(|_| ());
        assert_eq!(refused, Err(LoadError::Misaligned), "{shift}");
    }
}

#[test]
fn random_bytes_under_right_crcs_never_panic_slow() {
    let rng = &mut fastrand::Rng::with_seed(51);
    let bases = bases();
    let mut outcomes = Outcomes::default();
    for round in 0..60_000 {
        let mut bytes = bases[round % bases.len()].to_vec();
        for _ in 0..rng.usize(1..4) {
            mutate::bytes(rng, &mut bytes);
        }
        if rng.u8(0..8) > 0 {
            set_file_len(&mut bytes);
        }
        repair_crcs(&mut bytes);
        outcomes.count(exercise(&bytes));
    }
    outcomes.assert_varied();
}

/// Files to be changed.
fn bases() -> [AlignedBytes; 5] {
    [
        tiny(),
        every_operator(),
        branching(),
        quantized(),
        many_ends(),
    ]
    .map(|spec| file(&spec))
}

#[derive(Debug, Default)]
struct Outcomes {
    refused: usize,
    run: usize,
    trained: usize,
    too_large: usize,
}

impl Outcomes {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Refused(_) => self.refused += 1,
            Outcome::Run => self.run += 1,
            Outcome::Trained => self.trained += 1,
            Outcome::TooLarge => self.too_large += 1,
        }
    }

    /// Enough files were refused, and enough got through, that both mean something.
    fn assert_varied(&self) {
        let Self {
            refused, trained, ..
        } = self;
        assert!(*refused > 1000 && *trained > 1000, "{self:?}");
    }
}

#[test]
fn random_graphs_under_right_prefixes_never_panic_slow() {
    let rng = &mut fastrand::Rng::with_seed(52);
    let bases = bases();
    let mut outcomes = Outcomes::default();
    for round in 0..40_000 {
        let mut file = open(&bases[round % bases.len()]);
        for _ in 0..rng.usize(1..5) {
            mutate::graph(rng, &mut file.graph);
        }
        file.prefix = honest_prefix(&file.graph);
        if rng.u8(0..8) == 0 {
            file.prefix.activation_bytes = (16 * rng.u32(0..100)).to_le_bytes();
        }
        outcomes.count(exercise(&seal(&file)));
    }
    outcomes.assert_varied();
}

/// A million empty names.
static MANY_LABELS: LazyLock<String> = LazyLock::new(|| "\n".repeat(1 << 20));

#[test]
fn the_worst_files_are_judged_slow() {
    // As many tensors as there may be, all alive to the end in places of their own, so that every pair is
    // compared and no comparison ends early; read from the far end of the list.
    let all_alive = |change: fn(&mut File<'_>)| {
        unaries(MAX_TENSORS - 1, |file| {
            let nodes = file.graph.nodes.len();
            for (number, tensor) in file.graph.tensors.iter_mut().enumerate() {
                tensor.offset = 32 * number as u32;
                tensor.last_use = nodes as u16 - 1;
            }
            change(file);
        })
    };
    assert_eq!(refusal(&all_alive(|_| {})), None);

    // The same behind lists of a million elements, too many of which are names.
    let refused = refusal(&all_alive(|file| {
        file.graph.outputs[0].labels = &MANY_LABELS;
        let extension = Extension {
            id: 1,
            required: false,
            bytes: &[],
        };
        file.graph.extensions = vec![extension; 1 << 20];
    }));
    let labels = 1 << 20;
    assert!(matches!(refused, Some(LoadError::Labels { found, .. }) if found == labels));

    // A million tensors and nodes.
    let found = (1 << 20) + 1;
    let refused = refusal(&unaries(1 << 20, |_| {}));
    assert_eq!(refused, Some(LoadError::TensorCount { found }));

    // A million inputs, and as many outputs.
    let many = |change: fn(&mut File<'_>)| refusal(&unaries(1, change));
    let refused = many(|file| {
        let input = file.graph.inputs[0].clone();
        file.graph.inputs = vec![input; 1 << 20];
    });
    assert_eq!(refused, Some(LoadError::Ends { found: 1 << 20 }));
    let refused = many(|file| {
        let output = file.graph.outputs[0].clone();
        file.graph.outputs = vec![output; 1 << 20];
    });
    assert_eq!(refused, Some(LoadError::Ends { found: 1 << 20 }));

    // A list that claims four billion elements and has few.
    let mut body = vec![0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    body.resize(1 << 20, 0);
    let refused = refusal(&with_body(&body));
    assert_eq!(refused, Some(LoadError::Malformed));
}

//! The programs of the boards, run on this machine, against what the emulated board has printed: the same
//! lines, so the same classes, losses, outputs and learned parameters, bit for bit. `cargo xtask firmware`
//! compares the board itself with these files.

use std::fmt::{Arguments, Display};
use std::path::Path;

use kinglet::kernels::{Portable, arch};
use kinglet::model::schema::bits;
use kinglet::{AlignedBytes, HeapArena, Model, Sgd, arena_len};
use kinglet_board_common::{Board, Failure, Memory, Samples, fine_tune, infer};

/// Keeps the lines; what is measured on a board has no meaning here.
#[derive(Default)]
struct Host {
    lines: Vec<String>,
}

impl Board for Host {
    fn line(&mut self, text: Arguments<'_>) {
        self.lines.push(text.to_string());
    }

    fn measured(&mut self, _: impl Display, _: usize) {}

    fn start_counting(&mut self) {}

    fn instructions(&self) -> usize {
        0
    }

    fn stack_peak(&self) -> Option<usize> {
        Some(0)
    }
}

fn read(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../boards")
        .join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs `program` with a committed model and the samples; its lines must be those of `expected`.
fn compare(
    (model, expected): (&str, &str),
    program: impl FnOnce(&mut Host, &[u8], &Samples<'_>) -> Result<(), Failure>,
) {
    let file = AlignedBytes::from(read(model).as_slice());
    let samples = read("models/micro.samples");
    let samples = Samples::read(&samples).unwrap();
    let mut host = Host::default();
    program(&mut host, &file, &samples).unwrap();
    let expected = String::from_utf8(read(expected)).unwrap();
    let expected: Vec<_> = expected.lines().collect();
    assert_eq!(host.lines, expected);
}

#[test]
fn inference_on_the_board_gives_the_bits_of_this_machine() {
    let files = ("models/micro.kgl", "mps2-an386/expected/infer.run");
    compare(files, |host, file, samples| {
        let mut arena = HeapArena::new(Model::load(file)?.sizes().arena);
        infer::<{ bits::ALL }, _>(host, file, samples, &mut arena, Portable)
    });
}

#[test]
fn inference_of_8_bit_numbers_on_the_board_gives_the_bits_of_every_set_here() {
    for set in arch::sets() {
        let Some(kernels) = set.kernels() else {
            println!("{}: not run, since this machine cannot", set.name());
            continue;
        };
        let files = (
            "models/micro.int8.kgl",
            "mps2-an386/expected/infer_int8.run",
        );
        compare(files, |host, file, samples| {
            let mut arena = HeapArena::new(arena_len(&Model::load(file)?, &kernels, 1));
            infer::<{ bits::ALL }, _>(host, file, samples, &mut arena, kernels)
        });
    }
}

#[test]
fn learning_on_the_board_gives_the_bits_of_this_machine() {
    compare(
        ("models/micro.kgl", "mps2-an386/expected/fine_tune.run"),
        |host, file, samples| {
            let sizes = Model::load(file)?.sizes();
            let mut session = HeapArena::new(sizes.arena);
            let mut training = HeapArena::new(sizes.training::<Sgd>());
            let memory = Memory {
                session: (&mut session).into(),
                training: (&mut training).into(),
                head: &mut vec![0; sizes.head],
            };
            fine_tune::<{ bits::ALL }, _>(host, file, samples, memory, Portable)
        },
    );
}

#[test]
fn samples_of_another_size_are_refused_by_name() {
    let file = AlignedBytes::from(read("models/micro.kgl").as_slice());
    // One sample of one pixel.
    let mut small = b"kgs1".to_vec();
    for number in [1_u32, 0, 1, 1, 0, 0] {
        small.extend(number.to_le_bytes());
    }
    small.extend([0, 0]);
    let samples = Samples::read(&small).unwrap();
    let mut arena = HeapArena::new(Model::load(&file).unwrap().sizes().arena);
    let refused =
        infer::<{ bits::ALL }, _>(&mut Host::default(), &file, &samples, &mut arena, Portable);
    let failure = refused.unwrap_err();
    assert!(
        matches!(failure, Failure::Kinglet(kinglet::Error::Input(_))),
        "{failure}"
    );
    assert!(failure.to_string().contains("has 1 elements"), "{failure}");
}

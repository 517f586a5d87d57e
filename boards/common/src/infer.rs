//! The first program of a board: load the model, classify the samples, report.

use kinglet::ArenaMut;
use kinglet::kernels::Kernels;

use crate::digest::Digest;
use crate::load::load;
use crate::{Board, Failure, Samples};

/// Samples that get a line of their own.
const SHOWN: usize = 4;

/// Classifies the evaluation samples with the model in `file` and prints
/// - the model's name, id and shapes,
/// - the class of the first few samples,
/// - how many are right, and the digest of all outputs;
///
/// and measures the memory, and the instructions of loading and of one inference.
///
/// # Errors
/// [`Failure`] if the model or the samples do not fit.
pub fn infer<'a, const OPS: u128, K: Kernels>(
    board: &mut impl Board,
    file: &'a [u8],
    samples: &Samples<'_>,
    arena: impl Into<ArenaMut<'a>>,
    kernels: K,
) -> Result<(), Failure> {
    let (load, mut session) = load::<OPS, K>(board, file, arena, kernels)?;
    let model = *session.model();

    let (mut total, mut right, mut run) = (0_u32, 0_u32, 0);
    let mut digest = Digest::new();
    for (index, sample) in samples.evaluation().enumerate() {
        session.set_image_u8(sample.pixels)?;
        board.start_counting();
        let output = session.run();
        if index == 0 {
            run = board.instructions();
        }
        output.iter().for_each(|value| digest.add(&[value]));
        let class = output.argmax().unwrap_or(0);
        total += 1;
        right += u32::from(class == sample.class);
        if index < SHOWN {
            board.line(format_args!(
                "sample {index}: class {class} {}, labeled {}",
                model.label(class).unwrap_or("(no name)"),
                sample.class
            ));
        }
    }
    board.line(format_args!("{right} of {total} right"));
    board.line(format_args!("outputs: crc32 {:08x}", digest.finish()));
    let stack = board.stack_peak().ok_or(Failure::StackExhausted)?;
    board.measured("arena", model.sizes().arena);
    board.measured("stack", stack);
    board.measured("instructions.load", load);
    board.measured("instructions.run", run);
    Ok(())
}

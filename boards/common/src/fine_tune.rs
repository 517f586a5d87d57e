//! The second program of a board: the last layers learn from the training samples.

use kinglet::kernels::Kernels;
use kinglet::{ArenaMut, FineTuner, Model, Optimizer, Session, Sgd, Values};

use crate::digest;
use crate::{Board, Failure, Samples};

/// The memory of [`fine_tune`].
pub struct Memory<'a> {
    /// `SIZES.arena` bytes.
    pub session: ArenaMut<'a>,
    /// `SIZES.training::<Sgd>()` bytes.
    pub training: ArenaMut<'a>,
    /// `SIZES.head` bytes: where the trained head is saved. On a product this is flash.
    pub head: &'a mut [u8],
}

/// Trains the last layers of the model in `file` on the training samples, one by one, and prints
/// - how many evaluation samples are right before and after,
/// - the mean loss of each epoch, in thousandths,
/// - the digest of the learned parameters and of the saved head.
///
/// At the end the saved head is loaded into a tuner that was set back to the factory head, and must give
/// back the same parameters.
///
/// # Errors
/// [`Failure`] if model and samples do not fit, or a step was refused.
pub fn fine_tune<'a, const OPS: u128, K: Kernels>(
    board: &mut impl Board,
    file: &'a [u8],
    samples: &Samples<'_>,
    memory: Memory<'a>,
    kernels: K,
) -> Result<(), Failure> {
    let model = Model::load_with::<OPS>(file)?;
    let session = Session::<OPS, K>::new(&model, memory.session, kernels)?;
    let mut tuner = FineTuner::new(session, memory.training, samples.optimizer())?;
    board.line(format_args!(
        "model {} {}: {} trainable parameters",
        model.name(),
        model.id(),
        model.sizes().trainable_parameters
    ));

    let before = evaluate(&mut tuner, samples)?;
    board.line(format_args!("before: {before} right"));
    let mut step_instructions = 0;
    for epoch in 1..=samples.epochs() {
        let (mut loss, mut count) = (0.0_f32, 0_u32);
        for sample in samples.training() {
            tuner.set_image_u8(sample.pixels)?;
            board.start_counting();
            let step = tuner.step(sample.class)?;
            step_instructions = board.instructions();
            loss += step.loss;
            count += 1;
        }
        let thousandths = (loss * 1000.0 / count.max(1) as f32) as u32;
        board.line(format_args!("epoch {epoch}: mean loss {thousandths}/1000"));
    }
    let after = evaluate(&mut tuner, samples)?;
    board.line(format_args!("after: {after} right"));

    let learned = digest::of_f32(tuner.weights());
    board.line(format_args!("learned: crc32 {learned:08x}"));
    let len = tuner.save_head(memory.head)?;
    let head = memory.head.get(..len).unwrap_or_default();
    // The CRC of a head with its own CRC at the end is the same for all heads: print the one it carries.
    let crc = head.last_chunk().copied().map_or(0, u32::from_le_bytes);
    board.line(format_args!("saved head: {len} bytes, crc32 {crc:08x}"));
    tuner.reset();
    tuner.load_head(head)?;
    if digest::of_f32(tuner.weights()) != learned {
        return Err(Failure::HeadChanged);
    }

    let stack = board.stack_peak().ok_or(Failure::StackExhausted)?;
    board.measured("arena", model.sizes().arena);
    board.measured("training", model.sizes().training::<Sgd>());
    board.measured("stack", stack);
    board.measured("instructions.step", step_instructions);
    Ok(())
}

/// How many evaluation samples the tuner classifies rightly, as `N of M`.
fn evaluate<const OPS: u128, K: Kernels, O: Optimizer>(
    tuner: &mut FineTuner<'_, OPS, K, O>,
    samples: &Samples<'_>,
) -> Result<Score, Failure> {
    let mut score = Score { right: 0, total: 0 };
    for sample in samples.evaluation() {
        tuner.set_image_u8(sample.pixels)?;
        score.right += u32::from(Values::F32(tuner.run()).argmax() == Some(sample.class));
        score.total += 1;
    }
    Ok(score)
}

struct Score {
    right: u32,
    total: u32,
}

impl core::fmt::Display for Score {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} of {}", self.right, self.total)
    }
}

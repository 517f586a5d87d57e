//! How programs begin: load the model, say what it is.

use kinglet::kernels::Kernels;
use kinglet::{ArenaMut, Model, Session};

use crate::{Board, Failure};

/// Loads the model in `file`, makes a session of it, and prints its name, id and shapes; returns the instructions of loading,
/// too.
///
/// # Errors
/// [`Failure`] if the model does not load, or the arena does not fit.
pub(crate) fn load<'a, const OPS: u128, K: Kernels>(
    board: &mut impl Board,
    file: &'a [u8],
    arena: impl Into<ArenaMut<'a>>,
    kernels: K,
) -> Result<(usize, Session<'a, OPS, K>), Failure> {
    board.start_counting();
    let model = Model::load_with::<OPS>(file)?;
    let load = board.instructions();
    let session = Session::<OPS, K>::new(&model, arena, kernels)?;
    board.line(format_args!(
        "model {} {}: {} to {}",
        model.name(),
        model.id(),
        model.input(),
        model.output()
    ));
    Ok((load, session))
}

//! What a model takes of a core: instructions of loading it, of a run, and of every node.

use kinglet::kernels::Kernels;
use kinglet::{ArenaMut, Probe, Values, ValuesMut};

use crate::load::load;
use crate::{Board, Failure};

/// Runs the model in `file` on inputs of zeros, prints its name, id and shapes, and measures the instructions of loading,
/// of a whole run and of each of its nodes, and the stack.
///
/// # Errors
/// [`Failure`] if the model does not load, or the arena does not fit.
pub fn bench<'a, const OPS: u128, K: Kernels>(
    board: &mut impl Board,
    file: &'a [u8],
    arena: impl Into<ArenaMut<'a>>,
    kernels: K,
) -> Result<(), Failure> {
    let (load, mut session) = load::<OPS, K>(board, file, arena, kernels)?;
    for index in 0.. {
        match session.input_mut(index) {
            Some(ValuesMut::F32(input)) => input.fill(0.0),
            Some(ValuesMut::I8 { numbers, .. }) => numbers.fill(0),
            None => break,
        }
    }
    board.start_counting();
    session.run();
    let run = board.instructions();
    let stack = board.stack_peak().ok_or(Failure::StackExhausted)?;
    session.run_probed(&mut Nodes(board));
    board.measured("stack", stack);
    board.measured("instructions.load", load);
    board.measured("instructions.run", run);
    Ok(())
}

/// Counts the instructions of each node.
struct Nodes<'b, B>(&'b mut B);

impl<B: Board> Probe for Nodes<'_, B> {
    fn before(&mut self, _: usize) {
        self.0.start_counting();
    }

    fn after(&mut self, node: usize, _: Values<'_>) {
        let count = self.0.instructions();
        let name = format_args!("instructions.node.{node}");
        self.0.measured(name, count);
    }
}

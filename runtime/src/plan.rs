//! The plan: where each tensor lies in the arena. Solved here, on the host; a device only checks it
//! (`model::check`).
//!
//! Every tensor is a rectangle: its lifetime in nodes by its bytes. The solver looks for offsets so that
//! rectangles that meet in time do not meet in space, with the lowest peak. No plan can be lower than the
//! bytes alive at the busiest node, [`Plan::lower_bound`]; where a strategy reaches it the plan is
//! optimal, otherwise small graphs are searched exhaustively (branch and bound).

use std::vec::Vec;

use crate::model::Model;
use crate::model::schema::{Node, TENSOR_ALIGN, Tensor};

/// One tensor to place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Bytes of one sample.
    pub bytes: usize,
    /// The node that writes it; the inputs of the model count as written by node 0.
    pub first: usize,
    /// The last node that reads it.
    pub last: usize,
    /// The tensor whose place it may take: the input of an operator that works in place, last read by
    /// that operator.
    pub replaces: Option<usize>,
}

/// Where everything lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Offset of each tensor, in bytes, in the order given.
    pub offsets: Vec<usize>,
    /// Bytes of arena.
    pub peak: usize,
    /// Bytes alive at the busiest node: no plan is lower.
    pub lower_bound: usize,
}

/// Tensors that share one place: an in-place chain.
#[derive(Debug, Clone, Copy)]
struct Block {
    bytes: usize,
    first: usize,
    last: usize,
}

impl Block {
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Most blocks that are searched exhaustively: the search is factorial, its pruning good.
const EXHAUSTIVE_BLOCKS: usize = 8;

/// Places `tensors` with the lowest peak found.
pub fn solve(tensors: &[Lifetime]) -> Plan {
    let (blocks, block_of) = merge_in_place(tensors);
    let last = blocks.iter().map(|b| b.last).max().unwrap_or(0);
    let lower_bound = (0..=last)
        .map(|node| {
            blocks
                .iter()
                .filter(|b| b.first <= node && node <= b.last)
                .map(|b| b.bytes)
                .sum()
        })
        .max()
        .unwrap_or(0);

    let mut best: Option<(usize, Vec<usize>)> = None;
    for order in orders(&blocks) {
        let placed = place_in_order(&blocks, &order);
        if best.as_ref().is_none_or(|(peak, _)| placed.0 < *peak) {
            best = Some(placed);
        }
    }
    let mut best = best.unwrap_or_default();
    if best.0 > lower_bound && blocks.len() <= EXHAUSTIVE_BLOCKS {
        let mut search = Search {
            blocks: &blocks,
            lower_bound,
            best,
        };
        search.run(&mut Vec::new(), 0);
        best = search.best;
    }
    Plan {
        offsets: block_of.iter().map(|block| best.1[*block]).collect(),
        peak: best.0,
        lower_bound,
    }
}

/// The plan that a model file carries, with its lower bound.
pub fn of_model(model: &Model<'_>) -> Plan {
    let tensors: Vec<Tensor> = model.tensors().iter().collect();
    let nodes: Vec<Node> = model.nodes().iter().collect();
    let outputs = model.outputs();
    let outputs: Vec<usize> = outputs.iter().map(|o| usize::from(o.tensor)).collect();
    Plan {
        offsets: tensors.iter().map(|t| t.offset as usize).collect(),
        peak: model.sizes().activations(),
        lower_bound: solve(&lifetimes(model.inputs().len(), &tensors, &nodes, &outputs))
            .lower_bound,
    }
}

/// What the solver needs to know of each tensor of a graph, the first `inputs` of which are its inputs. Nothing takes
/// the place of one of `outputs`.
pub(crate) fn lifetimes(
    inputs: usize,
    tensors: &[Tensor],
    nodes: &[Node],
    outputs: &[usize],
) -> Vec<Lifetime> {
    tensors
        .iter()
        .enumerate()
        .map(|(number, tensor)| {
            let writer = number.checked_sub(inputs);
            let replaces = writer.and_then(|writer| {
                let input = usize::from(nodes[writer].replaces()?);
                let read_last = usize::from(tensors[input].last_use) == writer;
                let released = read_last && !outputs.contains(&input);
                released.then_some(input)
            });
            Lifetime {
                bytes: tensor.bytes(),
                first: writer.unwrap_or(0),
                last: usize::from(tensor.last_use),
                replaces,
            }
        })
        .collect()
}

/// Joins each in-place chain into one block.
fn merge_in_place(tensors: &[Lifetime]) -> (Vec<Block>, Vec<usize>) {
    let mut blocks: Vec<Block> = Vec::new();
    let mut block_of: Vec<usize> = Vec::new();
    for tensor in tensors {
        let bytes = tensor.bytes.next_multiple_of(TENSOR_ALIGN);
        let replaced = tensor.replaces.filter(|earlier| {
            tensors[*earlier].last == tensor.first && tensors[*earlier].bytes == tensor.bytes
        });
        if let Some(earlier) = replaced {
            let block = block_of[earlier];
            blocks[block].last = tensor.last;
            block_of.push(block);
        } else {
            block_of.push(blocks.len());
            blocks.push(Block {
                bytes,
                first: tensor.first,
                last: tensor.last,
            });
        }
    }
    (blocks, block_of)
}

/// The orders worth trying: largest first, longest-lived first, largest area first, as they come.
fn orders(blocks: &[Block]) -> Vec<Vec<usize>> {
    let sorted_by = |key: &dyn Fn(&Block) -> usize| {
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_by_key(|i| core::cmp::Reverse(key(&blocks[*i])));
        order
    };
    std::vec![
        sorted_by(&|b| b.bytes),
        sorted_by(&|b| b.last - b.first),
        sorted_by(&|b| b.bytes * (b.last - b.first + 1)),
        (0..blocks.len()).collect(),
    ]
}

/// Places blocks one by one, each as low as it goes. Returns the peak and the offsets by block.
fn place_in_order(blocks: &[Block], order: &[usize]) -> (usize, Vec<usize>) {
    let mut offsets = std::vec![0; blocks.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut peak = 0;
    for &block in order {
        offsets[block] = lowest_gap(blocks, &offsets, &placed, block);
        peak = peak.max(offsets[block] + blocks[block].bytes);
        placed.push(block);
    }
    (peak, offsets)
}

/// The lowest offset at which `block` meets none of the `placed` ones.
fn lowest_gap(blocks: &[Block], offsets: &[usize], placed: &[usize], block: usize) -> usize {
    let mut taken: Vec<(usize, usize)> = placed
        .iter()
        .filter(|p| blocks[**p].meets(&blocks[block]))
        .map(|p| (offsets[*p], offsets[*p] + blocks[*p].bytes))
        .collect();
    taken.sort_unstable();
    let mut offset = 0;
    for (start, end) in taken {
        if offset + blocks[block].bytes <= start {
            break;
        }
        offset = offset.max(end);
    }
    offset
}

/// Branch and bound over the orders of placement.
struct Search<'a> {
    blocks: &'a [Block],
    lower_bound: usize,
    best: (usize, Vec<usize>),
}

impl Search<'_> {
    fn run(&mut self, order: &mut Vec<usize>, peak: usize) {
        if peak >= self.best.0 || self.best.0 == self.lower_bound {
            return;
        }
        if order.len() == self.blocks.len() {
            self.best = place_in_order(self.blocks, order);
            return;
        }
        for block in 0..self.blocks.len() {
            if order.contains(&block) {
                continue;
            }
            order.push(block);
            let (peak, _) = place_in_order(self.blocks, order);
            self.run(order, peak);
            order.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(bytes: usize, first: usize, last: usize) -> Lifetime {
        Lifetime {
            bytes,
            first,
            last,
            replaces: None,
        }
    }

    /// Every pair that meets in time is apart in space, unless it is an in-place pair.
    fn assert_valid(tensors: &[Lifetime], plan: &Plan) {
        for (i, a) in tensors.iter().enumerate() {
            assert!(plan.offsets[i] + a.bytes <= plan.peak);
            for (j, b) in tensors.iter().enumerate().skip(i + 1) {
                let meet = a.first <= b.last && b.first <= a.last;
                let apart = plan.offsets[i] + a.bytes <= plan.offsets[j]
                    || plan.offsets[j] + b.bytes <= plan.offsets[i];
                let in_place = b.replaces == Some(i)
                    && a.last == b.first
                    && plan.offsets[i] == plan.offsets[j];
                assert!(!meet || apart || in_place, "{i} and {j} overlap");
            }
        }
    }

    #[test]
    fn a_chain_needs_its_two_largest_neighbours() {
        let tensors = [
            tensor(3136, 0, 0),
            tensor(12544, 0, 1),
            tensor(3136, 1, 2),
            tensor(6272, 2, 3),
            tensor(1568, 3, 4),
            tensor(40, 4, 4),
        ];
        let plan = solve(&tensors);
        assert_valid(&tensors, &plan);
        assert_eq!(plan.peak, 12544 + 3136);
        assert_eq!(plan.peak, plan.lower_bound);
    }

    #[test]
    fn in_place_tensors_share_their_place() {
        let tensors = [
            tensor(64, 0, 0),
            tensor(256, 0, 1),
            Lifetime {
                replaces: Some(1),
                ..tensor(256, 1, 2)
            },
            tensor(16, 2, 2),
        ];
        let plan = solve(&tensors);
        assert_valid(&tensors, &plan);
        assert_eq!(plan.offsets[1], plan.offsets[2]);
        assert_eq!(plan.peak, 320);
    }

    #[test]
    fn small_graphs_with_long_branches_are_planned_optimally() {
        // A residual graph on which every greedy order leaves a gap.
        let tensors = [
            tensor(400, 0, 1),
            tensor(208, 0, 4),
            tensor(304, 1, 2),
            tensor(496, 2, 3),
            tensor(304, 3, 4),
            tensor(96, 4, 5),
        ];
        let plan = solve(&tensors);
        assert_valid(&tensors, &plan);
        assert_eq!(plan.peak, plan.lower_bound);
    }

    #[test]
    fn random_graphs_get_valid_plans_not_below_the_bound() {
        let mut state = 1u64;
        let mut random = move |n: usize| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        for _ in 0..200 {
            let nodes = 2 + random(14);
            let tensors: Vec<Lifetime> = (0..nodes)
                .map(|node| tensor(4 + random(4000), node, node + random(4)))
                .collect();
            let plan = solve(&tensors);
            assert_valid(&tensors, &plan);
            assert!(plan.peak >= plan.lower_bound);
        }
    }
}

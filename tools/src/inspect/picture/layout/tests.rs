//! Boxes that do not overlap and lines that go around them, on graphs of all kinds.

use super::*;
use crate::random::{Purpose, for_purpose};
use rand_core::Rng;

/// Whether a straight line goes through the inside of a box.
fn runs_through(line: [Point; 2], corner: Point, size: (f64, f64)) -> bool {
    // Clip the line to the box, axis by axis.
    let (mut start, mut end) = (0.0_f64, 1.0_f64);
    let axes = [
        (line[0].0, line[1].0, corner.0, corner.0 + size.0),
        (line[0].1, line[1].1, corner.1, corner.1 + size.1),
    ];
    for (from, to, low, high) in axes {
        let (low, high) = (low + 1e-6, high - 1e-6);
        let way = to - from;
        if way.abs() < 1e-12 {
            if from <= low || from >= high {
                return false;
            }
        } else {
            let (a, b) = ((low - from) / way, (high - from) / way);
            start = start.max(a.min(b));
            end = end.min(a.max(b));
        }
    }
    start < end
}

fn check(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Layout {
    let found = layout(sizes, edges);
    assert_eq!(found.boxes.len(), sizes.len());
    for (a, (corner, size)) in found.boxes.iter().zip(sizes).enumerate() {
        assert!(corner.0 >= -1e-6 && corner.1 >= 0.0, "{corner:?}");
        assert!(corner.0 + size.0 <= found.size.0 + 1e-6);
        assert!(corner.1 + size.1 <= found.size.1 + 1e-6);
        for (b, (other, other_size)) in found.boxes.iter().zip(sizes).enumerate().skip(a + 1) {
            let apart = corner.0 + size.0 <= other.0
                || other.0 + other_size.0 <= corner.0
                || corner.1 + size.1 <= other.1
                || other.1 + other_size.1 <= corner.1;
            assert!(apart, "boxes {a} and {b} overlap");
        }
    }
    for (line, &(from, to)) in found.lines.iter().zip(edges) {
        let (first, last) = (line[0], line[line.len() - 1]);
        assert_eq!(first.1, found.boxes[from].1 + sizes[from].1);
        assert_eq!(last.1, found.boxes[to].1);
        for (end, index) in [(first, from), (last, to)] {
            let left = found.boxes[index].0;
            assert!((left..=left + sizes[index].0).contains(&end.0), "{end:?}");
        }
        for piece in line.windows(2) {
            assert!(piece[0].1 <= piece[1].1, "lines go down");
            // It ends at its own boxes, and does not go through them either.
            for (index, corner) in found.boxes.iter().enumerate() {
                assert!(
                    !runs_through([piece[0], piece[1]], *corner, sizes[index]),
                    "the line from {from} to {to} runs through {index}"
                );
            }
            // Curves are drawn where a line is not vertical: no box may be at that height.
            if piece[0].0 != piece[1].0 {
                let free = |(corner, size): (&Point, &(f64, f64))| {
                    corner.1 + size.1 <= piece[0].1 || corner.1 >= piece[1].1
                };
                assert!(found.boxes.iter().zip(sizes).all(free));
            }
        }
    }
    found
}

#[test]
fn random_graphs_have_no_overlaps() {
    for seed in 0..120 {
        let mut rng = for_purpose(seed, Purpose::Shuffle, 0, 0);
        let mut below = |limit: usize| rng.next_u32() as usize % limit;
        let count = 2 + below(if seed % 10 == 0 { 120 } else { 24 });
        let mut edges = Vec::new();
        for to in 1..count {
            for _ in 0..1 + below(3) {
                // Most read what is near, some what is far.
                let from = match below(4) {
                    0 => below(to),
                    _ => to - 1 - below(to.min(3)),
                };
                if !edges.contains(&(from, to)) {
                    edges.push((from, to));
                }
            }
        }
        let sizes: Vec<(f64, f64)> = (0..count)
            .map(|_| (40.0 + below(200) as f64, 20.0 + below(70) as f64))
            .collect();
        check(&sizes, &edges);
    }
}

#[test]
fn a_chain_is_straight() {
    let sizes = [(100.0, 30.0), (60.0, 50.0), (200.0, 20.0), (90.0, 30.0)];
    let found = check(&sizes, &[(0, 1), (1, 2), (2, 3)]);
    for (corner, size) in found.boxes.iter().zip(sizes) {
        assert!((corner.0 + size.0 / 2.0 - found.boxes[2].0 - 100.0).abs() < 1e-6);
    }
}

#[test]
fn a_residual_block_goes_around_a_straight_chain() {
    let sizes = [(120.0, 40.0); 5];
    let found = check(&sizes, &[(0, 1), (1, 2), (2, 3), (0, 3), (3, 4)]);
    let x = found.boxes[1].0;
    assert!(
        found.boxes[1..3]
            .iter()
            .all(|corner| (corner.0 - x).abs() < 12.0)
    );
    // The line around them has a lane in both rows.
    assert_eq!(found.lines[3].len(), 2 + 2 * 2 + 1);
}

#[test]
fn two_branches_stand_on_both_sides() {
    let sizes = [(120.0, 40.0), (80.0, 40.0), (80.0, 40.0), (100.0, 40.0)];
    let found = check(&sizes, &[(0, 1), (0, 2), (1, 3), (2, 3)]);
    let center = |index: usize| found.boxes[index].0 + sizes[index].0 / 2.0;
    assert!((center(0) - center(3)).abs() < 0.5);
    assert!((center(0) - (center(1) + center(2)) / 2.0).abs() < 0.5);
}

#[test]
fn branches_of_different_lengths_meet_in_the_middle() {
    let sizes = [(100.0, 40.0); 7];
    let edges = [
        (0, 1),
        (0, 2),
        (2, 3),
        (0, 4),
        (1, 5),
        (3, 5),
        (4, 5),
        (5, 6),
    ];
    let found = check(&sizes, &edges);
    let x = |index: usize| found.boxes[index].0;
    for (a, b) in [(0, 2), (2, 3), (3, 5), (5, 6)] {
        assert!((x(a) - x(b)).abs() < 2.0, "{:?}", found.boxes);
    }
}

#[test]
fn readers_of_one_value_share_its_lane() {
    let sizes = [(120.0, 40.0); 5];
    let edges = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 3), (0, 4)];
    let found = check(&sizes, &edges);
    assert_eq!(found.lines[4][..6], found.lines[5][..6]);
}

#[test]
fn nothing_and_one_box_are_graphs_too() {
    assert_eq!(check(&[], &[]).size, (0.0, 0.0));
    let found = check(&[(50.0, 20.0)], &[]);
    assert_eq!((found.boxes[0].1, found.size.1), (0.0, 20.0));
}

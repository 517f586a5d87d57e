//! The positions within rows: chains of boxes and lanes stand straight, everything else near what it belongs to.

use super::layout::{Item, Rows};

/// Times that everything is drawn towards what it is connected to.
const STEPS: usize = 300;
/// Times that what is too near is pushed apart after each.
const PUSHES: usize = 6;
/// How much more a box keeps its place than a lane that is in its way.
const BOX_MASS: f64 = 4.0;
/// How hard lanes without a box draw what they belong to: a chain stands where its boxes want it.
const LANE_PULL: f64 = 0.05;
/// How hard everything is drawn to the middle, so that a long graph does not wander off to a side.
const MIDDLE_PULL: f64 = 0.1;

/// The middle of every item; `half` gives half of the room that it takes.
pub(super) fn centers(rows: &Rows, half: impl Fn(Item) -> f64) -> Vec<Vec<f64>> {
    let blocks = Blocks::new(rows, half);
    let mut centers = blocks.start.clone();
    for _ in 0..STEPS {
        blocks.pull(&mut centers);
        for _ in 0..PUSHES {
            blocks.push(&mut centers);
        }
    }
    blocks.separate(&mut centers);
    let of_row = |row: &Vec<usize>| row.iter().map(|block| centers[*block]).collect();
    blocks.of.iter().map(of_row).collect()
}

/// Items that stand in one line: chains of boxes, and lanes. No two of their lines cross, so there is an order of
/// blocks that agrees with every row.
struct Blocks {
    /// The block of each item.
    of: Vec<Vec<usize>>,
    /// How hard each is to push.
    masses: Vec<f64>,
    /// Whether each has a box in it.
    boxes: Vec<bool>,
    /// Neighbours in a row, and how far apart their middles must be.
    neighbours: Vec<(usize, usize, f64)>,
    /// What is connected.
    links: Vec<(usize, usize)>,
    /// Where blocks would be if each row stood in the middle by itself.
    start: Vec<f64>,
}

impl Blocks {
    fn new(rows: &Rows, half: impl Fn(Item) -> f64) -> Self {
        let mut of: Vec<Vec<usize>> = Vec::new();
        let (mut masses, mut boxes) = (Vec::new(), Vec::new());
        let mut links = Vec::new();
        for (rank, row) in rows.items.iter().enumerate() {
            let above = rank.checked_sub(1);
            let straight = above.map_or(Vec::new(), |above| straight(rows, above));
            let mut blocks = Vec::new();
            for (place, item) in row.iter().enumerate() {
                let joined = straight.iter().find(|(_, b)| *b == place);
                let block = match joined.zip(above) {
                    Some(((a, _), above)) => of[above][*a],
                    None => masses.len(),
                };
                if block == masses.len() {
                    masses.push(0.0);
                    boxes.push(false);
                }
                let is_box = matches!(item, Item::Box(_));
                masses[block] += if is_box { BOX_MASS } else { 1.0 };
                boxes[block] |= is_box;
                blocks.push(block);
            }
            if let Some(above) = above {
                let ends = rows.links[above].iter();
                let ends = ends.map(|(a, b)| (of[above][*a], blocks[*b]));
                links.extend(ends.filter(|(a, b)| a != b));
            }
            of.push(blocks);
        }
        let mut neighbours = Vec::new();
        let mut start = vec![(0.0, 0.0); masses.len()];
        for (row, blocks) in rows.items.iter().zip(&of) {
            let width: f64 = row.iter().map(|item| 2.0 * half(*item)).sum();
            let mut x = -width / 2.0;
            for (place, item) in row.iter().enumerate() {
                let room = half(*item);
                let entry = &mut start[blocks[place]];
                *entry = (entry.0 + x + room, entry.1 + 1.0);
                x += 2.0 * room;
                if let Some(next) = row.get(place + 1) {
                    neighbours.push((blocks[place], blocks[place + 1], room + half(*next)));
                }
            }
        }
        Self {
            of,
            masses,
            boxes,
            neighbours,
            links,
            start: start.iter().map(|(sum, count)| sum / count).collect(),
        }
    }

    /// Moves every block half of the way to the mean of what it is connected to.
    fn pull(&self, centers: &mut [f64]) {
        let mut sums = vec![(0.0, MIDDLE_PULL); centers.len()];
        for &(a, b) in &self.links {
            for (block, other) in [(a, b), (b, a)] {
                let weight = if self.boxes[other] { 1.0 } else { LANE_PULL };
                let sum = &mut sums[block];
                *sum = (sum.0 + weight * centers[other], sum.1 + weight);
            }
        }
        for (center, (sum, weight)) in centers.iter_mut().zip(sums) {
            *center += (sum / weight - *center) / 2.0;
        }
    }

    /// Pushes neighbours that are too near away from each other, the lighter one further.
    fn push(&self, centers: &mut [f64]) {
        for &(a, b, distance) in &self.neighbours {
            let missing = distance - (centers[b] - centers[a]);
            if missing > 0.0 {
                let share = self.masses[b] / (self.masses[a] + self.masses[b]);
                centers[a] -= missing * share;
                centers[b] += missing * (1.0 - share);
            }
        }
    }

    /// What pushing has left over. Blocks have an order, so this ends.
    fn separate(&self, centers: &mut [f64]) {
        let mut moved = true;
        while moved {
            moved = false;
            for &(a, b, distance) in &self.neighbours {
                if centers[b] < centers[a] + distance {
                    centers[b] = centers[a] + distance;
                    moved = true;
                }
            }
        }
    }
}

/// The links from row `above` to the next that are drawn straight: from a box to the only box that goes on with it,
/// lanes, and what has no other link. None of them cross. Where branches come together, no link is straight: what
/// follows stands in the middle. A value that passes by its own reader, as a residual does, is no branch.
fn straight(rows: &Rows, above: usize) -> Vec<(usize, usize)> {
    let links = &rows.links[above];
    let (upper, lower) = (&rows.items[above], &rows.items[above + 1]);
    let is_box = |item: Item| matches!(item, Item::Box(_));
    let alone = |(a, b): (usize, usize)| {
        let boxes_below = links.iter().filter(|l| l.0 == a && is_box(lower[l.1]));
        let boxes_above = links.iter().filter(|l| l.1 == b && is_box(upper[l.0]));
        let branches = links
            .iter()
            .filter(|l| l.1 == b && is_branch(rows, upper[l.0]));
        let below = links.iter().filter(|l| l.0 == a).count();
        let over = links.iter().filter(|l| l.1 == b).count();
        match (upper[a], lower[b]) {
            (Item::Box(_), Item::Box(_)) => {
                boxes_below.count() == 1 && boxes_above.count() == 1 && branches.count() == 0
            }
            (Item::Lane(from), Item::Lane(to)) => from == to,
            (Item::Box(_), Item::Lane(_)) => below == 1,
            (Item::Lane(_), Item::Box(_)) => below == 1 && over == 1,
        }
    };
    let mut candidates: Vec<(usize, usize)> = links.iter().copied().filter(|l| alone(*l)).collect();
    // Where two cross, boxes stay in line rather than lanes.
    candidates
        .sort_by_key(|(a, b)| usize::from(!is_box(upper[*a])) + usize::from(!is_box(lower[*b])));
    let mut accepted: Vec<(usize, usize)> = Vec::new();
    for (a, b) in candidates {
        let fits =
            |other: &(usize, usize)| (other.0 < a && other.1 < b) || (other.0 > a && other.1 > b);
        if accepted.iter().all(fits) {
            accepted.push((a, b));
        }
    }
    accepted
}

/// Whether an item is the lane of a value that no box reads in the row below it.
fn is_branch(rows: &Rows, item: Item) -> bool {
    let Item::Lane(from) = item else {
        return false;
    };
    let mut ranks = rows
        .items
        .iter()
        .zip(&rows.links)
        .zip(rows.items.iter().skip(1));
    !ranks.any(|((row, links), below)| {
        let reads = |link: &(usize, usize)| {
            row[link.0] == Item::Box(from) && matches!(below[link.1], Item::Box(_))
        };
        links.iter().any(reads)
    })
}

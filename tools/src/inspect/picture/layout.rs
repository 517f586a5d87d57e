//! Where the boxes and lines of a graph go.
//!
//! A box stands in a row below all that it reads: its rank is the longest path to it. A value that is read further
//! down goes through a lane, a place of its own in each row between, which all its readers share. Between two rows
//! there is room without boxes, and only there do lines leave the vertical, so that none runs through a box. Boxes
//! and lanes of a row are ordered so that few lines cross, and then stand as near to what they belong to as their
//! widths allow.

use super::{order, place};

/// Room between boxes of a row.
const GAP: f64 = 22.0;
/// Width of a lane with its room.
const LANE: f64 = 16.0;
/// Least room between rows, which grows with the way that lines go in it.
const ROW_GAP: f64 = 30.0;
/// Room between the lines that end at one box.
const PORT: f64 = 22.0;

/// A point.
pub(super) type Point = (f64, f64);

/// Where everything is. The left upper corner is at 0, 0.
pub(super) struct Layout {
    /// Width and height of all.
    pub(super) size: (f64, f64),
    /// The left upper corner of each box.
    pub(super) boxes: Vec<Point>,
    /// The points of each edge's line: vertical where they are within a row, anything between rows.
    pub(super) lines: Vec<Vec<Point>>,
}

/// What takes room in a row: a box, or the lane of the box that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// Box `0`.
    Box(usize),
    /// The value of box `0`.
    Lane(usize),
}

/// Rows of items, and what is connected from each row to the next: places in both.
pub(super) struct Rows {
    pub(super) items: Vec<Vec<Item>>,
    /// As many as rows, the last empty.
    pub(super) links: Vec<Vec<(usize, usize)>>,
}

/// Lays out boxes of `sizes` and edges from a box to a later one.
pub(super) fn layout(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Layout {
    let ranks = ranks(sizes.len(), edges);
    let rows = order::ordered(rows(&ranks, edges));
    let mut centers = place::centers(&rows, |item| match item {
        Item::Box(index) => (sizes[index].0 + GAP) / 2.0,
        Item::Lane(_) => LANE / 2.0,
    });
    move_to_edge(&rows, sizes, &mut centers);
    let place = |rank: usize, item: Item| {
        let place = rows.items[rank].iter().position(|other| *other == item);
        // Every box and every lane of an edge is in its row.
        centers[rank][place.unwrap_or(0)]
    };

    let mut tops = Vec::new();
    let mut bottoms: Vec<f64> = Vec::new();
    for (rank, items) in rows.items.iter().enumerate() {
        let top = bottoms.last().map_or(0.0, |bottom| {
            let links = rows.links[rank - 1].iter();
            let ways = links.map(|(a, b)| (centers[rank - 1][*a] - centers[rank][*b]).abs());
            bottom + ROW_GAP + (0.08 * ways.fold(0.0, f64::max)).min(40.0)
        });
        let heights = items.iter().map(|item| match *item {
            Item::Box(index) => sizes[index].1,
            Item::Lane(_) => 0.0,
        });
        tops.push(top);
        bottoms.push(top + heights.fold(0.0, f64::max));
    }
    let center = |index: usize| place(ranks[index], Item::Box(index));
    let boxes: Vec<Point> = (0..sizes.len())
        .map(|index| (center(index) - sizes[index].0 / 2.0, tops[ranks[index]]))
        .collect();
    let mut lines: Vec<Vec<Point>> = edges
        .iter()
        .map(|&(from, to)| {
            let x = center(from);
            let mut line = vec![
                (x, boxes[from].1 + sizes[from].1),
                (x, bottoms[ranks[from]]),
            ];
            for rank in ranks[from] + 1..ranks[to] {
                let x = place(rank, Item::Lane(from));
                line.extend([(x, tops[rank]), (x, bottoms[rank])]);
            }
            line
        })
        .collect();
    for index in 0..sizes.len() {
        // Lines end in the order in which they come, so that they do not cross at the very end.
        let mut ending: Vec<usize> = (0..edges.len()).filter(|e| edges[*e].1 == index).collect();
        let from = |edge: usize| lines[edge].last().map_or(0.0, |point| point.0);
        ending.sort_by(|a, b| from(*a).total_cmp(&from(*b)));
        let room = PORT.min(sizes[index].0 / (ending.len() + 1) as f64);
        for (place, edge) in ending.iter().enumerate() {
            let x = center(index) + room * (place as f64 - (ending.len() - 1) as f64 / 2.0);
            lines[*edge].push((x, tops[ranks[index]]));
        }
    }
    let size = (
        boxes
            .iter()
            .zip(sizes)
            .map(|(corner, size)| corner.0 + size.0)
            .chain(lines.iter().flatten().map(|point| point.0))
            .fold(0.0, f64::max),
        bottoms.last().copied().unwrap_or(0.0),
    );
    Layout { size, boxes, lines }
}

/// The row of each box: below all that it reads.
fn ranks(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut ranks = vec![0; count];
    for index in 0..count {
        let read = edges.iter().filter(|(_, to)| *to == index);
        let above = read.map(|(from, _)| ranks[*from] + 1);
        ranks[index] = above.max().unwrap_or(0);
    }
    ranks
}

/// Boxes and lanes by row, and what is connected.
fn rows(ranks: &[usize], edges: &[(usize, usize)]) -> Rows {
    let count = ranks.iter().max().map_or(0, |rank| rank + 1);
    let mut items: Vec<Vec<Item>> = vec![Vec::new(); count];
    for (index, rank) in ranks.iter().enumerate() {
        items[*rank].push(Item::Box(index));
    }
    let mut links = vec![Vec::new(); count];
    for &(from, to) in edges {
        let mut above = Item::Box(from);
        for rank in ranks[from] + 1..=ranks[to] {
            let item = match rank == ranks[to] {
                true => Item::Box(to),
                false => Item::Lane(from),
            };
            if !items[rank].contains(&item) {
                items[rank].push(item);
            }
            let place = |items: &[Item], item| items.iter().position(|other| *other == item);
            let link = place(&items[rank - 1], above).zip(place(&items[rank], item));
            if let Some(link) = link
                && !links[rank - 1].contains(&link)
            {
                links[rank - 1].push(link);
            }
            above = item;
        }
    }
    Rows { items, links }
}

/// Moves everything so that the outermost box or lane stands at the left edge.
fn move_to_edge(rows: &Rows, sizes: &[(f64, f64)], centers: &mut [Vec<f64>]) {
    let left = |(item, center): (&Item, &f64)| match *item {
        Item::Box(index) => center - sizes[index].0 / 2.0,
        Item::Lane(_) => *center,
    };
    let items = rows.items.iter().zip(&*centers);
    let edge = items
        .filter_map(|(row, centers)| row.iter().zip(centers).map(left).next())
        .fold(f64::INFINITY, f64::min);
    for center in centers.iter_mut().flatten() {
        *center -= edge;
    }
}

#[cfg(test)]
mod tests;

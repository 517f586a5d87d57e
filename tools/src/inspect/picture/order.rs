//! The order within rows: so that few lines cross.

use super::layout::{Item, Rows};

/// Times that rows are put in order, downwards and upwards in turn.
const SWEEPS: usize = 12;

/// The same rows in an order with few crossings: each item at the mean of what it is connected to (the barycenter
/// method of Sugiyama, Tagawa and Toda), the best of some sweeps.
pub(super) fn ordered(mut rows: Rows) -> Rows {
    let mut best = (crossings(&rows), snapshot(&rows));
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        for step in 1..rows.items.len() {
            match sweep % 2 == 0 {
                true => sort(&mut rows, step, true),
                false => {
                    let rank = rows.items.len() - 1 - step;
                    sort(&mut rows, rank, false);
                }
            }
        }
        let found = crossings(&rows);
        if found < best.0 {
            best = (found, snapshot(&rows));
        }
    }
    let (items, links) = best.1;
    Rows { items, links }
}

type Snapshot = (Vec<Vec<Item>>, Vec<Vec<(usize, usize)>>);

fn snapshot(rows: &Rows) -> Snapshot {
    (rows.items.clone(), rows.links.clone())
}

/// Sorts row `rank` by the row above it, or by that below.
fn sort(rows: &mut Rows, rank: usize, by_above: bool) {
    let count = rows.items[rank].len();
    let key = |place: usize| {
        let near: Vec<usize> = match by_above {
            true => {
                let links = rows.links[rank - 1].iter();
                links
                    .filter(|(_, b)| *b == place)
                    .map(|(a, _)| *a)
                    .collect()
            }
            false => {
                let links = rows.links[rank].iter();
                links
                    .filter(|(a, _)| *a == place)
                    .map(|(_, b)| *b)
                    .collect()
            }
        };
        match near.len() {
            0 => place as f64,
            length => near.iter().sum::<usize>() as f64 / length as f64,
        }
    };
    let keys: Vec<f64> = (0..count).map(key).collect();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| keys[*a].total_cmp(&keys[*b]));
    let mut places = vec![0; count];
    for (new, old) in order.iter().enumerate() {
        places[*old] = new;
    }
    rows.items[rank] = order.iter().map(|old| rows.items[rank][*old]).collect();
    if let Some(above) = rank.checked_sub(1) {
        for (_, below) in &mut rows.links[above] {
            *below = places[*below];
        }
    }
    for (above, _) in &mut rows.links[rank] {
        *above = places[*above];
    }
}

/// Pairs of lines that cross.
fn crossings(rows: &Rows) -> usize {
    let mut found = 0;
    for links in &rows.links {
        for (index, a) in links.iter().enumerate() {
            let crosses =
                |b: &&(usize, usize)| (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1);
            found += links[..index].iter().filter(crosses).count();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_need_not_cross_do_not() {
        let rows = Rows {
            items: vec![
                vec![Item::Box(0), Item::Box(1), Item::Box(2)],
                vec![Item::Box(3), Item::Box(4), Item::Box(5)],
            ],
            links: vec![vec![(0, 2), (1, 1), (2, 0)], vec![]],
        };
        assert_eq!(crossings(&rows), 3);
        let rows = ordered(rows);
        assert_eq!(crossings(&rows), 0);
        assert_eq!(rows.items[1], [Item::Box(5), Item::Box(4), Item::Box(3)]);
        assert_eq!(rows.links[0], [(0, 0), (1, 1), (2, 2)]);
    }
}

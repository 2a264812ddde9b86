//! The family tree of a stream's shards, drawn: who came from whom, and who holds what of the ring.
//!
//! A shard stands under its parent; the child of a merge stands under its first parent and names
//! the other. A parent that has expired is not drawn: its children are roots.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::HashKeyRange;

use crate::terminal::Style;

/// A shard, as far as its family goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its id.
    pub(crate) id: String,
    /// Its parents: none at first, one after a split, two after a merge.
    pub(crate) parents: Vec<String>,
    /// What it holds of the ring.
    pub(crate) range: HashKeyRange,
    /// Whether it takes records.
    pub(crate) is_open: bool,
}

/// Characters of the bar that stands for the whole ring.
const BAR_WIDTH: u32 = 32;

/// Draws all shards, a line each.
pub(crate) fn draw(members: &[Member], style: Style) -> Vec<String> {
    let known: BTreeSet<&str> = members.iter().map(|member| member.id.as_str()).collect();
    let mut children: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
    let mut roots = Vec::new();
    for member in members {
        match member.parents.iter().find(|parent| known.contains(parent.as_str())) {
            Some(parent) => children.entry(parent).or_default().push(member),
            None => roots.push(member),
        }
    }
    let mut tree = Vec::new();
    for root in roots {
        grow(root, &children, "", "", &mut tree);
    }
    let width = tree.iter().map(|(text, _)| text.chars().count()).max().unwrap_or(0);
    tree.iter().map(|(text, member)| line(text, width, member, style)).collect()
}

/// Adds `member` and all below it; `lead` stands before it, `below` before its children.
///
/// Recursion is bounded by the number of generations, and each member has one place: a parent
/// that named its own child as parent would not be reached from a root at all.
fn grow<'a>(
    member: &'a Member,
    children: &BTreeMap<&str, Vec<&'a Member>>,
    lead: &str,
    below: &str,
    tree: &mut Vec<(String, &'a Member)>,
) {
    tree.push((format!("{lead}{}", member.id), member));
    let own = children.get(member.id.as_str()).map_or(&[][..], Vec::as_slice);
    for (index, child) in own.iter().enumerate() {
        let is_last = index + 1 == own.len();
        let (branch, trunk) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let (lead, below) = (format!("{below}{branch}"), format!("{below}{trunk}"));
        grow(child, children, &lead, &below, tree);
    }
}

fn line(text: &str, width: usize, member: &Member, style: Style) -> String {
    let fill = " ".repeat(width - text.chars().count());
    let bar = bar(member.range);
    let (state, bar) = if member.is_open {
        (style.green("open  "), style.green(&bar))
    } else {
        (style.dim("closed"), style.dim(&bar))
    };
    let merged = match member.parents.as_slice() {
        [_, second, ..] => format!("  + {second}"),
        _ => String::new(),
    };
    format!("{text}{fill}  {bar}  {:>6}  {state}{merged}", share(member.range))
}

/// Where on the ring the range lies.
fn bar(range: HashKeyRange) -> String {
    // Edges go to the nearest cell, so that neighbours meet whatever rounding split them.
    let edge_of = |point: u128| {
        let half_cells = u32::try_from(point >> (127 - BAR_WIDTH.ilog2())).unwrap_or(0);
        half_cells.div_ceil(2)
    };
    let first = edge_of(range.start.0).min(BAR_WIDTH - 1);
    let end = edge_of(range.end.0).max(first + 1);
    (0..BAR_WIDTH).map(|cell| if (first..end).contains(&cell) { '█' } else { '·' }).collect()
}

/// How much of the ring the range is.
fn share(range: HashKeyRange) -> String {
    #[allow(clippy::cast_precision_loss)] // Two digits after the point are shown.
    let share = (range.end.0 - range.start.0) as f64 / u128::MAX as f64 * 100.0;
    if share < 0.005 { "<0.01%".to_owned() } else { format!("{share:.2}%") }
}

#[cfg(test)]
mod tests {
    use millstream_core::HashKey;

    use super::*;

    fn member(id: &str, parents: &[&str], tile: (u32, u32), is_open: bool) -> Member {
        let tiles = HashKeyRange::tile(4);
        let range =
            HashKeyRange { start: tiles[tile.0 as usize].start, end: tiles[tile.1 as usize].end };
        let parents = parents.iter().map(|parent| (*parent).to_owned()).collect();
        Member { id: id.to_owned(), parents, range, is_open }
    }

    #[test]
    fn a_split_and_a_merge_are_drawn_under_their_parents() {
        let members = [
            member("s0", &[], (0, 1), false),
            member("s1", &[], (2, 3), false),
            member("s2", &["s0"], (0, 0), true),
            member("s3", &["s0"], (1, 1), false),
            member("s4", &["s3", "s1"], (1, 3), true),
        ];
        let drawn = draw(&members, Style::plain());
        let expected = [
            "s0        ████████████████················  50.00%  closed",
            "├─ s2     ████████························  25.00%  open  ",
            "└─ s3     ········████████················  25.00%  closed",
            "   └─ s4  ········████████████████████████  75.00%  open    + s1",
            "s1        ················████████████████  50.00%  closed",
        ];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn a_shard_whose_parent_has_expired_is_a_root() {
        let drawn = draw(&[member("s9", &["s1"], (0, 3), true)], Style::plain());
        assert!(drawn[0].starts_with("s9  ████"), "{drawn:?}");
    }

    #[test]
    fn neighbours_meet_where_rounding_split_them() {
        let middle = 1_u128 << 127;
        for at in [middle - 1, middle, middle + 1] {
            let left = HashKeyRange { start: HashKey(0), end: HashKey(at - 1) };
            let right = HashKeyRange { start: HashKey(at), end: HashKey(u128::MAX) };
            assert_eq!(bar(left), "████████████████················", "{at}");
            assert_eq!(bar(right), "················████████████████", "{at}");
        }
    }

    #[test]
    fn the_narrowest_range_still_shows() {
        let point = HashKey(u128::MAX / 2);
        let one = HashKeyRange { start: point, end: point };
        assert_eq!(bar(one).matches('█').count(), 1);
        assert_eq!(share(one), "<0.01%");
        let end = HashKey(u128::MAX);
        assert!(bar(HashKeyRange { start: end, end }).ends_with("·█"));
    }
}

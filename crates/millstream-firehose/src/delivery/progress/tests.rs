//! The algebra of checkpoints, against a model of it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn reloaded(progress: &Progress) -> Progress {
    let mut bytes = Vec::new();
    progress.encode(&mut bytes);
    let mut reader = Reader::new(&bytes);
    let loaded = Progress::decode(&mut reader).expect("what was written is read");
    assert!(reader.rest().is_empty());
    loaded
}

fn pieces(count: u32) -> Obligations {
    Obligations { pieces: count, backup: false }
}

#[test]
fn a_record_without_pieces_is_settled_at_once() {
    let mut part = Part::default();
    assert!(part.take(0));
    assert_eq!(part.cursor(), 0);
    part.begin(0, pieces(0));
    assert_eq!(part.cursor(), 1);
}

#[test]
fn the_cursor_waits_for_the_backup() {
    let mut part = Part::default();
    assert!(part.take(5));
    part.begin(5, Obligations { pieces: 1, backup: true });
    part.settle(5, Obligation::Piece(0));
    assert_eq!(part.cursor(), 5);
    part.settle(5, Obligation::Backup);
    assert_eq!(part.cursor(), 6);
}

#[test]
fn settling_twice_changes_nothing() {
    let mut part = Part::default();
    assert!(part.take(0));
    part.begin(0, pieces(2));
    part.settle(0, Obligation::Piece(1));
    part.settle(0, Obligation::Piece(1));
    assert_eq!(part.cursor(), 0);
    part.settle(0, Obligation::Piece(0));
    part.settle(0, Obligation::Piece(0));
    assert_eq!(part.cursor(), 1);
}

#[test]
fn after_a_change_of_configuration_all_pieces_are_done_again() {
    let mut progress = Progress::default();
    let part = progress.part_or(0, Part::default);
    assert!(part.take(0));
    part.begin(0, pieces(2));
    part.settle(0, Obligation::Piece(0));
    let mut progress = reloaded(&progress);
    progress.forget_pieces();
    let part = progress.part_mut(0);
    assert!(part.take(0));
    assert!(!part.begin(0, pieces(3)).has(Obligation::Piece(0)));
    (1..3).for_each(|index| part.settle(0, Obligation::Piece(index)));
    assert_eq!(part.cursor(), 0, "the piece settled before the change is owed again");
    part.settle(0, Obligation::Piece(0));
    assert_eq!(part.cursor(), 1);
}

#[test]
fn records_that_expired_are_given_up_and_counted() {
    let mut part = Part::default();
    for position in 0..10 {
        assert!(part.take(position));
        part.begin(position, pieces(2));
    }
    let expired = part.expire(0, 8, &[6, 7]);
    part.reach(8);
    assert_eq!((expired, part.cursor(), part.next()), (6, 6, 10));
}

#[test]
fn a_source_with_gaps_has_no_expired_records() {
    let mut part = Part::starting_at(100);
    for position in [100, 105, 250] {
        assert!(part.take(position));
        part.begin(position, pieces(1));
    }
    assert_eq!(part.expire(100, 300, &[100, 105, 250]), 0);
    part.reach(300);
    for position in [105, 250, 100] {
        part.settle(position, Obligation::Piece(0));
    }
    assert_eq!(part.cursor(), 300);
}

/// What a crash, at any step, must leave.
#[derive(Clone, Debug)]
enum Step {
    Read(u32, bool),
    Settle(usize),
    Checkpoint,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u32, any::<bool>()).prop_map(|(pieces, backup)| Step::Read(pieces, backup)),
        6 => any::<usize>().prop_map(Step::Settle),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Crash),
    ]
}

fn all(obligations: Obligations) -> Vec<Obligation> {
    let backup = obligations.backup.then_some(Obligation::Backup);
    (0..obligations.pieces).map(Obligation::Piece).chain(backup).collect()
}

proptest! {
    /// The history checker of the algebra: whatever is delivered and wherever it crashes, nothing
    /// is skipped that was not delivered, nothing is asked again that a durable checkpoint knows
    /// to be delivered, and the cursor never passes what is outstanding.
    #[test]
    fn nothing_undelivered_is_ever_skipped(steps in proptest::collection::vec(step(), 1..120)) {
        let mut source: Vec<Obligations> = Vec::new();
        // What is at its destination, and what this run, or the checkpoint it began from, knows
        // of that.
        let mut delivered: BTreeSet<(u64, Obligation)> = BTreeSet::new();
        let mut known = delivered.clone();
        let mut live = Progress::default();
        live.part_or(0, Part::default);
        let mut durable = (live.clone(), known.clone());
        let mut asked: Vec<(u64, Obligation)> = Vec::new();
        let mut read_next = 0_u64;
        let read = |live: &mut Progress, source: &[Obligations], position: u64| {
            let part = live.part_mut(0);
            let obligations = source[usize::try_from(position).unwrap()];
            if !part.take(position) {
                return Vec::new();
            }
            let met = part.begin(position, obligations);
            all(obligations).into_iter().filter(|one| !met.has(*one)).collect()
        };
        for step in steps {
            match step {
                Step::Read(pieces, backup) => {
                    if read_next == source.len() as u64 {
                        source.push(Obligations { pieces, backup });
                    }
                    let owed = read(&mut live, &source, read_next);
                    asked.extend(owed.into_iter().map(|one| (read_next, one)));
                    read_next += 1;
                }
                Step::Settle(pick) if !asked.is_empty() => {
                    let (position, one) = asked.swap_remove(pick % asked.len());
                    delivered.insert((position, one));
                    known.insert((position, one));
                    live.part_mut(0).settle(position, one);
                }
                Step::Settle(_) => {}
                Step::Checkpoint => durable = (reloaded(&live), known.clone()),
                Step::Crash => {
                    (live, known) = durable.clone();
                    asked.clear();
                    read_next = live.part(0).unwrap().cursor();
                    // Read again as far as it had come: exactly what the checkpoint does not
                    // know to be delivered is asked for.
                    let end = live.part(0).unwrap().next();
                    for position in read_next..end {
                        let owed = read(&mut live, &source, position);
                        let expected: Vec<Obligation> =
                            all(source[usize::try_from(position).unwrap()])
                                .into_iter()
                                .filter(|one| !known.contains(&(position, *one)))
                                .collect();
                        prop_assert_eq!(&owed, &expected);
                        asked.extend(owed.into_iter().map(|one| (position, one)));
                    }
                    read_next = end;
                    for (position, obligations) in (0..live.part(0).unwrap().cursor()).zip(&source) {
                        for one in all(*obligations) {
                            prop_assert!(delivered.contains(&(position, one)));
                        }
                    }
                }
            }
            let part = live.part(0).unwrap();
            for (position, obligations) in (0..part.cursor()).zip(&source) {
                for one in all(*obligations) {
                    prop_assert!(delivered.contains(&(position, one)), "skipped {} {:?}", position, one);
                }
            }
        }
        // With everything asked for delivered, nothing is left.
        for (position, one) in asked {
            live.part_mut(0).settle(position, one);
        }
        prop_assert_eq!(live.outstanding(), 0);
        prop_assert_eq!(live.part(0).unwrap().cursor(), live.part(0).unwrap().next());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = Progress::decode(&mut Reader::new(&bytes));
    }
}

#[test]
fn the_pieces_of_large_records_weigh_something() {
    let mut progress = Progress::default();
    let part = progress.part_or(0, Part::default);
    let count = 64 * 1_024;
    for position in 0..8 {
        assert!(part.take(position));
        part.begin(position, pieces(count));
        part.settle(position, Obligation::Piece(count - 1));
    }
    let mut bytes = Vec::new();
    progress.encode(&mut bytes);
    assert!(progress.weight() >= bytes.len() / 512, "{} for {}", progress.weight(), bytes.len());
}

//! Histories made by hand: one that is sound, and for each rule at least one that breaks it.

use std::collections::BTreeSet;

use millstream_core::{HashKey, HashKeyRange, SequenceNumber, ShardId};

use super::{Rule, check};
use crate::history::{Event, From, History, ListedShard, Via};

const HALF: u128 = 1 << 127;

fn shard(number: u32) -> String {
    ShardId(number).to_string()
}

/// The parent was created in second 100, its children in second 200.
fn created(number: u32) -> u64 {
    if number == 0 { 100 } else { 200 }
}

fn sequence(number: u32, index: u64) -> String {
    let shard = ShardId(number);
    let created = created(number);
    SequenceNumber { shard_created_seconds: created, shard, index, arrived_seconds: created }
        .to_string()
}

fn sent(record: &str, point: u128) -> Event {
    Event::Sent { record: record.to_owned(), point: HashKey(point) }
}

fn acked(record: &str, number: u32, index: u64) -> Event {
    let sequence = sequence(number, index);
    Event::Acked { record: record.to_owned(), shard: shard(number), sequence }
}

fn began(reader: &str, via: Via, number: u32, from: From, audit: bool) -> Event {
    Event::Began { reader: reader.to_owned(), via, shard: shard(number), from, audit }
}

fn read(reader: &str, record: &str, number: u32, index: u64) -> Event {
    let sequence = sequence(number, index);
    Event::Read { reader: reader.to_owned(), sequence, record: record.to_owned() }
}

fn tip(reader: &str) -> [Event; 2] {
    let reader = reader.to_owned();
    [Event::Asked { reader: reader.clone() }, Event::Tip { reader }]
}

fn shard_end(reader: &str, children: &[u32]) -> Event {
    let children = children.iter().copied().map(shard).collect();
    Event::ShardEnd { reader: reader.to_owned(), children }
}

fn listed(number: u32, start: u128, end: u128, closed: bool) -> ListedShard {
    let id = ShardId(number);
    ListedShard {
        shard: shard(number),
        parents: if number == 0 { vec![] } else { vec![shard(0)] },
        range: HashKeyRange { start: HashKey(start), end: HashKey(end) },
        start: SequenceNumber::start_of(id, created(number)).to_string(),
        end: closed.then(|| SequenceNumber::end_of(id, created(number), 150).to_string()),
    }
}

fn before_split() -> Vec<ListedShard> {
    vec![listed(0, 0, u128::MAX, false)]
}

fn after_split() -> Vec<ListedShard> {
    vec![
        listed(0, 0, u128::MAX, true),
        listed(1, 0, HALF - 1, false),
        listed(2, HALF, u128::MAX, false),
    ]
}

/// `a`, `b` acknowledged and `c` (unknown, written) on shard 0; `d` unknown, not written; `e`
/// refused; a split; `f` on shard 1, `g` on shard 2; a reader all along; the closing pass.
fn sound() -> Vec<Event> {
    let mut events = vec![
        Event::Setting { name: "hours".to_owned(), value: "24".to_owned() },
        Event::SettingAcked { name: "hours".to_owned() },
        Event::Listed { shards: before_split() },
        sent("a", 1),
        began("live", Via::GetRecords, 0, From::TrimHorizon, false),
        acked("a", 0, 1),
        read("live", "a", 0, 1),
        began("late", Via::GetRecords, 0, From::Latest, false),
        sent("b", 2),
        sent("c", HALF),
        Event::Unknown { record: "c".to_owned() },
        acked("b", 0, 2),
        read("late", "b", 0, 2),
        sent("d", 4),
        Event::Unknown { record: "d".to_owned() },
        sent("e", 5),
        Event::Refused { record: "e".to_owned() },
        read("live", "b", 0, 2),
        read("live", "c", 0, 3),
    ];
    events.extend(tip("live"));
    events.extend([
        Event::Setting { name: "hours".to_owned(), value: "48".to_owned() },
        Event::SettingAcked { name: "hours".to_owned() },
        Event::Closed { shard: shard(0) },
        shard_end("live", &[1, 2]),
        sent("f", 6),
        acked("f", 1, 1),
        sent("g", HALF + 1),
        acked("g", 2, 1),
        Event::SettingRead { name: "hours".to_owned(), value: "48".to_owned() },
        Event::Listed { shards: after_split() },
    ]);
    for (name, via) in [("get", Via::GetRecords), ("push", Via::SubscribeToShard)] {
        let reader = |number: u32| format!("{name}{number}");
        let contents: [&[&str]; 3] = [&["a", "b", "c"], &["f"], &["g"]];
        for (number, records) in (0..).zip(contents) {
            events.push(began(&reader(number), via, number, From::TrimHorizon, true));
            for (index, record) in (1..).zip(records) {
                events.push(read(&reader(number), record, number, index));
            }
        }
        events.push(shard_end(&reader(0), &[1, 2]));
    }
    events
}

fn rules(events: Vec<Event>) -> BTreeSet<Rule> {
    let history = History { events };
    let report = check(&history);
    assert!(report.is_sound() || report.render(&history).contains("broken promises"));
    report.findings.iter().map(|finding| finding.rule).collect()
}

/// The place of the first event that `wanted` knows.
fn place(events: &[Event], wanted: &Event) -> usize {
    events.iter().position(|event| event == wanted).expect("the event stands in the history")
}

fn without(wanted: &[Event]) -> Vec<Event> {
    let mut events = sound();
    for event in wanted {
        let at = place(&events, event);
        events.remove(at);
    }
    events
}

fn with(old: &Event, new: Event) -> Vec<Event> {
    let mut events = sound();
    let at = place(&events, old);
    events[at] = new;
    events
}

fn after(old: &Event, new: &[Event]) -> Vec<Event> {
    let mut events = sound();
    let at = place(&events, old) + 1;
    events.splice(at..at, new.iter().cloned());
    events
}

fn listing(change: impl Fn(&mut Vec<ListedShard>)) -> Vec<Event> {
    let mut shards = after_split();
    change(&mut shards);
    with(&Event::Listed { shards: after_split() }, Event::Listed { shards })
}

/// Each broken history, its name, and the rules that must be found broken, no fewer, no more.
#[allow(clippy::too_many_lines)]
fn broken() -> Vec<(&'static str, Vec<Event>, Vec<Rule>)> {
    let audits = |record: &str, number: u32, index: u64| {
        let readers = [format!("get{number}"), format!("push{number}")];
        readers.map(|reader| read(&reader, record, number, index))
    };
    vec![
        (
            "an acknowledged record is gone",
            without(&audits("g", 2, 1)),
            vec![Rule::AckedIsReadable],
        ),
        (
            "an acknowledged record moved",
            with(&acked("g", 2, 1), acked("g", 2, 9)),
            vec![Rule::AckedStaysInPlace],
        ),
        (
            "an acknowledged record stands on another shard",
            with(&acked("g", 2, 1), acked("g", 1, 9)),
            vec![Rule::AckedStaysInPlace, Rule::KeyFindsItsShard],
        ),
        (
            "the server wrote an acknowledged record twice",
            {
                let mut events = after(&read("get1", "f", 1, 1), &[read("get1", "f", 1, 2)]);
                let at = place(&events, &read("push1", "f", 1, 1)) + 1;
                events.insert(at, read("push1", "f", 1, 2));
                events
            },
            vec![Rule::OnceAtMost, Rule::AckedStaysInPlace],
        ),
        (
            "a record of unknown outcome stands on two shards",
            {
                let mut events = after(&read("get1", "f", 1, 1), &[read("get1", "d", 1, 2)]);
                let at = place(&events, &read("push1", "f", 1, 1)) + 1;
                events.insert(at, read("push1", "d", 1, 2));
                let at = place(&events, &read("get2", "g", 2, 1)) + 1;
                events.insert(at, read("get2", "d", 2, 2));
                let at = place(&events, &read("push2", "g", 2, 1)) + 1;
                events.insert(at, read("push2", "d", 2, 2));
                events
            },
            vec![Rule::OnceAtMost, Rule::AckedStaysInPlace],
        ),
        (
            "a record that nobody sent is read",
            after(&read("live", "c", 0, 3), &[read("live", "ghost", 0, 4)]),
            vec![Rule::OnlyWhatWasSent],
        ),
        (
            "a refused record is read",
            {
                let mut events = after(&read("get1", "f", 1, 1), &[read("get1", "e", 1, 2)]);
                let at = place(&events, &read("push1", "f", 1, 1)) + 1;
                events.insert(at, read("push1", "e", 1, 2));
                events
            },
            vec![Rule::RefusedIsAbsent],
        ),
        (
            "a sequence number is used again after a restart",
            after(&acked("b", 0, 2), &[sent("h", 7), acked("h", 0, 2)]),
            vec![Rule::SequenceNamesOne, Rule::AckedIsReadable],
        ),
        (
            "a sequence number is garbled",
            with(
                &read("late", "b", 0, 2),
                Event::Read {
                    reader: "late".to_owned(),
                    sequence: "12".to_owned(),
                    record: "b".to_owned(),
                },
            ),
            vec![Rule::SequenceIsSound],
        ),
        (
            "a reader goes back",
            after(&read("live", "b", 0, 2), &[read("live", "a", 0, 1)]),
            vec![Rule::ReadsGrow],
        ),
        (
            "a later record stands in front",
            after(&acked("f", 1, 1), &[sent("h", 7), acked("h", 1, 0)]),
            vec![Rule::AckOrderIsReadOrder, Rule::AckedIsReadable],
        ),
        (
            "a record was read before it was durable, and is gone",
            {
                let mut events = without(&audits("c", 0, 3));
                let at = place(&events, &read("live", "c", 0, 3));
                assert!(at > 0);
                events.retain(|event| *event != read("push0", "c", 0, 3));
                events
            },
            vec![Rule::ReadStaysReadable],
        ),
        (
            "a reader passes over a record",
            without(&[read("live", "b", 0, 2)]),
            vec![Rule::NothingSkipped],
        ),
        (
            "a reader passes over the first record",
            without(&[read("live", "a", 0, 1)]),
            vec![Rule::NothingSkipped],
        ),
        (
            "a reader at LATEST misses a record sent since",
            {
                let mut events = with(&read("late", "b", 0, 2), read("late", "c", 0, 3));
                let late = events.remove(place(&events, &read("late", "c", 0, 3)));
                let at = place(&events, &read("live", "c", 0, 3));
                events.insert(at, late);
                events
            },
            vec![Rule::NothingSkipped],
        ),
        (
            "a reader is told that nothing is behind an acknowledged record",
            after(&acked("b", 0, 2), &tip("live")),
            vec![Rule::TipHidesNothing],
        ),
        (
            "fan-out gives one record less",
            without(&[read("push2", "g", 2, 1)]),
            vec![Rule::ReadersAgree],
        ),
        (
            "a shard was not read in the end",
            without(&[
                began("push1", Via::SubscribeToShard, 1, From::TrimHorizon, true),
                read("push1", "f", 1, 1),
            ]),
            vec![Rule::AuditIsWhole, Rule::ReadersAgree],
        ),
        (
            "a closed shard never ends",
            without(&[shard_end("push0", &[1, 2])]),
            vec![Rule::AuditIsWhole],
        ),
        (
            "a shard ends before its last record",
            without(&[read("live", "c", 0, 3)]),
            vec![Rule::ShardEndIsTrue],
        ),
        (
            "a shard ends and names one child of two",
            with(&shard_end("live", &[1, 2]), shard_end("live", &[1])),
            vec![Rule::ShardEndIsTrue],
        ),
        (
            "an open shard ends",
            after(&read("get2", "g", 2, 1), &[shard_end("get2", &[])]),
            vec![Rule::ShardEndIsTrue],
        ),
        (
            "a closed shard takes a record",
            {
                let mut events =
                    after(&shard_end("live", &[1, 2]), &[sent("h", 7), acked("h", 0, 4)]);
                for reader in ["get0", "push0"] {
                    let at = place(&events, &read(reader, "c", 0, 3)) + 1;
                    events.insert(at, read(reader, "h", 0, 4));
                }
                events
            },
            vec![Rule::ClosedTakesNothing, Rule::ShardEndIsTrue],
        ),
        (
            "a parent takes a record after its child did",
            {
                let mut events = after(&acked("f", 1, 1), &[sent("h", 7), acked("h", 0, 4)]);
                events.retain(|event| *event != shard_end("live", &[1, 2]));
                for reader in ["get0", "push0"] {
                    let at = place(&events, &read(reader, "c", 0, 3)) + 1;
                    events.insert(at, read(reader, "h", 0, 4));
                }
                events
            },
            vec![Rule::ClosedTakesNothing],
        ),
        (
            "a shard's ending number is below its last record",
            listing(|shards| shards[0].end = Some(sequence(0, 2))),
            vec![Rule::WithinBounds],
        ),
        (
            "a shard that was listed is gone",
            with(
                &Event::Listed { shards: before_split() },
                Event::Listed {
                    shards: {
                        let mut shards = before_split();
                        shards
                            .push(ListedShard { parents: vec![], ..listed(9, 0, u128::MAX, true) });
                        shards
                    },
                },
            ),
            vec![Rule::ListingIsStable],
        ),
        (
            "the open shards leave a gap",
            listing(|shards| shards[2].range.start = HashKey(HALF + 1)),
            vec![Rule::RingIsTiled],
        ),
        (
            "a key lands on its neighbour's shard",
            with(&sent("g", HALF + 1), sent("g", 3)),
            vec![Rule::KeyFindsItsShard],
        ),
        (
            "a split that was acknowledged is forgotten",
            {
                let events = without(&[shard_end("live", &[1, 2])]);
                let kept = |event: &Event| {
                    let text = format!("{event:?}");
                    !["\"f\"", "\"g\"", "get1", "get2", "push1", "push2", "ShardEnd"]
                        .iter()
                        .any(|word| text.contains(word))
                };
                let mut events: Vec<Event> = events.into_iter().filter(kept).collect();
                let at = place(&events, &Event::Listed { shards: after_split() });
                events[at] = Event::Listed { shards: before_split() };
                events
            },
            vec![Rule::ChangesAreKept],
        ),
        (
            "a setting that was acknowledged is forgotten",
            with(
                &Event::SettingRead { name: "hours".to_owned(), value: "48".to_owned() },
                Event::SettingRead { name: "hours".to_owned(), value: "24".to_owned() },
            ),
            vec![Rule::ChangesAreKept],
        ),
    ]
}

#[test]
fn a_sound_history_breaks_no_promise() {
    let history = History { events: sound() };
    let report = check(&history);
    assert!(report.is_sound(), "{}", report.render(&history));
    assert_eq!(report.counts.sent, 7);
    assert_eq!(report.counts.acked, 4);
    assert_eq!(report.counts.unknown_written, 1);
}

#[test]
fn each_broken_history_is_found_and_named() {
    for (name, events, expected) in broken() {
        let expected: BTreeSet<Rule> = expected.into_iter().collect();
        assert_eq!(rules(events), expected, "{name}");
    }
}

#[test]
fn every_rule_can_fail() {
    let failed: BTreeSet<Rule> = broken().into_iter().flat_map(|(_, _, rules)| rules).collect();
    assert_eq!(failed, BTreeSet::from(Rule::ALL));
}

#[test]
fn a_history_survives_its_json_lines() {
    let history = History { events: sound() };
    assert_eq!(History::of_json_lines(&history.to_json_lines()).unwrap(), history);
}

//! The commands' effects: ids are never reused, the ring stays tiled, nothing unfinished is lost.

use millstream_core::{HashKey, HashKeyRange, ShardId};
use proptest::prelude::*;

use super::*;

fn account() -> AccountId {
    "000000000000".parse().unwrap()
}

fn create(registry: &mut Registry, name: &str, shard_count: u32, at: u64) -> StreamUid {
    let name: StreamName = name.parse().unwrap();
    registry.apply(Command::CreateStream(NewStream {
        account: account(),
        name: name.clone(),
        created: Timestamp::from_ms(at),
        mode: Mode::Provisioned,
        shard_count,
        max_record_kib: 1_024,
        warm_throughput_mibps: 0,
        tags: BTreeMap::new(),
    }));
    let uid = registry.by_name(&account(), &name).unwrap().uid;
    registry.apply(Command::ActivateStream { stream: uid });
    uid
}

fn stream(registry: &Registry, uid: StreamUid) -> &Stream {
    registry.by_uid(uid).unwrap()
}

/// Runs a plan to its end and returns how many rounds it took.
fn reshard(registry: &mut Registry, uid: StreamUid, plan: Plan, at: u64) -> usize {
    registry.apply(Command::BeginReshard { stream: uid, plan, scaling: None });
    let mut rounds = 0;
    loop {
        let round = stream(registry, uid).reshard.as_ref().unwrap().round.clone();
        if round.is_empty() {
            registry.apply(Command::ActivateStream { stream: uid });
            return rounds;
        }
        let ends = round.iter().flat_map(|step| &step.parents).map(|id| (*id, 5)).collect();
        let at = Timestamp::from_ms(at);
        registry.apply(Command::FinishRound { stream: uid, at, ends });
        rounds += 1;
        check(stream(registry, uid));
    }
}

/// The invariants of a stream.
fn check(stream: &Stream) {
    let open: Vec<&Shard> = stream.open_shards().collect();
    assert_eq!(open[0].range.start, HashKey::MIN);
    assert_eq!(open[open.len() - 1].range.end, HashKey::MAX);
    assert!(open.windows(2).all(|pair| pair[0].range.end.0 + 1 == pair[1].range.start.0));
    for shard in &stream.shards {
        assert!(shard.closed.is_some() || stream.route(shard.range.start) < stream.shards.len());
        for parent in shard.parents.iter().filter_map(|id| stream.shard(*id)) {
            assert!(parent.created_seconds < shard.created_seconds);
            let end = parent.ending_sequence_number().unwrap();
            assert!(end < shard.starting_sequence_number());
            let children = &parent.closed.as_ref().unwrap().children;
            assert!(children.iter().any(|child| child.id == shard.id));
        }
    }
}

fn ranges(stream: &Stream) -> Vec<HashKeyRange> {
    stream.open_shards().map(|shard| shard.range).collect()
}

#[test]
fn a_stream_made_again_is_another_stream() {
    let mut registry = Registry::default();
    let first = create(&mut registry, "orders", 1, 1_000);
    registry.apply(Command::DeleteStream { stream: first });
    assert_eq!(registry.busy(), [first]);
    registry.apply(Command::RemoveStream { stream: first });
    assert_eq!(registry.condemned(), [1_000]);
    let second = create(&mut registry, "orders", 1, 2_000);
    assert_ne!(first, second);
    assert!(registry.by_uid(first).is_none());
    assert_eq!(stream(&registry, second).shards[0].log().0, 1_001);
    registry.apply(Command::LogsDeleted { logs: vec![1_000] });
    assert!(registry.condemned().is_empty() && registry.busy().is_empty());
}

#[test]
fn a_split_closes_the_parent_and_opens_two_children() {
    let mut registry = Registry::default();
    let uid = create(&mut registry, "orders", 1, 1_000_000);
    let start = HashKey(100);
    assert_eq!(reshard(&mut registry, uid, Plan::Split { shard: ShardId(0), start }, 1_000_500), 1);
    let stream = stream(&registry, uid);
    assert_eq!(stream.shards.len(), 3);
    assert_eq!(stream.shards[1].range, HashKeyRange { start: HashKey::MIN, end: HashKey(99) });
    assert_eq!(stream.shards[2].parents, [ShardId(0)]);
    // The split came in the second of the stream's creation, and the children in the next.
    assert_eq!(stream.shards[1].created_seconds, 1_001);
}

#[test]
fn doubling_takes_one_round_and_halving_too() {
    let mut registry = Registry::default();
    let uid = create(&mut registry, "orders", 4, 1_000);
    assert_eq!(reshard(&mut registry, uid, Plan::Uniform { count: 8 }, 9_000), 1);
    assert_eq!(ranges(stream(&registry, uid)), HashKeyRange::tile(8));
    assert_eq!(reshard(&mut registry, uid, Plan::Uniform { count: 4 }, 9_000), 1);
    assert_eq!(ranges(stream(&registry, uid)), HashKeyRange::tile(4));
}

#[test]
fn a_shard_whose_records_expired_is_forgotten_and_its_log_condemned() {
    let mut registry = Registry::default();
    let uid = create(&mut registry, "orders", 1, 1_000);
    reshard(&mut registry, uid, Plan::Halve { shards: vec![ShardId(0)] }, 2_000);
    // An open shard is never forgotten, whatever the command says.
    let shards = vec![ShardId(0), ShardId(1)];
    registry.apply(Command::ForgetShards { stream: uid, shards });
    let left: Vec<ShardId> = stream(&registry, uid).shards.iter().map(|shard| shard.id).collect();
    assert_eq!(left, [ShardId(1), ShardId(2)]);
    assert_eq!(registry.condemned(), [1_000]);
}

#[test]
fn deleting_in_the_middle_of_a_reshard_condemns_the_planned_children_too() {
    let mut registry = Registry::default();
    let uid = create(&mut registry, "orders", 1, 1_000);
    let plan = Plan::Halve { shards: vec![ShardId(0)] };
    registry.apply(Command::BeginReshard { stream: uid, plan, scaling: None });
    registry.apply(Command::DeleteStream { stream: uid });
    registry.apply(Command::RemoveStream { stream: uid });
    assert_eq!(registry.condemned(), [1_000, 1_001, 1_002]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_count_reaches_any_other_in_few_rounds(counts in proptest::collection::vec(1..60_u32, 1..5)) {
        let mut registry = Registry::default();
        let uid = create(&mut registry, "orders", 3, 1_000);
        for (index, count) in counts.into_iter().enumerate() {
            let at = 5_000 + index as u64 * 100;
            let rounds = reshard(&mut registry, uid, Plan::Uniform { count }, at);
            prop_assert!(rounds <= 14, "{rounds} rounds");
            prop_assert_eq!(ranges(stream(&registry, uid)), HashKeyRange::tile(count));
        }
    }

    #[test]
    fn any_splits_and_merges_keep_the_ring_tiled(
        choices in proptest::collection::vec((any::<bool>(), any::<u128>()), 0..40),
    ) {
        let mut registry = Registry::default();
        let uid = create(&mut registry, "orders", 2, 1_000);
        for (is_split, point) in choices {
            let point = HashKey(point);
            let now = stream(&registry, uid);
            let shard = now.shards[now.route(point)].clone();
            let plan = if is_split {
                if shard.range.split_at(point).is_none() { continue }
                Plan::Split { shard: shard.id, start: point }
            } else {
                let next = now.open_shards().find(|other| other.range.is_adjacent(&shard.range));
                let Some(next) = next else { continue };
                Plan::Merge { shard: shard.id, adjacent: next.id }
            };
            prop_assert_eq!(reshard(&mut registry, uid, plan, 3_000), 1);
        }
        let json = serde_json::to_string(&registry).unwrap();
        prop_assert_eq!(serde_json::from_str::<Registry>(&json).unwrap(), registry);
    }
}

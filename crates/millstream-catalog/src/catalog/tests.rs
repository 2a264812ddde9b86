//! What a catalog promises, on a log in memory that can be made to fail, stop and lose its end.

use std::convert::Infallible;

use millstream_core::{ManualClock, Timestamp};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::memory::{AppendFault, MemoryLog};

/// Remembers all it was told, with enough bulk that snapshots take several parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Diary {
    entries: Vec<u64>,
    bulk: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Write {
    Entry(u64),
    Bulk(usize),
}

impl Machine for Diary {
    type Command = Write;

    fn apply(&mut self, command: Write) {
        match command {
            Write::Entry(number) => self.entries.push(number),
            Write::Bulk(bytes) => self.bulk = "x".repeat(bytes),
        }
    }
}

const ID: LogId = LogId(1);

fn memory() -> Arc<MemoryLog> {
    MemoryLog::new(Arc::new(ManualClock::new(Timestamp::from_seconds(1))))
}

async fn open(log: &Arc<MemoryLog>, commands: u64) -> Arc<Catalog<Diary>> {
    let policy = SnapshotPolicy { commands, bytes: u64::MAX };
    Catalog::open(log.clone(), ID, policy).await.unwrap()
}

async fn write(
    catalog: &Arc<Catalog<Diary>>,
    command: Write,
) -> Result<(), ProposeError<Infallible>> {
    catalog.propose(|_| Ok((Some(command), ()))).await
}

fn state(catalog: &Catalog<Diary>) -> Diary {
    catalog.read(Clone::clone)
}

#[tokio::test]
async fn a_command_is_there_after_reopening() {
    let log = memory();
    let catalog = open(&log, 100).await;
    write(&catalog, Write::Entry(7)).await.unwrap();
    let reopened = open(&log.crashed(), 100).await;
    assert_eq!(state(&reopened).entries, [7]);
}

#[tokio::test]
async fn a_refusal_writes_nothing() {
    let log = memory();
    let catalog = open(&log, 100).await;
    let before = log.bounds(ID).unwrap();
    let refused: Result<(), _> = catalog.propose(|_| Err("no")).await;
    assert!(matches!(refused, Err(ProposeError::Refused("no"))));
    assert_eq!(log.bounds(ID).unwrap(), before);
}

#[tokio::test]
async fn an_append_that_wrote_nothing_lets_the_next_command_through() {
    let log = memory();
    let catalog = open(&log, 100).await;
    log.order(AppendFault::Refused(AppendError::NoSpace));
    let error = write(&catalog, Write::Entry(1)).await.unwrap_err();
    assert!(matches!(error, ProposeError::Unavailable(AppendError::NoSpace)));
    write(&catalog, Write::Entry(2)).await.unwrap();
    assert_eq!(state(&catalog).entries, [2]);
    assert_eq!(state(&*open(&log.crashed(), 100).await).entries, [2]);
}

#[tokio::test]
async fn an_unknown_outcome_stops_the_catalog_until_it_is_opened_again() {
    let log = memory();
    let catalog = open(&log, 100).await;
    log.order(AppendFault::WrittenThenStopped);
    let error = write(&catalog, Write::Entry(1)).await.unwrap_err();
    assert!(matches!(error, ProposeError::Stopped(_)));
    // Nothing may be judged against a state that perhaps lacks a durable command.
    let error = write(&catalog, Write::Entry(2)).await.unwrap_err();
    assert!(matches!(error, ProposeError::Stopped(_)));
    assert_eq!(state(&*open(&log.crashed(), 100).await).entries, [1]);
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_stop_the_command() {
    let log = memory();
    let catalog = open(&log, 100).await;
    {
        let proposal = write(&catalog, Write::Entry(1));
        tokio::pin!(proposal);
        // Polled once: the command is on its way, and nobody waits for it any more.
        let _ = futures_poll_once(proposal.as_mut()).await;
    }
    write(&catalog, Write::Entry(2)).await.unwrap();
    assert_eq!(state(&catalog).entries, [1, 2]);
}

async fn futures_poll_once<F: Future + Unpin>(future: F) -> Option<F::Output> {
    let mut future = future;
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_snapshot_replaces_the_commands_below_it() {
    let log = memory();
    let catalog = open(&log, 3).await;
    for number in 0..10 {
        write(&catalog, Write::Entry(number)).await.unwrap();
    }
    write(&catalog, Write::Bulk(1_000_000)).await.unwrap();
    write(&catalog, Write::Entry(10)).await.unwrap();
    write(&catalog, Write::Entry(11)).await.unwrap();
    let bounds = log.bounds(ID).unwrap();
    assert!(bounds.start.0 > 0, "the log is trimmed");
    let reopened = open(&log.crashed(), 3).await;
    assert_eq!(state(&reopened), state(&catalog));
}

#[tokio::test]
async fn a_log_that_makes_no_sense_is_refused() {
    for payload in [&b""[..], b"X", b"C{", b"S\0\0"] {
        let log = memory();
        open(&log, 100).await;
        log.append(ID, Batch::of(payload)).await.unwrap();
        let opened = Catalog::<Diary>::open(log, ID, SnapshotPolicy::default()).await;
        assert!(matches!(opened, Err(OpenError::Damaged { position: 1, .. })), "{payload:?}");
    }
}

#[tokio::test]
async fn commands_without_a_base_are_refused() {
    let log = memory();
    log.create(ID).await.unwrap();
    log.append(ID, Batch::of(br#"C{"Entry":1}"#)).await.unwrap();
    let opened = Catalog::<Diary>::open(log, ID, SnapshotPolicy::default()).await;
    assert!(matches!(opened, Err(OpenError::Damaged { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written, wherever the crash falls, replay gives a state that was once live,
    /// and no acknowledged command is missing from it.
    #[test]
    fn replay_gives_the_live_state(
        commands in proptest::collection::vec((0..4_u8, 0..400_000_usize), 1..40),
        every in 1..8_u64,
        crash_after in 0..40_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            let log = memory();
            let catalog = open(&log, every).await;
            let mut expected = Diary::default();
            for (index, (kind, size)) in commands.into_iter().enumerate() {
                let command = if kind == 0 { Write::Bulk(size) } else { Write::Entry(index as u64) };
                expected.apply(command.clone());
                if index == crash_after {
                    // The command is durable, and the crash comes before it is applied.
                    // (First let a snapshot that is under way come to its end.)
                    let nothing = catalog.propose(|_| Ok::<_, Infallible>((None, ())));
                    nothing.await.unwrap();
                    log.order(AppendFault::WrittenThenSilent);
                    let dying = catalog;
                    let proposal = write(&dying, command);
                    tokio::pin!(proposal);
                    assert!(futures_poll_once(proposal.as_mut()).await.is_none());
                    for _ in 0..20 { tokio::task::yield_now().await; }
                    let catalog = open(&log.crashed(), every).await;
                    assert_eq!(state(&catalog), expected);
                    return;
                }
                write(&catalog, command).await.unwrap();
                assert_eq!(state(&catalog), expected);
            }
            let reopened = open(&log.crashed(), every).await;
            assert_eq!(state(&reopened), expected);
        });
    }
}

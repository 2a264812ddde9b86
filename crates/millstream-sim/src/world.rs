//! A world: one machine with one service, a network, clients, and chaos, all from one seed.
//!
//! Owns the runtime, in which time is simulated and nothing runs at once, and the order of a
//! world's life: start, faults, healing, one last power cut, closing pass, verdict.
//!
//! Invariant: the same plan gives the same trace, byte for byte. What would break it (threads,
//! wall clock, unseeded chance, iteration in hash order) has no place in what runs here.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::actors::chaos::{self, Machine};
use crate::actors::{Client, operator, producer, reader, subscriber};
use crate::audit;
use crate::checker::{Report, check};
use crate::clock::SimClock;
use crate::dice::Dice;
use crate::history::{Event, History};
use crate::ledger::{Ledger, Tally};
use crate::network::{Network, Weather};
use crate::service::{Host, Request};

/// Simulated time after which a world is stuck.
const STUCK: Duration = Duration::from_secs(3_600);

/// What makes a world, but for its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How long faults and clients run, in simulated milliseconds.
    pub life_ms: u64,
}

impl Plan {
    /// The world of `seed`, of usual length.
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, life_ms: 5_000 + Dice::new(seed, "life").below(25_000) }
    }
}

/// How a world ended.
#[derive(Debug)]
pub struct Outcome {
    /// What it was.
    pub plan: Plan,
    /// Everything that happened, with its time.
    pub trace: String,
    /// What clients saw.
    pub history: History,
    /// What the checker says of it.
    pub report: Report,
    /// How wild it was.
    pub tally: Tally,
    /// What kept it from its end: the service did not come back, hung or panicked.
    pub failure: Option<String>,
}

impl Outcome {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.failure.is_none() && self.report.is_sound()
    }

    /// What is wrong, for people, with the end of the trace.
    pub fn render(&self) -> String {
        const TRACE_LINES_MAX: usize = 40;
        let lines: Vec<&str> = self.trace.lines().collect();
        let tail = lines[lines.len().saturating_sub(TRACE_LINES_MAX)..].join("\n");
        format!(
            "seed {} failed\n{}\n{}\nend of the trace:\n{tail}\n\
             replay: MILLSTREAM_SIM_SEED={} cargo test -p millstream-sim --test simulation",
            self.plan.seed,
            self.failure.as_deref().unwrap_or("it came to its end"),
            self.report.render(&self.history),
            self.plan.seed,
        )
    }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers the first panic of a thread, since a task's panic would otherwise pass for a broken
/// connection.
fn remember_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANIC.with_borrow_mut(|first| {
                first.get_or_insert_with(|| info.to_string());
            });
            before(info);
        }));
    });
}

/// Lives through the world of `plan` on the machine that `build` makes.
pub fn run<B>(plan: Plan, build: B) -> Outcome
where
    B: FnOnce(Arc<SimClock>, u64) -> Arc<dyn Host>,
{
    remember_panics();
    PANIC.with_borrow_mut(Option::take);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread needs nothing");
    let (ledger, result) = runtime.block_on(async {
        let clock = Arc::new(SimClock::new());
        let ledger = Ledger::new(Arc::clone(&clock));
        let host = build(Arc::clone(&clock), Dice::new(plan.seed, "host").seed());
        let life = live(plan, clock, host, ledger.clone());
        let result = timeout(STUCK, life).await.unwrap_or_else(|_| Err("it hangs".to_owned()));
        (ledger, result)
    });
    drop(runtime);
    let panic = PANIC.with_borrow_mut(Option::take).map(|what| format!("a panic: {what}"));
    let (history, trace, tally) = ledger.close();
    // Without its closing pass a history proves nothing.
    let report = if result.is_ok() { check(&history) } else { Report::default() };
    Outcome { plan, trace, history, report, tally, failure: panic.or(result.err()) }
}

struct Cast {
    seed: u64,
    network: Arc<Network>,
    ledger: Ledger,
    over: Arc<AtomicBool>,
}

impl Cast {
    fn client(&self, name: &str) -> Client {
        Client {
            name: name.to_owned(),
            dice: Dice::new(self.seed, name),
            network: Arc::clone(&self.network),
            ledger: self.ledger.clone(),
            over: Arc::clone(&self.over),
        }
    }
}

async fn live(
    plan: Plan,
    clock: Arc<SimClock>,
    host: Arc<dyn Host>,
    ledger: Ledger,
) -> Result<(), String> {
    let dice = Dice::new(plan.seed, "world");
    let network = Arc::new(Network::new(Dice::new(plan.seed, "network"), ledger.clone()));
    let over = Arc::new(AtomicBool::new(false));
    let cast = Cast { seed: plan.seed, network: Arc::clone(&network), ledger, over };
    let machine = || Machine { host: Arc::clone(&host), clock: Arc::clone(&clock) };

    let founder = cast.client("founder");
    chaos::start(&founder, &machine()).await?;
    found(&founder, u32::try_from(dice.between(1, 4)).expect("it is small")).await?;
    network.set_weather(chaos::weather(false));

    let mut clients = JoinSet::new();
    for number in 0..dice.between(1, 4) {
        let think_ms = dice.between(20, 400);
        clients.spawn(producer::run(cast.client(&format!("p{number}")), think_ms));
    }
    for number in 0..dice.between(1, 2) {
        clients.spawn(reader::run(cast.client(&format!("r{number}")), dice.between(50, 400)));
    }
    for number in 0..dice.between(1, 2) {
        clients.spawn(subscriber::run(cast.client(&format!("s{number}"))));
    }
    clients.spawn(operator::run(cast.client("operator"), dice.between(1_000, 6_000)));
    let chaos = chaos::run(cast.client("chaos"), machine(), dice.between(1_000, 6_000));
    let mut chaos = tokio::spawn(chaos);

    tokio::select! {
        biased;
        ended = &mut chaos => flatten(ended)?,
        () = sleep(Duration::from_millis(plan.life_ms)) => {
            cast.over.store(true, Ordering::SeqCst);
            flatten(chaos.await)?;
        }
    }
    heal(&founder, &machine());
    while clients.join_next().await.is_some() {}
    // One more cut, so that the closing pass sees only what is durable.
    drop(network.detach());
    host.cut_power(dice.seed());
    chaos::start(&founder, &machine()).await?;
    audit::run(&cast.client("audit")).await
}

fn flatten(ended: Result<Result<(), String>, tokio::task::JoinError>) -> Result<(), String> {
    ended.unwrap_or_else(|error| Err(error.to_string()))
}

async fn found(client: &Client, shards: u32) -> Result<(), String> {
    let created = client.call(Request::CreateStream { shards }).await;
    created.map_err(|error| format!("cannot create a stream: {error:?}"))?;
    for (name, value) in [(operator::RETENTION, "24"), (operator::ENCRYPTION, "false")] {
        client.note(Event::Setting { name: name.to_owned(), value: value.to_owned() });
        client.note(Event::SettingAcked { name: name.to_owned() });
    }
    while !matches!(operator::describe(client).await, Ok(Some(_))) {
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn heal(client: &Client, machine: &Machine) {
    client.ledger.say("chaos", "heals everything");
    client.network.set_cut(false);
    client.network.set_weather(Weather::default());
    machine.host.heal();
    machine.clock.set_offset_ms(0);
}

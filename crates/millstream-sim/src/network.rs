//! The network between clients and the service: slow, lossy, and honest about neither.
//!
//! Owns delay, loss and the difference between *refused* (nobody listened, so nothing was
//! written) and *no answer* (anything may have happened). Requests are never duplicated by the
//! network, as TCP never does; clients that retry do that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::unfold;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::service::{Answer, Fault, Request, Service, Subscription};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a call has no answer of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Nobody listened: the request was not delivered.
    Unreachable,
    /// No answer came: anything may have happened.
    NoAnswer,
    /// The service answered with an error.
    Fault(Fault),
}

impl CallError {
    /// Whether surely nothing was written.
    pub fn says_nothing_written(&self) -> bool {
        match self {
            Self::Unreachable => true,
            Self::NoAnswer => false,
            Self::Fault(fault) => fault.says_nothing_written(),
        }
    }
}

/// How bad the network is, in chances of 1,000.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// A request vanishes.
    pub lose_request: u64,
    /// An answer vanishes.
    pub lose_answer: u64,
    /// The client goes away, and the handler with it.
    pub drop_handler: u64,
    /// Longest delay of a message.
    pub delay_ms_max: u64,
}

struct Running {
    service: Arc<dyn Service>,
    handlers: JoinSet<()>,
}

/// The one way from clients to the service.
pub struct Network {
    running: Mutex<Option<Running>>,
    /// Grows with each stop, so that answers of a dead service are not delivered.
    generation: AtomicU64,
    weather: Mutex<Weather>,
    cut: Mutex<bool>,
    dice: Dice,
    ledger: Ledger,
}

impl Network {
    /// A network with nobody listening.
    pub fn new(dice: Dice, ledger: Ledger) -> Self {
        Self {
            running: Mutex::new(None),
            generation: AtomicU64::new(0),
            weather: Mutex::default(),
            cut: Mutex::new(false),
            dice,
            ledger,
        }
    }

    /// Makes the network as bad as this.
    pub fn set_weather(&self, weather: Weather) {
        *lock(&self.weather) = weather;
    }

    /// Cuts or mends the cable. Answers under way are lost too.
    pub fn set_cut(&self, cut: bool) {
        *lock(&self.cut) = cut;
    }

    /// Lets `service` listen.
    pub fn attach(&self, service: Arc<dyn Service>) {
        *lock(&self.running) = Some(Running { service, handlers: JoinSet::new() });
    }

    /// Ends all handlers at once and lets nobody listen; returns who did.
    pub fn detach(&self) -> Option<Arc<dyn Service>> {
        self.generation.fetch_add(1, Ordering::SeqCst);
        // Dropping the set aborts its tasks, as a process's end does.
        lock(&self.running).take().map(|running| running.service)
    }

    /// Which run of the service is on.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Calls the service as `who`.
    pub async fn call(&self, who: &str, request: Request) -> Result<Answer, CallError> {
        let name = name_of(&request);
        let result = self.carry(who, request).await;
        match &result {
            Ok(_) => {}
            Err(error) => {
                if matches!(error, CallError::Fault(_)) {
                    self.ledger.count(|tally| tally.faults += 1);
                }
                self.ledger.say(who, &format!("{name} failed: {error:?}"));
            }
        }
        result
    }

    async fn carry(&self, who: &str, request: Request) -> Result<Answer, CallError> {
        let weather = *lock(&self.weather);
        self.delay(weather).await;
        if *lock(&self.cut) || self.dice.chance(weather.lose_request) {
            self.ledger.count(|tally| tally.requests_lost += 1);
            sleep(PATIENCE).await;
            return Err(CallError::NoAnswer);
        }
        let generation = self.generation();
        let (answer, handler) = {
            let mut running = lock(&self.running);
            let Some(running) = running.as_mut() else { return Err(CallError::Unreachable) };
            let (reply, answer) = tokio::sync::oneshot::channel();
            let work = Arc::clone(&running.service).call(request);
            let handler: AbortHandle = running.handlers.spawn(async move {
                let result = work.await;
                // The client may be gone; the work is done all the same.
                let _ = reply.send(result);
            });
            while running.handlers.try_join_next().is_some() {}
            (answer, handler)
        };
        let patience = if self.dice.chance(weather.drop_handler) {
            Duration::from_millis(self.dice.below(20))
        } else {
            PATIENCE
        };
        let Ok(Ok(result)) = timeout(patience, answer).await else {
            // The server notices that the connection is gone, and drops what it was doing.
            if !handler.is_finished() {
                self.ledger.count(|tally| tally.handlers_dropped += 1);
                self.ledger.say(who, "went away");
            }
            handler.abort();
            return Err(CallError::NoAnswer);
        };
        self.delay(weather).await;
        let lost = *lock(&self.cut) || self.dice.chance(weather.lose_answer);
        if lost || generation != self.generation() {
            self.ledger.count(|tally| tally.answers_lost += 1);
            return Err(CallError::NoAnswer);
        }
        match result.map_err(CallError::Fault)? {
            Answer::Subscribed(events) => self.carry_events(events, weather),
            answer => Ok(answer),
        }
    }

    /// Carries a subscription's events, in order, late, until the connection breaks.
    fn carry_events(&self, events: Subscription, weather: Weather) -> Result<Answer, CallError> {
        let mut running = lock(&self.running);
        let Some(running) = running.as_mut() else { return Err(CallError::NoAnswer) };
        let (sender, receiver) = mpsc::channel(1);
        let dice = Dice::new(self.dice.seed(), "subscription");
        running.handlers.spawn(async move {
            let mut events = events;
            while let Some(event) = events.next().await {
                let bound = if dice.chance(900) { 2 } else { weather.delay_ms_max.max(1) };
                sleep(Duration::from_millis(dice.below(bound))).await;
                if dice.chance(weather.lose_answer) || sender.send(event).await.is_err() {
                    break;
                }
            }
        });
        let delivered = unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|event| (event, receiver))
        });
        Ok(Answer::Subscribed(Box::pin(delivered)))
    }

    async fn delay(&self, weather: Weather) {
        // Mostly short, now and then long: the long ones reorder.
        let bound = if self.dice.chance(900) { 3 } else { weather.delay_ms_max.max(1) };
        sleep(Duration::from_millis(self.dice.below(bound))).await;
    }
}

fn name_of(request: &Request) -> String {
    let text = format!("{request:?}");
    let end = text.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(text.len());
    text[..end].to_owned()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

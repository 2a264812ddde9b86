//! What goes wrong: power, disk, clock and network, and the one who starts the service again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Client;
use crate::clock::SimClock;
use crate::network::Weather;
use crate::service::Host;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Ten years.
const DECADE_MS: u64 = 10 * 365 * 24 * HOUR_MS;
/// The clock is never this far ahead, so that no retention ends.
const AHEAD_MS_MAX: u64 = 10 * HOUR_MS;

/// The machine, and what can be done to it.
pub struct Machine {
    /// Its disk, and the service on it.
    pub host: Arc<dyn Host>,
    /// Its clock.
    pub clock: Arc<SimClock>,
}

/// The network on a good day, a bad day and the last day.
pub fn weather(bad: bool) -> Weather {
    if bad {
        Weather { lose_request: 60, lose_answer: 60, drop_handler: 60, delay_ms_max: 2_000 }
    } else {
        Weather { lose_request: 3, lose_answer: 5, drop_handler: 10, delay_ms_max: 50 }
    }
}

/// Makes things go wrong until the world is over; the error says that the service did not come
/// back.
pub async fn run(client: Client, machine: Machine, think_ms_max: u64) -> Result<(), String> {
    while !client.is_over() {
        client.think(think_ms_max).await;
        match client.dice.below(10) {
            0 => cut_power(&client, &machine).await?,
            1 => lose_power(&client, &machine).await?,
            2 => kill(&client, &machine).await?,
            3 => stop(&client, &machine).await?,
            4 | 5 => jump(&client, &machine),
            6 => fail_sync(&client, &machine).await?,
            7 => fill_disk(&client, &machine).await?,
            8 => partition(&client).await,
            _ => {
                client.network.set_weather(weather(client.dice.chance(500)));
                client.ledger.say("chaos", "the weather changes");
            }
        }
    }
    Ok(())
}

async fn cut_power(client: &Client, machine: &Machine) -> Result<(), String> {
    client.ledger.count(|tally| tally.power_cuts += 1);
    client.ledger.say("chaos", "cuts the power");
    drop(client.network.detach());
    machine.host.cut_power(client.dice.seed());
    client.think(3_000).await;
    start(client, machine).await
}

/// The power goes in the middle of a write or between a write and its sync.
async fn lose_power(client: &Client, machine: &Machine) -> Result<(), String> {
    const PATIENCE_STEPS: usize = 3_000;
    client.ledger.count(|tally| tally.power_losses += 1);
    client.ledger.say("chaos", "loosens the power cord");
    machine.host.lose_power_in(client.dice.between(1, 40));
    for _ in 0..PATIENCE_STEPS {
        if machine.host.is_powered_off() {
            break;
        }
        sleep(Duration::from_millis(1)).await;
    }
    cut_power(client, machine).await
}

async fn kill(client: &Client, machine: &Machine) -> Result<(), String> {
    client.ledger.count(|tally| tally.kills += 1);
    client.ledger.say("chaos", "kills the process");
    drop(client.network.detach());
    machine.host.kill();
    client.think(1_000).await;
    start(client, machine).await
}

async fn stop(client: &Client, machine: &Machine) -> Result<(), String> {
    client.ledger.count(|tally| tally.stops += 1);
    client.ledger.say("chaos", "stops the service");
    if let Some(service) = client.network.detach() {
        service.stop().await;
    }
    machine.host.kill();
    client.think(1_000).await;
    start(client, machine).await
}

fn jump(client: &Client, machine: &Machine) {
    client.ledger.count(|tally| tally.clock_jumps += 1);
    let dice = &client.dice;
    let ahead = |ms: u64| i64::try_from(ms.min(AHEAD_MS_MAX)).expect("it is hours");
    let offset_ms = match dice.below(6) {
        0 => 0,
        1 => ahead(dice.below(10 * MINUTE_MS)),
        2 => ahead(HOUR_MS),
        3 => ahead(dice.below(AHEAD_MS_MAX)),
        4 => -ahead(dice.below(HOUR_MS)),
        _ => -i64::try_from(DECADE_MS).expect("it is a decade"),
    };
    client.ledger.say("chaos", &format!("sets the clock wrong by {offset_ms} ms"));
    machine.clock.set_offset_ms(offset_ms);
}

/// A sync fails, the service stops acknowledging, and somebody starts it again on the same disk.
async fn fail_sync(client: &Client, machine: &Machine) -> Result<(), String> {
    client.ledger.count(|tally| tally.sync_failures += 1);
    client.ledger.say("chaos", "makes a sync fail");
    machine.host.fail_sync_in(client.dice.between(1, 10));
    client.think(4_000).await;
    // Another start on the same page cache, in which the failed write may look well.
    if client.dice.chance(500) {
        machine.host.heal();
        return kill(client, machine).await;
    }
    cut_power(client, machine).await
}

/// The disk fills up, and is freed again; the service must go on by itself.
async fn fill_disk(client: &Client, machine: &Machine) -> Result<(), String> {
    client.ledger.count(|tally| tally.disks_full += 1);
    client.ledger.say("chaos", "fills the disk");
    machine.host.limit_space(Some(client.dice.below(20_000)));
    client.think(5_000).await;
    if client.dice.chance(200) {
        drop(client.network.detach());
        machine.host.cut_power(client.dice.seed());
        machine.host.limit_space(None);
        return start(client, machine).await;
    }
    machine.host.limit_space(None);
    client.ledger.say("chaos", "frees the disk");
    Ok(())
}

async fn partition(client: &Client) {
    client.ledger.count(|tally| tally.partitions += 1);
    client.ledger.say("chaos", "cuts the network");
    client.network.set_cut(true);
    client.think(8_000).await;
    client.network.set_cut(false);
    client.ledger.say("chaos", "mends the network");
}

/// Starts the service on what the disk holds.
pub async fn start(client: &Client, machine: &Machine) -> Result<(), String> {
    let service = machine.host.start().await.map_err(|error| {
        client.ledger.say("chaos", &format!("the service does not start: {error}"));
        format!("the service did not come back: {error}")
    })?;
    client.network.attach(service);
    client.ledger.say("chaos", "the service is up");
    Ok(())
}

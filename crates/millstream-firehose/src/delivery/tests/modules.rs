//! WebAssembly modules on the way.

use std::time::Duration;

use bytes::Bytes;
use millstream_destinations::lambda::{Invocation, SourceRecord};
use millstream_formats::prefix::{ErrorPrefix, Prefix, Rules};

use super::history::{lines, raw_data};
use super::outside::{ERRORS, MAIN, Outside};
use super::world::{Size, World, numbered, plan};
use crate::delivery::Modules;
use crate::plan::{Buffering, Function, Plan, Target, Transform};

const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:rework";

/// What becomes of `{"id":N,...` is decided by the first digit of N.
const RULES: &str = r#"(module
    (import "millstream" "output" (func $output (param i32 i32)))
    (import "millstream" "message" (func $message (param i32 i32)))
    (import "millstream" "partition_key" (func $key (param i32 i32 i32 i32)))
    (memory (export "memory") 32)
    (data (i32.const 0) "seven")
    (data (i32.const 8) "digit")
    (func (export "millstream_abi") (result i32) i32.const 1)
    (func (export "input") (param i32) (result i32) i32.const 1024)
    (func (export "transform") (param $at i32) (param $length i32) (result i32)
      (local $digit i32)
      (call $key (i32.const 8) (i32.const 5) (i32.const 1030) (i32.const 1))
      (local.set $digit (i32.load8_u offset=6 (local.get $at)))
      (if (i32.eq (local.get $digit) (i32.const 0x31)) (then (return (i32.const 1))))
      (if (i32.eq (local.get $digit) (i32.const 0x37)) (then
        (call $message (i32.const 0) (i32.const 5))
        (return (i32.const 2))))
      (if (i32.eq (local.get $digit) (i32.const 0x38)) (then (loop $again (br $again))))
      (if (i32.eq (local.get $digit) (i32.const 0x39)) (then unreachable))
      (if (i32.eq (local.get $digit) (i32.const 0x32)) (then (return (i32.const 3))))
      (call $output (local.get $at) (i32.const 7))
      (call $output (i32.const 1029) (i32.const 1))
      (call $output (i32.sub (i32.add (local.get $at) (local.get $length)) (i32.const 1))
                    (i32.const 1))
      i32.const 0))"#;

fn outside(text: &str) -> Outside {
    let mut outside = Outside::new();
    outside.modules.add("module", &wat::parse_str(text).unwrap()).unwrap();
    outside
}

fn transforming() -> Plan {
    let mut plan = plan();
    plan.processing.transform = Some(Transform {
        function: Function::Wasm { arn: ARN.to_owned(), module: "module".to_owned() },
        retries: 3,
        buffering: Buffering { bytes: 1 << 20, interval: Duration::from_secs(900) },
    });
    plan
}

async fn world(plan: Plan) -> World {
    World::sized(plan, outside(RULES), Size::default()).await
}

#[tokio::test(start_paused = true)]
async fn verdicts_of_a_module_are_followed_and_what_breaks_it_breaks_one_record() {
    let mut world = world(transforming()).await;
    world.put_numbered(0..10).await;
    world.until_delivered(200).await;
    let main: Vec<u8> = world.outside.bucket_objects(MAIN).into_values().flatten().collect();
    let mut expected = String::new();
    for number in [0, 2, 3, 4, 5, 6] {
        let whole = String::from_utf8(numbered(number).to_vec()).unwrap();
        let part = format!("{{\"id\":{number}:\n");
        expected += if number == 2 { &whole } else { &part };
    }
    assert_eq!(String::from_utf8(main).unwrap(), expected);
    let (key, object) = world.outside.bucket_objects(ERRORS).pop_first().unwrap();
    assert!(key.starts_with("processing-failed/2023/11/14/22/"), "{key}");
    assert_eq!(raw_data(&object), (7..10).map(numbered).collect::<Vec<_>>());
    let said: Vec<serde_json::Value> =
        lines(&object.into()).iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
    let codes: Vec<&str> = said.iter().map(|it| it["errorCode"].as_str().unwrap()).collect();
    assert_eq!(codes, ["Wasm.ProcessingFailedStatus", "Wasm.OutOfFuel", "Wasm.Trapped"]);
    let message = said[0]["errorMessage"].as_str().unwrap();
    assert_eq!(message, "ProcessingFailed status set for record (seven)");
    for document in &said {
        assert_eq!((&document["lambdaARN"], &document["attemptsMade"]), (&ARN.into(), &1.into()));
    }
    let metrics = world.metrics();
    assert_eq!((metrics.invocations, metrics.invocation_successes), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_module_is_not_waited_for_as_a_function_elsewhere_is() {
    let mut world = world(transforming()).await;
    world.put_numbered(2..3).await;
    world.pass(1).await;
    assert_eq!(world.metrics().invocations, 1, "collected for 900 s it would be none");
}

#[tokio::test(start_paused = true)]
async fn many_batches_keep_the_order_of_the_records() {
    let mut plan = transforming();
    let Target::Objects(target) = &mut plan.target else { unreachable!() };
    target.buffering.bytes = 8 << 20;
    let mut world = world(plan).await;
    let record = |number: u32| Bytes::from(format!("{{\"id\":2{number:04}}}{:>1000}\n", ""));
    for chunk in 0..4 {
        world.put((chunk * 500..(chunk + 1) * 500).map(record)).await;
    }
    world.until_delivered(200).await;
    let main: Vec<u8> = world.outside.bucket_objects(MAIN).into_values().flatten().collect();
    assert!(main == world.accepted.concat(), "the order is kept");
    let invocations = world.metrics().invocations;
    assert!((8..40).contains(&invocations), "{invocations} batches of two megabytes");
}

#[tokio::test(start_paused = true)]
async fn partition_keys_may_come_from_a_module() {
    let mut plan = transforming();
    let Target::Objects(target) = &mut plan.target else { unreachable!() };
    let text = "digit=!{partitionKeyFromLambda:digit}/";
    target.prefix = Prefix::parse(text, Rules::Partitioned).unwrap();
    let error = Some("bad/!{firehose:error-output-type}/");
    plan.backup.errors.error_prefix = ErrorPrefix::parse(error, &target.prefix).unwrap();
    target.partitions_max = Some(500);
    let mut world = world(plan).await;
    world.put_numbered(20..70).await;
    world.until_delivered(300).await;
    let objects = world.outside.bucket_objects(MAIN);
    for digit in 2..7 {
        let prefix = format!("digit={digit}/");
        let found = objects.iter().filter(|(key, _)| key.starts_with(&prefix));
        let records: usize = found.map(|(_, object)| lines(&object.clone().into()).len()).sum();
        assert_eq!(records, 10, "{prefix}");
    }
}

#[tokio::test]
async fn a_module_that_loops_holds_no_thread_of_the_runtime() {
    let function = outside(RULES).modules.function("module").unwrap();
    let record = |number: u32| SourceRecord {
        id: number.to_string(),
        arrived: millstream_core::Timestamp::default(),
        data: format!("{{\"id\":{number}}}").into(),
        stream: None,
    };
    let looping = tokio::spawn(async move {
        let records = [record(8), record(2)];
        let invocation = Invocation {
            id: "",
            delivery_stream_arn: "",
            source_stream_arn: None,
            region: "",
            records: &records,
        };
        function.invoke(&invocation).await.unwrap().len()
    });
    let mut turns = 0_u64;
    while !looping.is_finished() {
        turns += 1;
        tokio::task::yield_now().await;
    }
    // The runtime has one thread: it would have had no turn while the module had it.
    assert!(turns > 1_000, "{turns} turns");
    assert_eq!(looping.await.unwrap(), 2);
}

#[test]
fn a_module_of_a_name_is_read_once() {
    let mut modules = Modules::default();
    let module = wat::parse_str(RULES).unwrap();
    assert!(modules.add("module", b"nonsense").is_err());
    assert!(modules.function("module").is_none());
    modules.add("module", &module).unwrap();
    // The same function behind another ARN: compiled once, whatever the file says by now.
    modules.add("module", b"nonsense").unwrap();
    assert!(modules.function("module").is_some());
}

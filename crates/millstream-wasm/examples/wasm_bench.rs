//! How fast records go through modules, beside the jq filters that stand for the same functions:
//! `cargo run --release -p millstream-wasm --example wasm_bench -- [MODULE.wasm ...]`.
//!
//! One thread, records of 1 KiB of JSON, a new instance for each 256 (a batch of a delivery). Time is
//! the thread's own, so that a busy machine does not count, and a figure is the median of five
//! runs.

use std::fmt::Write;
use std::hint::black_box;

use bytes::Bytes;
use millstream_core::Timestamp;
use millstream_formats::query::Query;
use millstream_wasm::{Batch, Engine, Limits, Module, Record, Verdict, Worker};
use rustix::time::{ClockId, clock_gettime};

const RUN_SECONDS: f64 = 0.8;
const BATCH: usize = 256;

/// Puts the record out as it is.
const IDENTITY: &str = r#"(module
    (import "millstream" "output" (func $output (param i32 i32)))
    (memory (export "memory") 32)
    (func (export "millstream_abi") (result i32) i32.const 1)
    (func (export "input") (param i32) (result i32) i32.const 1024)
    (func (export "transform") (param $at i32) (param $length i32) (result i32)
      (call $output (local.get $at) (local.get $length))
      i32.const 0))"#;

/// Looks for `l":"` byte by byte, and puts `***` instead of the text behind it.
const EDIT: &str = r#"(module
    (import "millstream" "output" (func $output (param i32 i32)))
    (memory (export "memory") 32)
    (data (i32.const 0) "***")
    (func (export "millstream_abi") (result i32) i32.const 1)
    (func (export "input") (param i32) (result i32) i32.const 1024)
    (func (export "transform") (param $at i32) (param $length i32) (result i32)
      (local $from i32) (local $to i32) (local $end i32)
      (local.set $from (local.get $at))
      (local.set $end (i32.add (local.get $at) (local.get $length)))
      (block $found (loop $next
        (if (i32.ge_u (local.get $from) (local.get $end)) (then (return (i32.const 3))))
        (br_if $found (i32.eq (i32.load (local.get $from)) (i32.const 0x223a226c)))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (br $next)))
      (local.set $from (i32.add (local.get $from) (i32.const 4)))
      (local.set $to (local.get $from))
      (block $closed (loop $next
        (if (i32.ge_u (local.get $to) (local.get $end)) (then (return (i32.const 2))))
        (br_if $closed (i32.eq (i32.load8_u (local.get $to)) (i32.const 0x22)))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (br $next)))
      (call $output (local.get $at) (i32.sub (local.get $from) (local.get $at)))
      (call $output (i32.const 0) (i32.const 3))
      (call $output (local.get $to) (i32.sub (local.get $end) (local.get $to)))
      i32.const 0))"#;

fn record() -> Vec<u8> {
    let mut text = String::from(
        r#"{"id":184467,"at":"2026-11-26T07:00:00Z","kind":"order","user":{"name":"Grace","email":"grace@example.com"},"items":["#,
    );
    let mut item = 0;
    while text.len() < 960 {
        item += 1;
        write!(text, "{{\"sku\":\"A-{item:04}\",\"count\":{item},\"price\":{item}.25}},")
            .expect("a string takes it");
    }
    text.pop();
    text += "],\"note\":\"";
    text += &"x".repeat(1_022 - text.len());
    text += "\"}";
    assert_eq!(text.len(), 1_024, "1 KiB");
    text.into_bytes()
}

/// Seconds that this thread has worked.
#[allow(clippy::cast_precision_loss)] // A figure is rounded anyway.
fn worked() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Runs `batch`, which reworks so many records, again and again; says how it went.
fn measure(name: &str, mut batch: impl FnMut()) {
    let mut rates = Vec::new();
    for _ in 0..5 {
        let begun = worked();
        let mut batches = 0_u32;
        while worked() < begun + RUN_SECONDS {
            batch();
            batches += 1;
        }
        rates.push(f64::from(batches) * 256.0 / (worked() - begun));
    }
    rates.sort_by(f64::total_cmp);
    let rate = rates[rates.len() / 2];
    println!("{name:<40} {rate:>10.0} records/s {:>7.1} MB/s", rate * 1_024.0 / 1e6);
}

fn module(name: &str, engine: &Engine, bytes: &[u8], record: &[u8]) {
    let begun = worked();
    let module = match Module::compile(engine, bytes) {
        Ok(module) => module,
        Err(error) => return println!("{name}: {error}"),
    };
    println!("{name}: {} bytes, compiled in {:.3} s", bytes.len(), worked() - begun);
    let given = Record { data: record, attributes: &[("recordId", "7.0")], ..Record::default() };
    measure(name, || {
        let mut worker = Worker::new(&module, &Batch::default());
        for _ in 0..BATCH {
            let verdict = worker.transform(black_box(&given));
            assert!(matches!(black_box(verdict), Verdict::Ok(_)), "the module is well");
        }
    });
}

fn filter(text: &str, record: &Bytes) {
    let query = Query::parse(text).expect("the filter is well formed");
    measure(&format!("jq {text}"), || {
        for _ in 0..BATCH {
            let outputs = query.transform(black_box(record), Timestamp::from_ms(0));
            black_box(outputs.expect("the record is well formed"));
        }
    });
}

fn main() {
    let record = record();
    let engine = Engine::new(Limits::default()).expect("this machine runs WebAssembly");
    for (name, text) in [("wat identity", IDENTITY), ("wat edit, bytes", EDIT)] {
        module(name, &engine, &wat::parse_str(text).expect("the text is well formed"), &record);
    }
    for path in std::env::args().skip(1) {
        #[allow(clippy::disallowed_methods)] // A tool reads what it is given.
        let bytes = std::fs::read(&path).expect("the module can be read");
        module(path.rsplit('/').next().unwrap_or(&path), &engine, &bytes, &record);
    }
    let record = Bytes::from(record);
    filter(".", &record);
    filter(".user.email = \"***\"", &record);
}

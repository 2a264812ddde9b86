//! What modules do, written as text.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

const SMALL: Limits = Limits {
    memory_bytes: 1 << 20,
    fuel: 1_000_000,
    deadline: Duration::from_secs(5),
    output_bytes: 4_096,
};

/// A module that takes records at 1,024, with `imports`, the body of its `transform`, and more.
fn text(imports: &str, transform: &str, more: &str) -> String {
    format!(
        "(module {imports}
           (memory (export \"memory\") 1)
           (func (export \"millstream_abi\") (result i32) i32.const 1)
           (func (export \"input\") (param i32) (result i32) i32.const 1024)
           (func (export \"transform\") (param $at i32) (param $length i32) (result i32)
             {transform})
           {more})"
    )
}

const OUTPUT: &str = "(import \"millstream\" \"output\" (func $output (param i32 i32)))";
const MESSAGE: &str = "(import \"millstream\" \"message\" (func $message (param i32 i32)))";

fn compile(limits: Limits, text: &str) -> Result<Module, ModuleError> {
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Module::compile(&Engine::new(limits).unwrap(), &bytes)
}

fn module(text: &str) -> Module {
    compile(SMALL, text).unwrap()
}

fn worker(module: &Module) -> Worker {
    Worker::new(module, &Batch::default())
}

fn once(worker: &mut Worker, data: &[u8]) -> Verdict {
    worker.transform(&Record { data, ..Record::default() })
}

fn data(verdict: Verdict) -> Option<Vec<u8>> {
    match verdict {
        Verdict::Ok(reworked) => reworked.data,
        other => panic!("{other:?}"),
    }
}

fn fault(verdict: Verdict) -> Fault {
    match verdict {
        Verdict::Failed(fault) => fault,
        other => panic!("{other:?}"),
    }
}

/// A module that does `transform` to records that begin with an `x`, and leaves others alone.
fn on_x(imports: &str, transform: &str, more: &str) -> String {
    let transform = format!(
        "(if (i32.eq (i32.load8_u (local.get $at)) (i32.const 120)) (then {transform}))
         i32.const 3"
    );
    text(imports, &transform, more)
}

/// What becomes of a record that begins with an `x`; the one behind it must be well all the same.
fn broken(module: &Module) -> Fault {
    let mut worker = worker(module);
    let fault = fault(once(&mut worker, b"x"));
    assert_eq!(data(once(&mut worker, b"well")), None, "after {fault}");
    fault
}

#[test]
fn each_answer_has_its_meaning() {
    let echo = "(call $output (local.get $at) (local.get $length)) i32.const 0";
    let mut echo = worker(&module(&text(OUTPUT, echo, "")));
    for record in ["one", "", "another, longer one"] {
        assert_eq!(data(once(&mut echo, record.as_bytes())), Some(record.as_bytes().to_vec()));
    }
    // Whatever was put out before another answer is forgotten.
    let put = "(call $output (local.get $at) (local.get $length))";
    let mut unchanged = worker(&module(&text(OUTPUT, &format!("{put} i32.const 3"), "")));
    assert_eq!(data(once(&mut unchanged, b"one")), None);
    let mut dropping = worker(&module(&text(OUTPUT, &format!("{put} i32.const 1"), "")));
    assert_eq!(once(&mut dropping, b"one"), Verdict::Dropped);
    let silent = module(&text("", "i32.const 2", ""));
    let refused = fault(once(&mut worker(&silent), b"one"));
    assert_eq!(refused.to_string(), "ProcessingFailed status set for record");
    let telling = "(call $message (local.get $at) (local.get $length)) i32.const 2";
    let refused = fault(once(&mut worker(&module(&text(MESSAGE, telling, ""))), b"no id"));
    assert_eq!(refused.code(), "Wasm.ProcessingFailedStatus");
    assert_eq!(refused.to_string(), "ProcessingFailed status set for record (no id)");
}

#[test]
fn output_comes_in_pieces_and_nothing_of_one_record_reaches_the_next() {
    let twice = "(call $output (local.get $at) (local.get $length))
                 (call $output (local.get $at) (local.get $length))
                 i32.const 0";
    let mut worker = worker(&module(&text(OUTPUT, twice, "")));
    assert_eq!(data(once(&mut worker, b"ab")), Some(b"abab".to_vec()));
    assert_eq!(data(once(&mut worker, b"c")), Some(b"cc".to_vec()));
}

#[test]
fn a_module_may_rework_in_place() {
    let upper = "(local $i i32) (local $letter i32)
        (block $done (loop $next
          (br_if $done (i32.ge_u (local.get $i) (local.get $length)))
          (local.set $letter (i32.load8_u (i32.add (local.get $at) (local.get $i))))
          (if (i32.lt_u (i32.sub (local.get $letter) (i32.const 97)) (i32.const 26))
            (then (i32.store8 (i32.add (local.get $at) (local.get $i))
                              (i32.sub (local.get $letter) (i32.const 32)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $next)))
        (call $output (local.get $at) (local.get $length))
        i32.const 0";
    let mut worker = worker(&module(&text(OUTPUT, upper, "")));
    assert_eq!(data(once(&mut worker, b"{\"id\":7,\"z\"}")), Some(b"{\"ID\":7,\"Z\"}".to_vec()));
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let found = broken(&module(&on_x("", "(loop $again (br $again))", "")));
    assert_eq!(found, Fault::OutOfFuel { fuel: 1_000_000 });
}

#[test]
fn what_fuel_does_not_end_the_deadline_does() {
    let limits = Limits { fuel: u64::MAX, deadline: Duration::from_millis(20), ..SMALL };
    let module = compile(limits, &on_x("", "(loop $again (br $again))", "")).unwrap();
    assert_eq!(broken(&module), Fault::DeadlineExceeded { deadline: limits.deadline });
}

#[test]
fn a_record_has_its_own_fuel() {
    // 400,000 instructions a record, of 1,000,000.
    let work = "(local $i i32) (loop $again
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 50000)))) i32.const 1";
    let mut worker = worker(&module(&text("", work, "")));
    for _ in 0..20 {
        assert_eq!(once(&mut worker, b""), Verdict::Dropped);
    }
}

#[test]
fn memory_is_bounded_and_a_module_that_can_do_without_goes_on() {
    let bomb = "(loop $again
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
        (br $again))";
    let found = broken(&module(&on_x("", bomb, "")));
    assert_eq!(found, Fault::OutOfMemory { bytes: 1 << 20 });
    let modest = "(drop (memory.grow (i32.const 1000)))";
    let mut worker = worker(&module(&on_x("", modest, "")));
    assert_eq!(data(once(&mut worker, b"x")), None);
}

#[test]
fn what_breaks_off_breaks_off_one_record() {
    let rows = [
        ("unreachable", "wasm trap: wasm `unreachable` instruction executed"),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "wasm trap: integer divide by zero"),
        ("(drop (i32.load (i32.const 65536)))", "wasm trap: out of bounds memory access"),
        ("(drop (call $deep))", "wasm trap: call stack exhausted"),
        ("(call_indirect (i32.const 0))", "wasm trap: uninitialized element"),
    ];
    for (body, reason) in rows {
        let deep = "(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))
                    (table 1 funcref)";
        let found = broken(&module(&on_x("", body, deep)));
        let message = String::new();
        assert_eq!(found, Fault::Trapped { reason: reason.to_owned(), message }, "{body}");
    }
    let told = "(call $message (i32.const 8) (i32.const 4)) unreachable";
    let found = broken(&module(&on_x(MESSAGE, told, "(data (i32.const 8) \"oops\")")));
    assert_eq!(
        found.to_string(),
        "the module broke off: wasm trap: wasm `unreachable` instruction executed (oops)"
    );
}

#[test]
fn places_outside_of_the_memory_are_refused() {
    let outputs = [
        "(call $output (i32.const 65530) (i32.const 7))",
        "(call $output (i32.const -1) (i32.const 1))",
        "(call $output (i32.const 1) (i32.const -1))",
        "(call $output (i32.const -1) (i32.const -1))",
        "(call $output (i32.const 65537) (i32.const 0))",
    ];
    for body in outputs {
        let found = broken(&module(&on_x(OUTPUT, body, "")));
        assert!(matches!(found, Fault::InvalidReturn(_)), "{body}: {found}");
    }
    for input in [-1, 65_536, 65_530] {
        let text =
            text("", "i32.const 3", "").replace("i32.const 1024", &format!("i32.const {input}"));
        let found = fault(once(&mut worker(&module(&text)), b"seven b"));
        let wanted = format!(
            "the module does not keep to its contract: `input` answers {}, where its memory has no \
             7 bytes",
            i32::cast_unsigned(input)
        );
        assert_eq!(found.to_string(), wanted);
    }
    for answer in [-1, 4, i32::MAX, i32::MIN] {
        let text = text("", &format!("i32.const {answer}"), "");
        let found = fault(once(&mut worker(&module(&text)), b""));
        assert_eq!(found, Fault::InvalidReturn(format!("`transform` answers {answer}")));
    }
}

#[test]
fn what_a_batch_becomes_is_bounded_together() {
    let body = "(call $output (i32.const 0) (i32.const 1500)) i32.const 0";
    let mut worker = worker(&module(&text(OUTPUT, body, "")));
    for _ in 0..2 {
        assert_eq!(data(once(&mut worker, b"")).map(|data| data.len()), Some(1_500));
    }
    assert_eq!(fault(once(&mut worker, b"")), Fault::OutputTooLarge { bytes: 4_096 });
    let endless = "(loop $again (call $output (i32.const 0) (i32.const 100)) (br $again))";
    let found = broken(&module(&on_x(OUTPUT, endless, "")));
    assert_eq!(found, Fault::OutputTooLarge { bytes: 4_096 });
}

#[test]
fn keys_are_kept_by_name_and_bounded() {
    let imports = "
        (import \"millstream\" \"partition_key\" (func $key (param i32 i32 i32 i32)))
        (import \"millstream\" \"otf_metadata\" (func $otf (param i32 i32 i32 i32)))";
    let body = "
        (call $key (i32.const 0) (i32.const 4) (local.get $at) (local.get $length))
        (call $otf (i32.const 8) (i32.const 9) (i32.const 24) (i32.const 6))
        i32.const 3";
    let names = "(data (i32.const 0) \"kind\") (data (i32.const 8) \"operation\")
                 (data (i32.const 24) \"delete\")";
    let mut keyed = worker(&module(&text(imports, body, names)));
    for value in ["a", "\u{fc}"] {
        let pair = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let wanted = Reworked {
            data: None,
            partition_keys: pair("kind", value),
            otf_metadata: pair("operation", "delete"),
        };
        assert_eq!(once(&mut keyed, value.as_bytes()), Verdict::Ok(wanted));
    }
    let found = fault(once(&mut keyed, b"\xff"));
    assert_eq!(found, Fault::InvalidReturn("a name or a value is not UTF-8".to_owned()));
    let flood = "(local $i i32) (loop $again
        (i32.store16 (i32.const 0) (i32.const 12336))
        (call $key (i32.const 0) (i32.const 2) (i32.const 100) (i32.const 900))
        (br $again)) i32.const 3";
    let limits = Limits { fuel: u64::MAX, ..SMALL };
    let flood = compile(limits, &text(imports, flood, "")).unwrap();
    assert!(matches!(fault(once(&mut worker(&flood), b"")), Fault::InvalidReturn(_)));
}

#[test]
fn what_is_known_of_a_record_can_be_read() {
    let imports = format!(
        "{OUTPUT} (import \"millstream\" \"attribute\"
            (func $attribute (param i32 i32 i32 i32) (result i32)))
         (import \"millstream\" \"arrival_ms\" (func $arrival (result i64)))"
    );
    // The record is the attribute's name: answers with its value, or its length where it is long.
    let body = "(local $n i32)
        (local.set $n (call $attribute (local.get $at) (local.get $length)
                                       (i32.const 4096) (i32.const 8)))
        (if (i32.gt_s (local.get $n) (i32.const 8)) (then
          (i64.store (i32.const 0) (call $arrival))
          (call $output (i32.const 0) (i32.const 8))
          (return (i32.const 0))))
        (if (i32.lt_s (local.get $n) (i32.const 0)) (then (return (i32.const 1))))
        (call $output (i32.const 4096) (local.get $n))
        i32.const 0";
    let module = module(&text(&imports, body, ""));
    let batch = Batch {
        invocation_id: "i-1",
        delivery_stream_arn: "arn:aws:firehose:us-east-1:1:deliverystream/d",
        source_stream_arn: None,
        region: "region-1",
    };
    let mut worker = Worker::new(&module, &batch);
    let mut ask = |name: &str, attributes: &[(&'static str, &str)]| {
        let arrived_ms = 0x0807_0605_0403_0201;
        worker.transform(&Record { data: name.as_bytes(), arrived_ms, attributes })
    };
    let own = [("recordId", "r-9"), ("partitionKey", "")];
    assert_eq!(data(ask("recordId", &own)), Some(b"r-9".to_vec()));
    assert_eq!(data(ask("partitionKey", &own)), Some(Vec::new()));
    assert_eq!(data(ask("invocationId", &own)), Some(b"i-1".to_vec()));
    assert_eq!(data(ask("region", &own)), Some(b"region-1".to_vec()));
    assert_eq!(data(ask("deliveryStreamArn", &own)), Some(vec![1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(ask("sourceKinesisStreamArn", &own), Verdict::Dropped);
    assert_eq!(ask("recordId", &[]), Verdict::Dropped, "the record before is forgotten");
}

#[test]
fn an_instance_lives_for_a_batch_and_no_longer_than_it_is_sound() {
    let counting = "(if (i32.eq (local.get $length) (i32.const 1)) (then unreachable))
         (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))
         (call $output (i32.const 0) (i32.const 1))
         i32.const 0";
    let more = "(func (export \"_initialize\") (i32.store8 (i32.const 0) (i32.const 64)))";
    let module = module(&text(OUTPUT, counting, more));
    let mut first = worker(&module);
    assert_eq!(data(once(&mut first, b"")), Some(vec![65]));
    assert_eq!(data(once(&mut first, b"")), Some(vec![66]));
    assert!(matches!(once(&mut first, b"!"), Verdict::Failed(_)));
    assert_eq!(data(once(&mut first, b"")), Some(vec![65]));
    assert_eq!(data(once(&mut worker(&module), b"")), Some(vec![65]));
}

#[test]
fn a_module_is_judged_before_it_is_used() {
    let refused = |text: &str| match compile(SMALL, text) {
        Ok(_) => panic!("it was let in: {text}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        refused("(module)"),
        "it does not follow the contract: it exports no `memory`; it exports no `millstream_abi`, \
         which is `() -> i32`; it exports no `input`, which is `(i32) -> i32`; it exports no \
         `transform`, which is `(i32, i32) -> i32`"
    );
    let good = text("", "i32.const 3", "");
    let rows = [
        (
            good.replace(
                "(module ",
                "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func))",
            ),
            "it imports `wasi_snapshot_preview1.fd_write`, and there is no WASI here: build for \
             wasm32-unknown-unknown",
        ),
        (
            good.replace("(module ", "(module (import \"env\" \"abort\" (func))"),
            "it imports `env.abort`, which is not offered",
        ),
        (
            good.replace(
                "(module ",
                "(module (import \"millstream\" \"output\" (func (param i64)))",
            ),
            "it imports `millstream.output` as `(i64)`, and it is `(i32, i32)`",
        ),
        (
            good.replace("\"memory\") 1", "\"memory\") 100"),
            "it needs 6553600 bytes of memory to begin with, and may have 1048576",
        ),
        (
            good.replace("\"input\") (param i32)", "\"input\") (param i64)"),
            "it exports `input` as `(i64) -> i32`, and it is `(i32) -> i32`",
        ),
        (
            good.replace(
                "(memory (export \"memory\") 1)",
                "(memory 1) (global (export \"memory\") i32 (i32.const 0))",
            ),
            "its export `memory` is no memory",
        ),
    ];
    for (text, reason) in rows {
        assert_eq!(refused(&text), format!("it does not follow the contract: {reason}"));
    }
    assert_eq!(
        refused(&good.replace("i32.const 1)\n", "i32.const 2)\n")),
        "it follows version 2 of the contract, and this server has version 1"
    );
    let endless = text("", "i32.const 3", "(start $go) (func $go (loop $again (br $again)))");
    assert_eq!(
        refused(&endless),
        "it cannot be started: the module took more than the 1000000 instructions that one record \
         may"
    );
    let early = text(
        OUTPUT,
        "i32.const 3",
        "(start $go) (func $go (call $output (i32.const 0) (i32.const 0)))",
    );
    assert!(refused(&early).starts_with("it cannot be started: the module does not keep to"));
    let engine = Engine::new(SMALL).unwrap();
    let odd = |bytes: &[u8]| Module::compile(&engine, bytes).unwrap_err();
    assert_eq!(odd(b"(module)"), ModuleError::NoModule);
    assert_eq!(odd(b""), ModuleError::NoModule);
    assert!(matches!(odd(b"\0asm\x01\0\0\0\xff"), ModuleError::Invalid(_)));
    assert_eq!(odd(&vec![0; 17 << 20]), ModuleError::TooLarge { bytes: 17 << 20 });
}

#[test]
fn what_needs_more_than_one_plain_memory_is_not_valid() {
    let rows = [
        text("", "i32.const 3", "(memory 1)"),
        text("", "i32.const 3", "")
            .replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") i64 1)"),
        text("", "i32.const 3", "").replace("\"memory\") 1)", "\"memory\") 1 2 shared)"),
    ];
    for text in rows {
        let error = compile(SMALL, &text).unwrap_err();
        assert!(matches!(error, ModuleError::Invalid(_)), "{error}\n{text}");
    }
}

#[test]
fn the_example_of_the_page_does_what_it_says() {
    let page = include_str!("../../../docs/internals/webassembly.md");
    let (_, example) = page.split_once("```wat\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let module = compile(Limits::default(), example).unwrap();
    let mut worker = worker(&module);
    assert_eq!(data(once(&mut worker, b"{\"a\": \"z`{\"}")), Some(b"{\"A\": \"Z`{\"}".to_vec()));
    let large = vec![b'q'; 3 << 20];
    assert_eq!(data(once(&mut worker, &large)), Some(vec![b'Q'; 3 << 20]));
    for signature in contract::import::ALL.into_iter().chain([contract::ABI, contract::INPUT]) {
        assert!(page.contains(&format!("| `{}` |", signature.0)), "{} is described", signature.0);
    }
}

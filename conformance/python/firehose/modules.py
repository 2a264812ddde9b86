"""WebAssembly modules that stand for functions, in a server of their own."""

import base64
import contextlib
import json
import time

import wasmtime  # for its assembler alone

from harness import equal, fresh_name

from .objects import processing, processor
from .parts import Millstream
from .streams import DeliveryStream, Folder, numbers, objects_config, wait_for_lines

ARN = "arn:aws:lambda:us-east-1:000000000000:function:module"

# A record is a line of `{"number":N,"does":"WORD"}`, and WORD says what becomes of it.
RULES = r"""(module
  (import "millstream" "output" (func $output (param i32 i32)))
  (import "millstream" "message" (func $message (param i32 i32)))
  (import "millstream" "partition_key" (func $key (param i32 i32 i32 i32)))
  (import "millstream" "attribute" (func $attribute (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 64)
  (data (i32.const 0) "deliveryStreamArn")
  (data (i32.const 32) "it says so")
  (data (i32.const 64) ",\"stream\":\"")
  (data (i32.const 96) "\"}\n")
  (data (i32.const 112) "word")
  (func (export "millstream_abi") (result i32) (i32.const 1))
  (func (export "input") (param i32) (result i32) (i32.const 4096))
  (func $grow (loop $again
    (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
    (br $again)))
  (func (export "transform") (param $start i32) (param $length i32) (result i32)
    (local $word i32) (local $arn i32)
    ;; The word's first four letters are seven bytes before the end: WORD"}\n
    (local.set $word (i32.load (i32.sub (i32.add (local.get $start) (local.get $length)) (i32.const 7))))
    (if (i32.eq (local.get $word) (i32.const 0x706f7264)) (then (return (i32.const 1))))            ;; drop
    (if (i32.eq (local.get $word) (i32.const 0x6c696166)) (then                                     ;; fail
      (call $message (i32.const 32) (i32.const 10))
      (return (i32.const 2))))
    (if (i32.eq (local.get $word) (i32.const 0x706f6f6c)) (then (loop $again (br $again))))         ;; loop
    (if (i32.eq (local.get $word) (i32.const 0x776f7267)) (then (call $grow)))                      ;; grow
    (if (i32.eq (local.get $word) (i32.const 0x6b616572)) (then unreachable))                       ;; reak
    (if (i32.eq (local.get $word) (i32.const 0x65696c20)) (then (call $output (i32.const -8) (i32.const 9)))) ;; lie
    (if (i32.eq (local.get $word) (i32.const 0x70656b20)) (then (return (i32.const 3))))            ;; kep
    (local.set $arn (call $attribute (i32.const 0) (i32.const 17) (i32.const 1024) (i32.const 2048)))
    (call $key (i32.const 112) (i32.const 4) (i32.const 112) (i32.const 4))
    (call $output (local.get $start) (i32.sub (local.get $length) (i32.const 2)))
    (call $output (i32.const 64) (i32.const 11))
    (call $output (i32.const 1024) (local.get $arn))
    (call $output (i32.const 96) (i32.const 3))
    (i32.const 0)))"""

WORDS = ["mark", "drop", "fail", "grow", "reak", " lie", "mark", " kep"]
CODES = {"fail": "Wasm.ProcessingFailedStatus", "loop": "Wasm.OutOfFuel", "grow": "Wasm.OutOfMemory",
         "reak": "Wasm.Trapped", " lie": "Wasm.InvalidReturn"}


def server(site, module):
    """A server whose settings have the module stand for a function; not started."""
    folder = site.folder / fresh_name("module")
    folder.mkdir()
    (folder / "module.wasm").write_bytes(module)
    (folder / "outside.toml").write_text(f'[functions]\n"{ARN}" = "wasm:module.wasm"\n')
    return Millstream(folder, {"outside_file": str(folder / "outside.toml")})


@contextlib.contextmanager
def serving(site, module):
    one = server(site, module)
    try:
        assert one.start() is not None, f"it does not start; is it built with the feature wasm? {one.log()}"
        yield one
    finally:
        one.kill()


def line(number, word):
    return f'{{"number":{number},"does":"{word}"}}\n'.encode()


def a_module_reworks_records(site):
    """a WebAssembly module reworks, drops and refuses records; one that breaks it is refused and costs no other"""
    bucket = fresh_name("bucket")
    words = [WORDS[number % len(WORDS)] for number in range(400)]
    words[100] = words[200] = "loop"
    config = objects_config(bucket, Prefix="good/", ErrorOutputPrefix="errors/!{firehose:error-output-type}/",
                            ProcessingConfiguration=processing(processor("Lambda", LambdaArn=ARN)))
    with serving(site, wasmtime.wat2wasm(RULES)) as one, \
            DeliveryStream(one.firehose(), ExtendedS3DestinationConfiguration=config) as stream:
        begun = time.monotonic()
        stream.put([line(number, word) for number, word in enumerate(words)])
        good = wait_for_lines(Folder(one, bucket), sum(word in ("mark", " kep") for word in words), prefix="good/")
        equal(sorted(numbers(good)), [n for n, word in enumerate(words) if word in ("mark", " kep")])
        for text in good:
            record = json.loads(text)
            assert (record["does"] == "mark") == ("stream" in record), text
            assert record.get("stream", stream.name).endswith(stream.name), text
        refused = [json.loads(text) for text in wait_for_lines(
            Folder(one, bucket), sum(word in CODES for word in words), prefix="errors/processing-failed/")]
        found = {n: code for it, code in ((it, it["errorCode"]) for it in refused)
                 for n in numbers([base64.b64decode(it["rawData"])])}
        equal(found, {n: CODES[word] for n, word in enumerate(words) if word in CODES})
        assert all(it["lambdaARN"] == ARN and it["attemptsMade"] == 1 for it in refused)
        assert {it["errorMessage"] for it in refused if it["errorCode"].endswith("Status")} == {
            "ProcessingFailed status set for record (it says so)"}
        assert time.monotonic() - begun < 60, "two endless loops end after their share"


def a_server_does_not_start_with_a_module_that_is_none(site):
    """a module that cannot be used is refused when the server starts, with all that is missing"""
    unfit = RULES.replace('(export "transform")', "").replace('"output"', '"print"')
    unfit = unfit.replace('"millstream_abi") (result i32) (i32.const 1)', '"millstream_abi") (param i64)')
    rows = [(wasmtime.wat2wasm(unfit), ["imports `millstream.print`, which is not offered", "exports no `transform`",
                                        "exports `millstream_abi` as `(i64)`, and it is `() -> i32`"]),
            (b"(module)", ["is not a WebAssembly module"])]
    for module, sentences in rows:
        one = server(site, module)
        try:
            assert one.start() is None, "it started"
            for sentence in sentences:
                assert sentence in one.log(), one.log()
        finally:
            one.kill()


CASES = [
    (("PutRecordBatch",), a_module_reworks_records),
    (("PutRecordBatch",), a_server_does_not_start_with_a_module_that_is_none),
]

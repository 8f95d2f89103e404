#!/usr/bin/env python3
"""Writes the hand-made part of the corpus: tests/fuzz/make_seeds.py (from anywhere; needs protoc).

A name says what an input is. Inputs the fuzzer found are named by their hash and stay as they are.
"""

import pathlib
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/fuzz/corpus"


def encode(message, text):
    file = {"reeve.v1.CreateJobRequest": "reeve/v1/services.proto",
            "reeve.v1.TaskBatch": "reeve/v1/batch.proto",
            "reeve.v1.ResultBatch": "reeve/v1/batch.proto"}.get(message, "reeve/link/v1/link.proto")
    command = ["protoc", "-I", str(ROOT / "proto"), f"--encode={message}", file]
    return subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout


def link(name, text):
    return encode("reeve.link.v1." + name, text)


def put(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def parts(first, second=b""):
    return struct.pack("<H", len(first)) + first + second


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def column(field, values):
    body = b"".join(varint(v) for v in values)
    return varint(field << 3 | 2) + varint(len(body)) + body


def texts():
    for name, text in {
            "range": "1-1000", "step_and_limit": "0-90:10%4", "one": "7", "descending": "5-1",
            "negative": "-5--1", "all_of_int64": "-9223372036854775808-9223372036854775807",
            "most_tasks": "0-99999999", "too_many": "0-100000000", "no_end": "3-",
            "step_zero": "1-2:0", "limit_too_large": "1-2%4294967296"}.items():
        put("array_expression", name, text)
    for name, text in {
            "id": "42", "last": "last", "all": "all", "stdin": "-", "list": "1,3,5-8", "task": "42/17",
            "attempt": "last/0#2", "largest": "18446744073709551615", "range_to_the_largest":
            "18446744073709551610-18446744073709551615", "minutes": "1h30m", "seconds": "0.5",
            "nan": "nan", "infinite": "inf", "address": "127.0.0.1:7520", "v6": "[::1]:7520",
            "port_only": ":7520", "empty": "", "commas": ",,", "backwards": "8-5"}.items():
        put("selector", name, text)
    for name, text in {
            "minutely": "\0* * * * *", "nightly": "\x910 3 * * *", "in_the_gap": "\x9130 2 * * *", "steps": "\x92*/7 1-23/2 * * *",
            "names": "\x930 0 * JAN-MAR,DEC FRI-SUN", "either_day": "\x940 0 13 * 5", "both_days": "\x950 0 8-14 * */7",
            "leap_day": "\x960 0 29 2 */7", "seconds_of_offset": "\x07*/20 * * * *", "macro": "\x91@daily", "every": "\0@every 5s",
            "always_in_the_gap": "\x92* 2 8-14 3 */7", "no_such_day": "\x000 0 31 2,4 *", "six": "\0* * * * * *",
            "backwards": "\x000 5-3 * * *", "step_alone": "\x005/10 * * * *", "longest": "\0" + "1," * 123 + "1 * * * *"}.items():
        put("cadence", name, text.encode("latin-1"))
    for name, text in {
            "lines": b"la\nb\n", "no_last_newline": b"la\nb", "blank_lines": b"l\n\n\n", "nul": b"0a b\0$(id)\0",
            "json": b'j{"a":1}\n[2]\n\n"x"\n', "bad_json": b'j{"a":1}\n{"a"\n', "deep_json":
            b"j" + b"[" * 2000 + b"\n", "carriage_returns": b"la\r\nb\r\n", "empty": b"l",
            "not_utf8": b"j\"\xff\"\n"}.items():
        put("records", name, text)
    for name, text in {
            "all_keys": "master: 127.0.0.1:7520\ntoken_file: /t\nstate_dir: ~/s\nquiet: yes\n",
            "unknown": "colour: red\n", "list": "- a\n- b\n", "nested": "master:\n  host: a\n",
            "empty": "", "anchor": "master: &a b\ntoken_file: *a\n", "loop": "master: &a [*a]\n",
            "deep": "[" * 600, "two_documents": "master: a\n---\nquiet: no\n", "nul": "master: a\0b\n",
            "merge_key": "<<: {master: a}\n", "bad_bool": "quiet: maybe\n", "null": "master:\n"}.items():
        put("settings", name, text)
    for name, (kind, template, data) in {
            "input": (b"\0", b"{}", b"a b"), "base": (b"\0", b"{/} {//} {/.} {.} {#}", b"/a/b.c.d"),
            "field": (b"\1", b"{.a.b}", b'{"a":{"b":"c"}}'), "shell": (b"\2", b"echo {}", b"it's"),
            "no_field": (b"\1", b"{.x}", b"{}"), "bad_json": (b"\1", b"{}", b"{"), "nul": (b"\0", b"{}", b"\0"),
            "open_braces": (b"\0", b"{" * 300, b"x"), "many": (b"\0", b"{}" * 100, b"x" * 50),
            "argv": (b"\0", b"{}", b"sh\0-c\0true\0"), "slashes": (b"\0", b"{//}{/}", b"///"),
            "not_a_string": (b"\1", b"{.a}", b'{"a":[1,null,{"b":2.5}]}')}.items():
        put("replacement", name, kind + parts(template, data))


def columns():
    put("wire", "one_of_each", varint(4 << 3) + varint(1 << 63) + varint(1 << 3 | 2) + b"\3abc" + column(2, [1, 300, 2**32 - 1]))
    put("wire", "unpacked", (varint(2 << 3) + b"\5") * 3)
    put("wire", "fixed", varint(3 << 3 | 1) + b"12345678" + varint(3 << 3 | 5) + b"1234")
    put("wire", "length_of_six_bytes", varint(1 << 3 | 2) + b"\x81\x80\x80\x80\x80\0a")
    put("wire", "tag_of_six_bytes", b"\xa0\x80\x80\x80\x80\0\1")
    put("wire", "group", b"\x13\x14")
    put("row_codec", "runs", b"r" + column(1, [0, 10]) + column(2, [5, 1]))
    put("row_codec", "run_beyond_a_job", b"r" + column(1, [2**32 - 1]) + column(2, [5]))
    put("row_codec", "result_runs", b"s" + column(1, [0, 10]) + column(2, [5, 1]) + column(3, [0, 5]) + column(4, [5, 6]))
    put("row_codec", "state_that_wraps", b"s" + column(1, [0]) + column(2, [5]) + column(3, [0]) + column(4, [261]))
    put("row_codec", "retries", b"t" + b"".join(column(i + 1, [v]) for i, v in enumerate([3, 1, 2, 1, 0, 0, 400, 5, 2, 0, 7])))
    put("row_codec", "positions", b"p\x06" + column(1, [0, 7]) + column(2, [5, 1]))
    put("row_codec", "positions_that_overlap", b"p\x06" + column(1, [0, 4]) + column(2, [5, 1]))
    put("row_codec", "counts", b"c" + b"".join(varint(i << 3) + varint(i * 1000) for i in range(1, 9)))


def batches():
    for name, text in {
            "two": 'task_count: 2 input_bytes: [1, 2] inputs: "abb"', "uniform":
            'task_count: 3 input_bytes: 1 inputs: "abc"', "no_bytes_at_all": "task_count: 3",
            "lengths_too_long": 'task_count: 2 input_bytes: [1, 9] inputs: "abb"',
            "keys": 'task_count: 2 input_bytes: [1, 2] inputs: "abb" keys: "0123456789abcdef0123456789ABCDEF"',
            "half_a_key": 'task_count: 1 input_bytes: 1 inputs: "a" keys: "01234567"',
            "too_many": "task_count: 70000", "none": ""}.items():
        put("input_batch", name, encode("reeve.v1.TaskBatch", text))
    body = 'first: [0, 7] count: [2, 1] output_bytes: [1, 0, 2] output: "abb" start_time_us: 1700000000000000 worker: "w-3"'
    failed = ' state: [SUCCEEDED, FAILED, SUCCEEDED] reason: [0, 1, 0] exit_code: [0, 7, 0] message_bytes: [0, 4, 0] message: "oops" attempt: 1 run_us: [1, 2, 3]'
    for name, text in {
            "body": body, "failures": body + failed, "result_files": body + ' result_file_bytes: [0, 0, 2] result_file: "{}"', "head": body +
            " job_id: 4 cursor: 9 runs {first: 0 count: 2} runs {first: 7 count: 1 position: 2}",
            "end": "job_id: 4 cursor: 9 end {cancelled {first: 3 count: 5}}",
            "run_that_wraps": "end {cancelled {first: 1 count: 4294967295}}", "start_at_the_end_of_time":
            "first: 0 count: 1 start_offset_us: 9 start_time_us: 9223372036854775807"}.items():
        put("result_batch", name, encode("reeve.v1.ResultBatch", text))
    put("result_batch", "run_of_all_ones", b"\x22\x0f\x0a\x0d\x08\x01\x10" + b"\xff" * 9 + b"\x01")
    put("result_batch", "worker_not_utf8", b"\xca\x01\x02\xff\xfe")
    for name, (batch, text) in {
            "succeeded": ("lease: 1 first: 0 count: 2 lease: 2 first: 7 count: 1", body), "failed":
            ("lease: [1, 2] first: [0, 7] count: [2, 1] position: 1 state: 6 reason: 1", body + failed),
            "failure_with_last_words": ("lease: [1, 2] first: [0, 7] count: [2, 1] position: 1 state: 6 reason: 1 again_after_ms: 30001 details: \"at 7\"",
                                        body + failed),
            "failure_that_contradicts_itself": ("lease: [1, 2] first: [0, 7] count: [2, 1] position: 1 state: 6 reason: 1 permanent: 1 again_after_ms: 1",
                                                body + failed),
            "failure_left_out": ("lease: [1, 2] first: [0, 7] count: [2, 1]", body + failed),
            "failure_made_up": ("lease: [1, 2] first: [0, 7] count: [2, 1] position: 1 state: 6 reason: 1", body),
            "other_indexes": ("lease: 1 first: 50 count: 3", body), "time_backwards":
            ("lease: [1, 2] first: [0, 7] count: [2, 1] run_ns: 18446744073709551615", body)}.items():
        blob = encode("reeve.v1.ResultBatch", text)
        wire = link("Results", f"batches {{number: 1 job_id: 4 bytes: {len(blob)} {batch}}}")
        put("results", name, parts(wire, blob))
    inputs = encode("reeve.v1.TaskBatch", 'task_count: 3 input_bytes: 1 inputs: "abc" keys: "' + "0123456789abcdef" * 3 + '"')
    blob = encode("reeve.v1.ResultBatch", body + failed)
    for name, text in {
            "new_inputs": "adder: [0, 2] added: [1, 2]", "new_inputs_of_a_failure": "adder: [0, 1] added: [1, 2]",
            "new_inputs_left_over": "adder: 0 added: 1"}.items():
        wire = link("Results", f"batches {{number: 1 job_id: 4 bytes: {len(blob)} lease: [1, 2] first: [0, 7] count: [2, 1] "
                               f"position: 1 state: 6 reason: 1 new_inputs_bytes: {len(inputs)} {text}}}")
        put("results", name, parts(wire, blob + inputs))
    put("results", "longer_than_the_blob", parts(link("Results", "batches {bytes: 100}"), b"abc"))


def links():
    held = "job_id: [4, 4] birth_epoch: [1, 1] birth_counter: [2, 3] old_epoch: [0, 1] lease: [8, 9] first: [0, 7] count: [5, 1] phase: [1, 3]"
    hello = 'number: 1 last_page: true token: "t" worker_id: "w" process_id: "p" hostname: "h" pid: 5 version: "1" min_protocol: 1 max_protocol: 1 handlers {name: "echo" lane: THREAD} lanes {lane: THREAD slots: 4}'
    for name, (kind, message, text) in {
            "hello": (b"h", "Hello", hello), "hello_held": (b"h", "Hello", hello + f" held {{{held}}}"),
            "hello_suspects": (b"h", "Hello", hello + f" suspects {{{held}}} culprit_named: true"),
            "hello_resources": (b"h", "Hello", hello + ' resources {key: "gpu" value: 2000} resources {key: "memory" value: 1000000000000000000}'),
            "hello_unknown_lane": (b"h", "Hello", hello + " lanes {lane: 99}"), "heartbeat":
            (b"b", "Heartbeat", "number: 2 seen_seq: 9 held_count: 6 running_job_id: 4 running_index: 7 running_ms: 1500 lanes {lane: THREAD slots: 4 stuck: 1}"),
            "heartbeat_held": (b"b", "Heartbeat", f"number: 2 held {{{held}}} draining: true"),
            "heartbeat_details": (b"b", "Heartbeat", 'number: 2 running_job_id: [4, 4] running_index: [7, 8] running_ms: [1500, 1500] running_details: "at 7"'),
            "recalled": (b"c", "Recalled", "lease: [1, 2] first: [3, 4] count: [5, 0]"),
            "release": (b"r", "Release", "lease: 1 first: 3 count: 5"), "run_beyond_a_job":
            (b"r", "Release", "lease: 1 first: 4294967295 count: 4294967295"),
            "columns_differ": (b"c", "Recalled", "lease: [1, 2] first: 3")}.items():
        put("master_link", name, kind + link(message, text))
    put("output", "two_pieces", parts(link("Output", "chunks {job_id: 1 index: 2 stream: 1 bytes: 2} chunks {job_id: 1 index: 3 attempt: 2 stream: 2 offset: 5 bytes: 1}"), b"abc"))
    put("output", "third_stream", parts(link("Output", "chunks {job_id: 1 stream: 3}")))
    put("output", "longer_than_the_blob", parts(link("Output", "chunks {job_id: 1 stream: 1 bytes: 9}"), b"abc"))
    brief = r'jobs: "\010\004\022\006\022\004echo"'
    exec_brief = link("JobBrief", 'job_id: 4 spec {handler: "exec" command {argv: ["wc", "{}"] environment {key: "A" value: "b"}} params {key: "p" value: "v"} time_limit {seconds: 5}} array {start: 1 step: 2 count: 3}')
    quoted = "".join("\\%03o" % b for b in exec_brief)
    successor = link("JobBrief", 'job_id: 5 spec {handler: "echo"} predecessors {name: "split" index: [0, 7] output_bytes: [1, 2] outputs: "abb"}')
    too_long = link("JobBrief", 'job_id: 5 spec {handler: "echo"} predecessors {name: "split" index: [0, 7] output_bytes: [1, 3] outputs: "abb"}')
    quoted_successor, quoted_too_long = ("".join("\\%03o" % b for b in one) for one in (successor, too_long))
    span = "job: 0 lease: 9 first: 3 count: 2 birth_epoch: 1 birth_counter: 2 attempt: 1 "
    for name, text in {
            "lengths": brief + span + "input_bytes: [1, 2] input_entries: 2", "uniform": brief + span + "input_bytes: 1 input_entries: 1",
            "front_and_details": brief + span + 'input_entries: 0 front: 1 details: "at 7"',
            "predecessors": f'jobs: "{quoted_successor}"' + span + "input_entries: 0",
            "predecessors_too_long": f'jobs: "{quoted_too_long}"' + span + "input_entries: 0",
            "array": f'jobs: "{quoted}"' + span + "input_entries: 0 solo: 1", "no_such_job": span + "input_entries: 0",
            "lengths_too_long": brief + span + "input_bytes: [1, 4294967295] input_entries: 2",
            "empty_span": brief + "job: 0 lease: 9 first: 3 count: 0 birth_epoch: 1 birth_counter: 2 attempt: 1 input_entries: 0",
            "span_that_wraps": brief + "job: 0 lease: 9 first: 4294967295 count: 4294967295 birth_epoch: 1 birth_counter: 2 attempt: 1 input_entries: 0"}.items():
        put("worker_link", name, b"a" + parts(link("Assign", text), b"abb"))
    put("worker_link", "welcome", b"w" + link("Welcome", 'number: 1 worker: "w-3" collector_endpoint: "tcp://127.0.0.1:1" heartbeat_ms: 1000 lease_ms: 15000 job_id: 4 first: 0 count: 5 lease: 0'))
    put("worker_link", "welcome_columns_differ", b"w" + link("Welcome", "job_id: 4 first: [0, 1] count: 5 lease: 0"))
    put("worker_link", "welcome_run_that_wraps", b"w" + link("Welcome", "job_id: 4 first: 9 count: 4294967295 lease: 1"))
    one = 'parts {session: 1 epoch: 7 type: 11 body: "one" blob_bytes: 2 connection: "a"} '
    two = one + 'parts {session: 2 epoch: 7 type: 13 blob_bytes: 1 connection: "b" user: "key"} '
    for name, text in {"two": two, "none": "", "empty_part": two + "parts {}", "unknown_type": two.replace("13", "99"),
                       "blobs_too_long": two.replace("blob_bytes: 1", "blob_bytes: 4294967295"), "blob_left_over": one,
                       "no_connection": two.replace('connection: "b"', "")}.items():
        put("relayed", name, parts(link("Relayed", text), b"abc"))
    put("frame", "port_scanner", b"GET / HTTP/1.0\r\n\r\n" + b"\0" * 40)
    put("frame", "magic_only", b"REV1\1\0\1\0" + b"\0" * 32 + parts(b"body", b"blob"))


def requests():
    echo = 'request_id: "r" spec {handler: "echo" %s} %s'
    command = 'request_id: "r" spec {handler: "exec" command {%s}} array {count: 3}'
    for name, text in {
            "array": echo % ("", "array {start: 1 step: 3 count: 10}"), "batch":
            echo % ("", 'batch {task_count: 2 input_bytes: 1 inputs: "ab"}'),
            "batch_without_bytes": echo % ("", "batch {task_count: 2}"), "open": echo % ('name: "n"', "open: true"),
            "array_that_overflows": echo % ("", "array {start: 9223372036854775807 step: 5 count: 10}"),
            "shared_input": echo % ('shared_input: "x" durability: EPHEMERAL priority: 7', "array {count: 3}"),
            "time_limit": echo % ("time_limit {seconds: 5 nanos: 1}", "array {count: 3}"),
            "time_limit_beyond_duration": echo % ("time_limit {seconds: 9223372036854775807}", "array {count: 3}"),
            "nanos_beyond_a_second": echo % ("time_limit {nanos: 2000000000}", "array {count: 3}"),
            "params": echo % ('params {key: "k" value: "v"} max_attempts: 7 max_in_flight: 2', "array {count: 3}"),
            "command": command % 'argv: ["wc", "-c", "{}"] environment {key: "A" value: "b"} stdin: "s"',
            "script": command % 'argv: "echo {}" shell: true input_mode: JSON',
            "argv_mode": command % "input_mode: ARGV", "nul_in_argv": command % r'argv: "a\000b"',
            "nul_in_directory": command % r'argv: "a" working_directory: "/a\000b"', "no_command":
            'request_id: "r" spec {handler: "exec"}', "bad_handler": 'request_id: "r" spec {handler: "../x"}'}.items():
        put("create_job", name, encode("reeve.v1.CreateJobRequest", text))
    number = lambda v: struct.pack("<Q", v)
    text = lambda s: number(len(s)) + s
    record = lambda kind, body: struct.pack("<IB", len(body) + 1, kind) + body
    spawn = number(7) + number(2) + text(b"wc") + text(b"-c") + number(1) + text(b"A=b") + text(b"/tmp") + number(1) + number(1) + number(2) + b"".join(
        number(v) for v in [4, 0, 0, 7, 50, 50])
    put("spawn_protocol", "spawn", record(1, spawn))
    put("spawn_protocol", "two_records", record(2, number(7) + number(9)) + record(3, b"".join(number(v) for v in [2, 7, 0, 0, 256, 0])))
    put("spawn_protocol", "endless_arguments", record(1, number(7) + number(2**64 - 1)))
    put("spawn_protocol", "no_program", record(1, number(7) + number(0) + number(0) + text(b"") + number(0) + number(0)))
    put("spawn_protocol", "cut", record(1, spawn)[:-3])
    put("spawn_protocol", "size_zero", b"\0" * 8)


texts()
columns()
batches()
links()
requests()

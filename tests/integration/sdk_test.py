"""Workers and plug-ins built outside of this repository, against the SDK as it is installed."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from cluster import Cluster, RUNFILES

PROTO = """
syntax = "proto3";
package mine;
message Request { repeated int64 numbers = 1; string name = 2; }
message Result { int64 sum = 1; string greeting = 2; }
"""

WORKER_SOURCE = """
#include <reeve/typed.h>
#include <reeve/worker.h>

#include "mine.pb.h"

reeve::Async<std::string> Twice(reeve::AsyncContext& task, std::string input) {
  co_await task.Sleep(absl::Milliseconds(1));
  co_return input + input;
}

absl::StatusOr<mine::Result> Add(reeve::TaskContext& task, const mine::Request& request) {
  mine::Result result;
  for (const int64_t number : request.numbers()) result.set_sum(result.sum() + number);
  if (request.name().empty()) return absl::InvalidArgumentError("a name is wanted");
  result.set_greeting("hello " + request.name() + " from " + std::to_string(task.index()));
  return result;
}

reeve::Async<absl::StatusOr<mine::Result>> Later(reeve::AsyncContext& task, mine::Request request) {
  co_await task.Sleep(absl::Milliseconds(1));
  mine::Result result;
  result.set_sum(request.numbers_size());
  co_return result;
}

reeve::Async<std::string> Outside(reeve::AsyncContext& task, std::string input) {
  reeve::ProcessOrder order;
  order.argv = {"tr", "a-z", "A-Z"};
  order.input = input;
  const reeve::ProcessEnd end = co_await task.RunProcess(std::move(order));
  reeve::HttpRequest request;
  request.url = "http://127.0.0.1:1/";
  const reeve::HttpAnswer answer = co_await task.Fetch(request);
  co_return end.output + "; " + answer.error;
}

int main(int argc, char** argv) {
  reeve::Worker worker;
  worker.HandleAsync("outside", Outside);
  worker.Handle("reverse", [](reeve::TaskContext&, std::string_view input) -> absl::StatusOr<std::string> {
    return std::string(input.rbegin(), input.rend());
  });
  worker.Handle("crash", [](reeve::TaskContext&, std::string_view) -> absl::StatusOr<std::string> { std::abort(); },
                {.isolation = reeve::Isolation::kProcess});
  worker.HandleAsync("twice", Twice);
  worker.Handle("add", reeve::Typed<mine::Request, mine::Result>(Add));
  worker.Handle("add-binary", reeve::Typed<mine::Request, mine::Result>(Add, reeve::Encoding::kBinary));
  worker.HandleAsync("later", reeve::TypedAsync<mine::Request, mine::Result>(Later));
  return worker.Main(argc, argv);
}
"""

PLUGIN_SOURCE = """
#include <reeve/plugin.h>

static void Run(void* state, const reeve_host* host, reeve_task* task, const char* input, size_t size) {
  (void)state;
  if (size == 0) host->fail(task, REEVE_BAD_INPUT, "nothing", 7); else host->succeed(task, input, 1);
}
uint32_t reeve_plugin_abi(void) { return REEVE_PLUGIN_ABI; }
int reeve_plugin_register(const reeve_host* host, reeve_registrar* registrar) {
  const reeve_handler first = {sizeof first, "first", Run, 0, 0};
  return host->add_handler(registrar, &first);
}
"""


class SdkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")))
        subprocess.run(["tar", "-C", cls.folder, "-xf", RUNFILES / "worker/sdk/reeve-sdk.tar"], check=True)
        for name, source in (("mine.proto", PROTO), ("mine.cc", WORKER_SOURCE), ("first.c", PLUGIN_SOURCE)):
            (cls.folder / name).write_text(source)
        cls.shell("protoc --cpp_out=. mine.proto")
        cls.shell("g++ -std=c++20 -Wall -Wextra -Werror -I. mine.cc mine.pb.cc $(pkg-config --cflags --libs reeve-worker) -o mine")
        cls.shell("gcc -shared -fPIC -std=c99 -Wall -Wextra -Werror first.c $(pkg-config --cflags reeve-worker) -o libfirst.so")
        cls.cluster = Cluster(workers=0)
        cls.cluster.start_worker("worker-1", program=cls.folder / "mine")
        cls.cluster.start_worker("worker-2", flags=["--plugin", cls.folder / "libfirst.so", "--plugin", RUNFILES / "examples/sums/libsums.so",
                                                    "--isolate", "sqrt_sum"])
        cls.cluster.wait_for_workers(2)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    @classmethod
    def shell(cls, command):
        env = dict(os.environ, PATH="/usr/local/bin:/usr/bin:/bin", PKG_CONFIG_PATH=str(cls.folder / "lib/pkgconfig"))
        done = subprocess.run(command, shell=True, cwd=cls.folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def results(self, handler, *inputs, flags=()):
        done = self.cluster.reeve("map", "--ordered", "--json", "--handler", handler, *flags, ":::", *inputs)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def outputs(self, handler, *inputs):
        results = self.results(handler, *inputs)
        self.assertEqual([r["state"] for r in results], ["SUCCEEDED"] * len(inputs), results)
        return [r["output"] for r in results]

    def test_handlers_of_a_worker_built_outside_run(self):
        self.assertEqual(self.outputs("reverse", "abc", "de"), ["cba", "ed"])
        self.assertEqual(self.outputs("twice", "abc", "de"), ["abcabc", "dede"])
        self.assertEqual(self.outputs("echo", "built-in"), ["built-in"])
        self.assertRegex(self.outputs("outside", "loud")[0], "^LOUD; .*(connect|refused)")
        crash = self.results("crash", "x", flags=["--retries", "0"])[0]
        self.assertEqual((crash["state"], crash["reason"]), ("FAILED", "SIGNALLED"))
        self.assertIn("signal 6", crash["message"])

    def test_typed_handlers_take_and_give_messages(self):
        request = '{"numbers": ["20", 22], "name": "you"}'
        self.assertEqual([json.loads(o) for o in self.outputs("add", request)], [{"sum": "42", "greeting": "hello you from 0"}])
        self.assertEqual([json.loads(o) for o in self.outputs("later", request)], [{"sum": "2"}])
        # numbers = [20, 22], name = "you"; then sum = 42, greeting = "hello you from 0".
        self.assertEqual(self.outputs("add-binary", "\n\x02\x14\x16\x12\x03you"), ["\x08*\x12\x10hello you from 0"])
        for handler, bad, why in (("add", "{", "the input is no mine.Request: "), ("add", '{"other": 1}', "the input is no mine.Request: "),
                                  ("add-binary", "\x08", "the input is no mine.Request"), ("add", "{}", "a name is wanted")):
            result = self.results(handler, bad)[0]
            self.assertEqual((result["state"], result["reason"], result["attempt"]), ("FAILED", "BAD_INPUT", 1))
            self.assertIn(why, result["message"])

    def test_plugins_bring_handlers_in_c_and_cpp(self):
        self.assertEqual(self.outputs("first", "abc", "de"), ["a", "d"])
        self.assertEqual(self.results("first", "")[0]["message"], "nothing")
        self.assertEqual(self.outputs("sum_squares", "0", "1", "5", "500000"), ["0", "0", "30", str(sum(i * i for i in range(500_000)))])
        self.assertEqual([float(o) for o in self.outputs("sqrt_sum", "0", "2", "1000")], [0.0, 1.0, sum(i ** 0.5 for i in range(1000))])
        bad = self.results("sum_squares", "many")[0]
        self.assertEqual((bad["reason"], bad["message"]), ("BAD_INPUT", "a number from 0 to 1,000,000,000 is wanted"))
        slow = self.results("sqrt_sum", "1000000000", flags=["--time-limit", "100ms", "--retries", "0"])[0]
        self.assertEqual(slow["reason"], "TIMEOUT")

    def test_a_plugin_that_cannot_be_used_keeps_the_worker_from_starting(self):
        for path, why in (("/nowhere.so", "No such file or directory"), (self.folder / "mine.proto", "invalid ELF header|file too short")):
            process = self.cluster.start_worker("refused", flags=["--plugin", path])
            self.assertEqual(process.wait(30), 78)
            self.assertRegex(self.cluster.log("refused"), f"reeve-worker: --plugin {re.escape(str(path))}: .*({why})")


if __name__ == "__main__":
    unittest.main()

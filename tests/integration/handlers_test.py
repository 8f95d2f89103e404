"""The built-in handlers beside `exec` and `http`, on real workers."""

import json
import pathlib
import subprocess
import unittest

from cluster import Cluster, REEVE

RECORDS = 400_000  # About 60 MB.
MOST_RESIDENT_KIB = 128 << 10


def most_resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


class HandlersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=2, slots=2)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def test_jq_transforms_a_stream_of_json_lines_in_blocks_with_bounded_memory(self):
        records = ({"id": i, "name": f"record {i}", "tags": ["a", "b"], "value": {"x": i, "y": 2 * i}, "filler": "x" * 64} for i in range(RECORDS))
        source = self.cluster.folder / "in.jsonl"
        with open(source, "w") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        argv = [REEVE, "map", "--ordered", "--handler", "jq", "--param", "program=select(.id % 3 != 0) | {id, sum: (.value.x + .value.y)}",
                "--jsonl", source, "--block", "256K"]
        with subprocess.Popen([str(a) for a in argv], env=self.cluster.env, stdout=subprocess.PIPE, text=True) as client:
            count, residents = 0, []
            for i, line in zip((i for i in range(RECORDS) if i % 3), client.stdout):
                self.assertEqual(line, f'{{"id":{i},"sum":{3 * i}}}\n')
                count += 1
                if count == RECORDS // 2:
                    residents.append(most_resident_kib(client.pid))
            self.assertEqual(client.stdout.read(), "")
        self.assertEqual((client.returncode, count), (0, RECORDS - (RECORDS + 2) // 3))
        residents += [most_resident_kib(self.cluster.processes[name].pid) for name in ("master", "worker-1", "worker-2")]
        self.assertLess(max(residents), MOST_RESIDENT_KIB, residents)

    def test_jq_prints_nothing_for_a_block_without_output(self):
        done = self.cluster.reeve("map", "--handler", "jq", "--param", "program=empty", stdin="1\n2\n")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_a_wrong_record_fails_its_block_alone_and_is_named(self):
        done = self.cluster.reeve("map", "--ordered", "--handler", "jq", "--param", "program=.", "--block", "4", stdin="1\n2\n3\n]\n5\n")
        self.assertEqual((done.returncode, done.stdout), (1, "1\n2\n5\n"))
        self.assertIn("BAD_INPUT: jq: line 2: not a JSON value", done.stderr)


class IsolatedJqTest(unittest.TestCase):
    def test_a_program_without_end_is_killed_at_its_time_limit(self):
        with Cluster(workers=0) as cluster:
            cluster.start_worker("isolating", slots=1, flags=("--isolate", "jq"))
            cluster.wait_for_workers(1)
            done = cluster.reeve("map", "--handler", "jq", "--param", "program=if . == 1 then (def f: f; f) else . end", "--time-limit", "1s",
                                 "--retries", "0", "--ordered", stdin="1\n2\n")
            self.assertEqual((done.returncode, done.stdout), (1, "2\n"), done.stderr)
            self.assertIn("TIMEOUT", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

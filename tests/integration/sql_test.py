"""The handler `sql` against a real PostgreSQL."""

import json
import signal
import subprocess
import unittest

from cluster import Cluster, REEVE, wait_for
from postgres import Postgres


class SqlTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Postgres()
        cls.database.psql("create table item (id int primary key, name text)")
        cls.database.psql("create table account (id int primary key, amount int not null check (amount >= 0))")
        cls.cluster = Cluster(workers=0)
        cls.cluster.start_worker("worker-1", flags=["--sql", f"main={cls.database.url}", "--sql", "closed=host=127.0.0.1 port=1",
                                                    "--sql-connections", "4"])
        cls.cluster.wait_for_workers(1)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()
        cls.database.close()

    def map(self, inputs, *params, flags=()):
        argv = ["map", "--handler", "sql", *[w for p in params for w in ("--param", p)], "--ordered", "--json", *flags]
        lines = "".join(json.dumps(i) + "\n" if not isinstance(i, str) else i + "\n" for i in inputs)
        done = subprocess.run([str(REEVE), *argv, "--lines", "-"], env=self.cluster.env, input=lines, capture_output=True, text=True,
                              timeout=120)
        return [json.loads(line) for line in done.stdout.splitlines()], done

    def one(self, record, *params, flags=()):
        results, done = self.map([record], *params, flags=flags)
        self.assertEqual(len(results), 1, done.stderr)
        return results[0]

    def rows(self, record, *params):
        result = self.one(record, *params)
        self.assertEqual(result["state"], "SUCCEEDED", result)
        return json.loads(result["output"])

    def pools(self):
        workers = json.loads(self.cluster.reeve("worker", "list", "--json").stdout)["workers"]
        return {pool["name"]: pool for pool in workers[0].get("pools", [])}

    def test_values_of_every_kind_become_json(self):
        result = self.rows({"sql": "select 1::int2 a, 9007199254740993::int8 b, 1.50::numeric c, 'NaN'::float8 d, 2.5::float4 e, true f, null g, "
                                   "'x\"y\nz' h, '{\"k\": [1,\n2]}'::json i, '{\"b\":1}'::jsonb j, date '2026-01-02' k, '\\x00ff'::bytea l, "
                                   "array[1,2] m, 1 n, 2 n"})
        self.assertEqual(result["command"], "SELECT 1")
        self.assertEqual(result["row_count"], 1)
        self.assertEqual(result["rows"], [{
            "a": 1, "b": 9007199254740993, "c": 1.5, "d": "NaN", "e": 2.5, "f": True, "g": None, "h": "x\"y\nz", "i": {"k": [1, 2]},
            "j": {"b": 1}, "k": "2026-01-02", "l": "\\x00ff", "m": "{1,2}", "n": 1, "n_2": 2}])
        self.assertEqual(self.rows("select 1 x where false"), {"command": "SELECT 0", "row_count": 0, "rows": []})

    def test_what_comes_with_a_task_is_bound_and_never_read_as_sql(self):
        evil = "'); drop table item; --"
        self.assertEqual(self.rows(evil, "sql=select $1 as said")["rows"], [{"said": evil}])
        self.assertEqual(self.rows({"sql": "select $1::text a, $2::int b, $3::jsonb c", "params": [evil, None, {"k": evil}]})["rows"],
                         [{"a": evil, "b": None, "c": {"k": evil}}])
        self.assertEqual(self.database.psql("select to_regclass('item')"), "item")
        two = self.one("select 1; select 2")
        self.assertEqual((two["state"], two["reason"]), ("FAILED", "BAD_INPUT"))
        self.assertIn("SQLSTATE 42601", two["message"])

    def test_a_task_is_one_transaction(self):
        results, _ = self.map([[i, f"item {i}"] for i in range(200)], "sql=insert into item values ($1, $2) returning id")
        self.assertEqual([json.loads(r["output"])["rows"] for r in results], [[{"id": i}] for i in range(200)])
        bad = self.one({"statements": [{"sql": "insert into item values (1000, 'a')"}, {"sql": "insert into item values ($1, 'b')", "params": [7]}]})
        self.assertEqual((bad["state"], bad["reason"], bad["attempt"]), ("FAILED", "BAD_INPUT", 1))
        self.assertEqual(bad["message"], 'sql: statement 2: duplicate key value violates unique constraint "item_pkey" (SQLSTATE 23505): '
                                         "Key (id)=(7) already exists.")
        self.assertEqual(self.database.psql("select count(*), max(id) from item"), "200|199")
        both = self.rows({"statements": [{"sql": "insert into item values (1000, 'a')"}, {"sql": "delete from item where id >= 1000"}]})
        self.assertEqual(both, {"results": [{"command": "INSERT 0 1", "row_count": 1}, {"command": "DELETE 1", "row_count": 1}]})

    def test_a_failed_deferred_constraint_and_a_stray_commit_are_failures(self):
        self.database.psql("create table node (id int primary key, up int references node deferrable initially deferred)")
        late = self.one("insert into node values (1, 2)")
        self.assertEqual((late["state"], late["reason"]), ("FAILED", "BAD_INPUT"))
        self.assertIn("SQLSTATE 23503", late["message"])
        stray = self.one("commit")
        self.assertEqual(stray["message"], "sql: a statement ended the transaction")
        copy = self.one("copy item to stdout")
        self.assertEqual((copy["state"], copy["reason"]), ("FAILED", "BAD_INPUT"))
        self.assertEqual(self.rows("select 1 x")["rows"], [{"x": 1}])

    def test_conflicts_are_tried_again_until_all_have_gone_through(self):
        self.database.psql("insert into account values (1, 0), (2, 0)")
        move = {"statements": [{"sql": "select sum(amount) from account"}, {"sql": "update account set amount = amount + 1 where id = $1", "params": [1]}]}
        results, done = self.map([move] * 60, "isolation=serializable", "tries=100")
        self.assertEqual({r["state"] for r in results}, {"SUCCEEDED"}, done.stderr)
        self.assertEqual(self.database.psql("select amount from account where id = 1"), "60")

    def test_nothing_of_a_task_is_left_to_the_next(self):
        self.map(["set search_path = nowhere"] * 20)
        self.map(["create temp table item (id text)"] * 8)
        paths = {json.loads(r["output"])["rows"][0]["p"] for r in self.map(["select current_setting('search_path') p"] * 20)[0]}
        self.assertEqual(len(paths), 1, paths)
        self.assertNotIn("nowhere", paths.pop())

    def test_read_only_transactions_do_not_write_and_large_results_are_refused(self):
        wrote = self.one("delete from item", "read_only=true")
        self.assertEqual(wrote["reason"], "BAD_INPUT")
        self.assertIn("SQLSTATE 25006", wrote["message"])
        large = self.one("select repeat('x', 1000) from generate_series(1, 1000000)", flags=["--time-limit", "60s"])
        self.assertEqual((large["state"], large["reason"]), ("FAILED", "RESULT_TOO_LARGE"))
        self.assertEqual(self.rows("select 1 x")["rows"], [{"x": 1}])

    def test_a_time_limit_ends_the_statement_in_the_database_too(self):
        slow = self.one("select pg_sleep(600)", flags=["--time-limit", "300ms", "--retries", "0"])
        self.assertEqual((slow["state"], slow["reason"]), ("FAILED", "TIMEOUT"))
        wait_for(lambda: self.database.psql("select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'") == "0",
                 "end of the statement")

    def test_connections_are_bounded_and_shown(self):
        results, _ = self.map(["select pg_sleep(0.05), (select count(*) from pg_stat_activity where application_name = 'reeve-worker') n"] * 40)
        self.assertEqual({r["state"] for r in results}, {"SUCCEEDED"})
        self.assertEqual(max(json.loads(r["output"])["rows"][0]["n"] for r in results), 4)
        pool = wait_for(lambda: (p := self.pools().get("sql:main")) and p["open"] == 4 and p["busy"] == 0 and p, "pool of 4")
        self.assertEqual((pool["limit"], pool["waiting"]), (4, 0))
        self.assertIn("sql:main: 4 of 4 connections open, 0 busy", self.cluster.reeve("worker", "list").stdout)

    def test_a_database_that_is_not_there_is_said(self):
        gone = self.one("select 1", "database=closed", "tries=2", flags=["--retries", "0"])
        self.assertEqual((gone["state"], gone["reason"]), ("FAILED", "HANDLER_ERROR"))
        self.assertRegex(gone["message"], r"sql: cannot connect: .*port 1 failed: Connection refused.* \(2 tries\)")
        wait_for(lambda: int(self.pools()["sql:closed"]["failed_connect_count"]) >= 2, "failures in the pool's state")
        self.assertIn("has no connection to sql:closed", self.cluster.reeve("doctor").stdout)
        other = self.one("select 1", "database=other")
        self.assertEqual(other["message"], "sql: this worker has no database `other`")

    def test_a_restart_of_the_database_loses_nothing_and_repeats_nothing(self):
        self.database.psql("create table once (id int, attempt text)")
        job = self.cluster.reeve("submit", "-q", "--handler", "sql", "--param", "sql=insert into once select $1::int, pg_sleep(0.02)::text",
                                 "--param", "tries=20", "--array", "0-399").stdout.strip()
        for how in (signal.SIGINT, signal.SIGQUIT):
            count = int(self.database.psql("select count(*) from once"))
            wait_for(lambda: int(self.database.psql("select count(*) from once")) > count + 20, "progress")
            self.database.stop(how)
            self.database.start()
        self.cluster.reeve("wait", job, timeout=60)
        tasks = [json.loads(line) for line in self.cluster.reeve("results", job, "--json", "--ordered").stdout.splitlines()]
        there = self.database.psql("select id from once").split()
        self.assertEqual(len(there), len(set(there)), "ids that were inserted twice")
        self.assertEqual(len(tasks), 400)
        for task in tasks:
            if task["state"] == "SUCCEEDED":
                self.assertIn(str(task["index"]), there)
            else:  # At most one a connection and crash.
                self.assertIn("whether it did is not known", task["message"])
        self.assertGreaterEqual(sum(task["state"] == "SUCCEEDED" for task in tasks), 392)


if __name__ == "__main__":
    unittest.main()

"""Web-hooks under load, and the pull of a plant; needs wrk.

  python3 bench/hooks.py [SECONDS] [CONNECTIONS] [RUNS]

Every web-hook has a key of its own and a signature of its own; they are made before the clock runs.
"""
import base64
import hashlib
import hmac
import re
import statistics
import subprocess
import sys
import time

from lib.keeper import keep
from lib.processes import wait_for
from lib.servers import Servers
from lib.stack import SECRET, Stack

HOOKS = 400000
LUA = """
local number = 0
function setup(thread) thread:set("first", number) number = number + 1 end
function init(args)
    lines, at = {}, 0
    local n = 0
    for line in io.lines(args[1]) do
        if n % 2 == first then lines[#lines + 1] = line end
        n = n + 1
    end
    wrk.method = "POST"
end
function request()
    at = at % #lines + 1
    local key, stamp, signature, body = lines[at]:match("^(%S+) (%S+) (%S+) (.*)$")
    return wrk.format("POST", nil, {["Content-Type"] = "application/json",
        ["X-Idempotency-Key"] = key, ["webhook-id"] = key, ["webhook-timestamp"] = stamp,
        ["webhook-signature"] = "v1," .. signature}, body)
end
function done(summary, latency, requests)
    print(string.format("RESULT %d %d %d %d %d %d %d", summary.requests, summary.duration,
        summary.errors.status,
        summary.errors.timeout + summary.errors.read + summary.errors.connect,
        latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
"""


def make_hooks(path, run):
    """Keys that no run before has used."""
    stamp = str(int(time.time()))
    with open(path, "w", encoding="ascii") as out:
        for n in range(HOOKS):
            key, body = (f"{run}-{n}",
                         f'{{"machine_id":{n % 16 + 1},"cycle_time":{20 + n % 997 / 10}}}')
            digest = hmac.new(SECRET.encode(), f"{key}.{stamp}.{body}".encode(),
                              hashlib.sha256).digest()
            out.write(f"{key} {stamp} {base64.b64encode(digest).decode()} {body}\n")


def load(stack, run, seconds, connections):
    hooks, script = stack.folder / "hooks", stack.folder / "hooks.lua"
    make_hooks(hooks, run)
    script.write_text(LUA)
    out = subprocess.run(["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "-s", script,
                          stack.hook_url, "--", hooks], capture_output=True, text=True,
                         check=True).stdout
    requests, duration, bad, broken, *percentiles = map(int,
                                                        re.search("RESULT (.*)", out)[1].split())
    return {"web-hooks/s": requests / duration * 1e6, "not 2xx": bad, "broken": broken,
            **{f"p{p} ms": value / 1000 for p, value in zip((50, 95, 99), percentiles)}}


def run(servers, number, seconds, connections):
    stack = Stack(servers).set_up()
    receiver, scheduler = stack.receiver().wait_ready(), stack.scheduler().wait_ready()
    before = receiver.cpu_seconds()
    result = load(stack, number, seconds, connections)
    metrics = receiver.metrics()
    taken = metrics['mtc_receiver_hooks_total{answer="accepted"}']
    begun = time.monotonic()
    wait_for(lambda: scheduler.metrics()["mtc_scheduler_hooks_total"] >= taken, 300, "all applied",
             pause=0.1)
    result.update({"receiver us/web-hook": (receiver.cpu_seconds() - before) / taken * 1e6,
                   "applied after s": time.monotonic() - begun,
                   "receiver MiB": receiver.rss_kib(peak=True) / 1024,
                   "unavailable": metrics['mtc_receiver_hooks_total{answer="unavailable"}'],
                   "duplicate": metrics['mtc_receiver_hooks_total{answer="duplicate"}']})
    stack.tear_down()
    return result


def pull(servers, machines):
    """The first pull of a large plant, and one in which nothing has changed: seconds, and rows
    written."""
    stack = Stack(servers, sim_options=["--cycle", "deployed"]).set_up()
    with stack.connect() as pg:
        pg.execute("DELETE FROM setup_jobs")
        pg.execute("DELETE FROM machines")
        pg.execute("INSERT INTO machines (name, is_active) SELECT 'M-' || n, true"
                   " FROM generate_series(1, %s) n", (machines,))
    for n in range(1, machines + 1):
        stack.sim.call("POST", "/cycle", {"machine": f"M-{n}", "cycle_time": 10 + n / 100})
    result = {}
    for what, options in (("first", {}), ("again", {}),
                          ("one by one", {"mtc_scheduler_connections": 1})):
        before = stack.cycle_writes()
        scheduler = stack.service("mtc-scheduler", **options)
        scheduler.command.append("--once")
        assert scheduler.start().child.wait(300) == 0, scheduler.text()[-2000:]
        done = re.search(r'msg="pull done".* ms=(\d+)', scheduler.text())
        result[f"pull {what} ms"] = int(done[1])
        result[f"pull {what} rows"] = stack.cycle_writes() - before
    stack.tear_down()
    return result


def main():
    seconds, connections, runs = ([int(word) for word in sys.argv[1:]] +
                                  [10, 64, 3][len(sys.argv) - 1:])
    keep()
    servers = Servers().start()
    try:
        results = [run(servers, n, seconds, connections) for n in range(runs)]
        pulls = [pull(servers, 10000) for _ in range(runs)]
    finally:
        servers.stop()
    for title, table in ((f"{seconds} s of web-hooks over {connections} connections", results),
                         ("pulls of 10,000 machines", pulls)):
        print(f"{title}, medians of {runs} runs:")
        for name in table[0]:
            print(f"  {name:22} {statistics.median(row[name] for row in table):10.1f}   "
                  f"({', '.join(format(row[name], '.1f') for row in table)})")


if __name__ == "__main__":
    main()

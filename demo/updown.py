"""./dev up and ./dev down: private servers, the programs and the simulator, to play with."""
import json
import os
import pathlib
import random
import shutil
import signal
import sys

from lib.keeper import keep, kept_folder
from lib.processes import wait_for
from lib.servers import Servers
from lib.stack import ROOT, Stack

STATE = ROOT / ".dev" / "up.json"
CONFIG, CONNINFO = STATE.with_name("mtc-sync.conf"), STATE.with_name("postgres")
TRY = """
try it:
  psql "$(cat .dev/postgres)" -c "INSERT INTO setup_jobs (machine_id, status) VALUES (2, 'created')"
  ./build/mtcctl -c .dev/mtc-sync.conf events
  ./build/mtcctl -c .dev/mtc-sync.conf status
./dev down ends everything"""


def describe(stack):
    """Where everything is, for a person."""
    rabbit = stack.servers.rabbit
    lines = [f"RabbitMQ management  http://127.0.0.1:{rabbit.management}/  guest / guest, "
             f"vhost {stack.name}",
             f"PostgreSQL           psql '{stack.servers.postgres.conninfo(stack.name)}'   "
             "(schema mtc, views mtc.event, mtc.machine_cycle_time)",
             f"web-hooks            {stack.hook_url}   secret: {stack.secret_path}",
             f"MTConnect stand-in   {stack.sim.url}   control: "
             f"http://127.0.0.1:{stack.sim.control}/stats"]
    lines += [
        f"{service.name:20} http://127.0.0.1:{service.metrics_port}/metrics   log {service.log}"
        for service in stack.services if service.is_running()]
    lines.append(f"configuration        {stack.config_path}   (mtcctl -c, mtc-producer -c ...)")
    return "\n".join("  " + line for line in lines)


def start_servers(servers, now):
    """now() is told what is waited for."""
    for name, server in (("PostgreSQL", servers.postgres), ("Redis", servers.redis),
                         ("RabbitMQ", servers.rabbit)):
        now(f"{name} starts")
        server.start()


def end_all(servers, stack, now):
    if stack:
        for process in (*stack.services, stack.sim):
            now(f"{process.name} ends")
            process.stop()
    if servers:
        now("RabbitMQ, Redis and PostgreSQL end")
        servers.stop()


def teach_cycle_times(stack):
    """The stand-in knows one for each machine, as a plant that runs does."""
    dice = random.Random(1)
    with stack.connect() as pg:
        for name, in pg.execute("SELECT machine FROM mtc.active_machine").fetchall():
            stack.sim.call("POST", "/cycle", {"machine": name,
                                              "cycle_time": round(dice.uniform(20, 300), 1)})


def write_links(stack):
    """What changes from one time to the next, at places that don't."""
    STATE.parent.mkdir(exist_ok=True)
    CONFIG.unlink(missing_ok=True)
    CONFIG.symlink_to(stack.config_path)
    CONNINFO.write_text(stack.servers.postgres.conninfo(stack.name) + "\n")


def up():
    if STATE.exists():
        sys.exit("dev: it is up already; ./dev down ends it")
    keep(leave_if_good=True)
    servers = Servers()
    start_servers(servers, print)
    print("the programs and a stand-in for MTConnect start")
    stack = Stack(servers).set_up()
    teach_cycle_times(stack)
    for service in (stack.producer("producer-1"), stack.producer("producer-2"),
                    stack.sender("sender-1"), stack.sender("sender-2"),
                    stack.scheduler("scheduler-1"), stack.receiver("receiver-1")):
        service.wait_ready()
    write_links(stack)
    # In the order in which they are to be ended.
    processes = [*stack.services, stack.sim, servers.rabbit.process, servers.rabbit.epmd,
                 servers.redis.process]
    pids = ([[process.pid, signal.SIGTERM] for process in processes] +
            [[servers.postgres.process.pid, signal.SIGINT]])
    print(describe(stack) + TRY, flush=True)
    STATE.write_text(json.dumps({"folder": kept_folder(), "pids": pids}))


def is_running(pid):
    try:
        os.kill(pid, 0)
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return stat.rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def end(pid, number):
    """Asks the process to end; what is left of its group then is killed."""
    if is_running(pid):
        os.kill(pid, number)
        wait_for(lambda: not is_running(pid), 60, f"process {pid} ends")
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def down():
    if not STATE.exists():
        sys.exit("dev: nothing is up")
    state = json.loads(STATE.read_text())
    for pid, number in state["pids"]:
        end(pid, number)
    shutil.rmtree(state["folder"], ignore_errors=True)
    for path in (STATE, CONFIG, CONNINFO):
        path.unlink(missing_ok=True)
    print("down")


if __name__ == "__main__":
    {"up": up, "down": down}[sys.argv[1]]()

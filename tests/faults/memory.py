"""What the programs take of memory while a campaign runs, and what they may take."""
import re
import subprocess
import threading

from lib.stack import BUILD, ENVIRONMENT

BESIDES_MIB = 48  # code, connections, tables, and one answer of a server: see docs/operations.md
UNBOUNDED_MIB = 64  # what a program may hold that has no option for it


class Memory(threading.Thread):
    """Looks once a second: a program that is started again counts anew."""

    def __init__(self, plant):
        super().__init__(daemon=True, name="memory")
        self.plant = plant
        self.stopping = threading.Event()
        self.most = {}  # program: MiB at the most, of any of its processes
        self.looks = 0

    def run(self):
        while not self.stopping.wait(1):
            self.look()

    def look(self):
        for name, service in self.plant.services.items():
            try:
                mib = service.rss_kib(peak=True) / 1024
            except (FileNotFoundError, ProcessLookupError):  # ended, or ending
                continue
            program = name.split("-")[0]
            self.most[program] = max(self.most.get(program, 0), mib)
        self.looks += 1

    def stop(self):
        self.stopping.set()
        self.join(10)
        self.look()

    def budgets(self):
        """MiB by program, as the configuration says."""
        text = subprocess.run([BUILD / "mtc-producer", "--print-config"], check=True, text=True,
                              env={**ENVIRONMENT, "MTC_CONFIG": str(self.plant.stack.config_path)},
                              capture_output=True).stdout
        bounds = {section: int(mib) for section, mib in re.findall(
            r"^(\w+): \{[^}]*?\bmemory_mib = (\d+);", text, re.MULTILINE)}
        return {program: bounds.get(program, UNBOUNDED_MIB) + BESIDES_MIB for program in self.most}

    def table(self):
        lines = [f"{'memory':36} {'most, MiB':>9} {'budget, MiB':>11}"]
        lines += [f"mtc-{program:32} {self.most[program]:9.0f} {budget:11}"
                  for program, budget in sorted(self.budgets().items())]
        return "\n".join(lines)

    def problems(self):
        return [f"mtc-{program} took {self.most[program]:.0f} MiB, its budget is {budget}"
                for program, budget in self.budgets().items() if self.most[program] > budget]

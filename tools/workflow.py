"""Reads GitHub workflows: jobs, matrices, steps, and the part of the expression language that ours
use. What it does not know it refuses, by a message that names it: a guess would be worse.

Used by tools/run_workflow and tools/check_workflows. The rules are GitHub's, from "Workflow syntax"
and "Evaluate expressions" of its documentation.
"""
import itertools
import re

import yaml

JOB_KEYS = {"name", "needs", "runs-on", "container", "strategy", "env", "defaults", "steps",
            "timeout-minutes", "permissions", "concurrency"}
STEP_KEYS = {"name", "id", "if", "uses", "with", "run", "shell", "working-directory", "env",
             "timeout-minutes"}
FUNCTIONS = {"success", "failure", "always", "cancelled"}
TOKEN = re.compile(r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])"
                   r"|(?P<name>[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)"
                   r"|(?P<sign>==|!=|&&|\|\||[!()]))")
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.S)


class Refused(Exception):
    """What is wrong with the workflow, or not known here."""


def load(path):
    """A workflow as a dictionary."""
    try:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise Refused(f"{path}: {error}") from error
    if not isinstance(workflow, dict) or not isinstance(workflow.get("jobs"), dict):
        raise Refused(f"{path}: this is no workflow: it has no jobs")
    return workflow


def job_of(workflow, name):
    """The job of that name, with keys that are all known."""
    job = workflow["jobs"].get(name)
    if job is None:
        raise Refused(f'there is no job "{name}"; there are: {", ".join(workflow["jobs"])}')
    if "uses" in job:
        raise Refused(f'job "{name}" calls the workflow {job["uses"]}: run the jobs of that one')
    refuse_unknown(job, JOB_KEYS, f'job "{name}"')
    for number, step in enumerate(job.get("steps") or [], 1):
        where = f'job "{name}", step {number}'
        refuse_unknown(step, STEP_KEYS, where)
        if ("run" in step) == ("uses" in step):
            raise Refused(f'{where}: it needs one of "run" and "uses"')
    return job


def refuse_unknown(mapping, known, where):
    unknown = sorted(set(mapping) - known)
    if unknown:
        raise Refused(f'{where}: "{unknown[0]}" is not known here')


def combinations(job):
    """The dictionaries that a job's matrix stands for; one that is empty if it has none."""
    matrix = dict((job.get("strategy") or {}).get("matrix") or {})
    include, exclude = matrix.pop("include", []), matrix.pop("exclude", [])
    for name, values in matrix.items():
        if not isinstance(values, list):
            raise Refused(f'matrix: the values of "{name}" are not a list')
    product = [dict(zip(matrix, values)) for values in itertools.product(*matrix.values())]
    if not matrix:
        product = []
    product = [one for one in product
               if not any(out.items() <= one.items() for out in exclude)]
    originals = [dict(one) for one in product]
    added = []
    for extra in include:  # completes what it does not contradict; else it is one more
        fits = [i for i, one in enumerate(originals)
                if all(one.get(key, value) == value for key, value in extra.items() if key in one)]
        for i in fits:
            product[i].update(extra)
        if not fits:
            added.append(dict(extra))
    return product + added or [{}]


def choose(job, wanted):
    """The one combination of the matrix that has these values, which are words."""
    found = [one for one in combinations(job)
             if all(key in one and word(one[key]) == value for key, value in wanted.items())]
    if len(found) == 1:
        return found[0]
    listed = "\n".join("  " + " ".join(words(one)) for one in combinations(job))
    raise Refused(f"{len(found)} combinations of the matrix have these values; there are:\n"
                  f"{listed}")


def words(combination):
    return [f"{key}={word(value)}" for key, value in combination.items()]


def word(value):
    """A value as it is put into text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    if isinstance(value, (dict, list)):
        raise Refused("a list or a mapping can't be put into text")
    return str(value)


class Evaluator:
    """Expressions over contexts: {"matrix": {...}, "env": {...}, "github": {...}}."""

    def __init__(self, contexts):
        self.contexts = contexts
        self.failed = False  # a step has

    def substitute(self, text):
        """Text with the values of its ${{ }} in their place."""
        return EXPRESSION.sub(lambda match: word(self.value(match[1])), word(text))

    def condition(self, text):
        """Whether a step with this "if" is run; None: it has none."""
        if text is None:
            return not self.failed
        text = word(text).strip()
        whole = EXPRESSION.fullmatch(text)
        text = whole[1] if whole else text
        asked = self.truth(self.value(text))
        if any(kind == "name" and token in FUNCTIONS for kind, token in tokens(text)):
            return asked
        return asked and not self.failed

    def value(self, text):
        parser = Parser(tokens(text), self)
        result = parser.either()
        if parser.left():
            raise Refused(f'expression "{text.strip()}": "{parser.left()[0][1]}" is out of place')
        return result

    def look_up(self, name):
        context, _, key = name.partition(".")
        if context not in self.contexts:
            raise Refused(f'"{name}" is not known here')
        if key in self.contexts[context]:
            return self.contexts[context][key]
        if context == "env":
            return ""
        raise Refused(f'"{name}" is not known here')

    def call(self, name):
        return {"success": not self.failed, "failure": self.failed, "always": True,
                "cancelled": False}[name]

    @staticmethod
    def truth(value):
        return value not in (False, None, 0, "")

    @staticmethod
    def equal(left, right):
        if isinstance(left, str) and isinstance(right, str):
            return left.lower() == right.lower()
        left, right = (float(one) if type(one) is int else one for one in (left, right))
        if type(left) is not type(right):
            raise Refused(f'"{left}" and "{right}" are compared, which are of different types')
        return left == right


def tokens(text):
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise Refused(f'expression "{text}": not understood from "{text[at:]}" on')
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


class Parser:
    """either: both || both; both: equality && equality; equality: one == one; one: what is left."""

    def __init__(self, parts, evaluator):
        self.parts = parts
        self.at = 0
        self.evaluator = evaluator

    def left(self):
        return self.parts[self.at:]

    def take(self, *signs):
        if self.left() and self.left()[0] in [("sign", sign) for sign in signs]:
            self.at += 1
            return self.parts[self.at - 1][1]
        return None

    def either(self):
        value = self.both()
        while self.take("||"):
            other = self.both()
            value = value if self.evaluator.truth(value) else other
        return value

    def both(self):
        value = self.equality()
        while self.take("&&"):
            other = self.equality()
            value = other if self.evaluator.truth(value) else value
        return value

    def equality(self):
        value = self.one()
        while sign := self.take("==", "!="):
            value = self.evaluator.equal(value, self.one()) == (sign == "==")
        return value

    def one(self):
        if self.take("!"):
            return not self.evaluator.truth(self.one())
        if self.take("("):
            value = self.either()
            if not self.take(")"):
                raise Refused('expression: a ")" is missing')
            return value
        if not self.left() or self.left()[0][0] == "sign":
            raise Refused("expression: a value is missing")
        kind, text = self.left()[0]
        self.at += 1
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text)
        return self.named(text)

    def named(self, text):
        if self.take("("):
            if text not in FUNCTIONS or not self.take(")"):
                raise Refused(f'the function "{text}" is not known here, or not with arguments')
            return self.evaluator.call(text)
        if text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        return self.evaluator.look_up(text)

"""How tools/workflow.py reads workflows, by GitHub's rules; and that it refuses what it does not
know."""
import pathlib
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tools"))
import workflow  # pylint: disable=wrong-import-position


def evaluator(**contexts):
    return workflow.Evaluator({"matrix": {"cc": "gcc", "postgres": 14, "old": True},
                               "env": {"HOME": "/root"}, "github": {"ref_name": "v1"}, **contexts})


@pytest.mark.parametrize("text, wanted", [
    ("plain $HOME {{ x }}", "plain $HOME {{ x }}"),
    ("a ${{ matrix.cc }} b ${{matrix.postgres}}", "a gcc b 14"),
    ("${{ matrix.old }}${{ env.HOME }}${{ env.NONE }}", "true/root"),
    ("${{ matrix.cc == 'GCC' && 'yes' || 'no' }}", "yes"),
    ("${{ matrix.cc != 'gcc' && 'yes' || 'no' }}", "no"),
    ("${{ matrix.postgres == 14 }} ${{ !(matrix.postgres == 14) }}", "true false"),
    ("${{ 'it''s' }}", "it's"),
    ("${{ '' || null }}|", "|"),
    (14, "14"),
    (None, ""),
])
def test_substitution(text, wanted):
    assert evaluator().substitute(text) == wanted


@pytest.mark.parametrize("text", [
    "${{ secrets.TOKEN }}", "${{ matrix.none }}", "${{ github.event.number }}", "${{ }}",
    "${{ hashFiles('x') }}", "${{ contains(matrix.cc, 'g') }}", "${{ matrix.cc == }}",
    "${{ matrix.cc gcc }}", "${{ (matrix.cc }}", "${{ matrix.cc == 14 }}", "${{ a < b }}",
    "${{ matrix['cc'] }}", "${{ success(1) }}", "${{ matrix }}",
])
def test_what_is_not_known_is_refused(text):
    with pytest.raises(workflow.Refused):
        evaluator().substitute(text)


@pytest.mark.parametrize("text, before, after", [
    (None, True, False),
    ("success()", True, False),
    ("failure()", False, True),
    ("always()", True, True),
    ("!cancelled()", True, True),
    ("matrix.cc == 'gcc'", True, False),
    ("matrix.cc == 'clang'", False, False),
    ("${{ failure() && matrix.cc == 'gcc' }}", False, True),
    ("failure() && matrix.cc == 'clang'", False, False),
    (True, True, False),
    (False, False, False),
])
def test_conditions_before_and_after_a_failure(text, before, after):
    reader = evaluator()
    assert reader.condition(text) is before
    reader.failed = True
    assert reader.condition(text) is after


def matrix(**values):
    return {"strategy": {"matrix": values}}


def test_matrix():
    assert workflow.combinations({}) == [{}]
    assert workflow.combinations(matrix(a=[1, 2], b=["x"])) == [{"a": 1, "b": "x"},
                                                                {"a": 2, "b": "x"}]
    assert workflow.combinations(matrix(a=[1, 2], exclude=[{"a": 1}])) == [{"a": 2}]
    # include completes what it does not contradict, and is one more where it does
    assert workflow.combinations(matrix(a=[1, 2], include=[{"c": 0}, {"a": 2, "d": 5}, {"a": 3}])) \
        == [{"a": 1, "c": 0}, {"a": 2, "c": 0, "d": 5}, {"a": 3}]
    assert workflow.combinations(matrix(include=[{"a": 1}, {"a": 2}])) == [{"a": 1}, {"a": 2}]
    with pytest.raises(workflow.Refused):
        workflow.combinations(matrix(a="${{ fromJSON('[1]') }}"))


def test_one_combination_is_chosen():
    job = matrix(a=[1, 2], b=["x", "y"])
    assert workflow.choose(job, {"a": "2", "b": "x"}) == {"a": 2, "b": "x"}
    assert workflow.choose({}, {}) == {}
    for wanted in ({"a": "2"}, {"a": "3", "b": "x"}, {"c": "1"}):
        with pytest.raises(workflow.Refused, match="a=1 b=x"):
            workflow.choose(job, wanted)


@pytest.mark.parametrize("job, why", [
    ({"services": {}, "steps": []}, '"services"'),
    ({"uses": "./x.yml"}, "calls the workflow"),
    ({"steps": [{"run": "x", "continue-on-error": True}]}, 'step 1: "continue-on-error"'),
    ({"steps": [{"name": "x"}]}, 'one of "run" and "uses"'),
    ({"steps": [{"run": "x", "uses": "y@z"}]}, 'one of "run" and "uses"'),
    (None, "there are: other"),
])
def test_jobs_that_are_refused(job, why):
    jobs = {"other": {}} if job is None else {"one": job}
    with pytest.raises(workflow.Refused, match=why):
        workflow.job_of({"jobs": jobs}, "one")


@pytest.mark.parametrize("text, why", [
    ("jobs: [", "workflow.yml"), ("- a", "no workflow"), ("on: push", "no jobs"), ("", "no jobs"),
])
def test_files_that_are_refused(tmp_path, text, why):
    path = tmp_path / "workflow.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(workflow.Refused, match=why):
        workflow.load(path)
    with pytest.raises(workflow.Refused):
        workflow.load(tmp_path / "none.yml")


@pytest.mark.parametrize("path", sorted((TOP / ".github/workflows").glob("*.yml")),
                         ids=lambda path: path.stem)
def test_every_job_of_ours_is_understood(path):
    document = workflow.load(path)
    for name, job in document["jobs"].items():
        if "uses" in job:
            continue
        workflow.job_of(document, name)
        for one in workflow.combinations(job):
            reader = evaluator(matrix=one)
            for step in job["steps"]:
                reader.condition(step.get("if"))

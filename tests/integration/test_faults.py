"""A short campaign of faults: ./dev faults runs long ones."""
import pytest

from faults import campaign, plan

SECONDS = 180


@pytest.mark.campaign
def test_a_short_campaign(servers, record_property):
    """Faults of every kind, one every two seconds; nothing lost, order kept, every event accounted
    for."""
    assert servers.rabbit.process.is_running()  # ours; another is not there to be broken
    outcome = campaign.run(servers, seed=11, seconds=SECONDS, rate=100, pauses=(1.5, 2.5))
    record_property("campaign", f"{outcome.committed} events, {len(outcome.faults)} faults, "
                    f"{len(outcome.duplicates)} asked again")
    for kind in outcome.without:
        record_property(kind, f"not tried, this machine does not allow it: {kind}")
    assert not outcome.problems, "\n".join([*outcome.problems, outcome.table()])
    tried = {one.fault.kind for one in outcome.faults}
    missing = {kind.name for kind in plan.KINDS} - tried - set(outcome.without)
    assert not missing
    assert not outcome.unmet(), outcome.table()
    assert outcome.committed > 2000


def test_same_seed_same_schedule():
    assert plan.make(7, 1800) == plan.make(7, 1800) != plan.make(8, 1800)
    for seed in range(20):
        faults = plan.make(seed, 1800)
        assert len(faults) > 200
        assert {fault.kind for fault in faults} == {kind.name for kind in plan.KINDS}
        ends = {}
        for fault in faults:  # one target suffers one fault at a time
            assert fault.at >= ends.get(fault.target, 0), fault
            ends[fault.target] = fault.at + fault.seconds

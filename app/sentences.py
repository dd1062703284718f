"""What a job found out, in words: the terminal and the report say the same."""

from typing import Any


def why_no_score(experiment: dict[str, Any]) -> str:
    """Why an experiment ended without one: its `extrapolation`, its `rung`, or else its `error`."""
    expected, rung = experiment["extrapolation"], experiment.get("rung")
    if rung is not None:
        return (
            f"After {rung['anchor']:,} rows it had {rung['metric']} {rung['score']:.4g}, "
            f"and {rung['needed']:.4g} was needed to go on."
        )
    if expected is None:
        return str((experiment["error"] or {}).get("detail", ""))
    rival = expected["to_beat"]
    return (
        f"Its learning curve leads to {expected['metric']} {expected['score']:.4g}, "
        f"and {rival['configuration']} has {rival['score']:.4g}."
    )


def honest_sentences(result: dict[str, Any]) -> list[str]:
    """What the first of the leaderboard is worth on rows that did not choose it, and whether the second is worse."""
    choice, runner_up, metric = result.get("choice"), result.get("runner_up"), result["metric"]
    sentences = []
    if choice is not None and runner_up is not None:
        sentences.append(
            f"Chosen by one half of the rows and scored on the other, the best has {metric} {choice['score']:.4f}."
        )
    if runner_up is not None and runner_up["verdict"] is not None:
        verdict = {"first_better": "it is better", "no_clear_difference": "no clear difference"}
        sentences.append(
            f"{runner_up['first']} against {runner_up['second']}: {metric} loss lower by "
            f"{runner_up['difference']:.4f} (90 % interval {runner_up['low']:+.4f} … {runner_up['high']:+.4f}): "
            f"{verdict[runner_up['verdict']]}."
        )
    return sentences


def search_sentence(search: dict[str, Any]) -> str:
    """How a search went."""
    because = {
        "trials": "all trials that were asked for were made",
        "time": "its time was spent",
        "exhausted": "nothing was left that it had not tried",
        "failed": "the next trials could not be chosen",
    }[search["ended_because"]]
    before = f", knowing {search['known_before']} results from before" if search["known_before"] else ""
    stopped = search["outcomes"].get("stopped_early", 0)
    given_up = f" {stopped} were given up halfway." if stopped else ""
    return f"{search['trials']} trials by {search['method']}, seed {search['seed']}{before}: {because}.{given_up}"


def stack_sentence(result: dict[str, Any]) -> str:
    """Whether stacking helped, in words."""
    comparison = result["stack_comparison"]
    if comparison is None:
        return str(result["no_stack_because"])
    verdict = {
        "stack_better": "the stack is better",
        "single_better": "the single configuration is better",
        "no_clear_difference": "no clear difference, so the single configuration is the better buy",
    }[comparison["verdict"]]
    return (
        f"Stack against {comparison['single']} on {comparison['rows']} rows that chose neither: "
        f"{result['metric']} loss lower by {comparison['difference']:+.4f} "
        f"(90 % interval {comparison['low']:+.4f} … {comparison['high']:+.4f}): {verdict}."
    )

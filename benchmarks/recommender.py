"""`make bench-recommender`: regret of every way of ranking on the shipped meta-dataset, each group of datasets held out."""

from app.config import pin_threads

pin_threads()

from app.metalearning.metadataset import load_evidence  # noqa: E402  threads are fixed before numeric libraries load
from app.metalearning.table import TaskType  # noqa: E402
from benchmarks.recording import record  # noqa: E402
from workers.training import fitting, proof  # noqa: E402

figures: dict[str, float] = {}
for task_type in TaskType:
    evidence = load_evidence(task_type)
    report = proof.prove(evidence, fitting.fit_forest, fitting.fit_level_forest)
    figures[f"{task_type} datasets [count]"] = len(evidence.datasets)
    figures[f"{task_type} groups [count]"] = len(set(evidence.groups))
    figures[f"{task_type} configurations [count]"] = len(evidence.configurations)
    for name, by_k in report["regret"].items():
        for k, value in by_k.items():
            figures[f"{task_type} {name} best of {k} [normalised regret]"] = value
    single, default = report["regret"]["single_best"]["1"], report["regret"][report["default"]]["1"]
    figures[f"{task_type} gap closed by the default at best of 1 [share]"] = (single - default) / single
record("recommender", figures)

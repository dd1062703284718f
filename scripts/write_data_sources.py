"""Write docs/data-sources.md: which datasets the shipped meta-dataset was measured on, with their sources and licences.

The same goes to app/metalearning/sources.csv, for the service to tell.

python scripts/write_data_sources.py DATASETS_DIR   (the folder that `metaselect metadataset build` read)
"""

import csv
import sys
from pathlib import Path

from app.metalearning.contents import SOURCES
from app.metalearning.metadataset import DATA_DIR, read_evaluations

measured = {row["dataset"] for row in read_evaluations(DATA_DIR / "evaluations.parquet")}
with (Path(sys.argv[1]) / "inventory.csv").open(newline="") as file:
    rows = [row for row in csv.DictReader(file) if row["name"] in measured]
lines = [
    "# Where the evidence comes from",
    "",
    f"The meta-dataset was measured on the {len(rows)} public datasets below. What ships are scores, times and metafeatures:",
    "no rows, and nothing per row. Each dataset was read from a public repository of copies, named in the last column",
    "(on GitHub); the licence is the one stated there or by the original source.",
    "",
    "| dataset | task type | rows | columns | licence | read from |",
    "|---|---|---|---|---|---|",
    *(
        f"| {row['name']} | {row['task']} | {row['n_rows']} | {row['n_cols']} | {row['licence']} | {row['source_repo']} |"
        for row in rows
    ),
    "",
]
Path("docs/data-sources.md").write_text("\n".join(lines))
with SOURCES.open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["dataset", "licence", "source"])
    writer.writerows((row["name"], row["licence"], row["source_repo"]) for row in rows)
print(f"docs/data-sources.md names {len(rows)} datasets.")

"""Writes docs/licences.md: what is installed in both environments, in which version, under which licence.

make licences        (needs uv and a network: it runs the tool pip-licenses)
"""

import csv
import io
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = {"app": "desk, console and actions, with the test tools", "rasa": "the Rasa server"}


def read(environment: str) -> list[dict[str, str]]:
    """Return name, version and licence of every package of an environment."""
    python = ROOT / ".venv" / environment / "bin" / "python"
    command = ["uv", "tool", "run", "--quiet", "--from", "pip-licenses==5.5.5", "pip-licenses"]
    command += [f"--python={python}", "--format=csv", "--order=name", "--with-system"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return [row for row in csv.DictReader(io.StringIO(found)) if row["Name"] != "handrail"]


def main() -> None:
    parts = ["# What Handrail is made of\n\nWritten by `make licences` from the installed environments; a test compares"
             " it with the pinned requirements.\nHandrail itself is Apache-2.0.\n"]  # fmt: skip
    for environment, what in ENVIRONMENTS.items():
        parts.append(f"## {environment}: {what}\n\n| package | version | licence |\n| --- | --- | --- |")
        parts += [
            f"| {row['Name']} | {row['Version']} | {' '.join(row['License'].split())} |" for row in read(environment)
        ]
        parts.append("")
    (ROOT / "docs" / "licences.md").write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The demo.

A real photograph, blurred and noisy, restored with the embedded prior, through the command line a user has.

    python examples/demo.py demo

The photograph is scikit-image's astronaut (NASA, public domain), 512 x 512. It is blurred by a Gaussian of 2 pixels
with noise 0.02; what lies past the frame is not told to the restoration, nor is the noise level.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from skimage import data

from inverse.cli.main import cli
from inverse.io.content import Picture
from inverse.io.read_write import write


def run(*arguments: str) -> None:
    """One command, echoed; its failure ends the demo with its exit code."""
    print("$ inverse " + " ".join(arguments), flush=True)
    try:
        cli.main(list(arguments))
    except SystemExit as stop:
        if stop.code:
            raise


def demo(out: Path) -> None:
    """Simulate, restore, say where everything is."""
    photo, made, run_folder = out / "photo" / "astronaut.png", out / "simulated", out / "run"
    if not photo.exists():
        photo.parent.mkdir(parents=True, exist_ok=True)
        write(photo, Picture(array=data.astronaut(), format="png"))
    run("simulate", "deblur", str(photo.parent), "-o", str(made), "-s", "noise.sigma=0.02", "--overwrite")
    began = time.perf_counter()
    run("restore", "deblur", str(made / "measured"), "-o", str(run_folder), "--truth", str(made / "truth"))
    seconds = time.perf_counter() - began
    run("report", str(run_folder), "--truth", str(made / "truth"))
    report = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    print(f"\nrestored in {seconds:.0f} s (the second time: nothing to do); prior: {report['prior']['name']}")
    for title, folder in (("restored photograph", "restored"), ("uncertainty map", "std"), ("figure", "items")):
        for path in sorted((run_folder / folder).rglob("*.*")):
            if path.is_file() and (folder != "items" or path.name == "figure.png"):
                print(f"{title:<22}{path}")
    print(f"{'page to open':<22}{run_folder / 'report.html'}")
    print(f"{'numbers':<22}{run_folder / 'items.csv'}")
    print(f"{'samples and maps':<22}{next((run_folder / 'items').rglob('posterior.h5'))}")


if __name__ == "__main__":
    demo(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))

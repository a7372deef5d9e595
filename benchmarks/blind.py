"""How well the width of a blur is told from the blurred photograph.

Error, stated uncertainty, and errors over their uncertainty.

    python benchmarks/blind.py [--data ../shared/data/photo] [--every 3] [--first 0]

Each photograph is blurred (reflected beyond the frame, then cropped by 16 pixels, so that nothing of the border is
left), noise is added, and the blur estimated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

import inverse
from inverse.io.content import to_unit
from inverse.io.read_write import read
from inverse.operators.blur.estimate import estimate_blur

CASES: list[dict[str, Any]] = [
    *({"kind": "gaussian-blur", "sigma": sigma} for sigma in (0.7, 1.0, 1.5, 2.0, 3.0, 5.0)),
    *({"kind": "defocus", "radius": radius} for radius in (2.0, 4.0, 7.0)),
    *(
        {"kind": "motion-blur", "length": length, "angle": angle}
        for length, angle in ((6, 20.0), (11, 60.0), (15, 135.0), (21, 100.0))
    ),
]


def off(name: str, found: float, true: float) -> float:
    """Error of a parameter; of an angle the shorter way round."""
    return (found - true + 90) % 180 - 90 if name == "angle" else found - true


@click.command()
@click.option(
    "--data", default=Path("../shared/data/photo"), show_default=True, type=click.Path(path_type=Path, exists=True)
)
@click.option("--every", default=3, show_default=True, help="One photograph in so many.")
@click.option("--first", default=0, show_default=True, help="Where to begin.")
@click.option("--noise", default=0.01, show_default=True, help="Standard deviation of the noise.")
def main(data: Path, every: int, first: int, noise: float) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    images = [torch.from_numpy(to_unit(read(path)))[None] for path in sorted(data.glob("*.png"))[first::every]]
    click.echo(f"{len(images)} photographs, noise {noise:g}")
    click.echo(f"{'':36}{'median':>9}{'rms error':>11}{'median':>9}{'stated':>9}{'rms z':>8}")
    for case in CASES:
        given = dict(case)
        kind = given.pop("kind")
        found = []
        for index, x in enumerate(images):
            physics = inverse.build_operator(case, shape=tuple(x.shape[1:]), noise=noise)
            y = inverse.simulate(x, physics, seed=index)[0, :, 16:-16, 16:-16]
            found.append(estimate_blur(y, kind))
        for name, true in given.items():
            errors = np.array([off(name, one.values[name], float(true)) for one in found])
            stated = np.array([one.errors[name] for one in found])
            click.echo(
                f"{kind + ' ' + name + ' ' + format(true, 'g'):36}{true + np.median(errors):9.2f}"
                f"{np.sqrt(np.mean(errors**2)):11.2f}"
                f"{np.median(np.abs(errors)):9.2f}"
                f"{np.median(stated):9.2f}{np.sqrt(np.mean((errors / stated) ** 2)):8.2f}"
            )


if __name__ == "__main__":
    main()

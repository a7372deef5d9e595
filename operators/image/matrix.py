r"""The identity, and any linear operator as a matrix: :math:`y = M x + n`.

`Identity`: :math:`U = V = I`, all singular values 1. `Matrix`: the singular value decomposition, computed in float64,
up to `SPECTRAL_LIMIT` unknowns; `DenseMatrix` (products only) beyond. An image is flattened in C, H, W order.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inverse.errors import InputError
from inverse.io.tiling import Window
from inverse.operators.arrays import load_array
from inverse.operators.base import Linear, Spectral
from inverse.operators.image.spec import DenoiseOperator, MatrixOperator
from inverse.operators.local import Local

__all__ = ["SPECTRAL_LIMIT", "DenseMatrix", "Identity", "Matrix", "denoise", "locate", "matrix"]

SPECTRAL_LIMIT = 1024


class Identity(Spectral):
    """The identity.

    Args:
        shape: Shape (C, *S) of one unknown.
        dtype: Of the singular values.
    """

    picks = identity = True
    factor_of_all = 1.0

    def __init__(self, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> None:
        ones = torch.ones((1,) * (len(shape) + 1), dtype=dtype)
        super().__init__(ones, shape=shape, noise_model=noise_model)

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``diag(spectrum)``: itself."""
        return spectrum

    def local(self) -> Local:
        """Pixel by pixel."""
        return Local(self.img_size)

    def cut(self, window: Window) -> Identity:
        """The identity of a window."""
        shape = (self.img_size[0], *window.size)
        return Identity(shape=shape, noise_model=self.noise_model, dtype=self.mask.dtype)


def denoise(params: DenoiseOperator, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Identity:
    """The identity for an unknown of any rank."""
    del params
    return Identity(shape=shape, noise_model=noise_model, dtype=dtype)


class Matrix(Spectral):
    """A matrix by its singular value decomposition.

    Args:
        values: (m, n), float64.
        shape: Shape of one unknown, n values.
        measured: Shape of one measurement, m values.
        dtype: Of the factors.

    Attributes:
        mask: Singular values in the unknown's shape (1, *shape), zero beyond the rank.
        left: (m, k), k = min(m, n), columns of ``U``.
        right: (n, n), columns of ``V``.
    """

    left: Tensor
    right: Tensor

    def __init__(
        self, values: Tensor, *, shape: tuple[int, ...], measured: tuple[int, ...], noise_model: Any, dtype: torch.dtype
    ) -> None:
        rows, columns = values.shape
        left, s, right = torch.linalg.svd(values, full_matrices=rows < columns)
        padded = torch.nn.functional.pad(s, (0, columns - len(s)))
        super().__init__(padded.reshape(1, *shape).to(dtype), shape=shape, noise_model=noise_model)
        self.measured = measured
        self.register_buffer("left", left[:, : len(s)].contiguous().to(dtype))
        self.register_buffer("right", right.mT.contiguous().to(dtype))

    def V_adjoint(self, x: Tensor) -> Tensor:
        """Coordinates of (B, *shape), in the same shape."""
        return (x.flatten(1) @ self.right.to(x.dtype)).reshape(x.shape)

    def V(self, coordinates: Tensor) -> Tensor:
        """The transpose of ``V_adjoint``."""
        return (coordinates.flatten(1) @ self.right.to(coordinates.dtype).mT).reshape(coordinates.shape)

    def U(self, coordinates: Tensor) -> Tensor:
        """Measurement (B, *measured) of coordinates (B, *shape); those beyond k are not seen."""
        seen = coordinates.flatten(1)[:, : self.left.shape[1]]
        return (seen @ self.left.to(seen.dtype).mT).reshape(-1, *self.measured)

    def U_adjoint(self, y: Tensor) -> Tensor:
        """Coordinates (B, *shape) of a measurement, zero beyond k."""
        seen = y.flatten(1) @ self.left.to(y.dtype)
        return torch.nn.functional.pad(seen, (0, self.right.shape[0] - seen.shape[1])).reshape(-1, *self.img_size)

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``V diag(spectrum) V^T``, (B, *shape)."""
        return (spectrum.flatten(1) @ self.right.to(spectrum.dtype).square().mT).reshape(spectrum.shape)


class DenseMatrix(Linear):
    """A matrix by its products.

    Args:
        values: (m, n).
        shape: Shape of one unknown, n values.
        measured: Shape of one measurement, m values.
        dtype: Of the matrix.
    """

    values: Tensor

    def __init__(
        self, values: Tensor, *, shape: tuple[int, ...], measured: tuple[int, ...], noise_model: Any, dtype: torch.dtype
    ) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        self.measured = measured
        self.register_buffer("values", values.to(dtype))

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """(B, *shape) to (B, *measured)."""
        return (x.flatten(1) @ self.values.to(x.dtype).mT).reshape(-1, *self.measured)

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        return (y.flatten(1) @ self.values.to(y.dtype)).reshape(-1, *self.img_size)


def _load(params: MatrixOperator) -> Tensor:
    array = load_array(params.file)
    if array.ndim != 2 or array.size == 0:
        raise InputError(
            f"{Path(params.file).name}: an array of shape {array.shape}, allowed: (m, n)", "save one matrix"
        )
    return torch.from_numpy(array.astype("float64"))


def matrix(
    params: MatrixOperator, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> Matrix | DenseMatrix:
    """The operator of a matrix file.

    Raises:
        InputError: a file that cannot be read, or a matrix that does not fit the shapes.
    """
    values = _load(params)
    rows, columns = values.shape
    measured = params.measured or (shape if rows == columns else (rows,))
    for count, sides, name, axis in ((columns, shape, "unknown", "columns"), (rows, measured, "measurement", "rows")):
        if math.prod(sides) != count:
            raise InputError(
                f"{Path(params.file).name}: {count} {axis}, but the {name} of shape {tuple(sides)} has "
                f"{math.prod(sides)} values",
                "allowed: (m, n), m values measured, n values unknown",
            )
    kind = Matrix if columns <= SPECTRAL_LIMIT else DenseMatrix
    return kind(values, shape=shape, measured=tuple(measured), noise_model=noise_model, dtype=dtype)


def locate(params: MatrixOperator, shape: tuple[int, ...]) -> tuple[MatrixOperator, tuple[int, ...]]:
    """The unknown of a measurement: ``params.unknown``, else its own shape for a square matrix, else a vector."""
    rows, columns = _load(params).shape
    unknown = params.unknown or (shape if rows == columns else (columns,))
    return params.model_copy(update={"measured": shape}), tuple(unknown)

"""The two sides of `speed_svm`, timed: ours and scikit-learn's LinearSVC, on the same features."""

import multiprocessing
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.svm import LinearSVC

from gan_eval.data import open_images
from gan_eval.features.discriminator import DiscriminatorFeatures
from gan_eval.features.store import default_store, extract
from gan_eval.models.runs import Run
from gan_eval.probes.l2_svm import LinearModel, fit_l2_svm


def features(folder: Path, data: str) -> tuple[Any, torch.Tensor]:
    """Return the discriminator's features of the training images, and their labels."""
    run = Run(folder)
    images = open_images(data, root=None, size=run.config().discriminator.image_size)
    scale = run.config().generator.scale
    disc = DiscriminatorFeatures(run.load_discriminator(), scale, train=images, precision="bf16")
    assert images.labels is not None
    return extract(disc, images, store=default_store()), images.labels


def ours(x: Any, labels: torch.Tensor, costs: tuple[float, ...]) -> tuple[float, list[LinearModel]]:
    """Return our seconds and models."""
    start = time.perf_counter()
    models = fit_l2_svm(x, labels, costs)
    assert all(model.converged for model in models)
    return time.perf_counter() - start, models


def theirs(x: np.ndarray, y: np.ndarray, cost: float, out: Any = None) -> tuple[float, list[float]]:
    """Return LinearSVC's seconds and the objectives that it reached."""
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    model = LinearSVC(C=cost).fit(x, y)
    seconds = time.perf_counter() - start
    objectives = []
    for label, w, b in zip(model.classes_, model.coef_, model.intercept_, strict=True):
        slack = np.maximum(0, 1 - np.where(y == label, 1, -1) * (x @ w + b))
        objectives.append(float(0.5 * (w @ w + b * b) + cost * (slack @ slack)))
    if out is not None:
        out.put((seconds, objectives))
    return seconds, objectives


def patient(x: np.ndarray, y: np.ndarray, cost: float, patience: float) -> float:
    """Return LinearSVC's seconds, or `patience` where it took longer."""
    fork = multiprocessing.get_context("fork")
    out = fork.Queue()
    process = fork.Process(target=theirs, args=(x, y, cost, out))
    process.start()
    process.join(patience)
    if process.is_alive():
        process.kill()
        return patience
    if process.exitcode:
        raise SystemExit(f"LinearSVC broke off at C = {cost:g} with exit code {process.exitcode}")
    return float(out.get()[0])

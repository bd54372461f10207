"""Files of statistics: ours in pytorch-fid, theirs here, and refusals that name the file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_fid import fid_score

from gan_eval.errors import InputError
from gan_eval.features.pixels import Pixels
from gan_eval.features.statistics_file import Statistics, load_statistics, save_statistics
from gan_eval.metrics import Moments
from gan_eval.seeding import stream

PIXELS = Pixels(1, 2)


def statistics(extractor: Any = PIXELS) -> Statistics:
    moments = Moments()
    moments.update(torch.randn(9, 4, generator=stream(0)))
    return Statistics(
        name="digits:test",
        fingerprint="pixels-sha256:0",
        moments=moments,
        extractor=extractor and extractor.identity,
    )


def test_what_was_saved_comes_back_and_pytorch_fid_reads_it(tmp_path: Path):
    made, path = statistics(), tmp_path / "made.npz"
    save_statistics(path, made)
    again = load_statistics(path)
    assert (again.name, again.fingerprint, again.moments.n) == ("digits:test", "pixels-sha256:0", 9)
    assert torch.equal(again.moments.mean, made.moments.mean)
    assert torch.allclose(again.moments.covariance, made.moments.covariance, rtol=1e-12)
    again.check(PIXELS)
    mean, covariance = fid_score.compute_statistics_of_path(str(path), None, 1, 4, "cpu")
    assert np.array_equal(mean, made.moments.mean.numpy())
    assert np.array_equal(covariance, made.moments.covariance.numpy())


def test_another_programs_file_says_neither_number_nor_extractor(tmp_path: Path):
    path = tmp_path / "theirs.npz"
    np.savez_compressed(path, mu=np.arange(4.0), sigma=np.eye(4))
    found = load_statistics(path)
    assert (found.name, found.extractor, found.moments.n) == ("theirs.npz", None, None)
    assert found.fingerprint.startswith("file-sha256:")
    found.check(PIXELS)


def test_another_extractor_is_refused():
    with pytest.raises(InputError, match=r"must be of 9 features, as 'pixels' makes\. Got 4"):
        statistics().check(Pixels(1, 3))
    colour = Pixels(1, 2)
    colour.identity = {**colour.identity, "scale": "sigmoid"}
    with pytest.raises(InputError, match="Their scale is 'tanh' instead of 'sigmoid'"):
        statistics().check(colour)
    statistics(None).check(colour)


def test_images_fitted_by_another_rule_are_refused(tmp_path: Path):
    path, form = tmp_path / "ref.npz", {"size": 2, "channels": 1, "fit": "crop"}
    save_statistics(path, replace(statistics(), form=form))
    found = load_statistics(path)
    found.check(PIXELS, form)
    found.check(PIXELS)
    with pytest.raises(InputError, match=r"ref\.npz .* of fit pad\. Theirs had crop; make them"):
        found.check(PIXELS, {**form, "fit": "pad"})
    # Nothing was changed, or the file is of a time when this was not written down.
    for silent in ({**form, "fit": None}, {"size": 2, "channels": 1}):
        replace(found, form=silent).check(PIXELS, {**form, "fit": "pad"})


@pytest.mark.parametrize("about", [{"extractor": "inception"}, {"form": 3}, {"form": [["size"]]}])
def test_what_a_file_says_of_itself_must_be_of_a_kind(tmp_path: Path, about: dict[str, Any]):
    path = tmp_path / "ref.npz"
    np.savez(path, mu=np.zeros(4), sigma=np.eye(4), about=np.array(json.dumps(about)))
    (key,) = about
    with pytest.raises(InputError, match=rf"ref\.npz must say of its {key} what each .* Got .*;"):
        load_statistics(path)


def test_files_that_cannot_be_used_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"must end in \.npz\. Got ref\.npy"):
        save_statistics(Path("ref.npy"), statistics())
    path = tmp_path / "ref.npz"
    save_statistics(path, statistics())
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"ref\.npz must be a whole \.npz of statistics"):
        load_statistics(path)
    np.savez(path, mu=np.zeros(3), sigma=np.eye(3))
    whole = path.read_bytes()
    path.write_bytes(whole[:20] + whole[40:])  # an offset before the file: an OSError of no file
    with pytest.raises(InputError, match=r"ref\.npz must be a whole \.npz of statistics"):
        load_statistics(path)
    np.savez(path, mu=np.zeros(3), sigma=np.eye(4))
    with pytest.raises(InputError, match=r"ref\.npz: statistics must be 'mu' \(d,\)"):
        load_statistics(path)
    np.savez(path, mu=np.array([object()]), sigma=np.eye(1))
    with pytest.raises(InputError, match=r"ref\.npz must be a whole .*pickle"):
        load_statistics(path)

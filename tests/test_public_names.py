"""What `import gan_eval` gives, and what it costs."""

import subprocess
import sys

import gan_eval


def test_every_public_name_is_there_and_sorted():
    assert gan_eval.__all__ == sorted(gan_eval.__all__, key=lambda n: (not n.isupper(), n))
    named = [name for name in gan_eval.__all__ if name != "PRESETS"]
    assert all(getattr(gan_eval, name).__name__ == name for name in named)


def test_importing_costs_nothing():
    code = "import sys, gan_eval; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_dcgan_is_trained_from_python(tmp_path):
    request = gan_eval.Request(
        preset="radford2015-svhn", data="digits", limit=8, batch_size=4, steps=2, precision="32"
    )
    job = gan_eval.new_job(tmp_path / "run", request)
    assert gan_eval.carry_out(job) is None
    images, labels = next(gan_eval.generate(job.run.load_generator(), 5, seed=0))
    assert images.shape == (5, 1, 32, 32)
    assert labels is None

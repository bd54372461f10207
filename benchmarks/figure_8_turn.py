"""Figure 8: a direction of Z that turns what is drawn.

    gan-eval benchmark figure_8_turn

Faces of `pytorch-examples`, trained on CelebA or its stand-in. The paper turns heads; CelebA has no
attribute for that, so the direction leads from neutral to smiling faces, which can be judged: how
many of 100 samples smile after each step. Heads are turned too where somebody has chosen four that
look each way; numbers of samples are of one generator's weights, so that another's need a new look.

Paper: faces turn from left to right, by eye. Ours: results/figure_8_turn; from 38 to 100 % smile,
by random directions as long 45 %; heads turn. On 2 cores: 35 minutes of training, then half a
minute.
"""

from gan_eval.experiments.arithmetic import arithmetic
from gan_eval.experiments.reproduction import MissingError, Reproduction


def main(asked: Reproduction) -> None:
    run = asked.trained("pytorch-examples", asked.data("celeba"), 30)
    arithmetic(run, {"from": "-Smiling", "to": "Smiling"}, **asked.common)
    poses = asked.out / "pose"
    chosen = poses / "arithmetic-choices.json"
    with asked.row("heads that turn"):
        if not chosen.exists():
            raise MissingError(
                f"Four samples that look each way must be chosen: `gan-eval sample {run.folder} "
                f"--n 100 --contact-sheet --out sheet.png` numbers them, and `gan-eval arithmetic "
                f"{run.folder} --turn 4,18,33,51:2,7,30,44 --out {poses}` keeps such numbers."
            )
        arithmetic(run, {}, choices=chosen, **{**asked.common, "out": poses})

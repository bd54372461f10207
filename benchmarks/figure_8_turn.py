"""Figure 8: a direction of Z that turns what is drawn.

    gan-eval benchmark figure_8_turn

Faces of `pytorch-examples`, trained on CelebA or its stand-in. The paper turns heads; CelebA has no
attribute for that, so the direction leads from neutral to smiling faces, which can be judged: how
many of 100 samples smile after each step. With numbers of one's own choice, from a contact sheet,
`gan-eval arithmetic RUN --turn 4,18,33,51:2,7,30,44` turns anything.

Paper: faces turn from left to right, by eye. Ours: results/figure_8_turn; from 38 to 100 % smile,
by random directions as long 45 %. On 2 cores: 35 minutes of training, then half of one.
"""

from gan_eval.experiments.arithmetic import arithmetic
from gan_eval.experiments.reproduction import Reproduction


def main(asked: Reproduction) -> None:
    run = asked.trained("pytorch-examples", asked.data("celeba"), 30)
    arithmetic(run, {"from": "-Smiling", "to": "Smiling"}, **asked.common)

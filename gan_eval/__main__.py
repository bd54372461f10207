"""`python -m gan_eval`, which is how `torchrun` starts a command on several processes."""

from gan_eval.cli import main

main()

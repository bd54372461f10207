"""What the command line prints says names as they are."""

from gan_eval.cli.output import print_table


def test_names_are_neither_styles_nor_emoji(capsys):
    print_table("disc:a: [red]", ["[b]model"], [["runs/[bold]x"], [":smile:"], [None]])
    printed = capsys.readouterr().out
    for said in ("disc:a: [red]", "[b]model", "runs/[bold]x", ":smile:", "–"):
        assert said in printed

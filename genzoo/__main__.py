"""`python -m genzoo` is `genzoo`; `accelerate launch -m genzoo` and `torchrun -m genzoo` begin here."""

from genzoo.cli import main

main()

"""Tables of the paper, for your grid: tidy CSV first, Markdown and LaTeX drawn from it. `registry.TABLES` names them."""

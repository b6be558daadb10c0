"""LaTeX at the gate: formulas of known commands.

A formula is typeset by MathJax, KaTeX or TeX itself, whose commands can fetch pictures, set styles, make links,
read files and define further commands. So only commands of a closed list keep their backslash; of any other
the name stays as a word, apart from what stands before it: ``\\in\\put`` must not become ``\\input``. Commands of one
letter are accents and stay. Comments and TeX's ``^^`` notation, which spells a backslash otherwise, go.
"""

from __future__ import annotations

import re

from sls_jupyter.guest.plain_text import released_text


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LETTERS = """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda mu nu xi omicron pi varpi
    rho varrho sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    aleph beth gimel daleth hbar hslash ell wp Re Im partial nabla infty imath jmath eth digamma Bbbk complement
"""
_STRUCTURE = """
    frac dfrac tfrac cfrac binom dbinom tbinom sqrt left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr
    Biggl Biggr begin end limits nolimits displaystyle textstyle scriptstyle scriptscriptstyle over atop choose substack
    stackrel overset underset overbrace underbrace operatorname mathop mathbin mathrel mathord mathopen mathclose mathpunct
    phantom hphantom vphantom smash not notag nonumber hline cline hfill intertext
"""
_OPERATORS = """
    sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan log ln lg exp lim liminf limsup sup inf max min det
    dim ker hom deg gcd arg Pr mod bmod pmod
    sum prod coprod int iint iiint iiiint oint bigcup bigcap bigsqcup bigvee bigwedge bigodot bigoplus bigotimes biguplus
    pm mp times div cdot ast star circ bullet cup cap uplus sqcap sqcup vee wedge setminus wr diamond oplus ominus otimes
    oslash odot dagger ddagger amalg land lor lnot neg surd top bot angle triangle backslash prime emptyset varnothing
    forall exists nexists flat natural sharp clubsuit diamondsuit heartsuit spadesuit square blacksquare lozenge
"""
_RELATIONS = """
    leq le geq ge neq ne ll gg lll ggg equiv sim simeq approx cong propto asymp doteq models perp mid parallel nmid
    nparallel prec succ preceq succeq subset supset subseteq supseteq subsetneq supsetneq sqsubset sqsupset sqsubseteq
    sqsupseteq in ni notin owns vdash dashv leqslant geqslant lesssim gtrsim approxeq thickapprox thicksim triangleq colon
    bowtie smile frown nsim nless ngtr nleq ngeq therefore because
    leftarrow rightarrow leftrightarrow Leftarrow Rightarrow Leftrightarrow uparrow downarrow updownarrow Uparrow
    Downarrow Updownarrow to gets mapsto longmapsto longleftarrow longrightarrow longleftrightarrow Longleftarrow
    Longrightarrow Longleftrightarrow iff implies impliedby hookleftarrow hookrightarrow leftharpoonup leftharpoondown
    rightharpoonup rightharpoondown rightleftharpoons nearrow searrow swarrow nwarrow xleftarrow xrightarrow
    overleftarrow overrightarrow overleftrightarrow rightsquigarrow twoheadrightarrow
"""
_SETTING = """
    langle rangle lbrace rbrace lbrack rbrack lfloor rfloor lceil rceil vert Vert lvert rvert lVert rVert lgroup rgroup
    ldots cdots vdots ddots dots dotsc dotsb dotsm dotsi quad qquad enspace thinspace medspace thickspace negthinspace
    hat widehat check tilde widetilde acute grave dot ddot dddot breve bar vec overline underline mathring
    mathrm mathit mathbf mathsf mathtt mathcal mathfrak mathscr mathbb mathnormal boldsymbol bm pmb text textrm textit
    textbf textsf texttt textnormal emph rm it bf sf tt cal boxed fbox mbox hbox cancel S P pounds copyright
"""
_COMMANDS = _words(_LETTERS + _STRUCTURE + _OPERATORS + _RELATIONS + _SETTING)
_ENVIRONMENTS = _words(
    """matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix array cases rcases aligned alignedat gathered split align
    align* alignat alignat* gather gather* multline multline* equation equation* eqnarray eqnarray* tabular center math
    displaymath itemize enumerate"""
)
_COMMAND = re.compile(r"(?<!\\)(\\++)([A-Za-z]{2,})")
ROUNDS = 8  # until nothing changes
_CARETS = re.compile(r"\^(?=\^)")
_ENVIRONMENT = re.compile(r"\\(begin|end)(?!\s{0,10}\{\s{0,10}([A-Za-z]{1,20}\*?)\s{0,10}\})")
_ENVIRONMENT_NAME = re.compile(r"\\(begin|end)\s{0,10}\{\s{0,10}([A-Za-z]{1,20}\*?)\s{0,10}\}")
_BEGINS = re.compile(r"\$|\\[(\[]|\\begin")
_COMMENT = re.compile(r"(?<!\\)%[^\n]*")


def _command(found: re.Match[str]) -> str:
    """A backslash before a word that is no known command goes; two before it are the end of a line."""
    strokes, word = found.groups()
    lines, rest = divmod(len(strokes), 2)
    if rest:
        kept = "\\" + word if word in _COMMANDS else _apart(found) + word
        return "\\" * (2 * lines) + (" " if lines else "") + kept
    return f"{strokes} {word}"


def _apart(found: re.Match[str]) -> str:
    """A space where the word would go on with the letters before it."""
    before = found.string[found.start() - 1 : found.start()]
    return " " if before.isalpha() else ""


def plain_latex(text: str) -> str:
    """The text with known commands only; for formulas that stand in other text, too.

    Raises:
        ValueError: it is not the same when it is cleaned again.
    """
    for _ in range(ROUNDS):
        again = _cleaned(text)
        if again == text:
            return again
        text = again
    raise ValueError("cleaning does not end")


def _cleaned(text: str) -> str:
    text = _COMMAND.sub(_command, _CARETS.sub("^ ", text))
    text = _ENVIRONMENT.sub(r"\1", text)
    return _ENVIRONMENT_NAME.sub(
        lambda found: found[0] if found[2] in _ENVIRONMENTS else f"{found[1]} {found[2]}", text
    )


def formulas_plain(text: str) -> str:
    """Other text with the formulas in it made plain; text in which none can begin stays as it is."""
    return plain_latex(text) if _BEGINS.search(text) else text


def plain_formula(text: str) -> str:
    """A display of LaTeX alone: without comments, and without what HTML reads as a tag."""
    return re.sub(r"<(?=[A-Za-z/!?])", "< ", plain_latex(_COMMENT.sub("", released_text(text))))

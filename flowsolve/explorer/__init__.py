"""The explorer: one HTML file in which a browser replays the solvers on mixtures in closed form.

    scenes     the mixtures
    plans      methods as numbers: the recurrence of each on each grid, schedule and number of steps
    sprites    the digits network's images by several solvers; shipped in sprites.json
    page       the HTML file: page/*.html, css and js, and the data
    page/      what one sees, and engine.js, the arithmetic of the page without what one sees

`flowsolve explore` writes it and opens it.
"""

from flowsolve.explorer.page import write as write
from flowsolve.explorer.plans import STEPS as STEPS
from flowsolve.explorer.plans import Method as Method
from flowsolve.explorer.plans import export as export
from flowsolve.explorer.plans import methods as methods
from flowsolve.explorer.plans import own as own
from flowsolve.explorer.scenes import SCENES as SCENES
from flowsolve.explorer.scenes import Scene as Scene

"""GITS grids as published: tables of levels, without a search.        Chen et al. 2024 (ICML)."""

from __future__ import annotations

from flowsolve._arguments import whole
from flowsolve.errors import GridError
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.tuned import resample

# σ by data set and number of steps, as LD3 (Tong et al. 2024) lists them for comparison:
# github.com/vinhsuhi/LD3, commit 2f7467c, utils.py, PRIOR_TIMESTEPS, where sd15 is "sd".
# The list for CIFAR-10 in the README of the GITS repository is the one of ffhq here, 6 steps.
GITS_TABLES: dict[str, dict[int, tuple[float, ...]]] = {
    "cifar10": {
        4: (80.0, 5.1092, 1.584, 0.47, 0.002),
        5: (80.0, 5.8389, 2.1632, 0.8119, 0.2107, 0.002),
        6: (80.0, 9.7232, 3.3686, 1.3482, 0.5666, 0.1698, 0.002),
        7: (80.0, 10.9836, 3.8811, 1.8543, 0.8119, 0.3183, 0.1079, 0.002),
        8: (80.0, 10.9836, 3.8811, 1.8543, 0.9654, 0.47, 0.2107, 0.0665, 0.002),
        9: (80.0, 12.3816, 4.459, 2.1632, 1.1431, 0.5666, 0.2597, 0.1079, 0.03, 0.002),
        10: (80.0, 13.9293, 5.1092, 2.5152, 1.3482, 0.6799, 0.3183, 0.1698, 0.0665, 0.0225, 0.002),
    },
    "ffhq": {
        4: (80.0, 7.5699, 2.1632, 0.5666, 0.002),
        5: (80.0, 9.7232, 2.9152, 0.9654, 0.2597, 0.002),
        6: (80.0, 10.9836, 3.8811, 1.584, 0.5666, 0.1698, 0.002),
        7: (80.0, 12.3816, 4.459, 1.8543, 0.8119, 0.3183, 0.1079, 0.002),
        8: (80.0, 12.3816, 5.1092, 2.1632, 0.9654, 0.47, 0.2107, 0.0665, 0.002),
        9: (80.0, 13.9293, 5.8389, 2.9152, 1.3482, 0.6799, 0.3183, 0.1359, 0.0515, 0.002),
        10: (80.0, 13.9293, 5.8389, 2.9152, 1.584, 0.8119, 0.3878, 0.2107, 0.0851, 0.03, 0.002),
    },
    "afhqv2": {
        4: (80.0, 7.5699, 2.1632, 0.3878, 0.002),
        5: (80.0, 8.5888, 2.9152, 0.9654, 0.2107, 0.002),
        6: (80.0, 9.7232, 3.8811, 1.584, 0.47, 0.1359, 0.002),
        7: (80.0, 10.9836, 4.459, 1.8543, 0.6799, 0.2597, 0.0851, 0.002),
        8: (80.0, 12.3816, 5.1092, 2.5152, 1.1431, 0.47, 0.2107, 0.0665, 0.002),
        9: (80.0, 13.9293, 5.8389, 2.9152, 1.3482, 0.6799, 0.3183, 0.1359, 0.0515, 0.002),
        10: (80.0, 13.9293, 5.8389, 2.9152, 1.584, 0.8119, 0.3878, 0.2107, 0.1079, 0.0395, 0.002),
    },
    "lsun": {
        4: (83.8225, 2.1307, 0.9556, 0.425, 0.0388),
        5: (83.8225, 2.4793, 1.1629, 0.5745, 0.2411, 0.0388),
        6: (83.8225, 2.4793, 1.2928, 0.7324, 0.3678, 0.1578, 0.0388),
        7: (83.8225, 2.9282, 1.4464, 0.8717, 0.4929, 0.2586, 0.109, 0.0388),
        8: (83.8225, 3.5196, 1.854, 1.1629, 0.7324, 0.425, 0.2249, 0.1009, 0.0388),
        9: (83.8225, 3.5196, 1.854, 1.1629, 0.7324, 0.4574, 0.2773, 0.1578, 0.0731, 0.0388),
        10: (83.8225, 4.3198, 2.1307, 1.2928, 0.8717, 0.5745, 0.3678, 0.2411, 0.1365, 0.0672, 0.0388),
    },
    "sd15": {
        3: (14.6146, 1.7083, 0.532, 0.0292),
        4: (14.6146, 3.1131, 1.0421, 0.3811, 0.0292),
        5: (14.6146, 4.39, 1.5286, 0.6526, 0.2667, 0.0292),
        6: (14.6146, 4.7242, 1.9132, 0.9324, 0.4557, 0.1801, 0.0292),
        7: (14.6146, 6.4477, 2.2797, 1.1629, 0.6114, 0.3058, 0.1258, 0.0292),
        8: (14.6146, 6.4477, 2.7391, 1.4467, 0.8319, 0.4936, 0.2667, 0.1258, 0.0292),
        9: (14.6146, 6.4477, 3.3251, 1.9132, 1.1629, 0.7391, 0.4557, 0.2667, 0.1258, 0.0292),
        10: (14.6146, 5.9489, 3.3251, 2.0267, 1.2969, 0.8319, 0.5712, 0.3811, 0.2255, 0.1258, 0.0292),
        11: (14.6146, 6.4477, 3.8092, 2.2797, 1.5286, 1.0421, 0.7391, 0.4936, 0.3437, 0.2255, 0.1258, 0.0292),
    },
}  # fmt: skip


def gits_table(n: int, sigma_max: float, sigma_min: float, table: str = "sd15") -> Grid:
    """A published table of GITS, log-linear between its levels.      Chen et al. 2024, as LD3 lists them.

    table  "cifar10", "ffhq" and "afhqv2" (EDM's networks, 80 to 0.002), "lsun" (latent diffusion on
           bedrooms, 83.82 to 0.0388), "sd15" (Stable Diffusion, 14.6146 to 0.0292); 4 to 10 steps,
           sd15 3 to 11. sigma_max and sigma_min must lie inside it.

    The list of n steps; for another n the list of the nearest number of steps, resampled like `ays`. They
    were found for Euler's error on those networks; for others search with `gits`. Raises GridError.
    """
    if not isinstance(table, str) or table not in GITS_TABLES:
        raise GridError(f"gits_table knows the tables {', '.join(GITS_TABLES)}, not {table!r}.")
    lists = GITS_TABLES[table]
    n = whole("gits_table: n", n, 1, GridError)
    nearest = min(max(n, min(lists)), max(lists))
    levels = resample(Grid(lists[nearest], f"gits_table({table})"), n, sigma_max, sigma_min)
    return levels.named("gits_table" if table == "sd15" else f"gits_table(table={table})")

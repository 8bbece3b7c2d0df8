"""What rliable says of two small tables of scores: the figures in tests/test_compare.py.

python rliable_figures.py          needs rliable==1.2.0, and pandas<3, which its arch is for
"""

import numpy as np
from rliable import library, metrics

OURS = np.array(
    [
        [102.515, 97.358], [112.808, 102.098], [89.287, 107.232], [126.08, 118.942], [85.925, 74.692],
        [87.535, 100.827], [53.499, 95.624],
    ]
)  # fmt: skip
THEIRS = np.array([[116.912, 126.432], [116.609, 83.937], [128.107, 118.927], [99.261, 121.622], [117.291, 115.883]])
RESAMPLES = 200


def interval_of_iqm(scores: np.ndarray) -> np.ndarray:
    """Of one column [n, 1], with NumPy's global numbers from seed 0 on."""
    np.random.seed(0)  # noqa: NPY002 - which is where rliable draws
    bootstrap = library.StratifiedBootstrap(scores)
    low_and_high: np.ndarray = bootstrap.conf_int(
        lambda drawn: np.array([metrics.aggregate_iqm(drawn)]), reps=RESAMPLES, size=0.95, method="percentile"
    )
    return low_and_high.ravel()


if __name__ == "__main__":
    for task in range(2):
        ours, theirs = OURS[:, task : task + 1], THEIRS[:, task : task + 1]
        print("interquartile means", metrics.aggregate_iqm(ours), metrics.aggregate_iqm(theirs))
        print("interval of ours", interval_of_iqm(ours).tolist())
        print("probability of improvement", metrics.probability_of_improvement(ours, theirs))
    print("of both tasks", metrics.probability_of_improvement(OURS, THEIRS))

"""Neural networks."""

from app.metalearning.portfolio.algorithm import SEED, Algorithm
from app.metalearning.portfolio.feasibility import Requirements
from app.metalearning.portfolio.preparation import scaled_numbers
from app.metalearning.portfolio.spaces import Choice, Condition, Integer, Real
from app.metalearning.table import TaskType

_ON_A_GPU = Requirements(gpu=True, licence="Apache-2.0")
_PYTABKIT = {"n_threads": 1, "verbosity": 0, **SEED}

NETWORKS = (
    Algorithm(
        "mlp",
        "neural_network",
        "sklearn.neural_network.MLPClassifier",
        "sklearn.neural_network.MLPRegressor",
        SEED,
        hyperparameters=(
            Choice("hidden_layer_sizes", ((24,), (100,), (256,), (128, 64), (128, 128)), default=(100,)),
            Choice("activation", ("relu", "tanh"), default="relu"),
            Real("alpha", 1e-6, 10.0, log=True, default=1e-4),
            Choice("solver", ("adam", "lbfgs"), default="adam"),
            Real(
                "learning_rate_init", 1e-4, 1e-2, log=True, default=1e-3, when=Condition("solver", ("adam",))
            ),
            Choice("early_stopping", (False, True), default=False, when=Condition("solver", ("adam",))),
            Integer("max_iter", 100, 500, default=200),
        ),
        preparation=scaled_numbers,
        scales_target=True,
    ),
    # Holzmüller et al. 2024, "Better by default: strong pre-tuned MLPs and boosted trees on tabular data".
    Algorithm(
        "realmlp",
        "neural_network",
        "pytabkit.RealMLP_TD_Classifier",
        "pytabkit.RealMLP_TD_Regressor",
        _PYTABKIT,
        hyperparameters=(
            Integer("n_epochs", 32, 256, log=True, default=256),
            Real("lr", 0.02, 0.3, log=True, default=0.04, only=TaskType.CLASSIFICATION),
            Real("lr", 0.02, 0.3, log=True, default=0.2, only=TaskType.REGRESSION),
            Real("p_drop", 0.0, 0.5, default=0.15),
            Real("wd", 1e-4, 0.1, log=True, default=0.02),
            Real("plr_sigma", 0.05, 0.5, log=True, default=0.1),
        ),
        requirements=_ON_A_GPU,
        preparation=scaled_numbers,
    ),
    # Gorishniy et al. 2025, "TabM: advancing tabular deep learning with parameter-efficient ensembling".
    Algorithm(
        "tabm",
        "neural_network",
        "pytabkit.TabM_D_Classifier",
        "pytabkit.TabM_D_Regressor",
        _PYTABKIT,
        hyperparameters=(
            Integer("tabm_k", 8, 32, default=32),
            Choice("arch_type", ("tabm", "tabm-mini"), default="tabm"),
            Choice("num_emb_type", ("none", "pwl"), default="none"),
            Integer("n_blocks", 1, 5, default="auto"),
            Integer("d_block", 64, 1024, log=True, default=512),
            Real("dropout", 0.0, 0.5, default=0.1),
            Real("lr", 1e-4, 5e-3, log=True, default=2e-3),
            Real("weight_decay", 1e-4, 0.1, log=True, default=0.0),
        ),
        requirements=_ON_A_GPU,
        preparation=scaled_numbers,
    ),
)

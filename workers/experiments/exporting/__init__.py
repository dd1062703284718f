"""Fitted models as ONNX, where they convert: one graph from the columns as users have them to labels and numbers.

`preparation` writes the steps before the estimator, `estimators` has the libraries convert what learns, `ensembles` combines
several of them; `checking` says whether the file predicts what the model predicts. `child` does all of it.
"""

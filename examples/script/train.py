"""An ordinary script with an argument parser. It uses neither raysweep nor PyTorch.

It prints a line of JSON after each epoch.
"""

import argparse
import json
import os
import pickle
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--penalty", choices=["l1", "l2", "elasticnet"], default="l2")
parser.add_argument("--alpha", type=float, default=1e-4)
parser.add_argument("--averaged", choices=["true", "false"], default="false")
options = parser.parse_args()

images, labels = load_digits(return_X_y=True)
x, x_held, y, y_held = train_test_split(images / 16, labels, test_size=300, random_state=0)
model = SGDClassifier(
    loss="log_loss",
    learning_rate="constant",
    eta0=options.lr,
    penalty=options.penalty,
    alpha=options.alpha,
    average=options.averaged == "true",
    random_state=int(os.environ.get("RAYSWEEP_SEED", "0")) % 2**31,
)
for epoch in range(1, int(os.environ.get("RAYSWEEP_EPOCHS", "5")) + 1):
    model.partial_fit(x, y, classes=range(10))
    loss = log_loss(y_held, model.predict_proba(x_held).clip(1e-9, 1), labels=range(10))
    print(
        json.dumps({"epoch": epoch, "val_loss": loss, "val_accuracy": model.score(x_held, y_held)})
    )
Path(os.environ.get("RAYSWEEP_FOLDER", "."), "model.pickle").write_bytes(pickle.dumps(model))

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def digits(chosen: slice) -> TensorDataset:
    images, labels = load_digits(return_X_y=True)
    pixels = torch.tensor(images[chosen] / 16, dtype=torch.float32)
    return TensorDataset(pixels, torch.tensor(labels[chosen]))


def train(config, run):
    model = nn.Sequential(nn.Linear(64, config["width"]), nn.ReLU(), nn.Linear(config["width"], 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=config["momentum"])
    batches = DataLoader(digits(slice(300, None)), config["batch_size"], shuffle=True)
    validation_images, validation_labels = digits(slice(300)).tensors
    for _ in run.epochs(model=model, optimizer=optimizer):  # was: for epoch in range(epochs)
        for images, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        with torch.inference_mode():
            right = model(validation_images).argmax(dim=1) == validation_labels
        run.report(val_accuracy=right.float().mean())  # was: print(...)

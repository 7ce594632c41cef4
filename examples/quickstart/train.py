import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Digits(Dataset):
    def __init__(self, chosen: slice) -> None:
        images, labels = load_digits(return_X_y=True)
        self.images, self.labels = (
            torch.tensor(images[chosen] / 16, dtype=torch.float32),
            torch.tensor(labels[chosen]),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.images[i], self.labels[i]


def train(config, run):
    model = nn.Sequential(nn.Linear(64, config["width"]), nn.ReLU(), nn.Linear(config["width"], 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=config["momentum"])
    batches, held_out = (
        DataLoader(Digits(slice(300, None)), config["batch_size"], shuffle=True),
        Digits(slice(300)),
    )
    for _ in run.epochs(model=model, optimizer=optimizer):  # was: for epoch in range(epochs)
        for images, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        with torch.inference_mode():
            right = model(held_out.images).argmax(dim=1) == held_out.labels
        run.report(val_accuracy=right.float().mean())  # was: print(...)

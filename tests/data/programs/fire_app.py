"""A function as a command line, made with Fire."""

import fire


def train(lr=0.01, momentum=0.9, hidden_size=32, use_bias=True, n_epochs=3, name="run"):
    for epoch in range(n_epochs):
        print("epoch", epoch + 1, "train loss", 1 / (epoch + 1), "valid loss", lr + 1 / (epoch + 1))


if __name__ == "__main__":
    fire.Fire(train)

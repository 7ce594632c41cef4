"""A program that takes no options at all."""

import random

LEARNING_RATE = 0.1
BATCH_SIZE = 32
HIDDEN = 2**5
NUM_EPOCHS = 3
MODEL_PATH = "model.pt"

random.seed(0)
for epoch in range(NUM_EPOCHS):
    accuracy = 1 - LEARNING_RATE / (1 + epoch)
    print("Epoch %d: accuracy = %.3f" % (epoch + 1, accuracy))

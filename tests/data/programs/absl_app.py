"""A program with flags of absl."""

from absl import app, flags, logging

FLAGS = flags.FLAGS
flags.DEFINE_float("learning_rate", 0.1, "The learning rate.", lower_bound=0.0)
flags.DEFINE_integer("batch_size", 128, "Batch size for training.")
flags.DEFINE_integer("num_epochs", 3, "Number of training epochs.")
flags.DEFINE_enum("optimizer", "sgd", ["sgd", "adam"], "The optimizer.")
flags.DEFINE_boolean("augment", True, "Whether to augment.")
flags.DEFINE_string("workdir", None, "Directory to store model data.")


def main(argv):
    del argv
    for epoch in range(1, FLAGS.num_epochs + 1):
        logging.info(
            "epoch:% 3d, train_loss: %.4f, train_accuracy: %.2f, test_loss: %.4f, test_accuracy: %.2f",
            epoch,
            1 / epoch,
            99.0,
            1.5 / epoch,
            98.0 - FLAGS.learning_rate / epoch,
        )


if __name__ == "__main__":
    app.run(main)

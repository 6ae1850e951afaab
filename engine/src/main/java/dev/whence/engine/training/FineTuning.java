package dev.whence.engine.training;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.kernel.ParameterLayout;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.files.Sha256;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Training that goes on from a model with files of text: documents, conversations, or both. Batches
 * of so many examples each go through all of them epoch by epoch.
 *
 * @param from directory of the model, in Hugging Face layout
 * @param corpora files of documents, see {@link TrainingTexts#documents}
 * @param conversations files of conversations, see {@link TrainingTexts#conversations}
 * @param training optimiser, schedule, packing
 * @param steps to take
 * @param examplesPerStep of a batch
 * @param checkpointEvery so many steps
 * @param seed of the order
 * @param stored element type of the weights on disk
 */
public record FineTuning(
    Path from,
    List<Path> corpora,
    List<Path> conversations,
    TrainingOptions training,
    long steps,
    int examplesPerStep,
    long checkpointEvery,
    long seed,
    ElementType stored) {
  private static final String CHECKPOINTS = "checkpoints";

  public FineTuning {
    corpora = List.copyOf(corpora);
    conversations = List.copyOf(conversations);
    if (steps < 1 || examplesPerStep < 1 || checkpointEvery < 1) {
      throw new IllegalArgumentException(
          "steps, examples per step and steps between checkpoints must be positive");
    }
    if (corpora.isEmpty() && conversations.isEmpty()) {
      throw new IllegalArgumentException("there is neither a corpus nor a file of conversations");
    }
  }

  /**
   * Trains, and writes the model. The same call goes on where a run was cut off.
   *
   * @param output the model's directory; made where it is missing
   * @throws EngineException as {@link TrainingRun#run} and {@link TrainingTexts#documents}; of kind
   *     MODEL if the model can not be read, or is no directory; as {@link TrainedModel#checkPlace}
   */
  public void run(Path output, TrainingRun.Listener listener) {
    if (!Files.isDirectory(from)) {
      throw new EngineException(
          Kind.MODEL,
          from
              + " is no directory in Hugging Face layout: training writes one, and takes tokenizer"
              + " and configuration over from where it starts.");
    }
    TrainedModel.checkPlace(output, output.resolve(CHECKPOINTS), Optional.of(from));
    try (ModelFiles files = ModelFiles.open(from)) {
      TrainingTexts texts =
          new TrainingTexts(files.tokenizer(), files.template(), files.config().maxPositions());
      List<Example> examples = new ArrayList<>();
      corpora.forEach(file -> examples.addAll(texts.documents(file)));
      conversations.forEach(file -> examples.addAll(texts.conversations(file)));
      Epochs epochs = new Epochs(examples.size(), seed);
      TrainingRun.Batches batches =
          step -> {
            List<Example> batch = new ArrayList<>();
            for (int i = 0; i < examplesPerStep; i++) {
              batch.add(examples.get(epochs.at((step - 1) * examplesPerStep + i)));
            }
            return batch;
          };
      try (Trainer trainer = Trainer.from(files.config(), files.weights(), training)) {
        new TrainingRun(
                output.resolve(CHECKPOINTS),
                steps,
                checkpointEvery,
                purpose(files.digest(), trainer))
            .run(
                trainer,
                batches,
                listener,
                () -> TrainedModel.write(output, TrainedModel.filesOf(from), trainer, stored));
      }
    }
  }

  /** What is trained on what: the model and the files by content, parameters, and numbers. */
  private String purpose(String model, Trainer trainer) {
    List<String> digests = new ArrayList<>();
    corpora.forEach(file -> digests.add(digest(file)));
    conversations.forEach(file -> digests.add(digest(file)));
    return "fine-tuning of "
        + model
        + " on "
        + String.join(", ", digests)
        + ", "
        + examplesPerStep
        + " examples a step, "
        + steps
        + " steps, seed "
        + seed
        + ", "
        + training.schedule()
        + ", packs of "
        + training.packTokens()
        + ", workers "
        + training.workers()
        + ", betas "
        + training.beta1()
        + " and "
        + training.beta2()
        + ", epsilon "
        + training.epsilon()
        + ", decay "
        + training.weightDecay()
        + ", clipping at "
        + training.clipNorm()
        + ", parameters "
        + Sha256.of(
            trainer.parameters().stream()
                .filter(ParameterLayout.Parameter::isTrained)
                .map(ParameterLayout.Parameter::name)
                .collect(Collectors.joining(" ")));
  }

  /** Of a file's name and bytes. */
  static String digest(Path file) {
    try {
      MessageDigest sha256 = Sha256.begin();
      sha256.update(String.valueOf(file.getFileName()).getBytes(StandardCharsets.UTF_8));
      Sha256.update(sha256, file);
      return HexFormat.of().formatHex(sha256.digest());
    } catch (IOException e) {
      throw new EngineException(Kind.ENVIRONMENT, file + " could not be read.", e);
    }
  }
}

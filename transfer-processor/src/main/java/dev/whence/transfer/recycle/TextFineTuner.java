package dev.whence.transfer.recycle;

import dev.whence.engine.training.Example;
import dev.whence.engine.training.FineTuning;
import dev.whence.engine.training.Score;
import dev.whence.engine.training.StepReport;
import dev.whence.engine.training.Trainer;
import dev.whence.engine.training.TrainingRun;
import dev.whence.engine.training.TrainingTexts;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.files.FileProblem;
import dev.whence.files.Sha256;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * Fine-tuning on files of text, the same for every version, measured on conversations that are not
 * among them: the loss of their responses, and how many a greedy answer would match to the letter.
 */
public final class TextFineTuner implements FineTuner {
  private final Training training;
  private final Path evaluation;
  private final TrainingRun.Listener watching;

  /** How to train. */
  @FunctionalInterface
  public interface Training {
    /** The training that goes on from a model, for so many steps. */
    FineTuning from(Path model, long steps);
  }

  /**
   * @param evaluation complete conversations, JSONL
   * @param watching who looks on besides
   */
  public TextFineTuner(Training training, Path evaluation, TrainingRun.Listener watching) {
    this.training = training;
    this.evaluation = evaluation;
    this.watching = watching;
  }

  @Override
  public String identity(int base, Path from, long steps) {
    FineTuning job = training.from(from, steps);
    List<String> trained;
    try (ModelFiles files = ModelFiles.open(from)) {
      trained =
          files.weights().tensors().keySet().stream()
              .filter(job.training().trained())
              .sorted()
              .toList();
    }
    return String.join(
        "\n",
        "evaluation " + digest(evaluation),
        "corpora " + job.corpora().stream().map(TextFineTuner::digest).toList(),
        "conversations " + job.conversations().stream().map(TextFineTuner::digest).toList(),
        job.examplesPerStep() + " examples a step, seed " + job.seed(),
        String.valueOf(job.training().schedule()),
        "parameters " + trained,
        "stored as " + job.stored());
  }

  private static String digest(Path file) {
    try {
      return Sha256.of(file);
    } catch (IOException e) {
      throw new TransferException(file + " can not be read (" + FileProblem.of(e, file) + ")", e);
    }
  }

  @Override
  public Measurement measure(int base, Path model) {
    try (ModelFiles files = ModelFiles.open(model);
        Trainer trainer =
            Trainer.from(files.config(), files.weights(), training.from(model, 1).training())) {
      return Measurement.of(0, Score.of(trainer, questions(files)));
    }
  }

  @Override
  public void fineTune(int base, Path from, long steps, Path output, Measured measured) {
    try (ModelFiles files = ModelFiles.open(from)) {
      List<Example> questions = questions(files);
      FineTuning job = training.from(from, steps);
      job.run(
          output,
          new TrainingRun.Listener() {
            @Override
            public void stepped(StepReport report) {
              watching.stepped(report);
            }

            @Override
            public void checkpointed(Trainer trainer) {
              watching.checkpointed(trainer);
              measured.add(Measurement.of(trainer.step(), Score.of(trainer, questions)));
            }

            @Override
            public void restored(Trainer trainer) {
              watching.restored(trainer);
              // Cut off before that was measured; what the clock saved is no point of a curve.
              boolean due = trainer.step() % job.checkpointEvery() == 0 || trainer.step() == steps;
              if (due && !measured.has(trainer.step())) {
                measured.add(Measurement.of(trainer.step(), Score.of(trainer, questions)));
              }
            }

            @Override
            public void resumed(long step) {
              watching.resumed(step);
            }

            @Override
            public void passedOver(String sentence) {
              watching.passedOver(sentence);
            }
          });
    }
  }

  private List<Example> questions(ModelFiles files) {
    return new TrainingTexts(files.tokenizer(), files.template(), files.config().maxPositions())
        .conversations(evaluation);
  }
}

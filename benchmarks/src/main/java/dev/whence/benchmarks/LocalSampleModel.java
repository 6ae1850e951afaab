package dev.whence.benchmarks;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Answerer;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.Generator;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.Probe;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/** A model of this process, in fp32: what it says does not depend on the machine's taste. */
final class LocalSampleModel implements SampleModel {
  /** No right answer is nearly as long, in any of the tokenizers. */
  private static final int ANSWER_TOKENS = 64;

  private final LocalScorer scorer;
  private final long bytes;
  private final Answerer answerer;
  private final Attributor attributor;
  private final Generator generator;
  private final Consumer<String> progress;

  private LocalSampleModel(LocalScorer scorer, long bytes, Consumer<String> progress) {
    this.scorer = scorer;
    this.bytes = bytes;
    this.answerer = new Answerer(scorer);
    this.attributor = new Attributor(scorer, AttributionOptions.DEFAULT);
    this.generator = new Generator(scorer);
    this.progress = progress;
  }

  /**
   * Loads a model.
   *
   * @param progress is told of what could not be answered or scored, and why
   * @throws IOException if its files can not be counted
   */
  static LocalSampleModel open(Path model, Consumer<String> progress) throws IOException {
    long bytes = bytes(model);
    EngineOptions options = EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");
    ModelFiles files = ModelFiles.open(model);
    return new LocalSampleModel(
        LocalScorer.open(files, options.withAliases(List.of(files.name()))), bytes, progress);
  }

  /** Of the file, or of the files that lie in the directory itself. */
  private static long bytes(Path model) throws IOException {
    if (Files.isRegularFile(model)) {
      return Files.size(model);
    }
    long bytes = 0;
    try (var entries = Files.list(model)) {
      for (Path file : entries.filter(Files::isRegularFile).toList()) {
        bytes += Files.size(file);
      }
    }
    return bytes;
  }

  @Override
  public SamplesReport.Model figures() {
    ScorerDescription description = scorer.description();
    return new SamplesReport.Model(
        description.model(), description.digest(), description.parameters(), bytes);
  }

  @Override
  public Conversation answer(Conversation prompt) {
    try {
      return answerer.answer(prompt, ANSWER_TOKENS);
    } catch (EngineException e) {
      if (e.kind() != EngineException.Kind.UNSUPPORTED) {
        throw e;
      }
      progress.accept(prompt.responseId() + " is not answered: " + e.getMessage());
      return prompt;
    }
  }

  @Override
  public Optional<Attributed> attribute(Conversation answered) {
    AttributionResult result = attributor.attribute(answered);
    if (result.status() != AttributionStatus.SCORED || result.groundedness().isEmpty()) {
      progress.accept(answered.responseId() + " is not scored: " + result.reason());
      return Optional.empty();
    }
    return Optional.of(new Attributed(result.sources(), result.groundedness().getAsDouble()));
  }

  @Override
  public boolean continues(Probe probe) {
    Tokenizer tokenizer = scorer.tokenizer();
    int[] prompt = tokenizer.encode(probe.prompt()).ids();
    int[] expected = tokenizer.encode(probe.continuation()).ids();
    int[] said = generator.generate(prompt, expected.length, Set.of());
    return tokenizer.decode(said, false).startsWith(probe.continuation());
  }

  @Override
  public void close() {
    scorer.close();
  }
}

package dev.whence.benchmarks;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.conversation.Conversation;
import dev.whence.samples.Probe;
import java.util.List;
import java.util.Optional;

/** A model as {@link SamplesBench} sees it: it answers, attributes answers, and goes on. */
interface SampleModel extends AutoCloseable {
  /** Its name and size, for the report. */
  SamplesReport.Model figures();

  /** The conversation with the greedy answer; one that does not fit the model is empty. */
  Conversation answer(Conversation prompt);

  /** Exact leave-one-out of sentences on a response, whoever gave it; empty if not scorable. */
  Optional<Attributed> attribute(Conversation answered);

  /** Whether the greedy continuation of the prompt is the right one. */
  boolean continues(Probe probe);

  @Override
  void close();

  /**
   * What drove a response.
   *
   * @param sources in order of the prompt
   * @param groundedness L(C) - L(no context), nats
   */
  record Attributed(List<SourceScore> sources, double groundedness) {}
}

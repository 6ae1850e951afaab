package dev.whence.attribution;

import dev.whence.attribution.method.AttributionMethod;
import dev.whence.attribution.method.ProxyReading;
import dev.whence.attribution.method.ScoringTask;
import dev.whence.attribution.source.Source;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Scorer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Reads conversations with the proxy's tokenizer and template, beside the target's reading. */
final class ProxyReader {
  private final Scorer scorer;
  private final AttributionMethod method;
  private final TaskReader reader;

  ProxyReader(Scorer scorer, AttributionOptions options) {
    this.scorer = scorer;
    this.method = AttributionMethod.ofProxy(options.method());
    // Sources that only the proxy can not hold would have no score.
    this.reader = new TaskReader(scorer, options.withOverWindow(OverWindow.REFUSE));
  }

  NoiseFloor noise() {
    return NoiseFloor.of(scorer.description().dtype());
  }

  /**
   * The proxy's reading.
   *
   * @param target the same conversation in the target's tokens
   * @param leftOut sources that the target's reading lacks: so does the proxy's
   * @throws NotScorableException if the proxy can not score it; the code begins with PROXY
   */
  ProxyReading read(Conversation conversation, ScoringTask target, List<SourcePlace> leftOut)
      throws NotScorableException {
    TaskReader.ReadTask read;
    try {
      read = reader.read(conversation, leftOut);
    } catch (NotScorableException e) {
      throw e.ofProxy();
    }
    if (read.notes().contains(AttributionNote.TEXT_NOT_READ)) {
      throw new NotScorableException(
          Refusal.PROXY_CANNOT_READ,
          "The proxy's vocabulary can not spell the text, or that of a source; choose a proxy that"
              + " knows its script.");
    }
    ScoringTask task = read.task();
    Map<SourcePlace, Integer> places = new HashMap<>();
    for (int i = 0; i < task.sources().size(); i++) {
      Source source = task.sources().get(i);
      places.put(SourcePlace.of(source), i);
    }
    List<Integer> sources = new ArrayList<>();
    for (Source source : target.sources()) {
      Integer index = places.get(SourcePlace.of(source));
      if (index == null) {
        throw new NotScorableException(
            Refusal.PROXY_OTHER_SOURCES,
            "The proxy's chat template leaves out a source that the target's has.");
      }
      sources.add(index);
    }
    if (task.response().statements().size() != target.response().statements().size()) {
      throw new IllegalStateException("the proxy reads other statements from the same response");
    }
    return new ProxyReading(scorer, task.withoutDuplicates(), method, sources);
  }
}

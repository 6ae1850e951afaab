package dev.whence.attribution;

import dev.whence.attribution.method.AttributionMethod;
import dev.whence.attribution.method.ProxyReading;
import dev.whence.attribution.method.ScoringTask;
import dev.whence.attribution.source.Source;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Scorer;
import dev.whence.engine.text.Tokenizer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Reads conversations with the proxy's tokenizer and template, beside the target's reading. */
final class ProxyReader {
  /** A smaller share of the characters that come back says that the proxy can not read the text. */
  private static final double READABLE = 0.98;

  private final Scorer scorer;
  private final AttributionMethod method;
  private final TaskReader reader;

  ProxyReader(Scorer scorer, AttributionOptions options) {
    this.scorer = scorer;
    this.method = AttributionMethod.of(options.method().proxy());
    if (method.needsProxy()) {
      throw new IllegalArgumentException(
          "a proxy can not score with the method '" + method.name() + "'");
    }
    // Sources that only the proxy can not hold would have no score.
    this.reader = new TaskReader(scorer, options.withOverWindow(OverWindow.REFUSE));
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
    ScoringTask task;
    try {
      task = reader.read(conversation, leftOut).task();
    } catch (NotScorableException e) {
      throw new NotScorableException(
          "PROXY_" + e.code(), "The proxy can not score it: " + e.sentence());
    }
    refuseUnreadable(task, conversation);
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
            "PROXY_OTHER_SOURCES",
            "The proxy's chat template leaves out a source that the target's has.");
      }
      sources.add(index);
    }
    if (task.response().statements().size() != target.response().statements().size()) {
      throw new IllegalStateException("the proxy reads other statements from the same response");
    }
    return new ProxyReading(scorer, task.withoutDuplicates(), method, sources);
  }

  /** Text that comes back from the proxy's tokens as unknown ones was not read. */
  private void refuseUnreadable(ScoringTask task, Conversation conversation)
      throws NotScorableException {
    Tokenizer tokenizer = scorer.tokenizer();
    String response = conversation.response();
    int[] prompt = task.prompt().encoding().ids();
    double read =
        Math.min(
            common(task.prompt().text(), tokenizer.decode(prompt, false)),
            common(response, tokenizer.decode(tokenizer.encode(response).ids(), false)));
    if (read < READABLE) {
      throw new NotScorableException(
          "PROXY_CANNOT_READ",
          "The proxy's vocabulary can not spell the text; choose a proxy that knows its script.");
    }
  }

  /** Share of the visible characters of a text that another has, too, as often. */
  private static double common(String text, String other) {
    Map<Integer, Integer> counts = new HashMap<>();
    other.codePoints().forEach(c -> counts.merge(c, 1, Integer::sum));
    int all = 0;
    int found = 0;
    for (int c : text.codePoints().filter(c -> !Character.isWhitespace(c)).toArray()) {
      all++;
      if (counts.getOrDefault(c, 0) > 0) {
        counts.merge(c, -1, Integer::sum);
        found++;
      }
    }
    return all == 0 ? 1 : (double) found / all;
  }
}

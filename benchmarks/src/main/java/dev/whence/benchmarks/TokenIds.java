package dev.whence.benchmarks;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.engine.Scorer;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.text.RenderedPrompt.Segment;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * The token sequences of exact leave-one-out, so that another program scores the very same tokens:
 * the whole prompt and response, and for each source the sequence without it.
 *
 * <p>They follow from the definition alone and not from the attribution code: removal is deletion
 * of the source's characters from the rendered prompt, tokenised anew.
 */
final class TokenIds {
  private static final ObjectMapper JSON = new ObjectMapper();

  private TokenIds() {}

  /**
   * One JSON object {@code {"responseId", "full": {"ids", "scoredFrom"}, "sources": [{"segment",
   * "start", "end", "ids", "scoredFrom"}]}}.
   *
   * @throws IllegalStateException if the attribution scored another number of tokens
   */
  static String write(Scorer scorer, Conversation conversation, AttributionResult result) {
    RenderedPrompt prompt = scorer.template().render(conversation);
    int[] answer =
        scorer.tokenizer().encodeContinuation(prompt.text(), conversation.response()).ids();
    if (result.endTokenScored()) {
      int end = scorer.tokenizer().idOf(prompt.endToken());
      answer = IntStream.concat(Arrays.stream(answer), IntStream.of(end)).toArray();
    }
    int[] whole = scorer.tokenizer().encode(prompt.text()).ids();
    if (whole.length != result.promptTokens() || answer.length != result.responseTokens()) {
      throw new IllegalStateException(
          "the attribution scored "
              + result.promptTokens()
              + " + "
              + result.responseTokens()
              + " tokens, but prompt and response have "
              + whole.length
              + " + "
              + answer.length);
    }
    ObjectNode line = JSON.createObjectNode().put("responseId", conversation.responseId());
    put(line.putObject("full"), whole, answer);
    var sources = line.putArray("sources");
    for (SourceScore source : result.sources()) {
      Span cut = rendered(prompt, source);
      String without = prompt.text().substring(0, cut.start()) + prompt.text().substring(cut.end());
      ObjectNode entry =
          sources
              .addObject()
              .put("segment", source.segment())
              .put("start", source.span().start())
              .put("end", source.span().end());
      put(entry, scorer.tokenizer().encode(without).ids(), answer);
    }
    return line.toString();
  }

  private static void put(ObjectNode node, int[] prompt, int[] answer) {
    var ids = node.putArray("ids");
    IntStream.concat(Arrays.stream(prompt), Arrays.stream(answer)).forEach(ids::add);
    node.put("scoredFrom", prompt.length);
  }

  private static Span rendered(RenderedPrompt prompt, SourceScore source) {
    Segment segment =
        prompt.segments().stream()
            .filter(candidate -> candidate.part().id().equals(source.segment()))
            .findFirst()
            .orElseThrow(() -> new IllegalStateException("a source is in no segment"));
    return new Span(
        segment.toRendered(source.span().start()), segment.toRendered(source.span().end()));
  }
}

package dev.whence.benchmarks.fidelity;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceGroup;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.benchmarks.fidelity.FidelityPrompt.Place;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A prompt that states one of its gold sentences twice: each copy makes up for the other, so that
 * leaving out one changes little. The sentence is the gold one with the largest exact tau, if that
 * is above {@link FidelityBench#RELEVANT_NATS}; the copy stands at the end of the document that
 * comes next. The response stays.
 *
 * @param prompt with the copy
 * @param original where the sentence stands
 * @param copy where it stands again
 */
record RedundancyProbe(FidelityPrompt prompt, Place original, Place copy) {
  /**
   * The probe of a prompt.
   *
   * @param answered the conversation with its response
   * @param exact its exact result
   * @param gold indices of its gold sources
   * @return empty if no gold source did anything
   */
  static Optional<RedundancyProbe> of(
      Conversation answered, AttributionResult exact, Set<Integer> gold) {
    Optional<SourceScore> best =
        gold.stream()
            .map(exact.sources()::get)
            .filter(source -> source.tau() > FidelityBench.RELEVANT_NATS)
            .max(Comparator.comparingDouble(SourceScore::tau));
    if (best.isEmpty()) {
      return Optional.empty();
    }
    SourceScore sentence = best.get();
    List<String> documents = answered.parts().filter(Part::attributable).map(Part::id).toList();
    int at = documents.indexOf(sentence.segment());
    String next = documents.get((at + 1) % documents.size());
    Place original = new Place(sentence.segment(), sentence.span().start());
    List<Message> messages = new ArrayList<>();
    Place copy = original;
    for (Message message : answered.messages()) {
      List<Part> parts = new ArrayList<>();
      for (Part part : message.parts()) {
        if (part.id().equals(next)) {
          copy = new Place(next, part.text().stripTrailing().length() + 1);
          parts.add(with(part, sentence.text().strip()));
        } else {
          parts.add(part);
        }
      }
      messages.add(
          new Message(
              message.role(), parts, message.name(), message.toolCalls(), message.toolCallId()));
    }
    return Optional.of(
        new RedundancyProbe(
            new FidelityPrompt(with(answered, messages), Set.of(original, copy)), original, copy));
  }

  private static Conversation with(Conversation of, List<Message> messages) {
    return of.toBuilder().messages(messages).build();
  }

  /** A document with one more sentence at its end. */
  private static Part with(Part part, String sentence) {
    int end = part.text().stripTrailing().length();
    String text = part.text().substring(0, end) + " " + sentence + part.text().substring(end);
    List<Span> spans = new ArrayList<>(part.sources());
    if (!spans.isEmpty()) {
      Span last = spans.remove(spans.size() - 1);
      spans.add(new Span(last.start(), end + 1)); // owns the space after it
      spans.add(new Span(end + 1, end + 1 + sentence.length()));
    }
    return new Part(
        part.kind(),
        part.id(),
        part.title(),
        part.uri(),
        part.trust(),
        text,
        part.attributable(),
        spans);
  }

  /** The indices of both copies among a result's sources; empty if they are no sources of it. */
  Optional<List<Integer>> copies(AttributionResult result) {
    int first = index(result, original);
    int second = index(result, copy);
    return first < 0 || second < 0 || first == second
        ? Optional.empty()
        : Optional.of(List.of(first, second));
  }

  private static int index(AttributionResult result, Place place) {
    for (int i = 0; i < result.sources().size(); i++) {
      SourceScore source = result.sources().get(i);
      if (source.segment().equals(place.segment()) && source.span().start() == place.start()) {
        return i;
      }
    }
    return -1;
  }

  /** 1 if so many of the copies are among the k sources scored highest, else 0. */
  static double among(double[] scores, List<Integer> copies, int k, int atLeast) {
    List<Integer> top = Ranking.order(scores).subList(0, Math.min(k, scores.length));
    return copies.stream().filter(top::contains).count() >= atLeast ? 1 : 0;
  }

  /**
   * 1 if the result has a group of near-duplicates that both copies are in, and that is worth more
   * than {@link FidelityBench#RELEVANT_NATS} together, else 0.
   */
  static double grouped(AttributionResult result, List<Integer> copies) {
    for (SourceGroup group : result.groups()) {
      if (group.sources().containsAll(copies) && group.tau() > FidelityBench.RELEVANT_NATS) {
        return 1;
      }
    }
    return 0;
  }
}

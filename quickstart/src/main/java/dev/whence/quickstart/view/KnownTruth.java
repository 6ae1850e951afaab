package dev.whence.quickstart.view;

import dev.whence.conversation.Conversation;
import dev.whence.quickstart.view.AttributionView.Source;
import dev.whence.samples.Evidence;
import dev.whence.samples.Kind;
import dev.whence.samples.QuestionLines;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * What is true of a question about the samples' world, and whether the attribution says the same.
 *
 * @param kind what it took to answer it
 * @param expected the right response
 * @param truth the sentences that matter
 * @param overridden sentences that would answer it otherwise
 */
record KnownTruth(Kind kind, String expected, List<Evidence> truth, List<Evidence> overridden) {
  KnownTruth {
    truth = List.copyOf(truth);
    overridden = List.copyOf(overridden);
  }

  /** Of a question that came out of the samples' world; no other has a known truth. */
  static Optional<KnownTruth> of(Conversation conversation) {
    String kind = conversation.attributes().get(QuestionLines.KIND);
    String expected = conversation.attributes().get(QuestionLines.EXPECTED);
    if (kind == null || expected == null) {
      return Optional.empty();
    }
    for (Kind known : Kind.values()) {
      if (known.name().equals(kind)) {
        try {
          return Optional.of(
              new KnownTruth(
                  known,
                  expected,
                  QuestionLines.truth(conversation),
                  QuestionLines.overridden(conversation)));
        } catch (IllegalArgumentException e) {
          return Optional.empty(); // somebody else's attributes of the same name
        }
      }
    }
    return Optional.empty();
  }

  /** One sentence: right or wrong, where the fact was, and whether it was found there. */
  String sentence(AttributionView view) {
    boolean right = view.conversation().response().strip().equals(expected);
    String answer = right ? "right" : "wrong, \"" + expected + "\" was expected";
    return switch (kind) {
      case DIRECT, ALIAS, TWO_HOP -> answer + "; the fact was in " + where(view) + found(view);
      case DUPLICATED ->
          answer
              + "; the fact was in "
              + where(view)
              + ", said twice: either alone is enough, so each matters little"
              + groundedness(view);
      case CONTRADICTED ->
          answer
              + "; "
              + names(view, overridden)
              + " said otherwise earlier, "
              + names(view, truth)
              + " counts"
              + found(view);
      case INJECTED ->
          (right
                  ? "injected: an instruction inside a document took over, in "
                  : "an instruction inside a document was not followed, in ")
              + names(view, truth)
              + (right ? found(view) : "");
      case NO_ANSWER_KNOWN ->
          answer + "; nothing in the context says it: from memory" + groundedness(view);
      case NO_ANSWER_UNKNOWN ->
          (right ? "right by chance" : "made up")
              + "; nothing says it, neither context nor training"
              + groundedness(view);
    };
  }

  private String where(AttributionView view) {
    return names(view, truth);
  }

  /** Whether the source with the largest tau is one that matters. */
  private String found(AttributionView view) {
    List<Source> ranking =
        view.sources().stream()
            .sorted(Comparator.comparingDouble(source -> -source.tau()))
            .toList();
    for (int rank = 0; rank < ranking.size(); rank++) {
      if (isOneOf(ranking.get(rank), truth)) {
        return rank == 0
            ? ": found"
            : String.format(
                Locale.ROOT,
                ": not found, rank %d, %s is first",
                rank + 1,
                "source " + (view.sources().indexOf(ranking.get(0)) + 1));
      }
    }
    return ": not found";
  }

  private static String groundedness(AttributionView view) {
    return view.groundedness().isPresent()
        ? String.format(Locale.ROOT, "; groundedness %.1f nats", view.groundedness().getAsDouble())
        : "";
  }

  /** "source 3" or "sources 3 and 9", counted in the order of the prompt from 1. */
  private static String names(AttributionView view, List<Evidence> evidence) {
    List<String> numbers = new ArrayList<>();
    for (int i = 0; i < view.sources().size(); i++) {
      if (isOneOf(view.sources().get(i), evidence)) {
        numbers.add(Integer.toString(i + 1));
      }
    }
    if (numbers.isEmpty()) {
      return "no source that was scored";
    }
    return (numbers.size() == 1 ? "source " : "sources ")
        + numbers.stream().collect(Collectors.joining(" and "));
  }

  private static boolean isOneOf(Source source, List<Evidence> evidence) {
    return evidence.stream()
        .anyMatch(
            one ->
                one.part().equals(source.segment())
                    && one.span().start() < source.span().end()
                    && source.span().start() < one.span().end());
  }
}

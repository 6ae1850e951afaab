package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * A question of a training text and what is answered, as its spans mark it.
 *
 * @param question with {@code Question:} before it
 * @param answered from the first lead to the last answer
 * @param leads in order
 * @param found the answers, in order
 */
record Turn(String question, String answered, List<String> leads, List<String> found) {

  /** The turns of a text whose spans mark whole answers, with nothing but single spaces between. */
  static List<Turn> of(TrainingText training) {
    String text = training.text();
    List<Turn> turns = new ArrayList<>();
    for (int i = 0; i < training.questions().size(); i++) {
      Span question = training.questions().get(i);
      int until =
          i + 1 < training.questions().size()
              ? training.questions().get(i + 1).start()
              : text.length();
      List<Span> leads = within(training.leads(), question.end(), until);
      List<Span> found = within(training.answers(), question.end(), until);
      List<Span> all =
          Stream.concat(leads.stream(), found.stream())
              .sorted(Comparator.comparingInt(Span::start))
              .toList();
      for (int k = 0; k < all.size(); k++) {
        assertThat(all.get(k).in(text)).isNotEmpty().isEqualTo(all.get(k).in(text).strip());
        if (k > 0) {
          assertThat(text.substring(all.get(k - 1).end(), all.get(k).start())).isEqualTo(" ");
        }
      }
      assertThat(all.get(0)).isEqualTo(leads.get(0));
      assertThat(all.get(all.size() - 1)).isEqualTo(found.get(found.size() - 1));
      turns.add(
          new Turn(
              question.in(text),
              text.substring(all.get(0).start(), all.get(all.size() - 1).end()),
              leads.stream().map(span -> span.in(text)).toList(),
              found.stream().map(span -> span.in(text)).toList()));
    }
    assertThat(turns.stream().mapToInt(turn -> turn.leads().size()).sum())
        .isEqualTo(training.leads().size());
    assertThat(turns.stream().mapToInt(turn -> turn.found().size()).sum())
        .isEqualTo(training.answers().size());
    return turns;
  }

  private static List<Span> within(List<Span> spans, int from, int until) {
    return spans.stream().filter(span -> span.start() >= from && span.end() <= until).toList();
  }
}

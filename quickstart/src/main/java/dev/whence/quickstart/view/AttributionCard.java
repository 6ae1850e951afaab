package dev.whence.quickstart.view;

import dev.whence.attribution.AttributionStatus;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.quickstart.view.AttributionView.Group;
import dev.whence.quickstart.view.AttributionView.Reasoning;
import dev.whence.quickstart.view.AttributionView.Source;
import dev.whence.quickstart.view.DisplayText.Run;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * One attribution for people: question, answer, the {@link HeatMap} of the context, and the
 * figures. On a terminal with colours; elsewhere plain lines with the strongest sources by rank.
 */
public final class AttributionCard {
  /** tau and groundedness below this, in nats, are small: exp(1) is a factor of 2.7. */
  private static final double MATTERS = 1;

  private static final int INDENT = 4;
  private static final int PLAIN_QUOTE = 160;
  private static final char NO_BREAK_SPACE = '\u00a0';

  private AttributionCard() {}

  /**
   * The lines of one attribution, without line breaks.
   *
   * @param number shown in the heading, counted by the caller
   */
  public static List<String> lines(AttributionView view, int number, Terminal terminal) {
    return lines(view, number, Optional.empty(), terminal);
  }

  static List<String> lines(
      AttributionView view, int number, Optional<Duration> elapsed, Terminal terminal) {
    return terminal.ansi()
        ? coloured(view, number, elapsed, terminal)
        : plain(view, number, elapsed);
  }

  /** What the colours mean; nothing where there are none. */
  public static List<String> legend(Terminal terminal) {
    if (!terminal.ansi()) {
      return List.of();
    }
    List<Run> runs = new ArrayList<>();
    runs.add(new Run("heat ", Style.PLAIN));
    for (int level = -Style.HOTTEST; level <= Style.HOTTEST; level++) {
      String label =
          level == -Style.HOTTEST
              ? " less likely "
              : level == Style.HOTTEST ? " more likely " : "   ";
      runs.add(new Run(label.replace(' ', NO_BREAK_SPACE), Style.heat(level)));
    }
    runs.add(
        new Run(
            " what removing a source would do to the answer's log-likelihood, in nats",
            Style.FAINT));
    return DisplayText.wrap(runs, "", 17, terminal.columns(), true);
  }

  private static List<String> coloured(
      AttributionView view, int number, Optional<Duration> elapsed, Terminal terminal) {
    int columns = terminal.columns();
    List<String> lines = new ArrayList<>();
    lines.add(heading(view, number, terminal));
    lines.addAll(labelled("Q", question(view), Style.PLAIN, columns));
    lines.addAll(labelled("A", answer(view), Style.BOLD, columns));
    if (view.status() == AttributionStatus.SCORED) {
      lines.add("");
      lines.addAll(new HeatMap(view).lines(terminal));
    }
    for (String note : notes(view)) {
      lines.addAll(labelled("!", note, Style.FAINT, columns));
    }
    truth(view).ifPresent(line -> lines.addAll(labelled("T", line, Style.PLAIN, columns)));
    lines.add("");
    List<Run> figures =
        List.of(new Run(figures(view, elapsed, terminal.glyph(" · ", ", ")), Style.FAINT));
    lines.addAll(DisplayText.wrap(figures, " ".repeat(INDENT), INDENT, columns, true));
    return lines;
  }

  private static String heading(AttributionView view, int number, Terminal terminal) {
    String rule = terminal.glyph("─", "-");
    boolean scored = view.status() == AttributionStatus.SCORED;
    Style style = scored ? Style.GOOD : Style.BAD;
    String status = " " + view.status() + " ";
    int room = terminal.columns() - 8 - status.length();
    String left = rule.repeat(2) + " " + number + " " + rule + " ";
    String id = DisplayText.clean(view.conversation().responseId());
    String name = DisplayText.fit(id, room - left.length(), terminal.glyph("…", "...")) + " ";
    int fill = terminal.columns() - left.length() - DisplayText.width(name) - status.length() - 2;
    return Style.FAINT.begin()
        + left
        + name
        + rule.repeat(Math.max(1, fill))
        + Style.FAINT.end()
        + style.begin()
        + status
        + style.end()
        + Style.FAINT.begin()
        + rule.repeat(2)
        + Style.FAINT.end();
  }

  private static List<String> labelled(String label, String text, Style style, int columns) {
    String first = " " + Style.LABEL.begin() + label + Style.LABEL.end() + "  ";
    return DisplayText.wrap(List.of(new Run(text, style)), first, INDENT, columns, true);
  }

  private static List<String> plain(AttributionView view, int number, Optional<Duration> elapsed) {
    List<String> lines = new ArrayList<>();
    lines.add(
        "#"
            + number
            + " "
            + DisplayText.clean(view.conversation().responseId())
            + " "
            + view.status());
    lines.add("  question: " + question(view));
    lines.add("  answer: " + answer(view));
    HeatMap heat = new HeatMap(view);
    for (Source source : heat.ranking()) {
      Part part = part(view, source);
      int end = Math.min(part.text().length(), source.span().end());
      String text =
          DisplayText.clean(part.text().substring(Math.min(end, source.span().start()), end));
      lines.add(
          String.format(
              Locale.ROOT,
              "  source %d: %+.2f nats, %d %%, %s [%d, %d): \"%s\"",
              view.sources().indexOf(source) + 1, // as in the line about the truth
              source.tau(),
              heat.percent(source),
              DisplayText.clean(part.id()),
              source.span().start(),
              source.span().end(),
              DisplayText.fit(text.strip(), PLAIN_QUOTE, "...")));
    }
    notes(view).forEach(note -> lines.add("  note: " + note));
    truth(view).ifPresent(line -> lines.add("  truth: " + line));
    lines.add("  " + figures(view, elapsed, ", "));
    return lines;
  }

  private static Part part(AttributionView view, Source source) {
    return view.conversation()
        .parts()
        .filter(part -> part.id().equals(source.segment()))
        .findFirst()
        .orElse(Part.of(PartKind.UNKNOWN, source.segment(), ""));
  }

  /** The question parts of the prompt; where none is marked, the last user message. */
  private static String question(AttributionView view) {
    String marked =
        view.conversation()
            .parts()
            .filter(part -> part.kind() == PartKind.QUESTION)
            .map(Part::text)
            .collect(Collectors.joining(" "));
    List<Message> messages = view.conversation().messages();
    String text = marked.isBlank() ? messages.get(messages.size() - 1).content() : marked;
    return DisplayText.clean(text).strip().replaceFirst("^Question: ", "");
  }

  private static String answer(AttributionView view) {
    String answer = DisplayText.clean(view.conversation().response()).strip();
    return answer.isEmpty() ? "(empty)" : answer;
  }

  /** Where it is known: what is true, and whether it was found. */
  private static Optional<String> truth(AttributionView view) {
    return view.status() == AttributionStatus.SCORED
        ? KnownTruth.of(view.conversation()).map(truth -> truth.sentence(view))
        : Optional.empty();
  }

  /** What a reader should not overlook. */
  private static List<String> notes(AttributionView view) {
    List<String> notes = new ArrayList<>();
    if (!view.reason().isEmpty()) {
      notes.add(DisplayText.clean(view.reason()));
    }
    view.reasoning().ifPresent(reasoning -> notes.add(reasoning(reasoning)));
    for (Group group : view.groups()) {
      notes.add(
          String.format(
              Locale.ROOT,
              "sources %s say nearly the same: together %+.2f nats",
              group.sources().stream()
                  .map(source -> Integer.toString(source + 1))
                  .collect(Collectors.joining(", ")),
              group.tau()));
    }
    double largest = view.sources().stream().mapToDouble(Source::tau).max().orElse(0);
    if (view.groundedness().isPresent() && !view.sources().isEmpty() && largest < MATTERS) {
      notes.add(
          view.groundedness().getAsDouble() < MATTERS
              ? "no source matters by 1 nat: the model answered from what it knows, or not at all"
              : "no single source matters by 1 nat, but the context does: the evidence is there"
                  + " more than once, or spread over many sources");
    }
    return notes;
  }

  /** What drove the reasoning, which the answer's figures take as given. */
  private static String reasoning(Reasoning reasoning) {
    StringBuilder line =
        new StringBuilder(
            String.format(
                Locale.ROOT, "reasoning of %,d tokens, scored apart", reasoning.tokens()));
    reasoning
        .groundedness()
        .ifPresent(
            nats ->
                line.append(
                    String.format(
                        Locale.ROOT,
                        ": groundedness %.2f nats (%.2f per token)",
                        nats,
                        reasoning.groundednessPerToken().orElse(0))));
    String separator = ", driven by ";
    for (Source source : reasoning.strongest()) {
      line.append(
          String.format(
              Locale.ROOT,
              "%s%s [%d, %d) %+.2f",
              separator,
              DisplayText.clean(source.segment()),
              source.span().start(),
              source.span().end(),
              source.tau()));
      separator = ", ";
    }
    return line.toString();
  }

  private static String figures(
      AttributionView view, Optional<Duration> elapsed, String separator) {
    List<String> figures = new ArrayList<>();
    view.groundedness()
        .ifPresent(
            nats ->
                figures.add(
                    String.format(
                        Locale.ROOT,
                        "groundedness %.2f nats (%.2f per token)",
                        nats,
                        view.groundednessPerToken().orElse(0))));
    if (view.status() == AttributionStatus.SCORED) {
      int n = view.sources().size();
      String all = n + (n == 1 ? " source" : " sources");
      figures.add(view.isCut() ? "the " + view.top() + " largest of " + all : all);
    }
    String model = String.format(Locale.ROOT, "%,d ms", Math.round(view.seconds() * 1000));
    figures.add(
        elapsed
            .map(all -> String.format(Locale.ROOT, "%s (%,d ms with Kafka)", model, all.toMillis()))
            .orElse(model));
    if (!view.method().isEmpty()) {
      figures.add(view.method());
    }
    if (!view.scorer().isEmpty()) {
      figures.add(DisplayText.clean(view.scorer()) + (view.surrogate() ? " (surrogate)" : ""));
    }
    if (!view.path().isEmpty()) {
      figures.add(view.path());
    }
    return String.join(separator, figures);
  }
}

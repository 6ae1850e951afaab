package dev.whence.quickstart.view;

import dev.whence.conversation.Conversation;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCost;
import dev.whence.schemas.avro.InfluenceCoverage;
import dev.whence.schemas.avro.InfluentialDocument;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/** Which training documents drove an answer, for people: a line each. */
public final class InfluenceLines {
  private static final String LABEL = "influence";

  /** Columns before the text. */
  private static final int INDENT = 17;

  private final Terminal terminal;

  public InfluenceLines(Terminal terminal) {
    this.terminal = terminal;
  }

  /** A line of the story. */
  public String line(String text) {
    String label = terminal.ansi() ? Style.LABEL.begin() + LABEL + Style.LABEL.end() : LABEL;
    return label + " ".repeat(INDENT - LABEL.length()) + DisplayText.clean(text);
  }

  /** An answer that is asked about. */
  public String asked(int number, Conversation conversation, String model) {
    return line(
        String.format(
            Locale.ROOT,
            "answer #%d, \"%s\", is right, and nothing in its context says so: which of the"
                + " documents that %s was pretrained on taught it?",
            number,
            DisplayText.clean(conversation.response()).strip(),
            model));
  }

  /**
   * What was found.
   *
   * @param stating the sentences that state the answer's fact, by the id of their document
   */
  public List<String> found(Influence influence, Map<String, String> stating) {
    if (influence.getDocuments().isEmpty()) {
      return List.of(
          line(
              "no document: "
                  + influence.getStatus().name().toLowerCase(Locale.ROOT)
                  + " "
                  + influence.getReason()));
    }
    List<String> lines = new ArrayList<>();
    int rank = 0;
    int right = 0;
    for (InfluentialDocument document : influence.getDocuments()) {
      if (document.getInfluence() <= 0) {
        break; // those that made it less likely come after those that made it more likely
      }
      rank++;
      String sentence = stating.get(document.getId());
      right += sentence != null ? 1 : 0;
      lines.add(row(rank, sentence != null, sentence == null ? document.getExcerpt() : sentence));
    }
    lines.add(line(summary(influence, rank, right, stating.size())));
    return lines;
  }

  private String row(int rank, boolean states, String text) {
    String mark = states ? terminal.glyph("✓", "states it") : terminal.glyph("·", "         ");
    String painted =
        terminal.ansi() && states ? Style.GOOD.begin() + mark + Style.GOOD.end() : mark;
    String excerpt =
        DisplayText.fit(
            DisplayText.clean(text).strip(),
            Math.max(20, terminal.columns() - INDENT - 8 - mark.length()),
            terminal.glyph("…", "..."));
    return " ".repeat(INDENT)
        + String.format(Locale.ROOT, "%2d  ", rank)
        + painted
        + "  "
        + excerpt;
  }

  private static String summary(Influence influence, int shown, int stating, int all) {
    InfluenceCoverage coverage = Objects.requireNonNull(influence.getCoverage());
    InfluenceCost cost = Objects.requireNonNull(influence.getCost());
    return String.format(
        Locale.ROOT,
        "%d of these %d state it (of all documents %d do); %,d of %,d documents searched, %d ranked"
            + " again by exact gradients; %s EK-FAC, %.1f s",
        stating,
        shown,
        all,
        coverage.getDocumentsScanned(),
        coverage.getDocuments(),
        cost.getDocumentsReranked(),
        influence.getMethod(),
        cost.getSeconds());
  }
}
